/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers: their start and their end. See server.h. */
#include "daemon/server/server.h"

#include "daemon/base/pidfd.h"
#include "daemon/resources/rights.h"
#include "daemon/server/server_command.h"
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * In the child. What is inherited and wanted: the I/O flusher flag, the OOM score, the limit on locked memory,
 * standard error. What is not: everything else that is open, whoever left it open.
 */
__attribute__((noreturn)) static void become_server(const struct server_command *command, const struct folder *folder,
						    pid_t parent, const char *device, bool from_kept)
{
	uint64_t start;
	int r = process_start_time(getpid(), &start), null = open("/dev/null", O_RDWR);
	sigset_t signals;

	/*
	 * Until it is noted down, this process ends with the daemon: a server that no daemon knows of would keep the
	 * segment from all servers after it.
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!r)
		r = getppid() == parent ? folder_add_server(folder, getpid(), start) : -ESRCH;
	if (r) {
		dprintf(STDERR_FILENO, "%s: a server cannot be noted down: %s\n", folder->path, strerror(-r));
		_exit(126);
	}
	prctl(PR_SET_PDEATHSIG, 0);

	/* Block all signals that tell a server to end. nbdkit 1.32 also asks for SIGTERM at the end of its parent. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	sigprocmask(SIG_SETMASK, &signals, NULL);
	setsid();
	rights_for_server();
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	server_command_exec(command, folder, start, device, from_kept);
}

int server_spawn(struct server *server, struct server_command *command, const struct folder *folder, const char *device,
		 bool from_kept)
{
	pid_t daemon = getpid(), pid;
	int r;

	from_kept = from_kept && server_command_has_kept(command);
	*server = (struct server){.pidfd = -1, .folder = folder, .from_kept = from_kept};
	pid = fork();
	if (pid == 0)
		become_server(command, folder, daemon, device, from_kept);
	if (pid < 0)
		return -errno;
	server->pid = pid;
	/* The child may have ended already. Its start time can be read until it is reaped. */
	r = process_start_time(pid, &server->start);
	server->pidfd = pidfd_of(pid);
	if (server->pidfd < 0 || !server->start) {
		r = server->pidfd < 0 ? server->pidfd : r;
		kill(pid, SIGKILL);
		rights_let_servers_end();
		waitpid(pid, NULL, 0);
		rights_go_on();
		folder_remove_server(folder, pid, server->start);
		server_forget(server);
		return r;
	}
	if (from_kept)
		server_command_used_kept(command, server);
	return 0;
}

int server_adopt(struct server *server, const struct folder *folder, pid_t pid)
{
	int r;

	*server = (struct server){.pid = pid, .pidfd = pidfd_of(pid), .folder = folder};
	if (server->pidfd < 0)
		return server->pidfd;
	r = process_start_time(pid, &server->start);
	if (r)
		server_forget(server);
	return r;
}

void server_kill(const struct server *server)
{
	if (server->pidfd >= 0)
		pidfd_kill(server->pidfd, SIGKILL);
}

bool server_reap(struct server *server, char *how, size_t size)
{
	siginfo_t info;
	bool was_killed = true;

	snprintf(how, size, "has ended");
	rights_let_servers_end();
	if (server->pidfd >= 0 && pidfd_reap(server->pidfd, &info)) {
		was_killed = info.si_code != CLD_EXITED && info.si_status == SIGKILL;
		if (info.si_code == CLD_EXITED)
			snprintf(how, size, "ended with exit status %d", info.si_status);
		else
			snprintf(how, size, "was ended by signal %d (%s)", info.si_status, sigdescr_np(info.si_status));
	}
	rights_go_on();
	folder_remove_server(server->folder, server->pid, server->start);
	server_forget(server);
	return was_killed;
}

void server_forget(struct server *server)
{
	if (server->pidfd >= 0)
		close(server->pidfd);
	*server = (struct server){.pidfd = -1};
}

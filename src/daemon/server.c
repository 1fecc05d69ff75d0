/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers. See server.h. */
#include "daemon/server.h"

#include "daemon/errand.h"
#include "daemon/rights.h"
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGUMENTS (SETTINGS_MAX_WORDS + 16)

/* Where a server that is started from files that were kept finds them open. */
#define KEPT_PROGRAM_FD   3
#define KEPT_PLUGIN_FD    4
#define KEPT_PROGRAM_PATH "/proc/self/fd/3"
#define KEPT_PLUGIN_PATH  "/proc/self/fd/4"

struct server_command {
	char *arguments[MAX_ARGUMENTS];
	unsigned n;
	unsigned plugin;       /* which one of them it is */
	struct errand *errand; /* to ask servers by */
	struct kept kept;
	server_kept_fn *kept_changed; /* NULL: nobody is told */
	char *program;
	char **environment;
	char unix_socket[FOLDER_PATH_MAX + 70]; /* an argument that each server makes for itself */
};

/* ------------------------------------------------------------------ the command line */

static int add(struct server_command *command, const char *format, const char *value)
{
	char *text;

	if (command->n + 1 >= MAX_ARGUMENTS)
		return -E2BIG;
	if (asprintf(&text, format, value) < 0)
		return -ENOMEM;
	command->arguments[command->n++] = text;
	return 0;
}

/* A parameter of the plugin that was not given gets the value that swap needs. */
static int add_unless_given(struct server_command *command, const struct settings *settings, const char *key,
			    const char *value)
{
	char word[FOLDER_PATH_MAX + 80];

	if (settings_word_value(settings, key))
		return 0;
	snprintf(word, sizeof word, "%s=%s", key, value);
	return add(command, "%s", word);
}

static int make_arguments(struct server_command *command, const struct settings *settings, const char *memory,
			  const char *stats)
{
	char threads[16];
	int r = 0;

	snprintf(threads, sizeof threads, "%u", settings->threads);
	/*
	 * The first character of its name keeps systemd from ending it when everything else ends, since what is
	 * swapped out to it must come back before (systemd's "root storage daemons").
	 */
	r = r ? r : add(command, "@%s", "nbdkit");
	r = r ? r : add(command, "%s", "--foreground");
	r = r ? r : add(command, "--threads=%s", threads);
	if (!r)
		command->arguments[command->n++] = command->unix_socket;
	command->plugin = command->n;
	r = r ? r : add(command, "%s", settings->plugin);
	for (size_t i = 0; i < settings->n_words; i++)
		r = r ? r : add(command, "%s", settings->words[i]);
	r = r ? r : add_unless_given(command, settings, "memory", memory);
	r = r ? r : add_unless_given(command, settings, "lock", "yes");
	r = r ? r : add_unless_given(command, settings, "stats", stats);
	return r;
}

/* Ours without what was meant for us alone. */
static int make_environment(struct server_command *command)
{
	static const char *const ours[] = {"LISTEN_", "NOTIFY_SOCKET=", "WATCHDOG_", "MALLOC_ARENA_MAX="};
	static char arenas[] = "MALLOC_ARENA_MAX=1";
	size_t n = 0, kept = 0;

	while (environ[n])
		n++;
	command->environment = calloc(n + 2, sizeof *command->environment);
	if (!command->environment)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		bool keep = true;

		for (size_t j = 0; j < sizeof ours / sizeof ours[0]; j++)
			keep &= strncmp(environ[i], ours[j], strlen(ours[j])) != 0;
		if (keep)
			command->environment[kept++] = environ[i];
	}
	command->environment[kept] = arenas;
	return 0;
}

/* Look a program up as execvp(3) does, which allocates. */
static int find_program(const char *name, char **program)
{
	const char *path = getenv("PATH");
	char candidate[4096];
	struct stat st;

	if (strchr(name, '/')) {
		*program = strdup(name);
		if (!*program)
			return -ENOMEM;
		if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
			return -EISDIR;
		return access(name, X_OK) < 0 ? -errno : 0;
	}
	path = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
	while (*path) {
		size_t length = strcspn(path, ":");

		snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, path, name);
		if (length && access(candidate, X_OK) == 0) {
			*program = strdup(candidate);
			return *program ? 0 : -ENOMEM;
		}
		path += length + (path[length] == ':');
	}
	return -ENOENT;
}

int server_command_make(struct server_command **result, const struct settings *settings, const char *memory,
			const char *stats)
{
	struct server_command *command = calloc(1, sizeof *command);
	int r = command ? find_program(settings->nbdkit, &command->program) : -ENOMEM;

	if (command)
		kept_init(&command->kept);
	if (!r)
		r = make_arguments(command, settings, memory, stats);
	if (!r)
		r = make_environment(command);
	if (!r)
		r = errand_create(&command->errand);
	if (r) {
		server_command_free(command);
		return r;
	}
	*result = command;
	return 0;
}

void server_command_inherit(struct server_command *command, const struct kept *kept, server_kept_fn *changed)
{
	kept_close(&command->kept);
	command->kept = *kept;
	command->kept_changed = changed;
}

static void tell(const struct server_command *command)
{
	if (command->kept_changed)
		command->kept_changed(&command->kept);
}

bool server_command_kept_runs(const struct server_command *command, const struct server *server)
{
	return command->kept.of && command->kept.user == server->pid && command->kept.user_start == server->start;
}

struct search {
	const struct server_command *command;
	const struct server *server;
	const struct stat *held;
	int socket;
};

/* In the child, for errand_run(): the files go over the socket, and the child's number is the text. */
static ssize_t find_and_send(void *what, char *text)
{
	const struct search *search = what;
	const struct server_command *command = search->command;
	pid_t self = getpid();
	struct kept found;
	int r = kept_find(&found, search->server->pid, search->server->start, command->program,
			  command->arguments[command->plugin], search->held);

	memcpy(text, &self, sizeof self);
	if (!r)
		r = kept_send(&found, search->socket);
	return r ? r : (ssize_t)sizeof self;
}

int server_command_keep(struct server_command *command, const struct server *server)
{
	struct kept *kept = &command->kept;
	struct stat held;
	struct search search = {.command = command, .server = server};
	int ends[2], r;
	const char *text;
	pid_t child;

	if (server->of_kept || (kept->of == server->pid && kept->of_start == server->start))
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	search.held = kept->program >= 0 && fstat(kept->program, &held) == 0 ? &held : NULL;
	search.socket = ends[1];
	r = setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) < 0 ? -errno : 0;
	if (!r)
		r = (int)errand_run(command->errand, find_and_send, &search, ends[1], SERVER_ASK_MS, &text);
	if (r > 0) {
		memcpy(&child, text, sizeof child);
		r = kept_receive(kept, ends[0], child);
		if (!r)
			tell(command);
	}
	close(ends[0]);
	close(ends[1]);
	return r;
}

int server_command_programs(struct server_command *command, const struct server *server, const char **lines)
{
	pid_t pid = server->pid;
	ssize_t got = errand_run(command->errand, errand_programs, &pid, -1, SERVER_ASK_MS, lines);

	return got < 0 ? (int)got : 0;
}

bool server_command_matches(const struct server_command *command, const char *text, size_t bytes)
{
	size_t at = 0;

	for (unsigned i = 0; i < command->n; i++) {
		const char *argument = text + at;
		/* Not what it calls itself, each has a socket of its own, and the plugin may be the file that was kept. */
		bool may_differ = i == 0 || command->arguments[i] == command->unix_socket;
		size_t length = strnlen(argument, bytes - at);

		/* Ended by a NUL, each of them. */
		if (at + length >= bytes)
			return false;
		may_differ |= i == command->plugin && strcmp(argument, KEPT_PLUGIN_PATH) == 0;
		if (!may_differ && strcmp(command->arguments[i], argument) != 0)
			return false;
		at += length + 1;
	}
	return at == bytes;
}

bool server_command_is_of(struct server_command *command, pid_t pid)
{
	const char *text;
	ssize_t got = errand_run(command->errand, errand_command_line, &pid, -1, SERVER_ASK_MS, &text);

	return got >= 0 && server_command_matches(command, text, (size_t)got);
}

void server_command_free(struct server_command *command)
{
	if (!command)
		return;
	for (unsigned i = 0; i < command->n; i++)
		if (command->arguments[i] != command->unix_socket)
			free(command->arguments[i]);
	kept_close(&command->kept);
	errand_free(command->errand);
	free(command->program);
	free(command->environment);
	free(command);
}

/* ------------------------------------------------------------------ start and end */

/*
 * In the child. What is inherited and wanted: the I/O flusher flag, the OOM score, the limit on locked memory,
 * standard error. What is not: everything else that is open, whoever left it open.
 */
__attribute__((noreturn)) static void become_server(const struct server_command *command, const struct folder *folder,
						    pid_t parent, bool of_kept)
{
	static char kept_plugin[] = KEPT_PLUGIN_PATH;
	char *arguments[MAX_ARGUMENTS], program_path[FOLDER_PATH_MAX + 60];
	const char *program = command->program;
	int fds[2];
	char *socket = (char *)command->unix_socket;
	uint64_t start;
	int r = process_start_time(getpid(), &start), null = open("/dev/null", O_RDWR);
	sigset_t signals;

	/* One that no daemon knew of would keep the segment from all that come after it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!r)
		r = getppid() == parent ? folder_add_server(folder, getpid(), start) : -ESRCH;
	if (r) {
		dprintf(STDERR_FILENO, "%s: a server cannot be noted down: %s\n", folder->path, strerror(-r));
		_exit(126);
	}
	prctl(PR_SET_PDEATHSIG, 0);

	/* All that tells nbdkit to end. It also asks for SIGTERM at the end of its parent (1.32). */
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
	strcpy(socket, "--unix=");
	folder_server_socket(folder, getpid(), start, socket + strlen(socket));
	memcpy(arguments, command->arguments, sizeof arguments);
	/* By a name of its own, which is what the process is called; or without, if the folder is gone. */
	if (of_kept && command->kept.program >= 0) {
		program = KEPT_PROGRAM_PATH;
		if (folder_note(folder, "nbdkit", KEPT_PROGRAM_PATH) == 0) {
			folder_file(folder, "nbdkit", program_path);
			program = program_path;
		}
	}
	if (of_kept) {
		arguments[command->plugin] = kept_plugin;
		/* Out of each other's way first. */
		fds[0] = fcntl(command->kept.program, F_DUPFD, KEPT_PLUGIN_FD + 1);
		fds[1] = fcntl(command->kept.plugin, F_DUPFD, KEPT_PLUGIN_FD + 1);
		dup3(fds[0], KEPT_PROGRAM_FD, O_CLOEXEC);
		dup2(fds[1], KEPT_PLUGIN_FD);
	}
	syscall(SYS_close_range, of_kept ? KEPT_PLUGIN_FD + 1 : STDERR_FILENO + 1, ~0u, 0);
	execve(program, arguments, command->environment);
	dprintf(STDERR_FILENO, "%s: cannot be run: %s\n", program, strerror(errno));
	_exit(127);
}

static int pidfd_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

int server_spawn(struct server *server, struct server_command *command, const struct folder *folder, bool of_kept)
{
	pid_t daemon = getpid(), pid;
	int r;

	of_kept = of_kept && command->kept.of;
	*server = (struct server){.pidfd = -1, .folder = folder, .of_kept = of_kept};
	pid = fork();
	if (pid == 0)
		become_server(command, folder, daemon, of_kept);
	if (pid < 0)
		return -errno;
	server->pid = pid;
	/* It may have ended already; its remains are there until they are reaped, and so is its start time. */
	r = process_start_time(pid, &server->start);
	server->pidfd = pidfd_open(pid);
	folder_server_socket(folder, pid, server->start, server->socket);
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
	if (of_kept) {
		command->kept.user = pid;
		command->kept.user_start = server->start;
		tell(command);
	}
	return 0;
}

int server_adopt(struct server *server, const struct folder *folder, pid_t pid)
{
	int r;

	*server = (struct server){.pid = pid, .pidfd = pidfd_open(pid), .folder = folder};
	if (server->pidfd < 0)
		return server->pidfd;
	r = process_start_time(pid, &server->start);
	folder_server_socket(folder, pid, server->start, server->socket);
	if (r)
		server_forget(server);
	return r;
}

void server_kill(const struct server *server)
{
	if (server->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, server->pidfd, SIGKILL, NULL, 0);
}

bool server_reap(struct server *server, char *how, size_t size)
{
	siginfo_t info = {0};
	bool was_killed = true;

	snprintf(how, size, "has ended");
	rights_let_servers_end();
	/* P_PIDFD, Linux 5.4. */
	if (server->pidfd >= 0 && waitid((idtype_t)3, (id_t)server->pidfd, &info, WEXITED) == 0) {
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

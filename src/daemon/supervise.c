/* SPDX-License-Identifier: BSD-3-Clause */
/* The supervisor. See supervise.h. */
#include "daemon/supervise.h"

#include "daemon/base/pidfd.h"
#include "daemon/base/say.h"
#include "daemon/relay.h"
#include "daemon/resources/rights.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Enough memory for a fork, and for the pages that the child writes to first. The rest of the ballast is for its server. */
#define DROP_BYTES (8u << 20)
/* A daemon that dies at once again and again is not started in a busy loop. */
#define SHORT_LIFE_S 2
#define PAUSE_MS     500

static int parent = -1;
static bool is_first;

/*
 * The program files of a server that worked, which are to outlive the daemon that found them. In the supervisor: what the daemon
 * has sent; each daemon has by fork() what the one before has sent.
 */
static struct kept kept = {.program = -1, .module = -1};
/*
 * Our end of a socket pair between supervisor and daemon. A pair is made for each daemon before the fork, so nobody else
 * has an end.
 */
static int link_end = -1;

bool supervise_is_first(void)
{
	return is_first;
}

int supervise_parent(void)
{
	return parent;
}

void supervise_keep(const struct kept *files)
{
	if (link_end >= 0)
		kept_send(files, link_end);
}

void supervise_inherit(struct kept *files)
{
	*files = kept;
	kept_init(&kept);
}

static void handled_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGCHLD);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGABRT);
}

void supervise_hold_signals(void)
{
	sigset_t signals;

	handled_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

/* Both ends; or -1, and the daemon goes without. */
static void make_link(int ends[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		ends[0] = ends[1] = -1;
	else
		setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int));
}

static void close_link(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

static pid_t fork_daemon(supervise_fn *fn, void *opaque, struct ballast *ballast, int signals)
{
	int ends[2];
	pid_t self = getpid(), pid;

	make_link(ends);
	pid = fork();
	if (pid != 0) {
		close_link(&ends[1]);
		close_link(&link_end);
		link_end = ends[0];
		return pid;
	}
	close_link(&ends[0]);
	link_end = ends[1];
	close(signals);
	relay_forget();
	parent = pidfd_of(self);
	/* systemd's watchdog hears from the daemon. */
	unsetenv("WATCHDOG_PID");
	/* The number of a supervisor that is dead already may be another process's by now. */
	if (getppid() != self) {
		if (parent >= 0)
			close(parent);
		parent = -1;
	}
	_exit(fn(opaque, ballast));
}

static void wait_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Take what the daemon has sent, perhaps before it died. */
static void receive(pid_t child)
{
	int r = 0;

	while (link_end >= 0 && r != -EAGAIN) {
		r = kept_receive(&kept, link_end, child);
		if (r == -ENOTCONN)
			close_link(&link_end);
	}
}

/* Wait for the next signal, and return its number. Meanwhile receive files, and see to the relay. */
static int next_signal(int signals, pid_t child)
{
	struct signalfd_siginfo info;

	for (;;) {
		struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = link_end, .events = POLLIN}};

		poll(fds, 2, relay_keep());
		receive(child);
		if (read(signals, &info, sizeof info) == (ssize_t)sizeof info)
			return (int)info.ssi_signo;
	}
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static pid_t reap_one(int *how)
{
	pid_t pid;

	rights_let_servers_end();
	pid = waitpid(-1, how, WNOHANG);
	rights_go_on();
	return pid;
}

/* The daemon that there is, and those before it. */
struct child {
	pid_t pid; /* 0: none */
	time_t started;
	unsigned n; /* how many there were, with this one */
	int told;   /* what systemd has said, and does not say again to the next one; 0: nothing */
};

/* The next daemon. False if none can be started now. */
static bool start_child(struct child *child, supervise_fn *fn, void *opaque, struct ballast *ballast, int signals)
{
	if (child->started)
		ballast_drop(ballast, DROP_BYTES);
	child->started = now_s();
	is_first = child->n == 0;
	child->pid = fork_daemon(fn, opaque, ballast, signals);
	if (child->pid < 0) {
		say(SAY_ERROR, "no daemon can be started: %s", strerror(errno));
		child->pid = 0;
		wait_ms(PAUSE_MS);
		return false;
	}
	child->n++;
	if (child->told)
		kill(child->pid, child->told);
	return true;
}

/*
 * Collect the daemon, or one of its servers that came to us when it died. True: the daemon ended by itself, with *status, and is not to
 * have a successor.
 */
static bool reap(struct child *child, int *status)
{
	pid_t pid;
	int how;

	while ((pid = reap_one(&how)) > 0) {
		if (relay_ended(pid))
			say(SAY_ERROR,
			    "the process that hands messages on (process %d) was ended; another one takes over",
			    (int)pid);
		if (pid != child->pid)
			continue;
		receive(pid);
		child->pid = 0;
		*status = WEXITSTATUS(how);
		if (WIFEXITED(how) && (*status != SUPERVISE_AGAIN || child->n == 1))
			return true;
		if (WIFSIGNALED(how))
			say(SAY_ERROR, "the daemon (process %d) was ended by signal %d (%s); another one takes over",
			    (int)pid, WTERMSIG(how), sigdescr_np(WTERMSIG(how)));
		if (now_s() - child->started < SHORT_LIFE_S)
			wait_ms(PAUSE_MS);
	}
	return false;
}

/* The watchdog that told us starts the service again. Servers go on. */
__attribute__((noreturn)) static void give_up(pid_t child)
{
	sigset_t abort_signal;

	say(SAY_ERROR, "the daemon (process %d) hangs, says the watchdog; it is killed", (int)child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	sigemptyset(&abort_signal);
	sigaddset(&abort_signal, SIGABRT);
	sigprocmask(SIG_UNBLOCK, &abort_signal, NULL);
	abort();
}

static void pass_on(struct child *child, int signal)
{
	if (signal == SIGTERM && getenv("NOTIFY_SOCKET"))
		child->told = signal;
	if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP)
		kill(child->pid, signal);
	else if (signal == SIGABRT)
		give_up(child->pid);
}

int supervise(supervise_fn *fn, void *opaque, struct ballast *ballast)
{
	struct child child = {0};
	sigset_t handled;
	int status = 0, signals;

	/* Orphans come to us, and not to a process 1 that may be waiting for the device. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	supervise_hold_signals();
	handled_signals(&handled);
	signals = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0) {
		say(SAY_ERROR, "signals cannot be waited for: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	do {
		if (child.pid || start_child(&child, fn, opaque, ballast, signals))
			pass_on(&child, next_signal(signals, child.pid));
	} while (!reap(&child, &status));
	close(signals);
	close_link(&link_end);
	kept_close(&kept);
	/* systemd would start us again at once. */
	if (status == SUPERVISE_AGAIN)
		wait_ms(SUPERVISE_AGAIN_S * 1000);
	return status;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The supervisor. See supervise.h. */
#include "daemon/supervise.h"

#include "daemon/say.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Enough for a fork and for what the child writes to first; the rest is for its server. */
#define DROP_BYTES (8u << 20)
/* One that dies at once again and again is not started in a busy loop. */
#define SHORT_LIFE_S 2
#define PAUSE_MS     500

static int parent = -1;
static bool is_first;

bool supervise_is_first(void)
{
	return is_first;
}

int supervise_parent(void)
{
	return parent;
}

static pid_t start(supervise_fn *fn, void *opaque, struct ballast *ballast)
{
	pid_t self = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	parent = (int)syscall(SYS_pidfd_open, self, 0);
	/* systemd's watchdog hears from the daemon. */
	unsetenv("WATCHDOG_PID");
	if (getppid() != self && parent >= 0) {
		close(parent);
		parent = -1;
	}
	_exit(fn(opaque, ballast));
}

static void wait_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/*
 * The child, or one of its servers that came to us when it died. True: the child ended by itself, with *status, and is not to
 * have a successor.
 */
static bool reap(pid_t *child, time_t started, bool first, int *status)
{
	pid_t pid;
	int how;

	while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
		if (pid != *child)
			continue;
		*child = 0;
		*status = WEXITSTATUS(how);
		if (WIFEXITED(how) && (*status != SUPERVISE_AGAIN || first))
			return true;
		if (WIFSIGNALED(how))
			say(SAY_ERROR, "the daemon (process %d) was ended by signal %d (%s); another one takes over",
			    (int)pid, WTERMSIG(how), sigdescr_np(WTERMSIG(how)));
		if (time(NULL) - started < SHORT_LIFE_S)
			wait_ms(PAUSE_MS);
	}
	return false;
}

/* Whoever told us will start another one of us. Servers go on. */
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

int supervise(supervise_fn *fn, void *opaque, struct ballast *ballast)
{
	time_t started = 0;
	pid_t child = 0;
	sigset_t signals;
	int status = 0, signal, told = 0;
	unsigned children = 0;

	/* Orphans come to us, and not to a process 1 that may be waiting for the device. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGABRT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	do {
		if (!child) {
			if (started)
				ballast_drop(ballast, DROP_BYTES);
			started = time(NULL);
			is_first = children == 0;
			child = start(fn, opaque, ballast);
			if (child < 0) {
				say(SAY_ERROR, "no daemon can be started: %s", strerror(errno));
				child = 0;
				wait_ms(PAUSE_MS);
				continue;
			}
			children++;
			/* What systemd has said once, it does not say again. */
			if (told)
				kill(child, told);
		}
		signal = sigwaitinfo(&signals, NULL);
		if (signal == SIGTERM && getenv("NOTIFY_SOCKET"))
			told = signal;
		if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP)
			kill(child, signal);
		else if (signal == SIGABRT)
			give_up(child);
	} while (!reap(&child, started, children == 1, &status));
	/* systemd tries at once. */
	if (status == SUPERVISE_AGAIN)
		wait_ms(SUPERVISE_AGAIN_S * 1000);
	return status;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages to people. See say.h. */
#include "daemon/base/say.h"

#include "daemon/base/clock.h"
#include "daemon/resources/rights.h"
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_WAIT_MS 1000
/* One that dies at once again and again is not started in a busy loop. */
#define RELAY_PAUSE_MS 500u

static char instance[40];
static int debug;
static int for_journal;
static unsigned dropped;
/* The process that hands messages on, and what it takes to start another one: the pipe's end, and where messages go. */
static pid_t relay; /* 0: there is none */
static int pipe_end = -1, outside = -1;
static uint64_t relay_started;

/* sd-daemon(3), systemd.exec(5): lines may begin with <level> if this is the very stream that systemd opened. */
static int is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

void say_init(const char *name, int verbose)
{
	snprintf(instance, sizeof instance, "%s", name);
	debug = verbose;
	for_journal = is_journal(STDERR_FILENO);
}

static void write_line(const char *line, size_t length)
{
	if (write(STDERR_FILENO, line, length) < 0)
		dropped++;
}

static pid_t writer;

/*
 * A signal that ends the daemon must not end this process before it has copied the daemon's last messages. Once the
 * daemon has ended, a signal means that the machine goes down.
 */
static void end_when_alone(int signal)
{
	if (getppid() != writer)
		_exit(0);
}

/* Copies what comes through the pipe, until all who may write to it have ended. It may wait as long as it takes. */
__attribute__((noreturn)) static void copy(int from)
{
	char buffer[4096] = "";
	sigset_t none;
	ssize_t got;

	prctl(PR_SET_NAME, "zsblkd-messages");
	/* It may wait for the device, and is no part of what keeps that going. */
	rights_drop();
	process_avoid_oom_killer();
	/* A reader that faults holds the pipe's lock while the page comes, and with it everybody who writes. */
	mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	dup2(from, STDIN_FILENO);
	dup2(outside, STDERR_FILENO);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, end_when_alone);
	signal(SIGHUP, SIG_IGN);
	/* What the supervisor waits for by other means is blocked in it. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	while ((got = read(STDIN_FILENO, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR))
		for (ssize_t at = 0, put; at < got; at += put)
			if ((put = write(STDERR_FILENO, buffer + at, (size_t)(got - at))) < 0)
				break;
	_exit(0);
}

static int start_relay(void)
{
	writer = getpid();
	relay_started = clock_us();
	relay = fork();
	if (relay == 0)
		copy(pipe_end);
	if (relay > 0)
		return 0;
	relay = 0;
	return -errno;
}

bool say_relay_ended(pid_t pid)
{
	if (!relay || pid != relay)
		return false;
	relay = 0;
	return true;
}

int say_keep_relay(void)
{
	uint64_t since = (clock_us() - relay_started) / 1000;

	if (relay || pipe_end < 0)
		return -1;
	if (since < RELAY_PAUSE_MS)
		return (int)(RELAY_PAUSE_MS - since);
	return start_relay() ? (int)RELAY_PAUSE_MS : -1;
}

void say_as_child(void)
{
	if (pipe_end >= 0)
		close(pipe_end);
	if (outside >= 0)
		close(outside);
	pipe_end = outside = -1;
	relay = 0;
}

int say_through_pipe(void)
{
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pipe_end = ends[0];
	outside = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	r = outside < 0 ? -errno : start_relay();
	if (r) {
		close(ends[1]);
		say_as_child();
		return r;
	}
	/* Messages are not worth dying for. */
	signal(SIGPIPE, SIG_IGN);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	return 0;
}

void say_end(void)
{
	uint64_t until = clock_after_ms(END_WAIT_MS);

	/* The last words find somebody, too. */
	if (!relay && pipe_end >= 0)
		start_relay();
	if (!relay)
		return;
	close(STDERR_FILENO);
	while (waitpid(relay, NULL, WNOHANG) == 0 && clock_pause(until, 5))
		;
}

/* Without allocating, and in one write, so that lines of several processes do not mix. */
static size_t format_line(char *line, size_t size, enum say_level level, const char *format, va_list args)
{
	int at;

	if (for_journal)
		at = snprintf(line, size, "<%d>", level);
	else
		at = snprintf(line, size, instance[0] ? "zsblkd %s: " : "zsblkd%s: ", instance);
	at += vsnprintf(line + at, size - (size_t)at, format, args);
	if ((size_t)at > size - 2)
		at = (int)size - 2;
	line[at++] = '\n';
	return (size_t)at;
}

void say(enum say_level level, const char *format, ...)
{
	char line[1024];
	va_list args;

	if (level == SAY_DEBUG && !debug)
		return;
	if (dropped) {
		unsigned missing = dropped;

		dropped = 0;
		write_line(line, (size_t)snprintf(line, sizeof line, "zsblkd: %u messages were dropped\n", missing));
	}
	va_start(args, format);
	write_line(line, format_line(line, sizeof line, level, format, args));
	va_end(args);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The process that hands messages on. See relay.h. */
#include "daemon/relay.h"

#include "daemon/base/clock.h"
#include "daemon/base/record.h"
#include "daemon/base/say.h"
#include "daemon/resources/rights.h"
#include "process/self.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Our own file and line would say nothing of the message. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define END_WAIT_MS 1000
/* A relay that dies at once again and again is not started in a busy loop. */
#define PAUSE_MS 500u

static pid_t relay;  /* 0: there is none */
static pid_t writer; /* who has started it */
static uint64_t started_at;
/* What it takes to start another relay: the pipe's end, and where messages go. */
static int pipe_end = -1, outside = -1;

/*
 * A signal that ends the daemon must not end this process before it has copied the daemon's last messages. Once the
 * daemon has ended, a signal means that the machine goes down.
 */
static void end_when_alone(int signal)
{
	if (getppid() != writer)
		_exit(0);
}

static bool is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Writing may block for as long as it takes. */
static void put(const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = write(STDERR_FILENO, text, length);

		if (n < 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

/* What has come, with the time before each line. `*inside`: a line was begun before. */
static void put_dated(const char *text, size_t length, bool *inside)
{
	while (length > 0) {
		const char *end = memchr(text, '\n', length);
		size_t part = end ? (size_t)(end - text) + 1 : length;
		time_t now = time(NULL);
		char stamp[40];
		struct tm tm;

		if (!*inside && localtime_r(&now, &tm))
			put(stamp, strftime(stamp, sizeof stamp, "%FT%T%z ", &tm));
		put(text, part);
		*inside = !end;
		text += part;
		length -= part;
	}
}

/* A record, whole: for the journal. */
static void put_record(char *line, size_t length)
{
	struct iovec fields[RECORD_FIELDS];
	unsigned n = record_parse(line, length, fields);

	if (n)
		sd_journal_sendv(fields, (int)n);
}

/*
 * What has come, for the journal: records by its own socket, since its stream has no fields; all else by the stream. A record may come
 * in several pieces.
 */
static void put_journal(const char *text, size_t length, bool *inside)
{
	static char line[RECORD_BYTES];
	static size_t used;

	while (length > 0) {
		const char *end = memchr(text, '\n', length);
		size_t part = end ? (size_t)(end - text) + 1 : length;

		if (used || (!*inside && text[0] == RECORD_START)) {
			size_t room = sizeof line - used, fits = part < room ? part : room;

			memcpy(line + used, text, fits);
			used += fits;
			if (end)
				put_record(line, used - 1);
			used = end ? 0 : used;
		} else {
			put(text, part);
		}
		*inside = !end;
		text += part;
		length -= part;
	}
}

/* Copy what comes through the pipe, until all who may write to it have ended. */
__attribute__((noreturn)) static void copy(int from)
{
	/* The journal keeps the time itself, and who looks at a terminal has a clock. */
	bool dated = is_file(outside), inside = false;
	char buffer[4096] = "";
	sigset_t none;
	ssize_t got;

	prctl(PR_SET_NAME, "zsblkd-messages");
	/* This process may wait for the device, and takes no part in keeping the device going. */
	rights_drop();
	self_avoid_oom_killer();
	/*
	 * A reader that takes a page fault in read(2) holds the pipe's lock until the page has come. Until then all who
	 * write to the pipe wait.
	 */
	mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	dup2(from, STDIN_FILENO);
	dup2(outside, STDERR_FILENO);
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, end_when_alone);
	signal(SIGHUP, SIG_IGN);
	/* The supervisor blocks the signals that it reads from a descriptor. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	while ((got = read(STDIN_FILENO, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR)) {
		if (got > 0 && dated)
			put_dated(buffer, (size_t)got, &inside);
		else if (got > 0 && say_is_for_journal())
			put_journal(buffer, (size_t)got, &inside);
		else if (got > 0)
			put(buffer, (size_t)got);
	}
	_exit(0);
}

static int fork_relay(void)
{
	writer = getpid();
	started_at = clock_us();
	relay = fork();
	if (relay == 0)
		copy(pipe_end);
	if (relay > 0)
		return 0;
	relay = 0;
	return -errno;
}

bool relay_ended(pid_t pid)
{
	if (!relay || pid != relay)
		return false;
	relay = 0;
	return true;
}

int relay_keep(void)
{
	uint64_t since = (clock_us() - started_at) / 1000;

	if (relay || pipe_end < 0)
		return -1;
	if (since < PAUSE_MS)
		return (int)(PAUSE_MS - since);
	return fork_relay() ? (int)PAUSE_MS : -1;
}

void relay_forget(void)
{
	if (pipe_end >= 0)
		close(pipe_end);
	if (outside >= 0)
		close(outside);
	pipe_end = outside = -1;
	relay = 0;
}

int relay_start(void)
{
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pipe_end = ends[0];
	outside = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	r = outside < 0 ? -errno : fork_relay();
	if (r) {
		close(ends[1]);
		relay_forget();
		return r;
	}
	/* Messages are not worth dying for. */
	signal(SIGPIPE, SIG_IGN);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	return 0;
}

void relay_finish(void)
{
	uint64_t until = clock_after_ms(END_WAIT_MS);

	/* If the relay has died, another one takes the last messages. */
	if (!relay && pipe_end >= 0)
		fork_relay();
	if (!relay)
		return;
	close(STDERR_FILENO);
	while (waitpid(relay, NULL, WNOHANG) == 0 && clock_pause(until, 5))
		;
}

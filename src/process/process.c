/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel knows of a process. See process.h; the formats are those of proc(5). */
#include "process/process.h"

#include "process/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The kernel's flag of a thread that has begun to exit, as the stat file shows it. */
#define PF_EXITING 0x00000004ul

/*
 * Read a file into `text`, as a string. False, with errno, if it cannot be read. Allocates nothing: with memory short,
 * a failure to allocate would look like an answer about the process.
 */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return false;
	got = proc_read(fd, text, size);
	close(fd);
	if (got < 0)
		errno = (int)-got;
	return got >= 0;
}

const char *process_read_stat(const char *path, char *text, size_t size)
{
	char *at;

	if (!read_text(path, text, size))
		return NULL;
	at = strrchr(text, ')');
	errno = EIO;
	return at ? at + 1 : NULL;
}

int process_start_time(pid_t pid, uint64_t *start_time)
{
	char path[40], text[1024], state;
	unsigned long long start;
	const char *fields;
	long threads;

	*start_time = 0;
	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fields = process_read_stat(path, text, sizeof text);
	if (!fields) {
		int error = errno;

		/* Where /proc hides it (hidepid), or is not mounted, it may be there all the same. */
		return kill(pid, 0) < 0 && errno == ESRCH  ? -ESRCH
		       : error == ENOENT || error == ESRCH ? -EACCES
							   : -error;
	}
	/* State (3), and further on the number of threads (20) and the start time (22). */
	if (sscanf(fields,
		   " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		   "%ld %*s %llu",
		   &state, &threads, &start) != 3)
		return -EIO;
	*start_time = start;
	return (state == 'Z' || state == 'X') && threads <= 1 ? -ESRCH : 0;
}

bool process_may_be(pid_t pid, uint64_t start)
{
	uint64_t now;
	int r = process_start_time(pid, &now);

	return r == 0 ? now == start : r != -ESRCH;
}

/* Is there a line "name<digits>" whose hexadecimal number has one of these bits? */
static bool status_has(const char *status, const char *name, unsigned long long bits)
{
	const char *line = strstr(status, name);

	return line && strtoull(line + strlen(name), NULL, 16) & bits;
}

bool process_texts_say_dying(const char *fields, const char *status)
{
	const unsigned long long killed = 1ull << (SIGKILL - 1);
	unsigned long flags = 0;

	/*
	 * A signal that kills the whole process stays pending until the process is gone. A process that exits has
	 * the flag (9, seventh after the name).
	 */
	sscanf(fields, " %*c %*d %*d %*d %*d %*d %lu", &flags);
	return (flags & PF_EXITING) || status_has(status, "\nSigPnd:\t", killed) ||
	       status_has(status, "\nShdPnd:\t", killed) || status_has(status, "\nCoreDumping:\t", 1);
}

bool process_is_dying(pid_t pid)
{
	char path[40], stat[1024], status[8192];
	const char *fields;
	uint64_t start;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fields = process_read_stat(path, stat, sizeof stat);
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	/* A zombie says the same as a process that exits. */
	return fields && read_text(path, status, sizeof status) && process_texts_say_dying(fields, status) &&
	       process_start_time(pid, &start) != -ESRCH;
}

pid_t process_parent(pid_t pid)
{
	char path[40], text[1024];
	const char *fields;
	int parent;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fields = process_read_stat(path, text, sizeof text);
	return fields && sscanf(fields, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool read_name(pid_t pid, char *name, int size)
{
	char path[40];
	bool found;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	found = f && fgets(name, size, f);
	if (f)
		fclose(f);
	return found;
}

bool process_same_name(pid_t one, pid_t other)
{
	char first[32], second[32];

	return read_name(one, first, sizeof first) && read_name(other, second, sizeof second) &&
	       strcmp(first, second) == 0;
}

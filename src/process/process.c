/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel knows of a process. See process.h; the formats are those of proc(5). */
#include "process/process.h"

#include "process/system_page.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57 /* Linux 5.6 */
#endif

/* The kernel's flag of a thread that has begun to exit, as the stat file shows it. */
#define PF_EXITING 0x00000004ul

/* Both of what PR_SET_IO_FLUSHER sets, as /proc shows it. Asking with prctl takes the right to set it. */
#define PF_IO_FLUSHER 0x00180000ul

/*
 * What a file says, as a string; false, with errno, if it cannot be read. No malloc(): whoever asks may be short of
 * memory, and would take the failure for an answer.
 */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	ssize_t got;

	if (fd < 0)
		return false;
	do
		got = read(fd, text, size - 1);
	while (got < 0 && errno == EINTR);
	error = errno;
	close(fd);
	text[got < 0 ? 0 : got] = 0;
	errno = error;
	return got >= 0;
}

/* The fields of a stat file after the command's name, which may hold anything; NULL, with errno, if they cannot be read. */
static const char *read_stat(const char *path, char *text, size_t size)
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
	fields = read_stat(path, text, sizeof text);
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
	 * A signal that kills the whole process stays pending until the process is gone. One that exits by itself has the
	 * flag (9, seventh after the name).
	 */
	sscanf(fields, " %*c %*d %*d %*d %*d %*d %lu", &flags);
	return (flags & PF_EXITING) || status_has(status, "\nSigPnd:\t", killed) ||
	       status_has(status, "\nShdPnd:\t", killed) || status_has(status, "\nCoreDumping:\t", 1);
}

bool process_is_dying(pid_t pid)
{
	char path[40], stat[1024], status[8192];
	const char *fields;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fields = read_stat(path, stat, sizeof stat);
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	return fields && read_text(path, status, sizeof status) && process_texts_say_dying(fields, status);
}

pid_t process_parent(pid_t pid)
{
	char path[40], text[1024];
	const char *fields;
	int parent;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fields = read_stat(path, text, sizeof text);
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

bool process_has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

/* Did whoever started us set the flag already, as it must when we may not? */
static bool is_io_flusher(void)
{
	char text[1024];
	unsigned long flags = 0;
	const char *fields = read_stat("/proc/thread-self/stat", text, sizeof text);

	/* The flags (9) come seventh after the name. */
	if (fields)
		sscanf(fields, " %*c %*d %*d %*d %*d %*d %lu", &flags);
	return (flags & PF_IO_FLUSHER) == PF_IO_FLUSHER;
}

bool process_become_io_flusher(void)
{
	return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 || is_io_flusher();
}

void process_end_io_flusher(void)
{
	(void)prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
}

int process_oom_score_adj(void)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "re");
	int score = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &score) != 1)
		score = 0;
	fclose(f);
	return score;
}

bool process_avoid_oom_killer(void)
{
	static const char score[] = "-1000\n";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, score, sizeof score - 1);

	if (fd >= 0)
		close(fd);
	return written > 0 || process_oom_score_adj() == -1000;
}

/* The sanitizer would take the gaps between variables for what they are, and be wrong to complain. */
__attribute__((no_sanitize("address"))) static int touch_object(struct dl_phdr_info *info, size_t size, void *opaque)
{
	bool (*const *wanted)(const char *name) = opaque;
	uintptr_t page = (uintptr_t)system_page();

	(void)size;
	if (*wanted && !(*wanted)(info->dlpi_name))
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_R))
			continue;
		for (uintptr_t at = start; at < start + segment->p_filesz; at += page)
			(void)*(const volatile char *)at;
	}
	return 0;
}

void process_touch_objects(bool (*wanted)(const char *name))
{
	dl_iterate_phdr(touch_object, &wanted);
}

void process_map_large(size_t bytes)
{
	mallopt(M_MMAP_THRESHOLD, (int)bytes);
}

#define MAPPINGS_MAX 65536 /* the C library's own default */

void process_keep_heap(size_t bytes, size_t own_mapping)
{
	volatile char *heap;

	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TOP_PAD, (int)bytes);
	mallopt(M_TRIM_THRESHOLD, (int)(16 * bytes));
	heap = malloc(bytes);
	if (!heap)
		return;
	for (size_t at = 0; at < bytes; at += (size_t)system_page())
		heap[at] = 0;
	free((void *)heap);
	if (own_mapping) {
		mallopt(M_MMAP_MAX, MAPPINGS_MAX);
		mallopt(M_MMAP_THRESHOLD, (int)own_mapping);
	}
}

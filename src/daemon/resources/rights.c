/* SPDX-License-Identifier: BSD-3-Clause */
/* Rights, locks and flags. See rights.h; why each of them is needed: tests/vm/README.md. */
#include "daemon/resources/rights.h"

#include "machine/needs.h"
#include "process/memory.h"
#include "process/self.h"
#include "process/system_page.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* The server runs at the lowest real-time priority, and the daemon above it: the daemon has to notice a server that spins. */
#define PRIORITY_SERVER 1
#define PRIORITY_DAEMON 2

/* What a daemon has allocated after some recoveries, with up to 64 connections, is less than 400 KiB. */
#define HEAP_BYTES (1280u << 10)
/* More stack than any path of this program uses. */
#define STACK_BYTES (128u << 10)

int rights_check(struct wrong *wrong)
{
	unsigned missing = 0;

	for (size_t i = 0; i < NEEDS_CAPABILITIES; i++) {
		const struct needs_capability *needed = &needs_capabilities[i];

		if (self_has_capability(needed->number))
			continue;
		if (!missing++)
			wrong_say(wrong, "missing rights: ");
		wrong_add(wrong, "%s%s (%s)", missing > 1 ? ", " : "", needed->name, needed->purpose);
	}
	if (!missing)
		return 0;
	wrong_add(wrong, "; run it as root, and in no container that takes these away");
	return -EPERM;
}

/*
 * The libraries that a recovery runs through, and that answers are made by: people ask just then, and the loop that looks after the server
 * must not wait for a page of a file. Not those that come along with libsystemd, of which nothing is called.
 */
static bool runs_in_recovery(const char *name)
{
	static const char *const libraries[] = {"/libc.", "/libmnl.", "/libsystemd.", "/libjson-c.", "/ld-linux"};

	if (!name[0])
		return true;
	for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
		if (strstr(name, libraries[i]))
			return true;
	return false;
}

__attribute__((noinline)) static void touch_stack(void)
{
	volatile char stack[STACK_BYTES];

	for (size_t at = 0; at < sizeof stack; at += (size_t)system_page())
		stack[at] = 0;
}

static int rights_failed(struct wrong *wrong, const char *what)
{
	int error = errno;

	wrong_say(wrong, "%s: %s", what, strerror(error));
	return -error;
}

int rights_take(struct wrong *wrong)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	const struct sched_param priority = {.sched_priority = PRIORITY_DAEMON};

	/* Inherited, unlike the lock itself: the server locks its own memory. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		return rights_failed(wrong, "memory cannot be locked (mlockall)");
	memory_keep_heap(HEAP_BYTES, 0);
	memory_touch_objects(runs_in_recovery);
	touch_stack();
	if (!self_become_io_flusher())
		return rights_failed(wrong, "the I/O flusher flag cannot be set (prctl; Linux 5.6 and later have it)");
	if (!self_avoid_oom_killer())
		return rights_failed(wrong, "the OOM killer cannot be kept away (/proc/self/oom_score_adj)");
	if (sched_setscheduler(0, SCHED_RR, &priority) < 0)
		return rights_failed(
			wrong,
			"real-time scheduling cannot be had (sched_setscheduler; a kernel with CONFIG_RT_GROUP_SCHED gives "
			"none to services unless their control group has cpu.rt_runtime_us: boot with rt_group_sched=0, or use "
			"a kernel without)");
	return 0;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define PIECE_PAGES 1024u /* that the kernel is asked about at once */

/* A larger range is address space that a library or a sanitizer has reserved; the daemon's memory is in smaller ones. */
#define RANGE_MOST (1ul << 30)

/* Only pages that are in memory can be shared. To populate the others would fill what is only reserved. */
static void own_range(unsigned long start, unsigned long end)
{
	unsigned char is_there[PIECE_PAGES];
	unsigned long page = (unsigned long)system_page();

	for (unsigned long at = start, pages; at < end; at += pages * page) {
		pages = (end - at) / page < PIECE_PAGES ? (end - at) / page : PIECE_PAGES;
		if (mincore((void *)at, pages * page, is_there) < 0)
			return;
		for (unsigned long first = 0, last; first < pages; first = last) {
			for (last = first + 1; last < pages && (is_there[last] & 1) == (is_there[first] & 1);)
				last++;
			if (is_there[first] & 1)
				(void)madvise((void *)(at + first * page), (last - first) * page, MADV_POPULATE_WRITE);
		}
	}
}

/* The lines of /proc/self/maps begin with "START-END rw-p". */
void rights_own_memory(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512], mode[5];
	bool is_start = true;

	while (f && fgets(line, sizeof line, f)) {
		if (is_start && sscanf(line, "%lx-%lx %4s", &start, &end, mode) == 3 && strcmp(mode, "rw-p") == 0 &&
		    end - start <= RANGE_MOST)
			own_range(start, end);
		is_start = strchr(line, '\n');
	}
	if (f)
		fclose(f);
}

void rights_for_server(void)
{
	const struct sched_param priority = {.sched_priority = PRIORITY_SERVER};

	sched_setscheduler(0, SCHED_RR, &priority);
}

/* From one priority of the real-time class to the other; whoever has neither stays what it is. */
static void change_priority(int from, int to)
{
	struct sched_param now = {0}, priority = {.sched_priority = to};

	if (sched_getscheduler(0) == SCHED_RR && sched_getparam(0, &now) == 0 && now.sched_priority == from)
		sched_setscheduler(0, SCHED_RR, &priority);
}

void rights_let_servers_end(void)
{
	change_priority(PRIORITY_DAEMON, PRIORITY_SERVER);
	sched_yield();
}

void rights_go_on(void)
{
	change_priority(PRIORITY_SERVER, PRIORITY_DAEMON);
}

void rights_drop(void)
{
	const struct sched_param ordinary = {0};
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, "0\n", 2);
		close(fd);
	}
	sched_setscheduler(0, SCHED_OTHER, &ordinary);
	self_end_io_flusher();
}

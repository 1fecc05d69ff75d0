/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Has the system memory to spare? Asked before memory is populated ahead of demand.
 *
 * Populating while there is none means to wait in the kernel for as long as there is none, holding
 * the lock on the process's address space: whoever then needs that lock (a thread that maps memory,
 * or grows the heap) waits as well, and if it is a thread that serves swap, everybody does.
 */
#ifndef SPARE_H
#define SPARE_H

#include "process/cgroup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spare {
	const struct cgroup *cgroup; /* NULL: no limits of control groups count */
	char *text;                  /* NULL: the system does not say */
	int fd;                      /* /proc/zoneinfo, kept open: reading it again allocates nothing */
	size_t size;
};

/*
 * Never fails: where the system does not say, there is memory to spare. Allocates. `cgroup` may be NULL; it is the caller's,
 * and stays open for as long as `spare` is.
 */
void spare_open(struct spare *spare, const struct cgroup *cgroup);
/* Also right for what was zeroed and never opened. */
void spare_close(struct spare *spare);

/*
 * Could the calling thread have a few hundred KiB of the system at once, without reclaim? Allocates nothing; for one thread at
 * a time.
 */
bool spare_memory(struct spare *spare);

/*
 * Could it have them, and leave the whole margin (cgroup.h) below every limit of a control group? For what grows: the pool. To be
 * asked after spare_memory(): looking takes the kernel a page.
 */
bool spare_below_limits(struct spare *spare);

/*
 * Both, for what has a bound: half of the margin is enough. For a task of a real-time class or an ordinary one, whatever
 * the caller is.
 */
bool spare_memory_for(struct spare *spare, bool realtime);

/*
 * What the groups' limits leave beyond their margin: bytes, below zero where the margin is used; INT64_MAX: there is
 * no limit. `limit` gets the smallest limit, or CGROUP_NO_LIMIT.
 */
int64_t spare_in_cgroup(struct spare *spare, uint64_t *limit);

/* Is this scheduling policy, as sched_getscheduler(2) gives it, one of a real-time class? */
bool spare_is_realtime(int policy);

/*
 * The same, of a text as /proc/zoneinfo has it. For spare_memory() and tests. `realtime`: for a task
 * of a real-time class.
 */
bool spare_in_zones(const char *text, bool realtime);

/*
 * Bytes that this process can get at most, with others paged out for it: free memory, memory that the system
 * can free, and free swap, but never more than the machine has. UINT64_MAX where the system does not say. A
 * rough upper bound for requests that make no sense, not a promise. Allocates for a moment; any thread.
 */
uint64_t spare_available(void);

/* The same, of a text as /proc/meminfo has it. For spare_available() and tests. */
uint64_t spare_in_meminfo(const char *text);

#endif

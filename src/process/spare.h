/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Has the system memory to spare? Asked before memory is populated ahead of demand.
 *
 * A thread that populates memory while the system has none waits in the kernel, and holds the lock on the
 * process's address space meanwhile. Every thread that maps memory or grows the heap then waits for that lock. If
 * one of those serves swap, the whole machine waits.
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
 * Would the kernel give the calling thread a few hundred KiB at once, without having to reclaim memory first? Allocates
 * nothing. Only one thread at a time may ask, since `spare` has one buffer.
 */
bool spare_memory(struct spare *spare);

/*
 * Would the whole margin (cgroup.h) still be left below every limit of a control group? For memory that grows without a bound
 * of its own: the pool. Ask spare_memory() first, since the kernel needs a page to answer this.
 */
bool spare_below_limits(struct spare *spare);

/*
 * Both questions, for memory that has a bound: half of the margin is enough. `realtime` says for which scheduling class
 * to answer; the caller's own does not matter.
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

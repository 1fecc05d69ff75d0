/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether the system has memory to spare: asked before memory is populated ahead of demand.
 *
 * A thread that populates memory while the system has none waits in the kernel, and holds the lock on the process's
 * address space meanwhile. Then every thread that maps memory or grows the heap waits for that lock. If one of those
 * serves swap, the whole machine waits.
 */
#ifndef SPARE_H
#define SPARE_H

#include "process/cgroup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spare {
	const struct cgroup *cgroup; /* NULL: no limits of control groups count */
	char *text;                  /* buffer for what the system says; NULL: it does not say */
	int fd;                      /* /proc/zoneinfo, kept open: reading it again allocates nothing */
	size_t size;                 /* of the buffer, in bytes */
};

/*
 * Allocates, and never fails: where the system does not say, there is memory to spare. `cgroup` may be NULL. It stays
 * the caller's, and must stay open as long as *spare is. One thread at a time uses a struct spare, since it has one
 * buffer.
 */
void spare_open(struct spare *spare, const struct cgroup *cgroup);
/* Harmless on a struct that was zeroed and never opened. */
void spare_close(struct spare *spare);

/* True if the calling thread can get some hundred KiB now without waiting for reclaim. Allocates nothing. */
bool spare_memory(struct spare *spare);

/*
 * True if the whole margin (cgroup.h) would still be left below every limit of a control group. For memory that has no
 * bound of its own: the pool. Ask spare_memory() first, since the kernel needs a page to answer this.
 */
bool spare_below_limits(struct spare *spare);

/*
 * Both questions together, for memory that has a bound: half of the margin has to be left. `realtime`: the answer is
 * for a thread of a real-time class; the caller's own class does not matter.
 */
bool spare_memory_for(struct spare *spare, bool realtime);

/*
 * Bytes that the limits of control groups leave beyond their margin. Negative if part of the margin is used. INT64_MAX:
 * there is no limit. *limit is the smallest limit, or CGROUP_NO_LIMIT.
 */
int64_t spare_in_cgroup(struct spare *spare, uint64_t *limit);

/* True if this scheduling policy, as sched_getscheduler(2) returns it, belongs to a real-time class. */
bool spare_is_realtime(int policy);

/*
 * spare_memory() for a text with the form of /proc/zoneinfo, and for a thread of a real-time class or not. Also for
 * tests.
 */
bool spare_in_zones(const char *text, bool realtime);

/*
 * The most bytes that this process can get if others are paged out for it: free memory, memory that the system can
 * free, and free swap, but not more than the machine has. UINT64_MAX where the system does not say. A rough upper
 * bound, to refuse requests that make no sense. May be called from any thread.
 */
uint64_t spare_available(void);

/* spare_available() for a text with the form of /proc/meminfo. Also for tests. */
uint64_t spare_in_meminfo(const char *text);

#endif

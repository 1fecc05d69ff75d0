/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory limits of control groups: of the group that this process is in, and of all groups above it. Both versions of the
 * interface: memory.max, memory.high and memory.current (v2), memory.limit_in_bytes and memory.usage_in_bytes (v1).
 *
 * A page is charged to the group of the process that touches it first, and to all groups above. At a limit the kernel
 * reclaims memory of the group; it cannot reclaim locked memory, and kills a process of the group, or has the caller wait
 * for ever. So whoever locks memory has to stop before.
 *
 * Files are opened once, and looking allocates nothing. A process that is moved to another group later is judged by the one
 * it was in. Functions never fail: where the system does not say, there is no limit. Any thread may look.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_NO_LIMIT UINT64_MAX
/* What a group's statistics need as a buffer. */
#define CGROUP_TEXT 8192u

struct cgroup;

/* What was found, in bytes. */
struct cgroup_found {
	uint64_t limit; /* the smallest of all limits, or CGROUP_NO_LIMIT */
	/*
	 * What may still be charged until some group is at its limit, or CGROUP_NO_LIMIT. The page cache that the
	 * kernel can drop at once counts as room, where that was asked for and is needed.
	 */
	uint64_t room;
	unsigned level;   /* the group with the smallest limit */
	const char *file; /* and the file that has it; NULL without a limit */
};

/* NULL: there are no memory limits to look for, or no memory. */
struct cgroup *cgroup_open(void);
/* For tests: read these two in place of /proc/self/cgroup and /proc/self/mountinfo. */
struct cgroup *cgroup_open_from(const char *cgroup_file, const char *mountinfo_file);
void cgroup_close(struct cgroup *cgroup);

/*
 * Look at limits and usage. `want`: as much room is enough; only where there is less, the page cache is looked at as well, with
 * `text`, a buffer of CGROUP_TEXT bytes. That takes a moment, and the kernel a page of memory: `text` is NULL for those who
 * cannot wait. `cgroup` may be NULL.
 */
void cgroup_look(const struct cgroup *cgroup, uint64_t want, char *text, struct cgroup_found *found);

/* For people: "memory.max of control group /a/b is 100 MiB". "" without a limit. */
void cgroup_describe(const struct cgroup *cgroup, const struct cgroup_found *found, char *text, size_t size);

/*
 * How much of a limit is left unused by whoever locks memory below it: an eighth, at least 4 MiB and at most 32 MiB. It is for
 * the kernel's own memory on behalf of the group (socket buffers, page tables, stacks), for short-lived processes, and for
 * what is charged between two looks. 0 without a limit.
 */
uint64_t cgroup_margin(uint64_t limit);
#define CGROUP_MARGIN_MOST (UINT64_C(32) << 20)

#endif

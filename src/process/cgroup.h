/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory limits of control groups: of the group that this process is in, and of all groups above it. Both versions
 * of the interface are known: memory.max, memory.high and memory.current (v2); memory.limit_in_bytes and
 * memory.usage_in_bytes (v1).
 *
 * A page is charged to the group of the process that touches it first, and to all groups above. At a limit the kernel
 * reclaims memory of the group. It cannot reclaim locked memory. Then it kills a process of the group, or lets the
 * caller wait without end. So a process that locks its memory has to stop before the limit.
 *
 * The files are opened once, and a look allocates nothing. If the process is moved to another group later, the limits
 * are still those of the group it was in. Functions do not fail: where the system does not say, there is no limit. Any
 * thread may look.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_NO_LIMIT UINT64_MAX
/* Bytes of a buffer for a group's statistics. */
#define CGROUP_TEXT 8192u

struct cgroup;

/* What was found, in bytes. */
struct cgroup_found {
	uint64_t limit; /* the smallest of all limits, or CGROUP_NO_LIMIT */
	/*
	 * What may still be charged until the first group is at its limit, or CGROUP_NO_LIMIT. Page cache that the
	 * kernel can drop at once counts as room, if cgroup_look() had to look at it.
	 */
	uint64_t room;
	unsigned level;   /* the group with the smallest limit */
	const char *file; /* the name of the file with that limit; NULL: there is no limit */
};

/* NULL, which all functions accept: the process is in no group that could have a limit, or there is no memory. */
struct cgroup *cgroup_open(void);
/* For tests: read these two files instead of /proc/self/cgroup and /proc/self/mountinfo. */
struct cgroup *cgroup_open_from(const char *cgroup_file, const char *mountinfo_file);
void cgroup_close(struct cgroup *cgroup);

/*
 * Open a file of the group that this process is in, such as memory.pressure, to read; version 2 only. A descriptor, or a
 * negative errno: -ENOENT also if there is no such group.
 */
int cgroup_open_file(const char *name);
/* For tests, as cgroup_open_from(). */
int cgroup_open_file_from(const char *cgroup_file, const char *mountinfo_file, const char *name);

/*
 * Look at limits and usage. A group that has less room than `want` bytes is asked for its page cache as well, with
 * `text`, a buffer of CGROUP_TEXT bytes. That takes the kernel a moment and a page of memory. A caller that cannot wait
 * passes NULL as `text`; then page cache does not count as room.
 */
void cgroup_look(const struct cgroup *cgroup, uint64_t want, char *text, struct cgroup_found *found);

/* For people: "memory.max of control group /a/b is 100 MiB". "" without a limit. */
void cgroup_describe(const struct cgroup *cgroup, const struct cgroup_found *found, char *text, size_t size);

/*
 * The margin: bytes below a limit that a process which locks its memory leaves unused. An eighth of the limit, at least
 * 4 MiB and at most 32 MiB; 0 without a limit. The kernel needs the margin for the group's socket buffers, page tables
 * and stacks, short-lived processes need it, and what is charged between two looks comes out of it.
 */
uint64_t cgroup_margin(uint64_t limit);
#define CGROUP_MARGIN_MOST (UINT64_C(32) << 20)

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What zsblk needs of a machine that swaps to it. zsblkd takes it, and zsblkctl's doctor looks whether it can be had. Tables and functions without
 * side effects; any thread.
 */
#ifndef NEEDS_H
#define NEEDS_H

#include <stdbool.h>
#include <stdint.h>

/* ------------------------------------------------------------------ rights */

struct needs_capability {
	unsigned number; /* CAP_... */
	const char *name;
	const char *purpose;
};

#define NEEDS_CAPABILITIES 4u
extern const struct needs_capability needs_capabilities[NEEDS_CAPABILITIES];

/* ------------------------------------------------------------------ the kernel's settings */

/*
 * Settings in /proc/sys/vm, for a system that swaps to memory behind a server that needs memory itself:
 *
 *   page-cluster = 0            readahead of swap is for disks
 *   watermark_boost_factor = 0  the kernel raises its watermarks for a while when memory is fragmented: what was enough for the
 *                               server to reply suddenly is not
 *   min_free_kbytes             at least 64 MiB, or an eighth of memory if that is less: nobody but real-time tasks, as our
 *                               server is one, may take memory below that mark, and they only down to a half of it (Linux
 *                               6.12; three quarters on 6.1). A server has to start from that memory. With 14 MiB a server
 *                               came half the way, and hung: tests/vm/README.md, "Harm".
 */
struct needs_sysctl {
	const char *name;
	bool at_least;   /* a higher value is as good */
	const char *why; /* what goes wrong without it; a sentence for people */
	uint64_t value;  /* 0: none, or that of `of_ram` */
	uint64_t (*of_ram)(uint64_t ram_bytes);
};

#define NEEDS_SYSCTLS 3u
extern const struct needs_sysctl needs_sysctls[NEEDS_SYSCTLS];

/* The value that a setting needs on a machine with so much memory. */
uint64_t needs_sysctl_value(const struct needs_sysctl *sysctl, uint64_t ram_bytes);
/* Is a value good enough? */
bool needs_sysctl_is_met(const struct needs_sysctl *sysctl, uint64_t ram_bytes, uint64_t value);

/* ------------------------------------------------------------------ control groups */

/*
 * Bytes that an instance takes at least below a memory limit of `limit` bytes: daemon and server, what is held back (the two reserves), the
 * table of a device of `size` bytes, a margin, and 8 MiB of data.
 */
uint64_t needs_below_limit(uint64_t held_back, uint64_t size, uint64_t limit);

/*
 * Can process 1, which starts the service again when all of it was killed, be swapped out? Not if its group (init.scope) may use no swap.
 * `hierarchy`: where control groups are mounted, /sys/fs/cgroup. True as well where the memory controller is not there, or cannot be read.
 */
bool needs_process_1_is_swappable(const char *hierarchy);

#endif

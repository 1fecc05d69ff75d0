/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process that provides memory to others asks of the kernel for itself. Linux only. Functions may be called from
 * any thread. Capabilities and the I/O flusher flag belong to a thread, and are inherited.
 */
#ifndef SELF_H
#define SELF_H

#include <stdbool.h>
#include <stdint.h>

/* True if the calling thread has this capability (CAP_...) in its effective set. */
bool self_has_capability(unsigned capability);

/*
 * Mark the calling thread, and all threads and processes that it starts later, as I/O flushers (PR_SET_IO_FLUSHER,
 * Linux 5.6). When such a thread needs memory, the kernel does no I/O to find some, which could go to the device that
 * the thread serves. Takes CAP_SYS_RESOURCE. True if the flag is set now, also if a parent has set it.
 */
bool self_become_io_flusher(void);
/* Take the flag off the calling thread. */
void self_end_io_flusher(void);

/*
 * What the OOM killer adds to the score of the process: -1000 to 1000. 0, which most processes have, if it cannot be
 * read.
 */
int self_oom_score_adj(void);
/* Make the OOM killer pass this process over (-1000). Takes CAP_SYS_RESOURCE. True if that is so now. */
bool self_avoid_oom_killer(void);

/* What the kernel says of the memory of the process, in bytes. */
struct self_memory {
	uint64_t anon;        /* in memory: private, of no file */
	uint64_t file;        /* in memory: mapped from files, and shared with others that map them */
	uint64_t shared;      /* in memory: shared memory, as far as this process has touched it */
	uint64_t swapped;     /* of the first kind, swapped out */
	uint64_t page_tables; /* what the kernel takes to map all of that */
};

/*
 * Read /proc/self/status, which takes microseconds whatever the process has. The kernel may count some pages late: up
 * to 64 of each thread (before Linux 6.2), or twice the number of CPUs, and 32 at least, of each CPU (6.2 to 6.16).
 * 0 or a negative errno.
 */
int self_memory(struct self_memory *memory);

#endif

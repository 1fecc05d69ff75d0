/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process that provides memory to others asks of the kernel for itself. Linux only. Functions may be called from
 * any thread. Capabilities and the I/O flusher flag belong to a thread, and are inherited.
 */
#ifndef SELF_H
#define SELF_H

#include <stdbool.h>

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

#endif

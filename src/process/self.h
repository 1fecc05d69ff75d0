/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process on whose work others' memory depends asks of the kernel for itself. Linux only. Functions may be called from any
 * thread; capabilities and the flag are per thread, and inherited.
 */
#ifndef SELF_H
#define SELF_H

#include <stdbool.h>

/* Is this CAP_... among the calling thread's effective ones? */
bool self_has_capability(unsigned capability);

/*
 * Mark the calling thread, and all that it starts from now on, as I/O flusher (PR_SET_IO_FLUSHER, Linux
 * 5.6): their need for memory never turns into I/O on a device that they serve. Takes
 * CAP_SYS_RESOURCE. True if the flag is set now, by whomever.
 */
bool self_become_io_flusher(void);
/* Take it off again. */
void self_end_io_flusher(void);

/* What the OOM killer adds to the process's score: -1000 to 1000. 0 if it cannot be read, as most processes have it. */
int self_oom_score_adj(void);
/* Tell the OOM killer to look elsewhere (-1000). Takes CAP_SYS_RESOURCE. True if it is so now. */
bool self_avoid_oom_killer(void);

#endif

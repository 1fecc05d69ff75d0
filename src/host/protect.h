/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the server does for itself so that it never waits for memory that only it can free: its
 * memory is locked on fault, its threads are marked as I/O flushers, and the OOM killer is told to
 * look elsewhere.
 *
 * Memory locks end at a fork, so they are taken after the last one. Rights may end before it (a change of user, as with
 * nbdkit -u), so what outlives that is done while they are there.
 */
#ifndef PROTECT_H
#define PROTECT_H

#include <stddef.h>

/* What can be had, one bit each. */
#define PROTECT_MEMORY  1u /* mlockall, on fault */
#define PROTECT_FLUSHER 2u /* PR_SET_IO_FLUSHER */
#define PROTECT_OOM     4u /* oom_score_adj -1000 */
#define PROTECT_ALL     (PROTECT_MEMORY | PROTECT_FLUSHER | PROTECT_OOM)
/* Without these two a swap device can hang the machine. */
#define PROTECT_NEEDED (PROTECT_MEMORY | PROTECT_FLUSHER)

/*
 * Heap kept populated for the buffers of requests, once memory is locked: 8 threads with requests
 * of 256 KiB, that came to them by way of smaller ones.
 */
#define PROTECT_HEAP_BYTES (4 * 1024 * 1024)
/* Buffers of this size and more are not taken from the heap. */
#define PROTECT_HEAP_LARGEST (512 * 1024)

/*
 * Before the server forks: raise the limit on locked memory as far as it goes, set the I/O flusher
 * flag on this thread, from where all later threads and processes have it. Returns what
 * protect_apply() will be able to have.
 */
unsigned protect_prepare(void);

/* After the last fork, before any other thread is started. Returns what the process has now. */
unsigned protect_apply(void);

/* Say which of `wanted` is not in `had`, and what right each of them takes. */
void protect_describe_missing(unsigned wanted, unsigned had, char *text, size_t size);

#endif

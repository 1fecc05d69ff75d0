/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a server does so that it never waits for memory that only it can free: its memory is locked on fault, its
 * threads are marked as I/O flushers, and the OOM killer passes it over.
 *
 * Memory locks end at a fork, so protect_apply() takes them after the last one. Rights can end earlier, by a change of
 * user (nbdkit -u). So protect_prepare() does before that whatever is inherited.
 *
 * The main thread calls both, before there are other threads.
 */
#ifndef PROTECT_H
#define PROTECT_H

#include <stddef.h>

/* One bit for each measure. */
#define PROTECT_MEMORY  1u /* mlockall, on fault */
#define PROTECT_FLUSHER 2u /* PR_SET_IO_FLUSHER */
#define PROTECT_OOM     4u /* oom_score_adj -1000 */
#define PROTECT_ALL     (PROTECT_MEMORY | PROTECT_FLUSHER | PROTECT_OOM)
/* Without these two a swap device can hang the machine. */
#define PROTECT_NEEDED (PROTECT_MEMORY | PROTECT_FLUSHER)

/*
 * Bytes of heap that stay populated for the buffers of requests, once memory is locked. Enough for 8 threads with
 * buffers of 256 KiB, which grew in steps from smaller ones.
 */
#define PROTECT_HEAP_BYTES (4 * 1024 * 1024)
/* The heap does not grow for buffers of this size and more. Those that have no room in it have mappings of their own. */
#define PROTECT_HEAP_LARGEST (512 * 1024)

/*
 * To be called before the server forks. Raises the limit on locked memory as far as it goes, and sets the I/O flusher
 * flag on this thread; later threads and processes inherit it. Returns the bits that protect_apply() will be able to
 * have.
 */
unsigned protect_prepare(void);

/*
 * To be called after the last fork, before any other thread is started. `more_heap`: bytes of heap that stay populated beside
 * PROTECT_HEAP_BYTES. Returns the bits that the process has now.
 */
unsigned protect_apply(size_t more_heap);

/* Write for people which of `wanted` is not in `had`, and what each of them takes. */
void protect_describe_missing(unsigned wanted, unsigned had, char *text, size_t size);

#endif

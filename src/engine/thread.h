/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for background work, of the engine and of front ends. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>

/*
 * A thread with a small stack, no signals, and the scheduling of the caller. Where that is a real-time class, all of
 * the process's threads have to be in it: one that waits for memory, as an ordinary one has to while the others do
 * not, holds the lock on the address space for as long, and sooner or later everybody needs that. Long work
 * yields now and then. `name` is for ps and top, 15 characters at most. 0 or a negative errno.
 */
int thread_start_background(pthread_t *thread, const char *name, void *(*run)(void *), void *opaque);

#endif

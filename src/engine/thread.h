/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for background work, of the engine and of front ends. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>

/*
 * A thread with a small stack, no signals, and ordinary scheduling. `name` is for ps and top, 15
 * characters at most. 0 or a negative errno.
 */
int thread_start_background(pthread_t *thread, const char *name, void *(*run)(void *), void *opaque);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for background work, of the engine and of front ends; and numbers for threads, to spread them over things. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>

/*
 * Start a thread with a small stack and all signals blocked. Its scheduling class is the caller's. A process of a
 * real-time class needs that: when memory is short, an ordinary thread waits for memory and a real-time thread does not.
 * The waiting thread holds the lock on the address space, and then the real-time threads wait for that lock.
 * A thread with long work has to yield now and then.
 * `name` is for ps and top, 15 characters at most. Returns 0 or a negative errno.
 */
int thread_start_background(pthread_t *thread, const char *name, void *(*run)(void *), void *opaque);

/*
 * The calling thread's number: 0 for the first thread that asks, and so on. It stays the same as long as the thread lives,
 * and is not used again until 2^32 threads have asked.
 */
unsigned thread_number(void);

#endif

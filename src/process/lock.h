/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks for sections of some 100 ns. Any thread. */
#ifndef LOCK_H
#define LOCK_H

#include <pthread.h>

/*
 * Make a lock that is held so shortly that to wait for it asleep would take many times as long. Where the C library has
 * adaptive mutexes (glibc), a thread that finds it taken tries again some 100 times at most, and sleeps then: a real-time
 * thread that waits for an ordinary one on the same CPU lets that one run. Elsewhere it is a plain mutex.
 * pthread_mutex_destroy() ends it.
 */
void lock_init(pthread_mutex_t *lock);

#endif

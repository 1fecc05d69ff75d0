/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks for critical sections of some 100 ns. */
#ifndef LOCK_H
#define LOCK_H

#include <pthread.h>

/*
 * Make a mutex that is held for so short a time that sleeping and waking would take many times as long. With glibc the
 * mutex is adaptive: a thread that finds it taken tries again, at most some 100 times, and then sleeps. Because it
 * sleeps in the end, a real-time thread that waits for an ordinary one on the same CPU lets that one run. With other C
 * libraries it is an ordinary mutex. pthread_mutex_destroy() ends it.
 */
void lock_init(pthread_mutex_t *lock);

#endif

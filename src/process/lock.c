/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks for short sections. See lock.h. */
#include "process/lock.h"

void lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	/* The type is a constant of an enumeration, which the preprocessor cannot see; this macro comes with it. */
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

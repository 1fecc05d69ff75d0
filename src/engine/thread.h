/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for background work, of the engine and of front ends. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>

enum thread_class {
	/*
	 * Ordinary scheduling, whatever the process has: a server of swap may run in a real-time
	 * class, so that its requests get through; long work in that class would hold them up.
	 */
	THREAD_ORDINARY,
	/* The scheduling of the caller: what requests may come to wait for. */
	THREAD_LIKE_CALLER,
};

/*
 * A thread with a small stack and no signals. `name` is for ps and top, 15 characters at most. 0 or
 * a negative errno.
 */
int thread_start_background(pthread_t *thread, const char *name, enum thread_class class,
			    void *(*run)(void *), void *opaque);

#endif

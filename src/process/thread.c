/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for background work, and thread numbers. See thread.h. */
#include "process/thread.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#define STACK_BYTES (64u * 1024)

static int start(pthread_t *thread, size_t stack, void *(*run)(void *), void *opaque)
{
	pthread_attr_t attr;
	int r;

	pthread_attr_init(&attr);
	if (stack)
		pthread_attr_setstacksize(&attr, stack);
	r = pthread_create(thread, &attr, run, opaque);
	pthread_attr_destroy(&attr);
	return r;
}

int thread_start_background(pthread_t *thread, const char *name, void *(*run)(void *), void *opaque)
{
	sigset_t all, before;
	size_t least;
	int r;

	/* Signals are for the front end's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* On machines with large pages or many registers, the smallest stack that is allowed is larger. */
	least = (size_t)PTHREAD_STACK_MIN;
	r = start(thread, STACK_BYTES > least ? STACK_BYTES : least, run, opaque);
	/* The stack also holds the program's thread-local variables, which may need more. */
	if (r == EINVAL)
		r = start(thread, 0, run, opaque);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		(void)pthread_setname_np(*thread, name);
	return -r;
}

unsigned thread_number(void)
{
	static _Atomic unsigned next;
	/* With the default model, a plugin's thread-local variables are allocated at their first use. */
	static _Thread_local unsigned number __attribute__((tls_model("initial-exec")));
	static _Thread_local bool has_number __attribute__((tls_model("initial-exec")));

	if (!has_number) {
		number = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
		has_number = true;
	}
	return number;
}

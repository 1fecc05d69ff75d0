/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for background work, and thread numbers. See thread.h. */
#include "process/thread.h"

#include "process/self.h"
#include "process/system_page.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#define STACK_BYTES   (64u * 1024)
#define STACK_TOUCHED (48u * 1024)

/* For the C library's own description of a thread, and the guard page's share. */
#define THREAD_BYTES (8u * 1024)

static int add_thread_local(struct dl_phdr_info *info, size_t size, void *opaque)
{
	size_t *bytes = opaque;

	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type == PT_TLS)
			*bytes += segment->p_memsz + segment->p_align;
	}
	return 0;
}

size_t thread_stack_bytes(size_t bytes)
{
	/* On machines with large pages or many registers, the smallest stack that is allowed is larger. */
	size_t least = (size_t)PTHREAD_STACK_MIN, all = (bytes > least ? bytes : least) + THREAD_BYTES;

	dl_iterate_phdr(add_thread_local, &all);
	return system_page_ceil(all) + (size_t)system_page();
}

static int start(pthread_t *thread, size_t stack, void *(*run)(void *), void *opaque)
{
	pthread_attr_t attr;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack);
	r = pthread_create(thread, &attr, run, opaque);
	pthread_attr_destroy(&attr);
	return r;
}

int thread_start_with_stack(pthread_t *thread, const char *name, size_t bytes, void *(*run)(void *), void *opaque)
{
	sigset_t all, before;
	int r;

	/* Signals are for the front end's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = start(thread, thread_stack_bytes(bytes), run, opaque);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		(void)pthread_setname_np(*thread, name);
	return -r;
}

int thread_start_background(pthread_t *thread, const char *name, void *(*run)(void *), void *opaque)
{
	return thread_start_with_stack(thread, name, STACK_BYTES, run, opaque);
}

__attribute__((noinline)) static void touch_stack(void)
{
	volatile char stack[STACK_TOUCHED];

	for (size_t i = 0; i < sizeof stack; i += 1024)
		stack[i] = 0;
}

void thread_become_ordinary(void)
{
	const struct sched_param param = {.sched_priority = 0};

	touch_stack();
	pthread_setschedparam(pthread_self(), SCHED_OTHER, &param);
	self_end_io_flusher();
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

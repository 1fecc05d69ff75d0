/* SPDX-License-Identifier: BSD-3-Clause */
/* Has an allocation of the calling thread fail, also one of a library. For one source of a test program. */
#ifndef TEST_FAILING_H
#define TEST_FAILING_H

#include "lib/base.h"

/* The number of the allocation that fails, 0: none does; and how many there have been since the test set this to 0, while one was to fail. */
static _Thread_local unsigned failing, allocations;

#if !RUNNING_UNDER_SANITIZER && defined __GLIBC__
static bool fails(void)
{
	return failing && ++allocations == failing;
}

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);

/* Libraries are to find these: the project's own default is hidden. */
#pragma GCC visibility push(default)
void *malloc(size_t bytes)
{
	return fails() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	return fails() ? NULL : __libc_calloc(n, bytes);
}

void *realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __libc_realloc(old, bytes);
}
#pragma GCC visibility pop
#endif

/* False: sanitizers and valgrind bring their own. */
static inline bool allocations_can_fail(void)
{
	void *volatile mem;

	failing = 1;
	allocations = 0;
	mem = malloc(1);
	failing = 0;
	free(mem);
	return !mem;
}

#endif

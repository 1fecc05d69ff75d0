/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads: the stack that they have for themselves, and their numbers. */
#include "lib/test.h"

#include "process/thread.h"

#include <pthread.h>
#include <signal.h>

#define KIB 1024u

/* Comes out of the stack of each thread. */
static _Thread_local volatile char variable[40 * KIB];

struct seen {
	size_t below; /* bytes of stack below the thread's first frame */
	unsigned number, again;
	bool blocks_signals;
};

static void *look(void *opaque)
{
	struct seen *seen = opaque;
	pthread_attr_t attr;
	sigset_t mask;
	void *start;
	size_t size;

	variable[0] = 1;
	must(pthread_getattr_np(pthread_self(), &attr) == 0);
	must(pthread_attr_getstack(&attr, &start, &size) == 0);
	pthread_attr_destroy(&attr);
	seen->below = (size_t)((char *)__builtin_frame_address(0) - (char *)start);
	seen->number = thread_number();
	seen->again = thread_number();
	must(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
	seen->blocks_signals = sigismember(&mask, SIGTERM);
	return NULL;
}

static void test_background(void **state)
{
	struct seen seen = {0};
	pthread_t thread;

	assert_int_equal(thread_start_background(&thread, "zsblk-test", look, &seen), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	if (seen.below < 64 * KIB)
		fail_msg("%zu bytes of stack are left beside the thread-local variables", seen.below);
	assert_true(seen.blocks_signals);
	assert_int_equal(seen.number, seen.again);
	assert_int_not_equal(seen.number, thread_number());
}

static void test_larger_stack(void **state)
{
	struct seen seen = {0};
	pthread_t thread;

	assert_int_equal(thread_start_with_stack(&thread, "zsblk-test", 512 * KIB, look, &seen), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(seen.below >= 512 * KIB && seen.blocks_signals);
}

static void test_stack_bytes(void **state)
{
	struct seen seen = {0};
	pthread_attr_t attr;
	pthread_t thread;

	for (size_t bytes = 1; bytes <= 1024 * KIB; bytes *= 4) {
		assert_int_equal(pthread_attr_init(&attr), 0);
		assert_int_equal(pthread_attr_setstacksize(&attr, thread_stack_bytes(bytes)), 0);
		assert_int_equal(pthread_create(&thread, &attr, look, &seen), 0);
		pthread_attr_destroy(&attr);
		assert_int_equal(pthread_join(thread, NULL), 0);
		if (seen.below < bytes)
			fail_msg("%zu bytes of stack were asked for, and %zu are there", bytes, seen.below);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_larger_stack),
		cmocka_unit_test(test_stack_bytes),
	};

	return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}

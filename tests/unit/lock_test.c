/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks for short sections, and thread numbers. */
#include "lib/test.h"

#include "process/lock.h"
#include "process/thread.h"

#define THREADS 8u
#define ROUNDS  20000u

static pthread_mutex_t lock;
static unsigned counted, numbers[THREADS];

static void *count_under_lock(void *opaque)
{
	unsigned *number = opaque;

	*number = thread_number();
	for (unsigned i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&lock);
		counted++;
		pthread_mutex_unlock(&lock);
		must(thread_number() == *number);
	}
	return NULL;
}

static void run_threads(void)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_under_lock, &numbers[i]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void test_locks(void **state)
{
	lock_init(&lock);
	counted = 0;
	run_threads();
	assert_int_equal(counted, THREADS * ROUNDS);
	assert_int_equal(pthread_mutex_destroy(&lock), 0);
}

/* Threads that come one after the other get the next numbers, so that they spread over any number of things. */
static void test_numbers(void **state)
{
	unsigned lowest = UINT32_MAX, highest = 0;

	lock_init(&lock);
	run_threads();
	pthread_mutex_destroy(&lock);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_not_equal(numbers[i], thread_number());
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(numbers[i], numbers[k]);
		lowest = numbers[i] < lowest ? numbers[i] : lowest;
		highest = numbers[i] > highest ? numbers[i] : highest;
	}
	assert_true(highest - lowest <= THREADS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}

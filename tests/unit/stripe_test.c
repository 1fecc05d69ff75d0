/* SPDX-License-Identifier: BSD-3-Clause */
/* Stripes: as many as the machine needs, and blocks spread over them. */
#include "lib/test.h"

#include "engine/stripe.h"

#include <stdatomic.h>

static struct stripes stripes;

static int destroy(void **state)
{
	stripes_destroy(&stripes);
	stripes_destroy(&stripes);
	return 0;
}

static void test_follow_the_cpus(void **state)
{
	const struct {
		long cpus;
		size_t n;
	} cases[] = {{-1, 256}, {1, 256}, {4, 256}, {5, 512}, {16, 1024}, {64, 4096}, {4096, 4096}};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(stripes_init(&stripes, cases[i].cpus), 0);
		assert_int_equal(stripes.n, cases[i].n);
		stripes_destroy(&stripes);
	}
}

static size_t index_of(uint64_t block)
{
	pthread_mutex_t *lock = stripe_of(&stripes, block);
	size_t index = (size_t)((struct stripe *)(void *)lock - stripes.all);

	assert_true(index < stripes.n);
	return index;
}

/* Of blocks in a row each stripe gets its share: at most three times what it would have if all had the same. */
static void test_spread(void **state)
{
	unsigned had[256] = {0};

	assert_int_equal(stripes_init(&stripes, 1), 0);
	for (uint64_t block = 0; block < 256 * 8; block++)
		had[index_of(UINT64_C(0xfffff000) + block)]++;
	for (size_t i = 0; i < stripes.n; i++)
		assert_in_range(had[i], 1, 24);
}

/* Two that read or write in step, any distance apart, do not meet at every block. */
static void test_in_step(void **state)
{
	assert_int_equal(stripes_init(&stripes, 1), 0);
	for (unsigned apart = 1; apart <= 1u << 20; apart *= 2) {
		unsigned meetings = 0;

		for (uint64_t block = 0; block < 1024; block++)
			meetings += index_of(block) == index_of(block + apart);
		assert_true(meetings < 1024 / 8);
	}
}

static pthread_barrier_t held;
static atomic_bool released;

static void *hold_for_a_while(void *opaque)
{
	pthread_mutex_t *lock = stripe_of(&stripes, 12345);

	pthread_mutex_lock(lock);
	pthread_barrier_wait(&held);
	usleep(20000);
	atomic_store(&released, true);
	pthread_mutex_unlock(lock);
	return opaque;
}

/* Who passes all stripes comes after everybody who held one before. */
static void test_pass(void **state)
{
	pthread_t thread;

	assert_int_equal(stripes_init(&stripes, 1), 0);
	pthread_barrier_init(&held, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, hold_for_a_while, NULL), 0);
	pthread_barrier_wait(&held);
	stripes_pass(&stripes);
	assert_true(atomic_load(&released));
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_follow_the_cpus, destroy),
		cmocka_unit_test_teardown(test_spread, destroy),
		cmocka_unit_test_teardown(test_in_step, destroy),
		cmocka_unit_test_teardown(test_pass, destroy),
	};

	return cmocka_run_group_tests_name("stripe", tests, NULL, NULL);
}

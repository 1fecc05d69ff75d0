/* SPDX-License-Identifier: BSD-3-Clause */
/* A gate: nobody is through before it is set, all are after that, and nobody who waits long takes a processor meanwhile. */
#include "lib/test.h"

#include "ublk/gate.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4

static struct gate gate;
static _Atomic unsigned came, went;
static _Atomic uint64_t awake_us; /* processor time of all threads at the gate */

static uint64_t thread_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void *go_through(void *wanted)
{
	uint64_t before = thread_us();
	enum gate_state state;

	came++;
	state = gate_wait(&gate);
	awake_us += thread_us() - before;
	if (state == *(enum gate_state *)wanted)
		went++;
	return NULL;
}

static void all_go(enum gate_state state, unsigned wait_us)
{
	pthread_t threads[THREADS];

	gate = (struct gate){GATE_SHUT};
	came = went = 0;
	awake_us = 0;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, go_through, &state), 0);
	while (came < THREADS)
		usleep(100);
	usleep(wait_us);
	assert_int_equal(went, 0);
	assert_int_equal(gate_look(&gate), GATE_SHUT);
	gate_set(&gate, state);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(went, THREADS);
	assert_int_equal(gate_look(&gate), state);
}

static void test_soon(void **state)
{
	all_go(GATE_OPEN, 0);
}

static void test_late(void **state)
{
	all_go(GATE_OPEN, 500000);
	/* Awake for the first milliseconds, asleep for the rest of the half second. */
	if (awake_us > THREADS * 100000)
		fail_msg("%u threads took %llu us", THREADS, (unsigned long long)awake_us);
}

static void test_given_up(void **state)
{
	all_go(GATE_GIVEN_UP, GATE_AWAKE_US * 4);
}

/* Whoever comes later does not wait. */
static void test_open_already(void **state)
{
	gate = (struct gate){GATE_OPEN};
	assert_int_equal(gate_wait(&gate), GATE_OPEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_soon), cmocka_unit_test(test_late),
					   cmocka_unit_test(test_given_up), cmocka_unit_test(test_open_already)};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that does something every few seconds: the first time at once, then again, and not after it was stopped. */
#include "lib/test.h"

#include "host/ticker.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static _Atomic unsigned ticks;

static bool count_up_to(void *opaque)
{
	return atomic_fetch_add(&ticks, 1) + 1 < *(unsigned *)opaque;
}

static void wait_for_ticks(unsigned n)
{
	for (unsigned i = 0; i < 1000 && atomic_load(&ticks) < n; i++)
		usleep(10 * 1000);
	assert_int_equal(atomic_load(&ticks), n);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void test_every_second(void **state)
{
	unsigned most = 2;
	uint64_t began = now_ms();
	struct ticker *ticker;

	atomic_store(&ticks, 0);
	assert_int_equal(ticker_start(&ticker, "test", 1, count_up_to, &most), 0);
	wait_for_ticks(2);
	assert_true(now_ms() - began >= 1000);
	/* The second tick has said that it was the last one. */
	usleep(1200 * 1000);
	assert_int_equal(atomic_load(&ticks), 2);
	ticker_stop(ticker);
}

static void test_stops_at_once(void **state)
{
	unsigned most = 1000;
	struct ticker *ticker;

	atomic_store(&ticks, 0);
	assert_int_equal(ticker_start(&ticker, "test", 100000, count_up_to, &most), 0);
	wait_for_ticks(1);
	/* Not after its pause, in which case the test would not end. */
	ticker_stop(ticker);
	assert_int_equal(atomic_load(&ticks), 1);
	ticker_stop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_second),
		cmocka_unit_test(test_stops_at_once),
	};

	return cmocka_run_group_tests_name("ticker", tests, NULL, NULL);
}

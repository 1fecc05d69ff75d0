/* SPDX-License-Identifier: BSD-3-Clause */
/* Ages of blocks: what a step stands for, sweeps, accesses beside them, pages that come and go. */
#include "lib/emulator.h"
#include "lib/random.h"
#include "lib/test.h"

#include "engine/ages.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>

/* Five pages of bytes, the last one of them not full. */
#define BLOCKS (4 * SEGMENT_PAGE + 1000)

static struct ages ages;
static struct table table;

static int set_up(void **state)
{
	table = (struct table){.n = BLOCKS};
	table.map = calloc(1, table_map_bytes(BLOCKS));
	table.words = calloc(BLOCKS, sizeof *table.words);
	must(table.map && table.words);
	must(ages_open(&ages, NULL, 0, BLOCKS, NULL, false) == 0 && ages_find_pages(&ages) == 0);
	return 0;
}

static int tear_down(void **state)
{
	ages_close(&ages);
	free(table.map);
	free(table.words);
	return 0;
}

/* Something is written there, and its page of bytes is in memory. */
static void have(uint64_t block)
{
	table_store(&table, block, 1);
	must(ages_add_pages(&ages, block / SEGMENT_PAGE, 1) == 0);
	ages_touch(&ages, block);
}

static void pass(uint64_t seconds)
{
	ages_pass(&ages, seconds);
	while (ages_sweep(&ages, &table))
		;
}

static uint64_t age_of(uint64_t block)
{
	uint64_t seconds;
	bool idle;

	assert_true(ages_look(&ages, block, &seconds, &idle));
	return seconds;
}

static void test_steps(void **state)
{
	for (unsigned step = 1; step < AGES_STEPS; step++)
		assert_true(ages_least(step) >= ages_least(step - 1));
	assert_int_equal(ages_least(0), 0);
	assert_int_equal(ages_least(1), 0);
	assert_int_equal(ages_least(12), 11);
	assert_int_equal(ages_least(13), 12);
	assert_int_equal(ages_least(18), 22);
	assert_int_equal(ages_least(19), 24);
	/* Weeks. */
	assert_true(ages_least(AGES_STEPS - 1) > 60 * UINT64_C(86400));
}

/* Blocks last used in each second up to now: none is younger than said, and none much older. */
static void test_each_second(void **state)
{
	const unsigned seconds = 3000;

	for (unsigned i = 0; i < seconds; i++) {
		have(i);
		pass(1);
	}
	for (unsigned i = 0; i < seconds; i++) {
		/* The block was used less than a second before the first of these sweeps. */
		uint64_t least = seconds - i - 1, most = seconds - i;

		assert_true(age_of(i) <= least);
		assert_true(age_of(i) + age_of(i) / 3 + 2 >= most);
	}
	assert_int_equal(ages_since(&ages), seconds);
}

/* Sweeps that come late: no block is younger than said. */
static void test_late(void **state)
{
	uint64_t random = test_seed("ages"), used[200] = {0}, now = 0;

	have(0);
	for (unsigned i = 0; i < test_amount(20000); i++) {
		uint64_t seconds = 1 + random_below(&random, random_below(&random, 10) ? 3 : 500);
		unsigned block = (unsigned)random_below(&random, 200);

		for (unsigned b = 0; b < 200; b++)
			assert_true(age_of(b) <= now - used[b]);
		/* At the last moment before the sweep. */
		now += seconds;
		ages_touch(&ages, block);
		used[block] = now;
		pass(seconds);
	}
}

/* A long time at once is as long as many seconds. */
static void test_long_time(void **state)
{
	struct ages_sweep sweep;
	uint8_t bytes[200];

	for (unsigned i = 0; i < 200; i++)
		have(i);
	for (unsigned i = 0; i < 200; i++) {
		ages_touch(&ages, i);
		pass(1 + i / 3);
	}
	memcpy(bytes, ages.bytes, sizeof bytes);
	for (unsigned i = 0; i < 5000; i++)
		pass(1);
	for (unsigned i = 0; i < 200; i++) {
		uint8_t slowly = ages.bytes[i];

		ages.bytes[i] = bytes[i];
		bytes[i] = slowly;
	}
	*ages.seconds -= 5000;
	pass(5000);
	assert_memory_equal(bytes, ages.bytes, sizeof bytes);
	/* The highest step is the last one. */
	sweep = ages.sweep;
	assert_int_equal(sweep.to[AGES_STEPS - 1], AGES_STEPS - 1);
	pass(UINT64_C(1) << 34);
	assert_int_equal(ages.bytes[0], AGES_STEPS - 1);
	pass(1);
	assert_int_equal(ages.bytes[0], AGES_STEPS - 1);
}

static void test_idle(void **state)
{
	uint64_t seconds;
	bool idle;

	have(5);
	have(6);
	pass(1);
	for (unsigned i = 0; i < 30; i++) {
		ages_touch(&ages, 6);
		pass(1);
	}
	assert_false(ages_mark(&ages, 5, 31));
	assert_false(ages_mark(&ages, 6, 20));
	assert_true(ages_mark(&ages, 5, 20));
	assert_false(ages_mark(&ages, 5, 20));
	assert_true(ages_is_idle(&ages, 5));
	/* Time leaves the mark alone, and the mark the age. */
	pass(100);
	assert_true(ages_look(&ages, 5, &seconds, &idle));
	assert_true(idle && seconds >= 100 && seconds <= 132);
	ages_touch(&ages, 5);
	assert_true(ages_look(&ages, 5, &seconds, &idle));
	assert_true(!idle && seconds == 0);
	/* Also of a block that was used a moment ago. */
	assert_true(ages_mark(&ages, 5, 0));
	assert_true(ages_is_idle(&ages, 5));
	ages_touch(&ages, 5);
	assert_false(ages_is_idle(&ages, 5));
}

/* Only what the table has is swept, and what has no page has no age. */
static void test_pages(void **state)
{
	uint64_t seconds;
	bool idle;

	assert_int_equal(ages_pages(&ages), 5);
	assert_int_equal(ages_next_missing(&ages, &table, 0), 5);
	table_store(&table, 2 * SEGMENT_PAGE + 7, 1);
	table_store(&table, BLOCKS - 1, 1);
	assert_int_equal(ages_next_missing(&ages, &table, 0), 2);
	assert_int_equal(ages_next_missing(&ages, &table, 3), 4);
	assert_false(ages_look(&ages, 2 * SEGMENT_PAGE + 7, &seconds, &idle));
	assert_false(ages_mark(&ages, 2 * SEGMENT_PAGE + 7, 0));
	assert_false(ages_is_idle(&ages, 2 * SEGMENT_PAGE + 7));
	have(2 * SEGMENT_PAGE + 7);
	have(BLOCKS - 1);
	assert_int_equal(ages_next_missing(&ages, &table, 0), 5);
	assert_int_equal(ages_bytes(&ages), 2 * SEGMENT_PAGE + 8);
	pass(1);
	assert_int_equal(ages.bytes[2 * SEGMENT_PAGE + 7], 1);
	assert_int_equal(ages.bytes[BLOCKS - 1], 1);
	/* A page of the table in which nothing was written, and a page of bytes that is not there. */
	assert_int_equal(ages.bytes[2 * SEGMENT_PAGE + TABLE_PAGE_WORDS], 0);
	assert_int_equal(ages.bytes[0], 0);
	ages_release(&ages, SEGMENT_PAGE + 1, BLOCKS);
	assert_int_equal(ages_bytes(&ages), 8);
	assert_int_equal(ages_next_missing(&ages, &table, 0), 2);
	ages_release(&ages, BLOCKS - 1, BLOCKS);
}

/* An access touches no memory that is not there. */
static void test_no_fault(void **state)
{
	unsigned char resident = 0;

	for (unsigned block = 0; block < BLOCKS; block++)
		ages_touch(&ages, block);
	pass(1);
	must(mincore(ages.bytes, 1, &resident) == 0);
	assert_int_equal(resident & 1, 0);
	have(0);
	must(mincore(ages.bytes, 1, &resident) == 0);
	if (!advice_is_ignored())
		assert_int_equal(resident & 1, 1);
}

static volatile sig_atomic_t uses;

static void use_now(int sig)
{
	ages_touch(&ages, 3);
	uses++;
}

/* A block that is used at any instruction of a sweep is not lost. */
static void test_amid_a_sweep(void **state)
{
	const struct itimerval often = {{.tv_usec = 40}, {.tv_usec = 40}}, never = {{0}, {0}};
	int most = (int)test_amount(4000), before;

	/* One word of bytes, so that it is swept most of the time. */
	tear_down(NULL);
	must(ages_open(&ages, NULL, 0, 8, NULL, false) == 0 && ages_find_pages(&ages) == 0);
	table = (struct table){.n = 8, .map = calloc(1, 8), .words = calloc(8, 8)};
	have(3);
	signal(SIGALRM, use_now);
	must(setitimer(ITIMER_REAL, &often, NULL) == 0);
	ages_pass(&ages, 1);
	for (uses = 0; uses < most;) {
		before = uses;
		ages.sweep.block = 0;
		ages_sweep(&ages, &table);
		if (uses != before)
			assert_true(ages.bytes[3] <= 1);
	}
	must(setitimer(ITIMER_REAL, &never, NULL) == 0);
}

static void *use(void *opaque)
{
	for (unsigned i = 0; i < test_amount(300000); i++)
		ages_touch(&ages, 3);
	return opaque;
}

/* An access beside a sweep takes nothing from its neighbours. */
static void test_beside_accesses(void **state)
{
	uint64_t marked = 0;
	pthread_t thread;

	for (unsigned i = 0; i < 16; i++)
		have(i);
	must(pthread_create(&thread, NULL, use, NULL) == 0);
	for (unsigned i = 0; i < 2000; i++) {
		pass(1);
		marked += ages_mark(&ages, 3, 0);
	}
	must(pthread_join(thread, NULL) == 0);
	assert_true(marked > 0);
	ages_touch(&ages, 3);
	for (unsigned i = 0; i < 16; i++) {
		uint64_t age = age_of(i);

		assert_true(i == 3 ? age == 0 : age <= 2000 && age + age / 3 + 2 >= 2000);
		assert_false(ages_is_idle(&ages, i));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_steps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_each_second, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_idle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_fault, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_amid_a_sweep, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_beside_accesses, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

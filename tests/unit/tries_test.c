/* SPDX-License-Identifier: BSD-3-Clause */
/* What follows from servers that failed: when the next one is started, how long it may take, and from which files. */
#include "lib/test.h"

#include "daemon/keeper/tries.h"

static void test_pause(void **state)
{
	static const struct {
		unsigned started;
		uint64_t us;
	} cases[] = {
		{0, 50000}, {1, 50000}, {2, 100000}, {3, 200000}, {7, 3200000}, {8, 5000000}, {1000000000, 5000000},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(tries_pause_us(&(struct tries){.started = cases[i].started}), cases[i].us);
}

static void test_limit(void **state)
{
	static const struct {
		unsigned started, first_ms, dead_s;
		uint64_t us;
	} cases[] = {
		/* The first try, and whoever asks before it. */
		{0, 10000, 3600, 10000000},
		{1, 10000, 3600, 10000000},
		{2, 10000, 3600, 20000000},
		{5, 10000, 3600, 160000000},
		{6, 10000, 3600, 160000000},
		{~0u, 10000, 3600, 160000000},
		/* A second try is to be possible before requests fail. */
		{1, 10000, 15, 5000000},
		{5, 10000, 300, 100000000},
		/* 16 TiB. */
		{5, 16394000, 86400, UINT64_C(28800000000)},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(tries_limit_us(&(struct tries){.started = cases[i].started}, cases[i].first_ms,
						cases[i].dead_s),
				 cases[i].us);
}

/* Every end, after failures or none: what remains of their number. */
static void test_ends(void **state)
{
	static const struct {
		struct tries_end end;
		unsigned from_0, from_3;
		const char *what;
	} cases[] = {
		{{false, 0, false, false, false}, 1, 4, "it ended before it came into service"},
		{{false, 0, false, true, false}, 1, 4, "it took too long, and was killed for it"},
		{{true, 0, false, false, false}, 1, 4, "it crashed as soon as it was in service"},
		{{true, STEADY_US - 1, false, false, false}, 1, 4, "it crashed soon after"},
		{{true, STEADY_US - 1, true, true, false}, 1, 4, "it hung soon after, and was killed for it"},
		{{true, STEADY_US - 1, false, true, false}, 0, 3, "somebody killed it soon after, which says nothing"},
		{{true, STEADY_US, false, false, false}, 0, 0, "it had worked before it crashed"},
		{{true, STEADY_US, true, true, false}, 0, 0, "it had worked before it hung"},
		{{true, STEADY_US, false, true, false}, 0, 0, "it had worked before it was killed"},
		{{false, 0, false, true, true}, 0, 3, "an earlier daemon's ended before it had answered this one"},
		{{true, STEADY_US - 1, false, true, true},
		 0,
		 3,
		 "an earlier daemon's ended soon after it had answered"},
		{{false, 0, true, true, true}, 1, 4, "an earlier daemon's did not answer, and was killed for it"},
		{{true, STEADY_US, false, true, true}, 0, 0, "an earlier daemon's had worked before it ended"},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct tries none = {0}, three = {.started = 2, .failures = 3};

		tries_count(&none, &cases[i].end);
		tries_count(&three, &cases[i].end);
		if (none.failures != cases[i].from_0 || three.failures != cases[i].from_3)
			fail_msg("%s: %u and %u", cases[i].what, none.failures, three.failures);
		assert_int_equal(three.started, 2);
	}
}

/* What is installed first, then what is kept, and so on by turns. */
static void test_files(void **state)
{
	assert_false(tries_take_kept(&(struct tries){.failures = 0}));
	assert_true(tries_take_kept(&(struct tries){.failures = 1}));
	assert_false(tries_take_kept(&(struct tries){.failures = 2}));
	assert_true(tries_take_kept(&(struct tries){.failures = 3}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("tries", tests, NULL, NULL);
}

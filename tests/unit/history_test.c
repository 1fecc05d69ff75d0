/* SPDX-License-Identifier: BSD-3-Clause */
/* The servers that were replaced: the last ones are kept, in order, and all count. */
#include "lib/test.h"

#include "daemon/keeper/history.h"

static void add(struct history *history, int64_t when, uint64_t outage_us, enum history_event event)
{
	history_add(history, &(struct history_entry){.when = when, .outage_us = outage_us, .event = event});
}

static void test_none(void **state)
{
	struct history history = {.replaced = 0};

	assert_int_equal(history_count(&history), 0);
	assert_int_equal(history_median_outage_us(&history), 0);
}

static void test_order(void **state)
{
	struct history history = {.replaced = 0};

	for (unsigned i = 1; i <= 3 * HISTORY_ENTRIES; i++) {
		add(&history, i, 1000u * i, i % 4 ? HISTORY_DIED : HISTORY_HUNG);
		assert_int_equal(history_count(&history), i < HISTORY_ENTRIES ? i : HISTORY_ENTRIES);
		for (unsigned at = 0; at < history_count(&history); at++)
			assert_int_equal(history_at(&history, at)->when, i - history_count(&history) + 1 + at);
	}
	assert_int_equal(history.replaced, 3 * HISTORY_ENTRIES);
	assert_int_equal(history.hung, 3 * HISTORY_ENTRIES / 4);
}

/* The median is of those that are kept; the longest is of all. */
static void test_outages(void **state)
{
	struct history history = {.replaced = 0};

	add(&history, 1, 9000, HISTORY_DIED);
	assert_int_equal(history_median_outage_us(&history), 9000);
	add(&history, 2, 1000, HISTORY_DIED);
	assert_int_equal(history_median_outage_us(&history), 1000);
	add(&history, 3, 5000, HISTORY_UPGRADED);
	assert_int_equal(history_median_outage_us(&history), 5000);
	for (unsigned i = 0; i < HISTORY_ENTRIES; i++)
		add(&history, 4 + i, 2000 + i, HISTORY_DIED);
	assert_int_equal(history_median_outage_us(&history), 2000 + (HISTORY_ENTRIES - 1) / 2);
	assert_int_equal(history.longest_outage_us, 9000);
}

static void test_names(void **state)
{
	for (int event = HISTORY_DIED; event <= HISTORY_MISSING; event++) {
		assert_non_null(history_event_name((enum history_event)event));
		for (int other = HISTORY_DIED; other < event; other++)
			assert_string_not_equal(history_event_name((enum history_event)event),
						history_event_name((enum history_event)other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_outages),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}

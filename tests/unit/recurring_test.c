/* SPDX-License-Identifier: BSD-3-Clause */
/* What lasts is said when it changes, and once a minute. */
#include "lib/test.h"

#include "daemon/base/recurring.h"

#define SECOND 1000000u

static void test_due(void **state)
{
	struct recurring recurring = {0};
	unsigned said = 0;

	/* A try each 5 seconds, for an hour, each with another process. */
	for (unsigned i = 0; i < 720; i++) {
		char text[60];

		snprintf(text, sizeof text, "server (process %u) ended with exit status 1", 98 + i * 7);
		said += recurring_is_due(&recurring, text, (i + 1) * 5ull * SECOND);
	}
	assert_int_equal(said, 60);
}

static void test_changes(void **state)
{
	struct recurring recurring = {0};

	assert_true(recurring_is_due(&recurring, "process 1: no memory", 0));
	assert_false(recurring_is_due(&recurring, "process 22: no memory", SECOND));
	assert_true(recurring_is_due(&recurring, "process 22: no plugin", SECOND));
	assert_true(recurring_is_due(&recurring, "process 22: no plugin at all", SECOND));
	assert_true(recurring_is_due(&recurring, "process : no plugin at all", SECOND));
	recurring_end(&recurring);
	assert_true(recurring_is_due(&recurring, "process : no plugin at all", SECOND));
	assert_false(recurring_is_due(&recurring, "process : no plugin at all", SECOND));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests_name("recurring", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole numbers: the bounds, and what is none. */
#include "lib/test.h"

#include "text/number.h"

#include <errno.h>

static void test_numbers(void **state)
{
	int64_t n;

	assert_int_equal(number_parse("0", 0, 10, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(number_parse("10", 0, 10, &n), 0);
	assert_int_equal(n, 10);
	assert_int_equal(number_parse("-5", -5, 10, &n), 0);
	assert_int_equal(n, -5);
	assert_int_equal(number_parse("010", 0, 10, &n), 0);
	assert_int_equal(n, 10);
	assert_int_equal(number_parse("-9223372036854775808", INT64_MIN, 0, &n), 0);
	assert_true(n == INT64_MIN);
	assert_int_equal(number_parse("9223372036854775807", 0, INT64_MAX, &n), 0);
	assert_true(n == INT64_MAX);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {"",
					  "-",
					  "--1",
					  "+1",
					  " 1",
					  "1 ",
					  "1s",
					  "0x10",
					  "1.5",
					  "two",
					  "9223372036854775808",
					  "-9223372036854775809"};
	int64_t n = 7;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (number_parse(bad[i], INT64_MIN, INT64_MAX, &n) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(number_parse("-1", 0, 10, &n), -EINVAL);
	assert_int_equal(number_parse("11", 0, 10, &n), -EINVAL);
	assert_int_equal(n, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}

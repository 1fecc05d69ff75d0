/* SPDX-License-Identifier: BSD-3-Clause */
/* Times: every suffix, and what is none. */
#include "lib/test.h"

#include "text/duration.h"

#include <errno.h>
#include <inttypes.h>

static void expect_seconds(const char *text, uint64_t seconds)
{
	uint64_t found = 1;

	if (duration_parse(text, &found) != 0 || found != seconds)
		fail_msg("'%s' is %" PRIu64 " seconds, not %" PRIu64, text, found, seconds);
}

static void test_parse(void **state)
{
	static const char *const bad[] = {
		"", " 5", "-5", "+5", "s", "5 m", "5ms", "5w", "1.5h", "99999999999999999999", "300000000000000000d"};
	uint64_t seconds = 1;

	expect_seconds("0", 0);
	expect_seconds("90", 90);
	expect_seconds("90s", 90);
	expect_seconds("15m", 900);
	expect_seconds("4h", 14400);
	expect_seconds("2d", 172800);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (duration_parse(bad[i], &seconds) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(seconds, 1);
}

/* What is written is taken again, and is the same. */
static void test_written(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} cases[] = {{0, "0s"},     {1, "1s"},      {59, "59s"},         {60, "1m"},
		     {90, "90s"},   {900, "15m"},   {3600, "1h"},        {5400, "90m"},
		     {86400, "1d"}, {90000, "25h"}, {172801, "172801s"}, {UINT64_MAX, "18446744073709551615s"}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[DURATION_BYTES];

		assert_string_equal(duration_text(cases[i].seconds, text), cases[i].text);
		expect_seconds(text, cases[i].seconds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_written),
	};

	return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes and times as people read them: every unit, and where one ends. */
#include "lib/test.h"

#include "ctl/human.h"

#include <inttypes.h>

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{0, "0B"},
		{1023, "1023B"},
		{1024, "1K"},
		{1075, "1K"}, /* 1.0498 */
		{1076, "1.1K"},
		{1536, "1.5K"},
		{4096, "4K"},
		{(1 << 20) - 1, "1024K"},
		{1 << 20, "1M"},
		{UINT64_C(5) << 29, "2.5G"},
		{UINT64_C(1) << 40, "1T"},
		{UINT64_C(3) << 49, "1.5P"},
		{UINT64_MAX, "16E"},
	};
	char text[HUMAN_BYTES];

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		assert_string_equal(human_size(sizes[i].bytes, text), sizes[i].text);
}

static void test_times(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} times[] = {
		{0, "0 s"},
		{59, "59 s"},
		{60, "1 min"},
		{3599, "59 min"},
		{3600, "1 h"},
		{3660, "1 h 1 min"},
		{86399, "23 h 59 min"},
		{86400, "1 d"},
		{90000, "1 d 1 h"},
		{86400 + 3599, "1 d"},
		{UINT64_MAX, "213503982334601 d 7 h"},
	};
	char text[HUMAN_BYTES];

	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		assert_string_equal(human_time(times[i].seconds, text), times[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests_name("human", tests, NULL, NULL);
}

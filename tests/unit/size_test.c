/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes: every suffix, the largest, and what is none. */
#include "lib/test.h"

#include "text/size.h"

#include <errno.h>
#include <inttypes.h>

static void expect_size(const char *text, uint64_t bytes)
{
	uint64_t found = 1;

	if (size_parse(text, &found) != 0 || found != bytes)
		fail_msg("'%s' is %" PRIu64 " bytes, not %" PRIu64, text, found, bytes);
}

static void test_sizes(void **state)
{
	expect_size("0", 0);
	expect_size("-0", 0);
	expect_size("4096", 4096);
	expect_size("+4096", 4096);
	expect_size(" 4096", 4096);
	expect_size("010", 10); /* never octal */
	expect_size("7b", 7);
	expect_size("7B", 7);
	expect_size("2s", 1024);
	expect_size("2S", 1024);
	expect_size("3k", 3 << 10);
	expect_size("3K", 3 << 10);
	expect_size("512M", 512 << 20);
	expect_size("2g", UINT64_C(2) << 30);
	expect_size("1T", UINT64_C(1) << 40);
	expect_size("1P", UINT64_C(1) << 50);
	expect_size("7E", UINT64_C(7) << 60);
}

static void test_largest(void **state)
{
	uint64_t bytes = 1;

	expect_size("9223372036854775807", INT64_MAX);
	expect_size("9007199254740991K", INT64_MAX - 1023);
	assert_int_equal(size_parse("9223372036854775808", &bytes), -EINVAL);
	assert_int_equal(size_parse("9007199254740992K", &bytes), -EINVAL);
	assert_int_equal(size_parse("8E", &bytes), -EINVAL);
	assert_int_equal(size_parse("99999999999999999999", &bytes), -EINVAL);
	assert_int_equal(bytes, 1);
}

static void test_no_sizes(void **state)
{
	static const char *const bad[] = {"",    " ",    "-1",  "-4096", "lots", "M",    "1.5M",  "1 M", "1M ",
					  "1MB", "1KiB", "1kk", "0x10",  "1,5",  "1e3 ", "1\xb5", "--1"};
	uint64_t bytes = 1;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (size_parse(bad[i], &bytes) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(bytes, 1);
}

static void test_units(void **state)
{
	static const char suffixes[] = "BKMGTPE", small[] = "bkmgtpe";

	for (unsigned i = 0; suffixes[i]; i++) {
		assert_int_equal(size_unit(suffixes[i]), UINT64_C(1) << 10 * i);
		assert_int_equal(size_unit(small[i]), UINT64_C(1) << 10 * i);
	}
	assert_int_equal(size_unit('\0'), 0);
	assert_int_equal(size_unit('S'), 0); /* no power of 1024 */
	assert_int_equal(size_unit('\xeb'), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_no_sizes),
		cmocka_unit_test(test_units),
	};

	return cmocka_run_group_tests_name("size", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The system page, and what is rounded to it. */
#include "lib/test.h"

#include "process/system_page.h"

static void test_is_a_power_of_two(void **state)
{
	assert_true(system_page() >= 4096);
	assert_int_equal(system_page() & (system_page() - 1), 0);
	assert_int_equal(system_page(), sysconf(_SC_PAGESIZE));
}

static void test_rounds(void **state)
{
	const uint64_t page = system_page(),
		       numbers[] = {0, 1, page - 1, page, page + 1, 7 * page, (UINT64_C(1) << 44) + 5};

	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		uint64_t n = numbers[i], floor = system_page_floor(n), ceil = system_page_ceil(n);

		assert_true(floor <= n && n <= ceil);
		assert_int_equal(floor % page, 0);
		assert_int_equal(ceil % page, 0);
		assert_int_equal(ceil - floor, n % page ? page : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_a_power_of_two),
		cmocka_unit_test(test_rounds),
	};

	return cmocka_run_group_tests_name("system_page", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of instances. */
#include "lib/test.h"

#include "text/name.h"

static void test_names(void **state)
{
	static const char *const good[] = {"a",      "swap0", "A.b_c-9", "...", "-", "12345678901234567890123456789012",
					   "conf.d", "a.conf"};
	static const char *const bad[] = {"",        ".",           "..",       "a/b",
					  "a b",     "a\n",         "\xc3\xa4", "123456789012345678901234567890123",
					  ".conf.d", "swap0.conf.d"};

	for (size_t i = 0; i < COUNT_OF(good); i++)
		if (!name_is_good(good[i]))
			fail_msg("'%s' was refused", good[i]);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (name_is_good(bad[i]))
			fail_msg("'%s' was taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What an instance needs below a memory limit, and its defaults there. */
#include "lib/test.h"

#include "daemon/resources/memlimit.h"

#define MIB (UINT64_C(1) << 20)

static void make(struct settings *settings, const char *size)
{
	settings_init(settings);
	settings->ram_bytes = 512 * MIB;
	assert_int_equal(settings_add_param(settings, "size", size), 0);
}

/* Each part that an instance has beside its data counts, and the margin. */
static void test_needed(void **state)
{
	struct settings settings;
	uint64_t bare, limit;

	make(&settings, "1073741824");
	settings.recovery_reserve = 0;
	bare = memlimit_needed(&settings, 0);
	settings.recovery_reserve = 16 * MIB;
	assert_int_equal(memlimit_needed(&settings, 0), bare + 16 * MIB);
	assert_int_equal(memlimit_needed(&settings, 160 * MIB), bare + 16 * MIB + 16 * MIB);
	assert_int_equal(settings_add_param(&settings, "reserve", "20971520"), 0);
	assert_int_equal(memlimit_needed(&settings, 0), bare + 36 * MIB);
	assert_int_equal(settings_replace_param(&settings, "size", "2147483648"), 0);
	assert_int_equal(memlimit_needed(&settings, 0), bare + 38 * MIB);
	/* What is said to be needed is enough, and a MiB less is not. */
	limit = memlimit_least_mib(&settings) * MIB;
	assert_true(memlimit_needed(&settings, limit) <= limit);
	assert_true(memlimit_needed(&settings, limit - MIB) > limit - MIB);
	settings_free(&settings);
}

static void test_defaults(void **state)
{
	struct settings settings;

	make(&settings, "1073741824");
	settings.limit_bytes = 64 * MIB;
	settings_default_recovery(&settings);
	assert_int_equal(settings_default_reserve(&settings), 0);
	assert_int_equal(settings.recovery_reserve, 8 * MIB);
	assert_int_equal(settings_param_bytes(&settings, "reserve"), 8 * MIB);
	settings_free(&settings);

	make(&settings, "1073741824");
	settings.limit_bytes = 1024 * MIB;
	settings_default_recovery(&settings);
	assert_int_equal(settings_default_reserve(&settings), 0);
	assert_int_equal(settings.recovery_reserve, 16 * MIB);
	assert_int_equal(settings_param_bytes(&settings, "reserve"), 16 * MIB);
	settings_free(&settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

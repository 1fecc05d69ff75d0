/* SPDX-License-Identifier: BSD-3-Clause */
/* What zsblk needs of a machine: the kernel's settings on small and large ones, and process 1. */
#include "lib/files.h"
#include "lib/test.h"

#include "machine/needs.h"

#define MIB (UINT64_C(1) << 20)

static const struct needs_sysctl *sysctl_of(const char *name)
{
	for (unsigned i = 0; i < NEEDS_SYSCTLS; i++)
		if (strcmp(needs_sysctls[i].name, name) == 0)
			return &needs_sysctls[i];
	return NULL;
}

static void test_sysctls(void **state)
{
	const struct needs_sysctl *free_kib = sysctl_of("min_free_kbytes"), *cluster = sysctl_of("page-cluster");

	assert_non_null(free_kib);
	assert_int_equal(needs_sysctl_value(free_kib, 256 * MIB), 32 << 10);
	assert_int_equal(needs_sysctl_value(free_kib, 16384 * MIB), 64 << 10);
	assert_false(needs_sysctl_is_met(free_kib, 256 * MIB, (32 << 10) - 1));
	assert_true(needs_sysctl_is_met(free_kib, 256 * MIB, 32 << 10));
	assert_true(needs_sysctl_is_met(free_kib, 256 * MIB, 99 << 10));
	assert_non_null(cluster);
	assert_true(needs_sysctl_is_met(cluster, 256 * MIB, 0));
	assert_false(needs_sysctl_is_met(cluster, 256 * MIB, 3));
	assert_non_null(sysctl_of("watermark_boost_factor"));
}

static void test_process_1(void **state)
{
	const char *const texts[] = {"0\n", "max\n", "4096\n", ""};

	assert_int_equal(files_make(NULL), 0);
	assert_true(needs_process_1_is_swappable(files_top));
	files_put("init.scope/other", "");
	assert_true(needs_process_1_is_swappable(files_top));
	for (unsigned i = 0; i < 4; i++) {
		files_put("init.scope/memory.swap.max", texts[i]);
		assert_int_equal(needs_process_1_is_swappable(files_top), i != 0);
	}
	assert_int_equal(files_remove(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sysctls),
		cmocka_unit_test(test_process_1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's settings for swap: made once, undone where nobody changed them since. In a folder of the test's own. */
#include "daemon/sysctls.h"
#include "lib/test.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/zsblk-sysctls.XXXXXX";
static char record[64];

static void put(const char *name, const char *value)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%s\n", value);
	fclose(f);
}

static unsigned long get(const char *name)
{
	char path[64];
	unsigned long value = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &value), 1);
	fclose(f);
	return value;
}

static int set_up(void **state)
{
	snprintf(record, sizeof record, "%s/record", folder);
	unlink(record);
	sysctls_use_folder(folder);
	put("page-cluster", "3");
	put("watermark_boost_factor", "15000");
	put("min_free_kbytes", "2000");
	return 0;
}

static void test_made_and_undone(void **state)
{
	sysctls_make(record);
	assert_int_equal(get("page-cluster"), 0);
	assert_int_equal(get("watermark_boost_factor"), 0);
	assert_in_range(get("min_free_kbytes"), 2001, 65536);
	sysctls_undo(record);
	assert_int_equal(get("page-cluster"), 3);
	assert_int_equal(get("watermark_boost_factor"), 15000);
	assert_int_equal(get("min_free_kbytes"), 2000);
	assert_int_equal(access(record, F_OK), -1);
	/* Once more changes nothing. */
	sysctls_undo(record);
	assert_int_equal(get("page-cluster"), 3);
}

/* A daemon that takes over must not take the new values for the old ones. */
static void test_made_twice(void **state)
{
	sysctls_make(record);
	sysctls_make(record);
	sysctls_undo(record);
	assert_int_equal(get("page-cluster"), 3);
}

static void test_changed_meanwhile(void **state)
{
	sysctls_make(record);
	put("page-cluster", "1");
	sysctls_undo(record);
	assert_int_equal(get("page-cluster"), 1);
	assert_int_equal(get("watermark_boost_factor"), 15000);
}

static void test_more_is_left(void **state)
{
	put("min_free_kbytes", "99999");
	sysctls_make(record);
	assert_int_equal(get("min_free_kbytes"), 99999);
	sysctls_undo(record);
	assert_int_equal(get("min_free_kbytes"), 99999);
}

/* A kernel without one of them. */
static void test_missing(void **state)
{
	char path[64];

	snprintf(path, sizeof path, "%s/watermark_boost_factor", folder);
	unlink(path);
	sysctls_make(record);
	assert_int_equal(get("page-cluster"), 0);
	sysctls_undo(record);
	assert_int_equal(get("page-cluster"), 3);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_made_and_undone, set_up),
		cmocka_unit_test_setup(test_made_twice, set_up),
		cmocka_unit_test_setup(test_changed_meanwhile, set_up),
		cmocka_unit_test_setup(test_more_is_left, set_up),
		cmocka_unit_test_setup(test_missing, set_up),
	};
	char command[80];
	int failed;

	if (!mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests_name("sysctls", tests, NULL, NULL);
	snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command) ? 1 : failed;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's settings for swap: made once, undone where nobody changed them since. In a folder of the test's own. */
#include "daemon/kernel/sysctls.h"
#include "lib/test.h"

#include <stdlib.h>
#include <sys/wait.h>
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

static bool nobody(const void *opaque)
{
	return false;
}

static bool somebody(const void *opaque)
{
	return true;
}

static void test_made_and_undone(void **state)
{
	sysctls_make(record);
	assert_int_equal(get("page-cluster"), 0);
	assert_int_equal(get("watermark_boost_factor"), 0);
	assert_in_range(get("min_free_kbytes"), 2001, 65536);
	sysctls_undo(record, nobody, NULL);
	assert_int_equal(get("page-cluster"), 3);
	assert_int_equal(get("watermark_boost_factor"), 15000);
	assert_int_equal(get("min_free_kbytes"), 2000);
	assert_int_equal(access(record, F_OK), -1);
	/* Once more changes nothing. */
	sysctls_undo(record, nobody, NULL);
	assert_int_equal(get("page-cluster"), 3);
}

/* A daemon that takes over must not take the new values for the old ones. */
static void test_made_twice(void **state)
{
	sysctls_make(record);
	sysctls_make(record);
	sysctls_undo(record, nobody, NULL);
	assert_int_equal(get("page-cluster"), 3);
}

static void test_changed_meanwhile(void **state)
{
	sysctls_make(record);
	put("page-cluster", "1");
	sysctls_undo(record, nobody, NULL);
	assert_int_equal(get("page-cluster"), 1);
	assert_int_equal(get("watermark_boost_factor"), 15000);
}

static void test_more_is_left(void **state)
{
	put("min_free_kbytes", "99999");
	sysctls_make(record);
	assert_int_equal(get("min_free_kbytes"), 99999);
	sysctls_undo(record, nobody, NULL);
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
	sysctls_undo(record, nobody, NULL);
	assert_int_equal(get("page-cluster"), 3);
	assert_int_equal(access(path, F_OK), -1);
}

/* Where nothing can be written down, the settings are made all the same: without them the machine may hang. */
static void test_no_record(void **state)
{
	static const char *const places[] = {"/dev/full", "/proc/nowhere/record"};

	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		put("page-cluster", "3");
		sysctls_make(places[i]);
		assert_int_equal(get("page-cluster"), 0);
		sysctls_undo(places[i], nobody, NULL);
		assert_int_equal(get("page-cluster"), 0);
	}
}

/* A daemon that died half-way has written down one of them; the next one makes those that are missing. */
static void test_half_made(void **state)
{
	put("record", "page-cluster 3 0");
	put("page-cluster", "0");
	sysctls_make(record);
	assert_int_equal(get("watermark_boost_factor"), 0);
	sysctls_undo(record, nobody, NULL);
	assert_int_equal(get("page-cluster"), 3);
	assert_int_equal(get("watermark_boost_factor"), 15000);
}

static void test_needed_by_others(void **state)
{
	sysctls_make(record);
	sysctls_undo(record, somebody, NULL);
	assert_int_equal(get("page-cluster"), 0);
	sysctls_undo(record, nobody, NULL);
	assert_int_equal(get("page-cluster"), 3);
}

static int begin;

/* Another instance begins right after we looked whether there is one. */
static bool nobody_yet(const void *opaque)
{
	assert_int_equal(write(begin, "", 1), 1);
	/* Time for it to take what it finds for made, if it does not wait for us. */
	usleep(200 * 1000);
	return false;
}

static void test_race(void **state)
{
	int status = -1, ends[2];
	char byte;
	pid_t other;

	sysctls_make(record);
	assert_int_equal(pipe(ends), 0);
	other = fork();
	if (other == 0) {
		if (read(ends[0], &byte, 1) == 1)
			sysctls_make(record);
		_exit(0);
	}
	begin = ends[1];
	sysctls_undo(record, nobody_yet, NULL);
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(status, 0);
	assert_int_equal(get("page-cluster"), 0);
	sysctls_undo(record, nobody, NULL);
	assert_int_equal(get("page-cluster"), 3);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_made_and_undone, set_up),
		cmocka_unit_test_setup(test_made_twice, set_up),
		cmocka_unit_test_setup(test_changed_meanwhile, set_up),
		cmocka_unit_test_setup(test_more_is_left, set_up),
		cmocka_unit_test_setup(test_missing, set_up),
		cmocka_unit_test_setup(test_no_record, set_up),
		cmocka_unit_test_setup(test_half_made, set_up),
		cmocka_unit_test_setup(test_needed_by_others, set_up),
		cmocka_unit_test_setup(test_race, set_up),
	};
	char command[80];
	int failed;

	if (!mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests_name("sysctls", tests, NULL, NULL);
	snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command) ? 1 : failed;
}

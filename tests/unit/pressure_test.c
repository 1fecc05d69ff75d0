/* SPDX-License-Identifier: BSD-3-Clause */
/* Pressure: what the kernel's files say, what they might, and where there is none. */
#include "lib/files.h"
#include "lib/test.h"

#include "process/cgroup.h"
#include "process/pressure.h"

#include <errno.h>
#include <unistd.h>

#define LINES(some, full)                                                                                              \
	"some avg10=" some " avg60=7.00 avg300=8.00 total=99\nfull avg10=" full " avg60=7.00 avg300=8.00 total=88\n"

static bool look(const char *system, const char *group, unsigned *some)
{
	struct pressure pressure;
	char paths[2][400];
	bool tells;

	if (system)
		files_put("system", system);
	if (group)
		files_put("group", group);
	strcpy(paths[0], files_path("system"));
	strcpy(paths[1], files_path("group"));
	pressure_open_from(&pressure, system ? paths[0] : NULL, group ? paths[1] : NULL);
	tells = pressure_look(&pressure, some);
	pressure_close(&pressure);
	return tells;
}

static void expect(const char *system, const char *group, unsigned wanted)
{
	unsigned some;

	assert_true(look(system, group, &some));
	assert_int_equal(some, wanted);
}

static void test_shares(void **state)
{
	expect(LINES("0.00", "0.00"), NULL, 0);
	expect(LINES("12.34", "0.05"), NULL, 1234);
	expect(LINES("100.00", "99.99"), NULL, 10000);
	/* The higher one counts. */
	expect(LINES("1.00", "0.50"), LINES("0.10", "0.90"), 100);
	expect(LINES("1.00", "0.50"), LINES("7.10", "0.90"), 710);
	expect(NULL, LINES("3.20", "0.00"), 320);
	/* Not the kernel's way to write them, and no harm. */
	expect("some avg10=5\n", NULL, 500);
	expect("some avg10=5.5", NULL, 550);
	expect("some avg10=5.123\n", NULL, 512);
	expect("some avg10=999999999999999999999.00\nfull avg10=-1.00\n", NULL, 10000);
}

static void test_nothing_is_told(void **state)
{
	static const char *const texts[] = {"", "\n", "full avg10=1.00\n", "awesome avg10=1.00\n", "some avg60=1.00\n"};
	unsigned some;

	assert_false(look(NULL, NULL, &some));
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		assert_false(look(texts[i], NULL, &some));
		assert_int_equal(some, 0);
	}
}

static void test_file_of_our_group(void **state)
{
	char names[400], mounts[400], text[900];
	int fd;

	files_put("mount/a/b/memory.pressure", LINES("2.00", "1.00"));
	snprintf(text, sizeof text, "31 23 0:27 / %s/mount rw - cgroup2 none rw\n", files_top);
	files_put("mountinfo", text);
	files_put("cgroup", "0::/a/b\n");
	strcpy(names, files_path("cgroup"));
	strcpy(mounts, files_path("mountinfo"));
	fd = cgroup_open_file_from(names, mounts, "memory.pressure");
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(cgroup_open_file_from(names, mounts, "memory.nothing"), -ENOENT);
	/* Version 1 has no such files. */
	files_put("cgroup", "4:memory:/a/b\n");
	assert_int_equal(cgroup_open_file_from(names, mounts, "memory.pressure"), -ENOENT);
	assert_int_equal(cgroup_open_file_from("/nonexistent", mounts, "memory.pressure"), -ENOENT);
}

/* Whatever this machine has, it can be looked at again and again. */
static void test_this_machine(void **state)
{
	struct pressure pressure;
	unsigned some;

	pressure_open(&pressure);
	for (unsigned i = 0; i < 100; i++) {
		(void)pressure_look(&pressure, &some);
		assert_true(some <= 10000);
	}
	pressure_close(&pressure);
	pressure_close(&pressure);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_nothing_is_told),
		cmocka_unit_test(test_file_of_our_group),
		cmocka_unit_test(test_this_machine),
	};

	return cmocka_run_group_tests_name("pressure", tests, files_make, files_remove);
}

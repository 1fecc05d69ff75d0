/* SPDX-License-Identifier: BSD-3-Clause */
/* A group by its name or number. */
#include "lib/files.h"
#include "lib/test.h"

#include "daemon/settings/group.h"

#include <errno.h>

static void expect(const char *text, int r, gid_t wanted)
{
	gid_t group = 1;

	assert_int_equal(group_find(files_path("group"), text, &group), r);
	assert_int_equal(group, wanted);
}

static void test_find(void **state)
{
	files_put("group", "root:x:0:\nadm:x:4:syslog,somebody\nwrong\n\nmonitoring:x:996:\n");
	expect("root", 0, 0);
	expect("adm", 0, 4);
	expect("monitoring", 0, 996);
	expect("somebody", -ENOENT, GROUP_NONE);
	expect("", -ENOENT, GROUP_NONE);
	expect("4", 0, 4);
	/* One that nobody has a name for. */
	expect("123456", 0, 123456);
	expect("4294967295", -ENOENT, GROUP_NONE);
	expect("-1", -ENOENT, GROUP_NONE);
}

static void test_no_file(void **state)
{
	gid_t group;

	assert_int_equal(group_find(files_path("none"), "adm", &group), -ENOENT);
	assert_int_equal(group_find(files_path("none"), "4", &group), 0);
}

static void test_number(void **state)
{
	gid_t group = 1;

	assert_int_equal(group_number("4", &group), 0);
	assert_int_equal(group, 4);
	assert_int_equal(group_number("adm", &group), -EINVAL);
	assert_int_equal(group, GROUP_NONE);
	assert_int_equal(group_number("4294967295", &group), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_number),
	};

	return cmocka_run_group_tests_name("group", tests, files_make, files_remove);
}

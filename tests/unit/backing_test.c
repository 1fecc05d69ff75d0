/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose /dev/nbdN is, in a folder that has the files that the nbd client has in /sys. That a kernel writes them so: tests/vm. */
#include "lib/files.h"

#include "daemon/transport/nbd/backing.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static struct device devices[4], found;

/* nbd0 is ours, nbd1 another zsblkd's, nbd2 is attached to something else, nbd3 to nothing. */
static int set_up(void **state)
{
	if (files_enter(state) < 0 || mkdir("sys", 0700) < 0)
		return -1;
	for (int i = 0; i < 4; i++) {
		char path[40];

		snprintf(path, sizeof path, "sys/nbd%d", i);
		mkdir(path, 0700);
		snprintf(path, sizeof path, "/dev/nbd%d", i);
		device_init(&devices[i], path);
	}
	files_put("sys/nbd0/pid", "17\n");
	files_put("sys/nbd0/backend", "zsblk:one\n");
	files_put("sys/nbd1/pid", "18\n");
	files_put("sys/nbd1/backend", "zsblk:other\n");
	files_put("sys/nbd2/pid", "19\n");
	return 0;
}

static void test_found(void **state)
{
	assert_int_equal(backing_find("zsblk:other", &found), 0);
	assert_string_equal(found.path, "/dev/nbd1");
	assert_int_equal(backing_find("zsblk:one", &found), 0);
	assert_string_equal(found.path, "/dev/nbd0");
	assert_int_equal(backing_find("zsblk:two", &found), -ENODEV);
	assert_true(backing_has_others(&devices[0]));
	files_put("sys/nbd1/backend", "somebody\n");
	assert_false(backing_has_others(&devices[0]));
	assert_true(backing_has_others(&devices[2]));
}

/* Nobody takes a device for free, or for his own, that he cannot tell about. */
static void test_whose(void **state)
{
	struct device none;

	device_init(&none, "");
	assert_int_equal(backing_of(&devices[0], "zsblk:one"), TRANSPORT_BACKING_OURS);
	assert_int_equal(backing_of(&devices[0], "zsblk:on"), TRANSPORT_BACKING_OTHER);
	assert_int_equal(backing_of(&devices[1], "zsblk:one"), TRANSPORT_BACKING_OTHER);
	assert_int_equal(backing_of(&devices[2], "zsblk:one"), TRANSPORT_BACKING_UNNAMED);
	assert_int_equal(backing_of(&devices[3], "zsblk:one"), TRANSPORT_BACKING_NONE);
	assert_int_equal(backing_of(&none, "zsblk:one"), TRANSPORT_BACKING_NONE);
	assert_true(backing_is_attached(&devices[0]));
	assert_true(backing_is_attached(&devices[2]));
	assert_false(backing_is_attached(&devices[3]));
	assert_false(backing_is_attached(&none));
	/* Files that are there and cannot be read. */
	assert_int_equal(mkdir("sys/nbd3/pid", 0700), 0);
	assert_int_equal(backing_of(&devices[3], "zsblk:one"), TRANSPORT_BACKING_UNKNOWN);
	assert_int_equal(unlink("sys/nbd0/backend"), 0);
	assert_int_equal(mkdir("sys/nbd0/backend", 0700), 0);
	assert_int_equal(backing_of(&devices[0], "zsblk:one"), TRANSPORT_BACKING_UNKNOWN);
	assert_true(backing_is_attached(&devices[0]));
}

/* What cannot be read may be the one. */
static void test_unknown(void **state)
{
	/* As if memory had run out: not absent, and not to be read either. */
	must(mkdir("sys/nbd3/backend", 0700) == 0);
	assert_int_equal(backing_of(&devices[3], "zsblk:two"), TRANSPORT_BACKING_UNKNOWN);
	assert_int_equal(backing_find("zsblk:one", &found), 0);
	assert_int_equal(backing_find("zsblk:two", &found), -EAGAIN);
	files_put("sys/nbd1/backend", "somebody\n");
	assert_true(backing_has_others(&devices[0]));
	must(rmdir("sys/nbd3/backend") == 0);
	assert_false(backing_has_others(&devices[0]));
	assert_int_equal(backing_find("zsblk:two", &found), -ENODEV);
	must(rename("sys", "nothing") == 0);
	assert_int_equal(backing_find("zsblk:one", &found), -EAGAIN);
	assert_true(backing_has_others(&devices[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found, set_up, files_leave),
		cmocka_unit_test_setup_teardown(test_whose, set_up, files_leave),
		cmocka_unit_test_setup_teardown(test_unknown, set_up, files_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

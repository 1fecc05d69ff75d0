/* SPDX-License-Identifier: BSD-3-Clause */
/* Mount points of a device: each of them, and no other's. */
#include "lib/test.h"

#include "daemon/kernel/mounts.h"

#include <sys/sysmacros.h>

static struct mounts mounts;

static void read_text(const char *text)
{
	FILE *f = fmemopen((char *)text, strlen(text), "r");

	mounts_free(&mounts);
	assert_non_null(f);
	assert_int_equal(mounts_read(&mounts, f, "/dev/nbd0", makedev(43, 0)), 0);
	fclose(f);
}

static int tear_down(void **state)
{
	mounts_free(&mounts);
	return 0;
}

#define ROOT "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"

static void test_none(void **state)
{
	read_text(ROOT "23 22 43:16 / /a rw - ext4 /dev/nbd1 rw\n24 22 43:1 / /b rw - ext4 /dev/nbd0p1 rw\n");
	assert_int_equal(mounts.n, 0);
	assert_int_equal(mounts.covered, 0);
}

/* The last one first: it may lie in one before it. */
static void test_several(void **state)
{
	read_text(ROOT "30 22 43:0 / /mnt rw shared:9 master:2 - ext4 /dev/nbd0 rw\n"
		       "31 30 43:0 /part /mnt/inner ro,noatime - ext4 /dev/nbd0 rw\n"
		       "32 22 8:1 /x /elsewhere rw - ext4 /dev/sda1 rw\n"
		       "33 22 43:0 / /with\\040blank\\134 rw - ext4 /dev/nbd0 rw\n");
	assert_int_equal(mounts.n, 3);
	assert_string_equal(mounts.points[0], "/with blank\\");
	assert_string_equal(mounts.points[1], "/mnt/inner");
	assert_string_equal(mounts.points[2], "/mnt");
	assert_int_equal(mounts.covered, 3);
}

/* By another path of the device; or with a number that a file system gave itself (btrfs). */
static void test_names(void **state)
{
	read_text("30 22 43:0 / /one rw - ext4 /dev/disk/by-label/one rw\n31 22 0:47 / /two rw - btrfs /dev/nbd0 rw\n");
	assert_int_equal(mounts.n, 2);
	assert_string_equal(mounts.points[0], "/two");
	assert_string_equal(mounts.points[1], "/one");
}

/* A user can call the source of a mount as he likes. */
static void test_fuse(void **state)
{
	read_text("30 22 0:47 / /a rw - fuse /dev/nbd0 rw\n31 22 0:48 / /b rw - fuse.sshfs /dev/nbd0 rw\n"
		  "32 22 43:0 / /c rw - fuseblk /dev/nbd0 rw\n");
	assert_int_equal(mounts.n, 1);
	assert_string_equal(mounts.points[0], "/c");
}

/* Who unmounts by that path unmounts somebody else's. */
static void test_covered(void **state)
{
	read_text("30 22 43:0 / /mnt rw - ext4 /dev/nbd0 rw\n31 30 0:50 / /mnt rw - tmpfs none rw\n33 22 43:0 / /b rw "
		  "- ext4 /dev/nbd0 rw\n");
	assert_int_equal(mounts.n, 2);
	assert_int_equal(mounts.covered, 1);
	/* Ours lies on top. */
	read_text("30 22 0:50 / /mnt rw - tmpfs none rw\n31 30 43:0 / /mnt rw - ext4 /dev/nbd0 rw\n");
	assert_int_equal(mounts.n, 1);
	assert_int_equal(mounts.covered, 1);
	/* Twice in one place: both can be unmounted. */
	read_text("30 22 43:0 / /mnt rw - ext4 /dev/nbd0 rw\n31 30 43:0 / /mnt rw - ext4 /dev/nbd0 rw\n");
	assert_int_equal(mounts.n, 2);
	assert_int_equal(mounts.covered, 2);
}

static void test_damaged(void **state)
{
	read_text("30 22 43:0 / /a rw\n30 22 43:0 / /b rw -\n30 22 43:0 / /c rw - ext4\n30 22 x / /d rw - ext4 "
		  "/dev/nbd0 rw\n30 22 43:0\n\n"
		  "30 22 43:0 / relative rw - ext4 /dev/nbd0 rw\n30 22 43:0 / /e\\04 rw - ext4 /dev/nbd0");
	assert_int_equal(mounts.n, 1);
	assert_string_equal(mounts.points[0], "/e\\04");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_none, tear_down),    cmocka_unit_test_teardown(test_several, tear_down),
		cmocka_unit_test_teardown(test_names, tear_down),   cmocka_unit_test_teardown(test_fuse, tear_down),
		cmocka_unit_test_teardown(test_covered, tear_down), cmocka_unit_test_teardown(test_damaged, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

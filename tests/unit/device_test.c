/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device is called, and what is read from /sys and /proc/swaps, in a folder that has the same files. That a kernel
 * writes them so: tests/vm.
 */
#include "lib/files.h"
#include "lib/test.h"

#include "daemon/kernel/device.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int set_up(void **state)
{
	if (files_enter(state) < 0)
		return -1;
	files_put("sys/nbd0/size", "131072\n");
	files_put("sys/nbd0/inflight", "       2        5\n");
	files_put("sys/nbd0/stat", "  100 0 0 0   20 0 0 0 7 0 0    3 0 0 0 0 0\n");
	files_put("sys/nbd0/queue/io_timeout", "30000\n");
	files_put("sys/nbd0/queue/max_sectors_kb", "1024\n");
	files_put("sys/nbd0/queue/rotational", "1\n");
	files_put("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	return 0;
}

static void test_attributes(void **state)
{
	uint64_t in_flight, completed;
	struct wrong wrong = {""};
	struct device device;

	device_init(&device, "/dev/nbd0");
	assert_int_equal(device_size(&device), 131072 * 512);
	assert_int_equal(device_timer_ms(&device), 30000);
	assert_int_equal(device_progress(&device, &in_flight, &completed), 0);
	assert_int_equal(in_flight, 7);
	assert_int_equal(completed, 123);
	/* The files are held open, and read again. */
	files_put("sys/nbd0/inflight", "0 0\n");
	assert_int_equal(device_progress(&device, &in_flight, &completed), 0);
	assert_int_equal(in_flight, 0);
	assert_int_equal(device_tune(&device, 500, &wrong), 0);
	files_expect("sys/nbd0/queue/io_timeout",
		     "50000\n"); /* a plain file is written to from its start on, and keeps the rest */
	files_expect("sys/nbd0/queue/max_sectors_kb", "1284\n");
	files_expect("sys/nbd0/queue/rotational", "0\n");
	device_close(&device);
}

static int note_name(void *opaque, const struct device *device)
{
	char *names = opaque;

	snprintf(names + strlen(names), 64 - strlen(names), "%s ", device_name(device));
	return strcmp(device_name(device), "nbd1") == 0 ? 5 : 0;
}

/* Devices are those of the driver, and not partitions or what only begins so. */
static void test_each(void **state)
{
	char names[64] = "";

	assert_int_equal(mkdir("sys/nbd01", 0700) | mkdir("sys/nbd0p1", 0700) | mkdir("sys/nbdx", 0700) |
				 mkdir("sys/ublkb0", 0700),
			 0);
	assert_int_equal(device_each("/dev/nbd", note_name, names), 0);
	assert_string_equal(names, "nbd0 ");
	assert_int_equal(mkdir("sys/nbd1", 0700), 0);
	assert_int_equal(device_each("/dev/nbd", note_name, names), 5);
	must(rename("sys", "nothing") == 0);
	assert_int_equal(device_each("/dev/nbd", note_name, names), -ENOENT);
}

/* Swap on a partition is swap on the device; another device is not taken for one. */
static void test_partitions(void **state)
{
	struct device device;
	char text[200];

	device_init(&device, "/dev/nbd0");
	files_put("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
			   "/dev/nbd01\t partition\t1000\t\t100\t\t-2\n");
	assert_false(device_swap_area(&device, text));
	files_put("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
			   "/dev/nbd0p2\t partition\t1000\t\t100\t\t-2\n/dev/sda1 partition 5000 1000 -3\n");
	assert_true(device_swap_area(&device, text));
	assert_string_equal(text, "/dev/nbd0p2");
	assert_true(device_is_swap(&device));
	assert_int_equal(device_user(&device), DEVICE_USER_SWAP);
	assert_int_equal(device_swapped_kib(&device), 100);
	assert_int_equal(device_other_swap_kib(&device), 4000);
}

/* Who mounts a FUSE file system says what its source is called, and where it is mounted. */
static void test_mounted(void **state)
{
	struct device device;
	FILE *f;

	device_init(&device, "/dev/nbd0");
	files_put("mounts", "/dev/nbd01 /a ext4 rw 0 0\n/dev/sda1 /dev/nbd0 ext4 rw 0 0\n");
	assert_false(device_is_mounted(&device));
	files_put("mounts",
		  "/dev/nbd0 /home/user/mnt fuse.sshfs rw,nosuid,nodev 0 0\n/dev/nbd0 /home/user/b fuse rw 0 0\n");
	assert_false(device_is_mounted(&device));
	/* A line that is longer than anybody expects, with our path somewhere in it. */
	for (size_t length = 4000; length < 4200; length++) {
		f = fopen("mounts", "w");
		assert_non_null(f);
		fprintf(f, "sshfs /%0*d/dev/nbd0 fuse.sshfs rw,nosuid,nodev 0 0\n", (int)length, 0);
		fclose(f);
		if (device_is_mounted(&device))
			fail_msg("a path of %zu bytes", length);
	}
	files_put(
		"mounts",
		"/dev/sda1 / ext4 rw 0 0\n/dev/nbd0 /home/user/mnt fuse.sshfs rw 0 0\n/dev/nbd0 /srv/cache ext4 rw 0 0\n");
	assert_true(device_is_mounted(&device));
	files_put("mounts", "/dev/nbd0 /srv/cache fuseblk rw 0 0\n");
	assert_true(device_is_mounted(&device));
}

/* Volumes are named, by the name that their owner knows. */
static void test_holders(void **state)
{
	struct device device;
	char text[200];

	device_init(&device, "/dev/nbd0");
	assert_false(device_holders(&device, text, sizeof text));
	assert_int_equal(mkdir("sys/nbd0/holders", 0700) | mkdir("sys/nbd0/nbd0p1", 0700) |
				 mkdir("sys/nbd0/nbd0p1/holders", 0700) | mkdir("sys/dm-3", 0700) |
				 mkdir("sys/dm-3/dm", 0700),
			 0);
	assert_false(device_holders(&device, text, sizeof text));
	files_put("sys/nbd0/holders/dm-3", "");
	files_put("sys/dm-3/dm/name", "vault\n");
	assert_true(device_holders(&device, text, sizeof text));
	assert_string_equal(text, "dm-3 (vault)");
	files_put("sys/nbd0/nbd0p1/holders/md0", "");
	assert_true(device_holders(&device, text, sizeof text));
	assert_string_equal(text, "dm-3 (vault), md0");
	/* As much as there is room for. */
	assert_true(device_holders(&device, text, 8));
	assert_string_equal(text, "dm-3 (v");
}

static bool is_node(const char *path, mode_t mode)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISBLK(st.st_mode) && (st.st_mode & 0777) == mode &&
	       st.st_rdev == makedev(43, 7);
}

/* What was hidden comes back as it was; what is missing is made. */
static void test_node(void **state)
{
	struct device device, none;
	struct stat st;

	device_init(&device, "/dev/nbd7");
	device_init(&none, "/dev/nbd3");
	assert_int_equal(mkdir("dev", 0700) | mkdir("sys/nbd7", 0700), 0);
	if (mknod("dev/nbd7", S_IFBLK | 0600, makedev(43, 7)) < 0)
		skip();
	assert_int_equal(chmod("dev/nbd7", 0660), 0);
	files_put("sys/nbd7/dev", "43:7\n");
	assert_int_equal(device_show_node(&device), 0);
	assert_true(is_node("dev/nbd7", 0660));
	for (int times = 0; times < 2; times++) {
		device_hide_node(&device);
		assert_true(lstat("dev/nbd7", &st) < 0);
		assert_int_equal(device_show_node(&device), 0);
		assert_true(is_node("dev/nbd7", 0660));
	}

	/* By somebody else, or by an earlier zsblkd. */
	assert_int_equal(unlink("dev/nbd7"), 0);
	assert_int_equal(device_show_node(&device), 0);
	assert_true(is_node("dev/nbd7", 0600));
	/* What bears the hidden name is not this device: it stays where it is. */
	assert_int_equal(unlink("dev/nbd7"), 0);
	assert_int_equal(mknod("dev/.zsblk-nbd7", S_IFBLK | 0660, makedev(43, 8)), 0);
	assert_int_equal(device_show_node(&device), 0);
	assert_true(is_node("dev/nbd7", 0600));
	assert_int_equal(lstat("dev/.zsblk-nbd7", &st), 0);
	/* No such device: nothing is made. */
	assert_int_equal(device_show_node(&none), -ENODEV);
	assert_true(lstat("dev/nbd3", &st) < 0);
}

static void test_swaps(void **state)
{
	static const char header[] = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
	struct device device;
	char text[600];

	device_init(&device, "/dev/nbd1");
	assert_false(device_is_swap(&device));
	snprintf(text, sizeof text, "%s%s", header, "/dev/nbd10 partition\t1000\t900\t-2\n");
	files_put("swaps", text);
	assert_false(device_is_swap(&device));
	snprintf(text, sizeof text, "%s%s", header,
		 "/dev/nbd1                              partition\t65532\t\t1200\t\t100\n"
		 "/swap\\040file file 5000 1000 -2\n/dev/zram0 partition 9999 0 5\n/dev/nbd0 partition 9999 0 5\n");
	files_put("swaps", text);
	assert_true(device_is_swap(&device));
	assert_int_equal(device_user(&device), DEVICE_USER_SWAP);
	assert_int_equal(device_swapped_kib(&device), 1200);
	/* Not what is in memory itself. */
	assert_int_equal(device_other_swap_kib(&device), 4000);
	/* Its node was removed while it is swap. */
	snprintf(text, sizeof text, "%s%s", header, "/dev/nbd1\\040(deleted) partition 65532 7 100\n");
	files_put("swaps", text);
	assert_true(device_is_swap(&device));
	assert_int_equal(device_swapped_kib(&device), 7);
	device_close(&device);
}

static void test_names(void **state)
{
	struct device device;

	assert_int_equal(device_number("/dev/nbd0", "/dev/nbd"), 0);
	assert_int_equal(device_number("/dev/nbd15", "/dev/nbd"), 15);
	assert_int_equal(device_number("/dev/nbd", "/dev/nbd"), -1);
	assert_int_equal(device_number("/dev/nbd0p1", "/dev/nbd"), -1);
	assert_int_equal(device_number("/dev/nbd-1", "/dev/nbd"), -1);
	assert_int_equal(device_number("/dev/nbd+1", "/dev/nbd"), -1);
	assert_int_equal(device_number("/dev/nbd 1", "/dev/nbd"), -1);
	assert_int_equal(device_number("/dev/nbd01", "/dev/nbd"), -1);
	assert_int_equal(device_number("/dev/nbd1000000", "/dev/nbd"), -1);
	assert_int_equal(device_number("/dev/sda", "/dev/nbd"), -1);
	assert_int_equal(device_number("/dev/nbd3", "/dev/nb"), -1);
	assert_int_equal(device_number("nbd0", "/dev/nbd"), -1);
	assert_int_equal(device_number("", "/dev/nbd"), -1);
	device_init(&device, "/dev/nbd7");
	assert_string_equal(device.path, "/dev/nbd7");
	assert_string_equal(device_name(&device), "nbd7");
	assert_false(device_is_none(&device));
	device_close(&device);
	assert_true(device_is_none(&device));
}

static void test_absent(void **state)
{
	uint64_t in_flight, completed;
	struct wrong wrong = {""};
	struct device device;

	device_init(&device, "/dev/nbd9999");
	assert_int_equal(device_progress(&device, &in_flight, &completed), -ENOENT);
	assert_int_equal(device_user(&device), DEVICE_USER_NOBODY);
	assert_false(device_is_swap(&device));
	assert_false(device_is_mounted(&device));
	assert_int_equal(device_swapped_kib(&device), 0);
	assert_int_equal(device_tune(&device, 500, &wrong), -ENOENT);
	assert_non_null(strstr(wrong.text, "/dev/nbd9999: queue/io_timeout cannot be set to 500"));
	device_close(&device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_attributes, set_up, files_leave),
		cmocka_unit_test_setup_teardown(test_each, set_up, files_leave),
		cmocka_unit_test_setup_teardown(test_swaps, set_up, files_leave),
		cmocka_unit_test_setup_teardown(test_node, set_up, files_leave),
		cmocka_unit_test_setup_teardown(test_partitions, set_up, files_leave),
		cmocka_unit_test_setup_teardown(test_mounted, set_up, files_leave),
		cmocka_unit_test_setup_teardown(test_holders, set_up, files_leave),
		cmocka_unit_test_setup_teardown(test_absent, set_up, files_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

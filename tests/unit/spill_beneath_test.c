/* SPDX-License-Identifier: BSD-3-Clause */
/* What lies beneath a store, by a /sys and a mountinfo of our own. */
#include "lib/files.h"

#include "spill/beneath.h"

#include <sys/sysmacros.h>

static char sys[300], mountinfo[300];

static void put_device(unsigned major_number, unsigned minor_number, const char *file, const char *text)
{
	char name[200];

	snprintf(name, sizeof name, "sys/dev/block/%u:%u/%s", major_number, minor_number, file);
	files_put(name, text);
}

static int set_up(void **state)
{
	char target[300], link[300];

	if (files_make(state))
		return -1;
	strcpy(sys, files_path("sys"));
	strcpy(mountinfo, files_path("mountinfo"));
	spill_beneath_use(sys, mountinfo);
	put_device(254, 0, "dev", "254:0\n");
	put_device(43, 0, "dev", "43:0\n");
	/* dm-0 on vda and on md0, which is made of vda and nbd0. */
	put_device(253, 0, "slaves/vda/dev", "254:0\n");
	put_device(253, 0, "slaves/md0/dev", "9:0\n");
	put_device(9, 0, "slaves/vda/dev", "254:0\n");
	put_device(9, 0, "slaves/nbd0/dev", "43:0\n");
	put_device(253, 1, "slaves/vda/dev", "254:0\n");
	put_device(253, 2, "slaves/odd/dev", "nonsense\n");
	/* A chain that ends in itself. */
	put_device(253, 3, "slaves/dm-3/dev", "253:3\n");
	/* nbd0p1, as the link that it is in /sys. */
	files_put("sys/devices/nbd0/dev", "43:0\n");
	files_put("sys/devices/nbd0/nbd0p1/partition", "1\n");
	files_put("sys/devices/nbd0/nbd0p1/dev", "43:1\n");
	strcpy(target, files_path("sys/devices/nbd0/nbd0p1"));
	strcpy(link, files_path("sys/dev/block/43:1"));
	put_device(7, 1, "loop/backing_file", "/tmp/x (deleted)\n");
	put_device(7, 2, "loop/backing_file", "/proc/version\n");
	return symlink(target, link);
}

static enum spill_beneath beneath(unsigned major_number, unsigned minor_number)
{
	return spill_beneath_device(makedev(major_number, minor_number), makedev(43, 0));
}

static void test_devices(void **state)
{
	assert_int_equal(beneath(43, 0), SPILL_BENEATH_ON_DEVICE);
	assert_int_equal(beneath(43, 1), SPILL_BENEATH_ON_DEVICE);
	assert_int_equal(beneath(254, 0), SPILL_BENEATH_APART);
	assert_int_equal(beneath(253, 1), SPILL_BENEATH_APART);
	assert_int_equal(beneath(9, 0), SPILL_BENEATH_ON_DEVICE);
	assert_int_equal(beneath(253, 0), SPILL_BENEATH_ON_DEVICE);
}

static void test_unknown(void **state)
{
	assert_int_equal(beneath(8, 0), SPILL_BENEATH_UNKNOWN);
	assert_int_equal(beneath(253, 2), SPILL_BENEATH_UNKNOWN);
	assert_int_equal(beneath(253, 3), SPILL_BENEATH_UNKNOWN);
	assert_int_equal(beneath(7, 1), SPILL_BENEATH_UNKNOWN);
}

/* A file system with a number of its own: by what is mounted. */
static enum spill_beneath mounted(const char *rest)
{
	char line[400];
	struct stat st;
	int fd = open("/proc/version", O_RDONLY | O_CLOEXEC);
	enum spill_beneath found;

	must(fd >= 0 && fstat(fd, &st) == 0 && major(st.st_dev) == 0);
	snprintf(line, sizeof line, "22 27 0:999 / /x rw - tmpfs x rw\n23 27 %u:%u / /y rw shared:1 - %s\n",
		 major(st.st_dev), minor(st.st_dev), rest);
	files_put("mountinfo", line);
	found = spill_beneath_fd(fd, makedev(43, 0));
	close(fd);
	return found;
}

static void test_file_systems(void **state)
{
	assert_int_equal(mounted("tmpfs tmpfs rw"), SPILL_BENEATH_IN_MEMORY);
	assert_int_equal(mounted("ramfs none rw"), SPILL_BENEATH_IN_MEMORY);
	assert_int_equal(mounted("nfs4 host:/x rw"), SPILL_BENEATH_APART);
	assert_int_equal(mounted("fuse.sshfs host:/x rw"), SPILL_BENEATH_UNKNOWN);
	assert_int_equal(mounted("overlay overlay rw,lowerdir=/a,upperdir=/dev/null,workdir=/c"),
			 SPILL_BENEATH_UNKNOWN);
	assert_int_equal(mounted("overlay overlay rw,lowerdir=/a"), SPILL_BENEATH_UNKNOWN);
	assert_int_equal(mounted("btrfs /dev/null rw"), SPILL_BENEATH_UNKNOWN);
	/* The loop device's file is on the file system that is asked for, which is a memory file system now. */
	mounted("tmpfs tmpfs rw");
	assert_int_equal(beneath(7, 2), SPILL_BENEATH_IN_MEMORY);
}

/* A btrfs has several devices, and the one that is mounted may be another one than ours. */
static void test_btrfs(void **state)
{
	char node[300], line[400];

	strcpy(node, files_path("disk"));
	if (mknod(node, S_IFBLK | 0600, makedev(254, 0)) < 0)
		skip();
	snprintf(line, sizeof line, "btrfs %s rw", node);
	assert_int_equal(mounted(line), SPILL_BENEATH_UNKNOWN);
	files_put("sys/fs/btrfs/1/devices/vda/dev", "254:0\n");
	files_put("sys/fs/btrfs/2/devices/nbd0/dev", "43:0\n");
	assert_int_equal(mounted(line), SPILL_BENEATH_APART);
	files_put("sys/fs/btrfs/1/devices/md0/dev", "9:0\n");
	assert_int_equal(mounted(line), SPILL_BENEATH_ON_DEVICE);
	/* Another file system that has a source. */
	snprintf(line, sizeof line, "xyzfs %s rw", node);
	assert_int_equal(mounted(line), SPILL_BENEATH_APART);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_file_systems),
		cmocka_unit_test(test_btrfs),
	};

	return cmocka_run_group_tests_name("spill_beneath", tests, set_up, files_remove);
}

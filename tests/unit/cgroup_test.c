/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits of control groups: hierarchies made of plain files, as the two versions show them, and as they might. */
#include "lib/files.h"
#include "lib/test.h"

#include "process/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* `root`: what of the hierarchy is mounted at TOP/mount. */
static struct cgroup *open_group(const char *cgroup, const char *root, const char *type)
{
	char names[300], mounts[300], text[700];

	files_put("cgroup", cgroup);
	snprintf(text, sizeof text,
		 "22 28 0:21 / /proc rw,relatime - proc proc rw\n"
		 "30 23 0:26 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct\n"
		 "31 23 0:27 %s %s/mount rw,nosuid shared:9 - %s none rw,%s\n",
		 root, files_top, type, strcmp(type, "cgroup") == 0 ? "memory" : "nsdelegate");
	files_put("mountinfo", text);
	snprintf(names, sizeof names, "%s/cgroup", files_top);
	snprintf(mounts, sizeof mounts, "%s/mountinfo", files_top);
	return cgroup_open_from(names, mounts);
}

static struct cgroup_found look(const struct cgroup *cgroup, uint64_t want, bool cache)
{
	char text[CGROUP_TEXT];
	struct cgroup_found found;

	cgroup_look(cgroup, want, cache ? text : NULL, &found);
	return found;
}

static void v2_group(const char *name, const char *max, const char *high, const char *current)
{
	static const char *const files[] = {"max", "high", "current", "stat"};
	const char *const texts[] = {max, high, current,
				     "anon 1\nfile 9000000\ninactive_file 5242880\nactive_file 3145728\n"
				     "file_dirty 1048576\nfile_writeback 1048576\n"};
	char path[300];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "mount%s/memory.%s", name, files[i]);
		files_put(path, texts[i]);
	}
}

static void test_v2(void **state)
{
	struct cgroup_found found;
	struct cgroup *cgroup;
	char text[200];

	v2_group("/a.slice", "max\n", "max\n", "209715200\n");
	v2_group("/a.slice/b.service", "104857600\n", "max\n", "83886080\n");
	cgroup = open_group("1:name=systemd:/x\n0::/a.slice/b.service\n", "/", "cgroup2");
	assert_non_null(cgroup);
	found = look(cgroup, 0, true);
	assert_int_equal(found.limit, 100 * MIB);
	assert_int_equal(found.room, 20 * MIB);
	cgroup_describe(cgroup, &found, text, sizeof text);
	assert_string_equal(text, "memory.max of control group /a.slice/b.service is 100 MiB");
	/* Page cache that can be dropped is room; what is dirty or on its way to a disk is not. */
	assert_int_equal(look(cgroup, 20 * MIB, true).room, 20 * MIB);
	assert_int_equal(look(cgroup, 21 * MIB, true).room, 26 * MIB);
	assert_int_equal(look(cgroup, 21 * MIB, false).room, 20 * MIB);
	/* Changes are seen. The group above has less left. */
	v2_group("/a.slice", "max\n", "220200960\n", "209715200\n");
	found = look(cgroup, 0, true);
	assert_int_equal(found.limit, 100 * MIB);
	assert_int_equal(found.room, 10 * MIB);
	v2_group("/a.slice", "52428800\n", "41943040\n", "209715200\n");
	found = look(cgroup, 0, true);
	assert_int_equal(found.limit, 40 * MIB);
	assert_int_equal(found.room, 0);
	cgroup_describe(cgroup, &found, text, sizeof text);
	assert_string_equal(text, "memory.high of control group /a.slice is 40 MiB");
	v2_group("/a.slice", "max\n", "max\n", "209715200\n");
	v2_group("/a.slice/b.service", "max\n", "max\n", "83886080\n");
	found = look(cgroup, UINT64_MAX, true);
	assert_true(found.limit == CGROUP_NO_LIMIT && found.room == CGROUP_NO_LIMIT);
	cgroup_describe(cgroup, &found, text, sizeof text);
	assert_string_equal(text, "");
	cgroup_close(cgroup);
}

static void test_v1(void **state)
{
	struct cgroup_found found;
	struct cgroup *cgroup;

	files_put("mount/memory.limit_in_bytes", "9223372036854771712\n");
	files_put("mount/memory.usage_in_bytes", "999999999999\n");
	files_put("mount/c/memory.limit_in_bytes", "100663296\n");
	files_put("mount/c/memory.usage_in_bytes", "90177536\n");
	files_put("mount/c/memory.stat",
		  "inactive_file 0\ntotal_inactive_file 4194304\ntotal_active_file 0\ntotal_dirty 0\n");
	/* v1 has the controller, whatever v2 has; and the controllers of one hierarchy are a list. */
	cgroup = open_group("5:cpu,memory:/c\n4:memoryless:/no\n0::/unified\n", "/", "cgroup");
	assert_non_null(cgroup);
	found = look(cgroup, 0, true);
	assert_int_equal(found.limit, 96 * MIB);
	assert_int_equal(found.room, 10 * MIB);
	assert_string_equal(found.file, "memory.limit_in_bytes");
	assert_int_equal(look(cgroup, 96 * MIB, true).room, 14 * MIB);
	cgroup_close(cgroup);
}

/* In a container all that is mounted is its own part, under the full name or a name of its own. */
static void test_container(void **state)
{
	static const char *const lines[][2] = {
		{"0::/docker/77\n", "/docker/77"},
		{"0::/\n", "/"},
		{"0::/../other\n", "/"},
		{"0::/docker/78\n", "/docker/77"},
	};

	for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct cgroup *cgroup;

		v2_group("", "67108864\n", "max\n", "0\n");
		cgroup = open_group(lines[i][0], lines[i][1], "cgroup2");
		assert_non_null(cgroup);
		assert_int_equal(look(cgroup, 0, true).limit, 64 * MIB);
		cgroup_close(cgroup);
	}
}

static void test_none(void **state)
{
	struct cgroup_found found;

	/* No controller, no mount, no files, no sense. */
	assert_null(open_group("0::/nowhere\n", "/nothing/of/it", "tmpfs"));
	assert_null(open_group("", "/", "cgroup2"));
	assert_null(open_group("2:cpu:/\n", "/", "cgroup"));
	assert_null(open_group("garbage\n::\n:\n\n0:\n", "/", "cgroup2"));
	assert_null(cgroup_open_from("/nonexistent", "/nonexistent"));
	cgroup_look(NULL, UINT64_MAX, NULL, &found);
	assert_true(found.limit == CGROUP_NO_LIMIT && found.room == CGROUP_NO_LIMIT && !found.file);
	cgroup_close(NULL);
}

static void test_margin(void **state)
{
	assert_int_equal(cgroup_margin(CGROUP_NO_LIMIT), 0);
	assert_int_equal(cgroup_margin(0), 4 * MIB);
	assert_int_equal(cgroup_margin(96 * MIB), 12 * MIB);
	assert_int_equal(cgroup_margin(UINT64_C(1) << 40), 32 * MIB);
}

/* Whatever this machine has, it can be looked at again and again. */
static void test_this_machine(void **state)
{
	struct cgroup *cgroup = cgroup_open();

	for (unsigned i = 0; i < 100; i++)
		(void)look(cgroup, UINT64_MAX, true);
	cgroup_close(cgroup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2),     cmocka_unit_test(test_v1),           cmocka_unit_test(test_none),
		cmocka_unit_test(test_margin), cmocka_unit_test(test_this_machine), cmocka_unit_test(test_container),
	};

	return cmocka_run_group_tests(tests, files_make, files_remove);
}

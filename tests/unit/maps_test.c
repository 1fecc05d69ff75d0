/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of /proc/PID/maps: of any process, and what is none. */
#include "lib/test.h"

#include "daemon/kernel/maps.h"

static struct mapping mapping;
static char line[MAPS_LINE_MAX];

static bool parse(const char *text)
{
	snprintf(line, sizeof line, "%s", text);
	return maps_parse(line, &mapping);
}

static void test_program(void **state)
{
	assert_true(
		parse("7f1c2a000000-7f1c2a021000 r-xp 00002000 fe:01 1835012                    /usr/lib/libz.so.1\n"));
	assert_string_equal(mapping.range, "7f1c2a000000-7f1c2a021000");
	assert_string_equal(mapping.path, "/usr/lib/libz.so.1");
	assert_int_equal(mapping.inode, 1835012);
	assert_true(mapping.is_program);
	assert_true(parse("00400000-00401000 r--p 00000000 fe:01 7 /a b/c - d"));
	assert_string_equal(mapping.path, "/a b/c - d");
	assert_false(mapping.is_program);
	assert_true(parse("00400000-00401000 rwxp 00000000 fe:01 7 /a"));
	assert_false(mapping.is_program);
}

/* Only what the kernel adds at the end, and once. */
static void test_deleted(void **state)
{
	assert_true(parse("1-2 r-xp 0 fe:01 7 /usr/lib/libz.so.1 (deleted)\n"));
	assert_string_equal(mapping.path, "/usr/lib/libz.so.1");
	assert_true(parse("1-2 r-xp 0 fe:01 7 /srv/x (deleted)/lib.so\n"));
	assert_string_equal(mapping.path, "/srv/x (deleted)/lib.so");
	assert_true(parse("1-2 r-xp 0 fe:01 7 /srv/x (deleted) (deleted)\n"));
	assert_string_equal(mapping.path, "/srv/x (deleted)");
	assert_true(parse("1-2 r-xp 0 fe:01 7 / (deleted)"));
	assert_string_equal(mapping.path, "/");
}

/* A path with "r-xp" in it does not make a mapping one of a program, nor does the rest of a line that was too long. */
static void test_others(void **state)
{
	assert_true(parse("1-2 rw-p 0 fe:01 7 /srv/a r-xp /b\n"));
	assert_false(mapping.is_program);
	assert_false(parse("1-2 r-xp 0 00:00 0 \n"));
	assert_false(parse("1-2 r-xp 0 00:00 0"));
	assert_false(parse("1-2 r-xp 0 00:00 0                          [stack]\n"));
	assert_false(parse("1-2 rw-p 0 00:00 0 anon_inode:/x\n"));
	assert_false(parse("of/a/long/path r-xp 0 fe:01 7 /x\n"));
	assert_false(parse("1- r-xp 0 fe:01 7 /x\n"));
	assert_false(parse("1-2 r-xp 0 fe:01 x7 /x\n"));
	assert_false(parse("1-2 r-xp 0 fe:01 7x /x\n"));
	assert_false(parse("1-2 r-xp 0 fe:01 -7 /x\n"));
	assert_false(parse(""));
	assert_false(parse("\n"));
	assert_false(parse("/"));
}

/* Every line that the kernel has of us is in that format, and our own program is among them, once. */
static void test_own(void **state)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned programs = 0;
	char self[PATH_MAX] = "";

	assert_non_null(f);
	assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	while (fgets(line, sizeof line, f)) {
		bool has_path = strchr(line, '/');

		assert_int_equal(maps_parse(line, &mapping), has_path);
		programs += has_path && mapping.is_program && strcmp(mapping.path, self) == 0;
	}
	fclose(f);
	assert_int_equal(programs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests_name("maps", tests, NULL, NULL);
}

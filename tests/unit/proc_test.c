/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of /proc: whole, too long, unreadable; and paths in mountinfo. */
#include "lib/files.h"
#include "lib/test.h"

#include "process/proc.h"

#include <errno.h>

static void test_read(void **state)
{
	char text[10];
	int fd;

	files_put("file", "12345");
	fd = open(files_path("file"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	/* From its beginning each time. */
	for (unsigned i = 0; i < 2; i++) {
		memset(text, 'x', sizeof text);
		assert_int_equal(proc_read(fd, text, sizeof text), 5);
		assert_string_equal(text, "12345");
	}
	/* With room for just that, and for less. */
	assert_int_equal(proc_read(fd, text, 6), 5);
	assert_string_equal(text, "12345");
	assert_int_equal(proc_read(fd, text, 4), 3);
	assert_string_equal(text, "123");
	close(fd);
	files_put("file", "");
	fd = open(files_path("file"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(proc_read(fd, text, sizeof text), 0);
	assert_string_equal(text, "");
	close(fd);
}

/* The kernel gives it in pieces, each of whole lines. */
static void test_pieces(void **state)
{
	static char whole[1 << 20], line[300];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	unsigned lines = 0;
	ssize_t length;
	FILE *f;

	assert_true(fd >= 0);
	length = proc_read(fd, whole, sizeof whole);
	close(fd);
	assert_true(length > 0 && (size_t)length == strlen(whole) && whole[length - 1] == '\n');
	f = fopen("/proc/self/maps", "re");
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		lines += strchr(line, '\n') != NULL;
	fclose(f);
	for (const char *at = whole; (at = strchr(at, '\n')); at++)
		lines--;
	/* What reads it can change it, by a line or two. */
	assert_in_range((int)lines + 10, 0, 20);
}

static void test_unreadable(void **state)
{
	int folder = open(files_top, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	char text[10] = "x";

	assert_int_equal(proc_read(-1, text, sizeof text), -EBADF);
	assert_string_equal(text, "");
	assert_int_equal(proc_read(folder, text, sizeof text), -EISDIR);
	close(folder);
}

static void test_unescape(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"/mnt", "/mnt"},
		{"/a\\040b", "/a b"},
		{"\\040\\011\\012\\134", " \t\n\\"},
		{"/\\134040", "/\\040"},
		{"/end\\040", "/end "},
		{"/caf\\303\\251", "/caf\303\251"},
		/* What the kernel does not write stays as it is. */
		{"\\", "\\"},
		{"\\04", "\\04"},
		{"\\0x0", "\\0x0"},
		{"\\n", "\\n"},
	};
	char text[50];

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		strcpy(text, cases[i][0]);
		proc_unescape(text);
		assert_string_equal(text, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_unescape),
	};

	return cmocka_run_group_tests_name("proc", tests, files_make, files_remove);
}

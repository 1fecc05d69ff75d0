/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said arrives, whole and in its order; in a file with the time before each line. Each in a process of its own. */
#include "lib/files.h"
#include "lib/test.h"

#include "daemon/relay.h"

#define TEXT_MAX 100000u

static char text[TEXT_MAX];

static void say_all(void)
{
	static const char *const pieces[] = {"one\n", "tw", "o\nthree\nfo", "ur\n", "\n", "last, without an end"};

	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		must(write(STDERR_FILENO, pieces[i], strlen(pieces[i])) == (ssize_t)strlen(pieces[i]));
		/* Each comes by itself. */
		usleep(20000);
	}
}

/* `opaque`: the descriptor that messages go to. */
static void relay(void *opaque)
{
	must(dup2(*(const int *)opaque, STDERR_FILENO) == STDERR_FILENO);
	must(relay_start() == 0);
	say_all();
	relay_finish();
	_exit(42);
}

static void read_all(int fd)
{
	ssize_t n, length = 0;

	while ((n = read(fd, text + length, sizeof text - 1 - (size_t)length)) > 0)
		length += n;
	text[length] = '\0';
}

static void test_stream(void **state)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(WEXITSTATUS(test_in_child(relay, &ends[1])), 42);
	close(ends[1]);
	read_all(ends[0]);
	close(ends[0]);
	assert_string_equal(text, "one\ntwo\nthree\nfour\n\nlast, without an end");
}

/* "2026-11-26T21:15:58+0100 " is at the start of the line: takes it away. */
static char *undated(char *line)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd+dddd ";

	for (size_t i = 0; shape[i]; i++) {
		bool right = shape[i] == 'd'   ? line[i] >= '0' && line[i] <= '9'
			     : shape[i] == '+' ? line[i] == '+' || line[i] == '-'
					       : line[i] == shape[i];

		if (!right)
			fail_msg("\"%s\" does not begin with the time", line);
	}
	return line + strlen(shape);
}

static void test_file(void **state)
{
	static const char *const lines[] = {"one", "two", "three", "four", "", "last, without an end"};
	char *rest = text, *line;
	int fd;

	files_put("log", "before\n");
	fd = open(files_path("log"), O_RDWR | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(WEXITSTATUS(test_in_child(relay, &fd)), 42);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	read_all(fd);
	close(fd);
	assert_string_equal(strsep(&rest, "\n"), "before");
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		line = strsep(&rest, "\n");
		assert_non_null(line);
		assert_string_equal(undated(line), lines[i]);
	}
	assert_null(rest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests_name("relay", tests, files_make, files_remove);
}

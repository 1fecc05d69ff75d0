/* SPDX-License-Identifier: BSD-3-Clause */
/* What is made of the server's statistics, for people. */
#include "lib/test.h"

#include "daemon/jobs/job_figures.h"

#include <sys/stat.h>

static const char *describe(const char *stats)
{
	static struct wrong text;

	memset(&text, 'x', sizeof text);
	job_figures_describe(stats, &text);
	return text.text;
}

static void test_figures(void **state)
{
	assert_string_equal(
		describe("disksize=2147483648\nalgorithm=lz4\norig_data_size=536870912\nmem_used_total=146800640\n"),
		"2048 MiB, 512.0 MiB of data in 140.0 MiB of memory (ratio 3.66)");
	/* Names that only begin or end like them. */
	assert_string_equal(describe("my_disksize=1\ndisksize_max=2\nmem_used_total=1048576\n"),
			    "0 MiB, 0.0 MiB of data in 1.0 MiB of memory (ratio 0.00)");
}

static void test_damaged(void **state)
{
	static const char nothing[] = "0 MiB, 0.0 MiB of data in 0.0 MiB of memory (ratio 0.00)";

	assert_string_equal(describe(""), nothing);
	assert_string_equal(describe("\n\n"), nothing);
	assert_string_equal(describe("disksize"), nothing);
	assert_string_equal(describe("disksize=\norig_data_size=x"), nothing);
	/* As large as it gets: the text has room for it. */
	assert_true(strlen(describe(
			    "disksize=18446744073709551615\norig_data_size=18446744073709551615\nmem_used_total=1\n")) >
		    60);
}

static void test_file(void **state)
{
	char path[] = "/tmp/zsblk-job.XXXXXX";
	struct job_figures figures = {.stats = path};
	int fd = mkstemp(path);
	struct wrong text;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "disksize=1048576\n", 17), 17);
	setenv("TZ", "UTC", 1);
	assert_int_equal(futimens(fd, (const struct timespec[2]){{.tv_sec = 1000000000}, {.tv_sec = 1000000000}}), 0);
	assert_int_equal(job_figures_read(&figures, &text), 0);
	/* How old they are, too. */
	assert_string_equal(text.text, "1 MiB, 0.0 MiB of data in 0.0 MiB of memory (ratio 0.00) at 01:46:40");
	close(fd);
	unlink(path);
	assert_true(job_figures_read(&figures, &text) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests_name("job_figures", tests, NULL, NULL);
}

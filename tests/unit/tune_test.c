/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings of the kernel's queue, in a folder that has the same files. */
#include "lib/test.h"

#include "ublk/tune.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE "sys/ublkb3/queue/"

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void is(const char *path, const char *wanted)
{
	char text[64] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	assert_string_equal(text, wanted);
}

static int set_up(void **state)
{
	static char top[64];

	strcpy(top, "/tmp/zsblk-tune.XXXXXX");
	*state = top;
	return mkdtemp(top) && chdir(top) == 0 && mkdir("sys", 0700) == 0 && mkdir("sys/ublkb3", 0700) == 0 &&
			       mkdir(QUEUE, 0700) == 0
		       ? 0
		       : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"scheduler", "wbt_lat_usec", "io_timeout", "nr_requests"};
	char path[64];

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(path, sizeof path, QUEUE "%s", names[i]);
		unlink(path);
	}
	rmdir(QUEUE);
	rmdir("sys/ublkb3");
	rmdir("sys");
	return chdir("/") < 0 || rmdir(*state) < 0 ? -1 : 0;
}

static void test_all(void **state)
{
	struct zsblk_why why = {""};

	put(QUEUE "scheduler", "");
	put(QUEUE "wbt_lat_usec", "");
	put(QUEUE "io_timeout", "");
	put(QUEUE "nr_requests", "");
	assert_int_equal(tune_queue(3, 64, &why), 0);
	is(QUEUE "scheduler", "none");
	is(QUEUE "wbt_lat_usec", "0");
	is(QUEUE "io_timeout", "1000");
	is(QUEUE "nr_requests", "63");
}

/* A kernel without schedulers and throttling; one of the two that tell of a server's death is enough. */
static void test_some(void **state)
{
	struct zsblk_why why = {""};

	put(QUEUE "nr_requests", "");
	assert_int_equal(tune_queue(3, 8, &why), 0);
	is(QUEUE "nr_requests", "7");
	unlink(QUEUE "nr_requests");
	put(QUEUE "io_timeout", "");
	assert_int_equal(tune_queue(3, 8, &why), 0);
	assert_string_equal(why.text, "");
}

static void test_none(void **state)
{
	struct zsblk_why why = {""};

	assert_int_equal(tune_queue(3, 8, &why), -ENOENT);
	assert_non_null(strstr(why.text, "/dev/ublkb3"));
	assert_non_null(strstr(why.text, "30 seconds"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(all), TEST(some), TEST(none)};

	return cmocka_run_group_tests_name("tune", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings of the kernel's queue, in a folder that has the same files. */
#include "lib/files.h"
#include "lib/test.h"

#include "ublk/tune.h"

#include <errno.h>
#include <unistd.h>

#define QUEUE "sys/ublkb3/queue/"

static void test_all(void **state)
{
	struct zsblk_why why = {""};

	files_put(QUEUE "scheduler", "");
	files_put(QUEUE "wbt_lat_usec", "");
	files_put(QUEUE "io_timeout", "");
	files_put(QUEUE "nr_requests", "");
	assert_int_equal(tune_queue(3, 64, &why), 0);
	files_expect(QUEUE "scheduler", "none");
	files_expect(QUEUE "wbt_lat_usec", "0");
	files_expect(QUEUE "io_timeout", "1000");
	files_expect(QUEUE "nr_requests", "63");
}

/* A kernel without schedulers and throttling; one of the two that tell of a server's death is enough. */
static void test_some(void **state)
{
	struct zsblk_why why = {""};

	files_put(QUEUE "nr_requests", "");
	assert_int_equal(tune_queue(3, 8, &why), 0);
	files_expect(QUEUE "nr_requests", "7");
	unlink(QUEUE "nr_requests");
	files_put(QUEUE "io_timeout", "");
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

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, files_enter, files_leave)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(all), TEST(some), TEST(none)};

	return cmocka_run_group_tests_name("tune", tests, NULL, NULL);
}

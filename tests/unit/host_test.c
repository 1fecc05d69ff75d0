/* SPDX-License-Identifier: BSD-3-Clause */
/* The host of a device, without a front end that speaks a protocol. What it does with rights: tests/plugin. */
#include "lib/shm.h"
#include "lib/test.h"

#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char said[HOST_DEBUG + 1][800];

static void say(enum host_says how, const char *text)
{
	snprintf(said[how], sizeof said[how], "%s", text);
}

static struct host_params params;
static struct host host;

static int start_anew(void **state)
{
	memset(said, 0, sizeof said);
	params = (struct host_params){.lock = HOST_LOCK_NO};
	zsblk_params_init(&params.engine);
	params.engine.size = 1 << 20;
	params.engine.lock_shared = false;
	host = (struct host){.params = &params, .say = say};
	return 0;
}

static int stop(void **state)
{
	host_stop(&host);
	host_close(&host);
	return 0;
}

static bool has_line(const char *path, const char *line)
{
	char text[4096] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	return strstr(text, line) != NULL;
}

static void test_statistics_file(void **state)
{
	char folder[] = "/tmp/zsblk-host-XXXXXX", path[64];
	uint8_t block[4096];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/stats", folder);
	params.stats_path = path;
	memset(block, 7, sizeof block);
	assert_int_equal(host_prepare(&host, false), 0);
	assert_int_equal(host_start(&host), 0);
	assert_true(has_line(path, "disksize=1048576\n"));
	assert_int_equal(zsblk_write(host.device, block, sizeof block, 4096), 0);
	host_stop(&host);
	/* The last figures, whenever the ones before were written. */
	assert_true(has_line(path, "same_pages=1\n"));
	assert_non_null(strstr(said[HOST_DEBUG], "mm_stat: 4096 "));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_opened_again(void **state)
{
	assert_int_equal(host_prepare(&host, true), 0);
	assert_null(host.device);
	assert_int_equal(host_start(&host), 0);
	assert_int_equal(zsblk_size(host.device), 1 << 20);
}

static void test_failures_are_said(void **state)
{
	params.engine.size = 100;
	assert_int_equal(host_prepare(&host, false), -EINVAL);
	assert_non_null(strstr(said[HOST_ERROR], "size=100"));
}

static void test_default_reserve(void **state)
{
	params.engine.size = 16 << 20;
	assert_int_equal(host_default_reserve(&params.engine), 1 << 20);
	params.engine.mem_limit = 1 << 20;
	assert_int_equal(host_default_reserve(&params.engine), 1 << 16);
}

/* What was set under a server goes on under the next one, and people are told. */
static void test_goes_on(void **state)
{
	const struct test_shm *shm = test_shm_new();

	params.engine.memory = shm->memory;
	assert_int_equal(host_prepare(&host, true), 0);
	assert_int_equal(host_start(&host), 0);
	assert_int_equal(zsblk_set_algorithm(host.device, "zstd", true, 5, NULL), 0);
	host_stop(&host);
	host_close(&host);
	assert_string_equal(said[HOST_NOTICE], "");
	assert_int_equal(host_prepare(&host, true), 0);
	assert_non_null(strstr(said[HOST_NOTICE], "set in the running device: algorithm=zstd level=5"));
	assert_int_equal(host_start(&host), 0);
	assert_string_equal(zsblk_algorithm_name(host.device), "zstd");
}

/* No descriptor is left for the control socket's thread. Swap that comes back is worth more. */
static void test_no_control(void **state)
{
	struct rlimit before, few;
	int r, next;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	params.control_path = (char[]){"/nowhere/control"};
	params.control_group = (gid_t)-1;
	params.background_cpu = 10;
	assert_int_equal(host_prepare(&host, false), 0);
	next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(next >= 0);
	close(next);
	few = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	r = host_start(&host);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(r, 0);
	assert_null(host.control);
	assert_non_null(strstr(said[HOST_ERROR], "control=/nowhere/control is not served"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_statistics_file, start_anew, stop),
		cmocka_unit_test_setup_teardown(test_opened_again, start_anew, stop),
		cmocka_unit_test_setup_teardown(test_failures_are_said, start_anew, stop),
		cmocka_unit_test_setup_teardown(test_default_reserve, start_anew, stop),
		cmocka_unit_test_setup_teardown(test_goes_on, start_anew, stop),
		cmocka_unit_test_setup_teardown(test_no_control, start_anew, stop),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}

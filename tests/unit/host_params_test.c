/* SPDX-License-Identifier: BSD-3-Clause */
/* The parameters of a server: what each key takes, and that every refusal names value and remedy. Through nbdkit: tests/plugin. */
#include "lib/test.h"

#include "host/host_params.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct host_params params;

static int start_anew(void **state)
{
	host_params_init(&params);
	return 0;
}

static int release(void **state)
{
	host_params_free(&params);
	return 0;
}

static void take(const char *key, const char *value)
{
	struct zsblk_why why = {""};

	if (host_params_set(&params, key, value, &why) != 0)
		fail_msg("%s=%s: %s", key, value, why.text);
}

static void expect(const struct zsblk_why *why, const char *part)
{
	if (!strstr(why->text, part))
		fail_msg("\"%s\" has no \"%s\"", why->text, part);
}

static void expect_refusal(int error, const char *key, const char *value, const char *shown, const char *remedy)
{
	struct zsblk_why why = {""};

	assert_int_equal(host_params_set(&params, key, value, &why), error);
	expect(&why, shown);
	expect(&why, remedy);
}

static void test_defaults(void **state)
{
	assert_string_equal(params.engine.algorithm, "lz4");
	assert_string_equal(params.engine.memory, "anon");
	assert_false(params.engine.has_level);
	assert_int_equal(params.lock, HOST_LOCK_AUTO);
	assert_null(params.stats_path);
	assert_null(params.control_path);
	assert_true(params.control_group == (gid_t)-1);
	assert_int_equal(params.background_cpu, 10);
	assert_false(params.cold.on);
}

static void test_each_key(void **state)
{
	struct zsblk_why why = {""};

	take("size", "1G");
	take("max-size", "4G");
	take("algorithm", "zstd");
	take("level", "-3");
	take("mem-limit", "256M");
	take("memory", "shm:0x1234");
	take("reserve", "8192K");
	take("lock", "no");
	take("stats", "/tmp/zsblk.stats");
	take("control", "/tmp/zsblk.control");
	take("control-group", "12345");
	take("background-cpu", "25");
	take("cold", "yes");
	take("cold-after", "20m");
	take("cold-algorithm", "zstd:12");
	take("frozen-after", "never");
	take("frozen-algorithm", "zstd:19");
	take("cold-rate", "4M");
	take("cold-budget", "10G");
	if (host_params_complete(&params, &why) != 0)
		fail_msg("%s", why.text);
	assert_int_equal(params.engine.size, 1 << 30);
	assert_int_equal(params.engine.max_size, UINT64_C(4) << 30);
	assert_string_equal(params.engine.algorithm, "zstd");
	assert_true(params.engine.has_level);
	assert_int_equal(params.engine.level, -3);
	assert_int_equal(params.engine.mem_limit, 256 << 20);
	assert_string_equal(params.engine.memory, "shm:0x1234");
	assert_int_equal(params.engine.reserve, 8 << 20);
	assert_int_equal(params.lock, HOST_LOCK_NO);
	assert_false(params.engine.lock_shared);
	assert_string_equal(params.stats_path, "/tmp/zsblk.stats");
	assert_string_equal(params.control_path, "/tmp/zsblk.control");
	assert_int_equal(params.control_group, 12345);
	assert_int_equal(params.background_cpu, 25);
	assert_true(params.cold.on);
	assert_int_equal(params.cold.cold_after_s, 1200);
	assert_int_equal(params.cold.cold.level, 12);
	assert_int_equal(params.cold.frozen_after_s, 0);
	assert_int_equal(params.cold.frozen.level, 19);
	assert_int_equal(params.cold.rate, 4 << 20);
	assert_int_equal(params.cold.budget, UINT64_C(10) << 30);
}

/* What each key takes, cold_settings_test says. */
static void test_cold(void **state)
{
	struct zsblk_why why = {""};

	expect_refusal(-EINVAL, "cold-after", "soon", "cold-after=soon", "such as 90s");
	host_params_init(&params);
	take("size", "1G");
	take("cold-after", "5h");
	take("frozen-algorithm", "zstd:19");
	assert_int_equal(host_params_complete(&params, &why), 0);
	assert_int_equal(params.cold.frozen_after_s, 80 * 3600);
	host_params_init(&params);
	take("size", "1G");
	take("frozen-algorithm", "zstd:19");
	take("cold-after", "5h");
	take("frozen-after", "4h");
	assert_int_equal(host_params_complete(&params, &why), -EINVAL);
	expect(&why, "frozen-after=4h is not later than cold-after=5h");
}

static void test_sizes_refused(void **state)
{
	expect_refusal(-EINVAL, "size", "lots", "size=lots is not a size", "512M, 2G or 1T");
	host_params_init(&params);
	expect_refusal(-EINVAL, "size", "", "size= is not a size", "512M, 2G or 1T");
	expect_refusal(-EINVAL, "max-size", "big", "max-size=big is not a size", "512M, 2G or 1T");
	expect_refusal(-EINVAL, "mem-limit", "-1", "mem-limit=-1", "suffix");
	expect_refusal(-EINVAL, "reserve", "1.5M", "reserve=1.5M", "suffix");
	assert_int_equal(params.engine.size, 0);
}

static void test_level(void **state)
{
	static const char *const bad[] = {
		"", "high", "1x", "1.5", "99999999999", "-99999999999", "999999999999999999999", "08"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		host_params_init(&params);
		expect_refusal(-EINVAL, "level", bad[i], "level=", "is not a whole number");
		assert_false(params.engine.has_level);
	}
	host_params_init(&params);
	take("level", "0x10");
	assert_int_equal(params.engine.level, 16);
}

static void test_lock(void **state)
{
	expect_refusal(-EINVAL, "lock", "maybe", "lock=maybe", "auto, yes or no");
	host_params_init(&params);
	take("lock", "yes");
	assert_int_equal(params.lock, HOST_LOCK_YES);
	assert_true(params.engine.lock_shared);
	host_params_init(&params);
	take("lock", "auto");
	assert_int_equal(params.lock, HOST_LOCK_AUTO);
	assert_true(params.engine.lock_shared);
}

static void test_stats(void **state)
{
	char folder[] = "/tmp/zsblk-params-XXXXXX", path[64], here[PATH_MAX];

	assert_non_null(mkdtemp(folder));
	assert_non_null(getcwd(here, sizeof here));
	assert_int_equal(chdir(folder), 0);
	take("stats", "figures");
	assert_int_equal(chdir(here), 0);
	snprintf(path, sizeof path, "%s/figures", folder);
	assert_string_equal(params.stats_path, path);
	host_params_free(&params);

	host_params_init(&params);
	expect_refusal(-EISDIR, "stats", folder, "is a directory", "/zsblk.stats");
	host_params_free(&params);
	assert_int_equal(rmdir(folder), 0);
	host_params_init(&params);
	expect_refusal(-ENOENT, "stats", path, "cannot be written", "in a directory that exists");
	host_params_free(&params);
	host_params_init(&params);
	expect_refusal(-EINVAL, "stats", "", "names no file", "stats=/run/zsblk.stats");
}

static void test_control(void **state)
{
	char folder[] = "/tmp/zsblk-params-XXXXXX", path[64], long_path[200];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/file", folder);
	assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0);
	expect_refusal(-EEXIST, "control", path, "file is not a socket", "give another path");
	assert_int_equal(unlink(path), 0);

	host_params_free(&params);
	host_params_init(&params);
	assert_int_equal(chmod(folder, 0777), 0);
	expect_refusal(-EPERM, "control", path, "has mode 0777", "only you can write to");
	assert_int_equal(rmdir(folder), 0);

	host_params_free(&params);
	host_params_init(&params);
	expect_refusal(-ENOENT, "control", path, "control=/tmp", "No such file");

	host_params_free(&params);
	host_params_init(&params);
	memset(long_path, 'x', sizeof long_path);
	long_path[0] = '/';
	long_path[sizeof long_path - 1] = '\0';
	expect_refusal(-ENAMETOOLONG, "control", long_path, "is too long for a socket", "shorter path");

	host_params_free(&params);
	host_params_init(&params);
	expect_refusal(-EINVAL, "control", "", "names no socket", "control=/run/zsblk.control");
}

static void begin_anew(void)
{
	host_params_free(&params);
	host_params_init(&params);
}

static void expect_control(const char *value)
{
	take("control", value);
	begin_anew();
}

static void expect_no_control(int error, const char *value, const char *shown, const char *remedy)
{
	expect_refusal(error, "control", value, shown, remedy);
	begin_anew();
}

/* Whoever can write to a folder on the way can put another tree there, with a folder like the last one in it. */
static void test_control_way(void **state)
{
	char top[] = "/tmp/zsblk-params-XXXXXX", inner[64], path[80], link[64], by_link[80];

	assert_non_null(mkdtemp(top));
	snprintf(inner, sizeof inner, "%s/inner", top);
	snprintf(path, sizeof path, "%s/inner/control", top);
	snprintf(link, sizeof link, "%s.link", top);
	snprintf(by_link, sizeof by_link, "%s.link/control", top);
	assert_int_equal(mkdir(inner, 0700), 0);
	assert_int_equal(symlink(inner + strlen("/tmp/"), link), 0);
	expect_control(path);
	expect_control(by_link);
	assert_int_equal(chmod(top, 01777), 0);
	expect_control(path);
	assert_int_equal(chmod(top, 0770), 0);
	expect_no_control(-EPERM, path, "has mode 0770", "only you can write to");
	expect_no_control(-EPERM, by_link, "has mode 0770", "only you can write to");
	assert_int_equal(chmod(top, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(top, 65534, 65534), 0);
		expect_no_control(-EPERM, path, "belongs to user 65534", "of root's");
		expect_no_control(-EPERM, by_link, "belongs to user 65534", "of root's");
	}
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink(link, link), 0);
	expect_no_control(-ELOOP, by_link, "too many links", "without them");
	assert_int_equal(unlink(link), 0);
	assert_int_equal(rmdir(inner), 0);
	assert_int_equal(rmdir(top), 0);
}

static void test_control_group(void **state)
{
	struct zsblk_why why = {""};

	expect_refusal(-EINVAL, "control-group", "no such group", "control-group=no such group", "getent group");
	host_params_init(&params);
	expect_refusal(-EINVAL, "control-group", "4294967295", "control-group=4294967295", "a number");
	host_params_init(&params);
	take("size", "1G");
	take("control-group", "root");
	assert_int_equal(params.control_group, 0);
	assert_int_equal(host_params_complete(&params, &why), -EINVAL);
	expect(&why, "without control");
	expect(&why, "control=/run");
}

static void test_background_cpu(void **state)
{
	expect_refusal(-EINVAL, "background-cpu", "0", "background-cpu=0", "1 to 100");
	host_params_init(&params);
	expect_refusal(-EINVAL, "background-cpu", "101", "background-cpu=101", "1 to 100");
	host_params_init(&params);
	expect_refusal(-EINVAL, "background-cpu", "many", "background-cpu=many", "1 to 100");
}

static void test_once(void **state)
{
	take("level", "1");
	expect_refusal(-EINVAL, "level", "2", "level is given twice, the second time as 2", "give it once");
	assert_int_equal(params.engine.level, 1);
	/* The next server's parameters are its own. */
	host_params_init(&params);
	take("level", "2");
}

static void test_unknown(void **state)
{
	expect_refusal(
		-ENOENT, "colour", "red", "parameter colour=red is not known",
		"use size, max-size, algorithm, level, mem-limit, memory, reserve, lock, stats, control, "
		"control-group, background-cpu, cold, cold-after, cold-algorithm, frozen-after, frozen-algorithm, cold-rate or cold-budget");
	expect_refusal(-ENOENT, "siz", "1G", "siz=1G", "use size");
	expect_refusal(-ENOENT, "", "", "parameter =", "use size");
}

/* What is shown is cut, never the remedy. */
static void test_long_values(void **state)
{
	static char text[5000];

	memset(text, 'x', sizeof text - 1);
	expect_refusal(-EINVAL, "size", text, "size=xxx", "512M, 2G or 1T");
	expect_refusal(-EINVAL, "size", text, "given twice", "give it once");
	expect_refusal(-EINVAL, "lock", text, "lock=xxx", "auto, yes or no");
	expect_refusal(-ENOENT, text, text, "parameter xxx", "frozen-algorithm, cold-rate or cold-budget");
	text[sizeof text / 2] = '/';
	expect_refusal(-ENAMETOOLONG, "stats", text, "cannot be written", "such as /run");
}

static void test_complete(void **state)
{
	struct zsblk_why why = {""};

	assert_int_equal(host_params_complete(&params, &why), -EINVAL);
	expect(&why, "size is missing");
	expect(&why, "size=2G");
	take("size", "5000");
	assert_int_equal(host_params_complete(&params, &why), -EINVAL);
	expect(&why, "multiple of 4096");
	assert_int_equal(host_params_complete(&params, NULL), -EINVAL);
	host_params_init(&params);
	take("size", "1G");
	take("max-size", "512M");
	assert_int_equal(host_params_complete(&params, &why), -EINVAL);
	expect(&why, "max-size=536870912");
}

/* Without being told, a small part of what may ever be used; as told, whatever was told. */
static void test_reserve(void **state)
{
	take("size", "16M");
	assert_int_equal(host_params_complete(&params, NULL), 0);
	assert_int_equal(params.engine.reserve, 1 << 20);
	assert_true(params.engine.reserve_by_default);
	host_params_init(&params);
	take("size", "16M");
	take("reserve", "0");
	assert_int_equal(host_params_complete(&params, NULL), 0);
	assert_int_equal(params.engine.reserve, 0);
	assert_false(params.engine.reserve_by_default);
}

/* Of the environment: what is known and was not given. */
static void test_inherited(void **state)
{
	struct zsblk_why why = {""};

	setenv(HOST_PARAMS_VARIABLE, "level=3\nof-a-later-version=7\n\nno value\nmem-limit=1M\nalgorithm=zstd", 1);
	take("size", "64M");
	take("mem-limit", "2M");
	assert_int_equal(host_params_complete(&params, &why), 0);
	assert_string_equal(params.engine.algorithm, "zstd");
	assert_int_equal(params.engine.level, 3);
	assert_int_equal(params.engine.mem_limit, 2 << 20);
	/* Once: what was taken counts as given. */
	assert_int_equal(host_params_complete(&params, &why), 0);
	release(state);
	start_anew(state);
	setenv(HOST_PARAMS_VARIABLE, "lock=maybe", 1);
	take("size", "64M");
	assert_int_equal(host_params_complete(&params, &why), -EINVAL);
	expect(&why, "lock=maybe");
	unsetenv(HOST_PARAMS_VARIABLE);
}

/* Every key that is taken has its line, in the form that shells complete, and every algorithm has one. */
static void test_help(void **state)
{
	const char *text = host_params_help();
	const struct zsblk_algorithm *algorithm;
	struct zsblk_why why = {""};
	char names[sizeof why.text], *rest = names, *name;

	host_params_set(&params, "?", "?", &why);
	snprintf(names, sizeof names, "%s", strstr(why.text, "use ") + 4);
	while ((name = strsep(&rest, ", "))) {
		char line[32];

		if (!*name || strcmp(name, "or") == 0)
			continue;
		snprintf(line, sizeof line, "%s=", name);
		if (strncmp(text, line, strlen(line)) != 0) {
			snprintf(line, sizeof line, "\n%s=", name);
			if (!strstr(text, line))
				fail_msg("no line for %s in\n%s", name, text);
		}
	}
	for (unsigned i = 0; (algorithm = zsblk_algorithm(i)); i++)
		assert_non_null(strstr(text, algorithm->summary));
	assert_string_equal(host_params_help(), text);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, start_anew, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults), TEST(each_key), TEST(sizes_refused), TEST(level),         TEST(lock),
		TEST(stats),    TEST(control),  TEST(control_way),   TEST(control_group), TEST(background_cpu),
		TEST(cold),     TEST(once),     TEST(unknown),       TEST(long_values),   TEST(complete),
		TEST(reserve),  TEST(help),     TEST(inherited),
	};

	return cmocka_run_group_tests_name("host_params", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The policy with a real device and real jobs: it works by itself, is changed in use, and the next server goes on with that. */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "host/cold.h"

#include <time.h>

#define BLOCKS 1024u

static struct zsblk_params params;
static struct cold_settings given;
static struct zsblk *dev;
static struct jobs *jobs;
static struct cold *cold;

static void start(void)
{
	dev = device_open(&params);
	must(jobs_start(&jobs, dev, 100) == 0);
	must(cold_start(&cold, dev, jobs, &given) == 0);
}

static void stop(void)
{
	cold_stop(cold);
	jobs_stop(jobs);
	zsblk_close(dev);
}

static int set_up(void **state)
{
	params = device_params(BLOCKS);
	params.memory = test_shm_new()->memory;
	cold_settings_init(&given);
	given.frozen = (struct cold_codec){"zstd", 19};
	given.frozen_after_s = 4 * 3600;
	start();
	return 0;
}

static int tear_down(void **state)
{
	stop();
	return 0;
}

static struct cold_report look(void)
{
	struct cold_report report;

	cold_look(cold, &report);
	return report;
}

/* Until the policy is in that state: in seconds as a rule, and as long as it takes on a machine that has other things to do. */
static struct cold_report wait_for(enum cold_state state)
{
	struct cold_report report = look();

	while (report.state != state) {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		report = look();
	}
	return report;
}

static void change(const char *key, const char *value)
{
	struct cold_settings settings;
	struct zsblk_why why = {""};
	unsigned index = 0;

	cold_settings_init(&settings);
	must(cold_settings_set(&settings, key, value, NULL) == 0);
	while (strcmp(cold_settings_key(index), key) != 0)
		index++;
	if (cold_change(cold, &settings, 1u << index, &why))
		fail_msg("%s", why.text);
}

static void test_off(void **state)
{
	struct cold_report report = look();

	assert_int_equal(report.state, COLD_STATE_OFF);
	assert_string_equal(report.text.text, "off");
	assert_string_equal(report.last.text, "");
	assert_string_equal(cold_adopted(cold), "");
}

static void test_changes(void **state)
{
	struct cold_settings wrong = given;
	struct zsblk_why why;
	struct cold_report report;

	change("cold", "yes");
	report = wait_for(COLD_STATE_WAITING);
	/* How long, depends on the memory pressure of this machine. */
	assert_non_null(strstr(report.text.text, "waiting for blocks that nobody uses for "));
	/* All or none of them. */
	wrong.cold_after_s = 5 * 3600;
	wrong.rate = 7;
	assert_int_equal(cold_change(cold, &wrong, 1u << 1 | 1u << 5, &why), -EINVAL);
	assert_non_null(strstr(why.text, "cold-after=5h"));
	report = look();
	assert_int_equal(report.settings.cold_after_s, 900);
	assert_int_equal(report.settings.rate, 0);
	change("cold", "no");
	report = wait_for(COLD_STATE_OFF);
	change("cold", "yes");
	wait_for(COLD_STATE_WAITING);
}

static void test_packs(void **state)
{
	struct cold_report report;

	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	change("frozen-after", "never");
	change("cold-after", "1s");
	change("cold", "yes");
	do {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		report = look();
	} while (report.sums.blocks < BLOCKS - BLOCKS / 16);
	assert_true(report.sums.groups >= report.sums.blocks / 16);
	assert_int_equal(report.packed, report.sums.blocks * BLOCK_BYTES);
	assert_non_null(strstr(report.last.text, "were made"));
	assert_true(device_stats(dev).group_blocks >= BLOCKS / 2);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
	device_ok(dev);
}

static uint64_t count_groups(void)
{
	const struct zsblk_group_what any = {.older_than_s = 0};
	uint64_t groups;

	must(zsblk_group_count(dev, &any, 1, &groups, NULL) == 0);
	return groups;
}

/* When all that is cold is packed, or gains nothing, no more jobs begin, and what the last one has done can still be seen. */
static void test_rests(void **state)
{
	struct cold_report report;
	uint64_t steps;

	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, i < 64 ? BLOCK_NOISE : i < 128 ? BLOCK_SAME64 : BLOCK_TEXT, i);
	change("frozen-after", "never");
	change("cold-after", "1s");
	change("cold", "yes");
	do {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		report = look();
	} while (!report.sums.groups || report.state == COLD_STATE_WORKING || count_groups());
	steps = report.sums.steps;
	nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
	report = look();
	assert_int_equal(report.sums.steps, steps);
	assert_int_equal(report.sums.failed, 0);
	assert_non_null(strstr(report.last.text, "were made"));
	assert_true(device_has(dev, 3, BLOCK_NOISE, 3));
}

/* A change counts until its parameter is another one. */
static void test_next_server(void **state)
{
	change("cold-after", "10m");
	change("cold-rate", "1M");
	stop();
	start();
	assert_string_equal(cold_adopted(cold), "cold-after=10m cold-rate=1048576");
	assert_int_equal(look().settings.cold_after_s, 600);
	/* What is changed now counts beside what was changed before. */
	change("cold-rate", "2M");
	change("cold", "yes");
	stop();
	given.cold_after_s = 1200;
	start();
	assert_string_equal(cold_adopted(cold), "cold=yes cold-rate=2097152");
	assert_int_equal(look().settings.cold_after_s, 1200);
	wait_for(COLD_STATE_WAITING);
}

static void adopts(const char *memo, const char *adopted)
{
	must(zsblk_set_memo(dev, memo) == 0);
	stop();
	start();
	assert_string_equal(cold_adopted(cold), adopted);
}

/* Of another version, or damaged: what cannot be is not gone on with. */
static void test_memos(void **state)
{
	adopts("cold=yes\tno\n", "cold=yes");
	adopts("cold=yes\tno", "cold=yes");
	adopts("cold=yes\tyes\n", "");
	adopts("cold=yes\ncold=\n=\t\n\t\n=yes\tno\n", "");
	adopts("frozen-lake=7\t8\ncold-budget=5\t0\ncold-after=soon\t15m\ncold-algorithm=none:1\tzstd:9\n",
	       "cold-budget=5");
	/* Each may be right, and all together not. */
	adopts("cold=yes\tno\ncold-after=4h\t15m\n", "");
	adopts("cold=yes\tno\ncold-after=4h\t15m\nfrozen-after=never\t4h\n",
	       "cold=yes cold-after=4h frozen-after=never");
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_off),         WITH_DEVICE(test_changes), WITH_DEVICE(test_packs),
		WITH_DEVICE(test_next_server), WITH_DEVICE(test_memos),   WITH_DEVICE(test_rests),
	};

	return cmocka_run_group_tests_name("cold", tests, NULL, NULL);
}

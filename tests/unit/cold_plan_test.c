/* SPDX-License-Identifier: BSD-3-Clause */
/* The plan of the policy: each rule by itself. */
#include "lib/test.h"

#include "host/cold_plan.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)

static struct cold_plan plan;
static struct cold_settings settings;
static struct cold_look look;
static struct cold_step step;
static enum cold_found old_blocks;
static uint64_t asked_age;

static enum cold_found find_old(void *opaque, enum cold_do what, uint64_t older_than_s)
{
	asked_age = older_than_s;
	return old_blocks;
}

static int set_up(void **state)
{
	cold_plan_init(&plan);
	cold_settings_init(&settings);
	settings.on = true;
	settings.frozen_after_s = 4 * 3600;
	look = (struct cold_look){.now_s = 1000000, .used = 100 * MIB, .find = find_old};
	old_blocks = COLD_FOUND_SOME;
	return 0;
}

static enum cold_do next_after(uint64_t seconds)
{
	look.now_s += seconds;
	cold_plan_next(&plan, &settings, &look, &step);
	return step.what;
}

static enum cold_do next(void)
{
	return next_after(1);
}

static void note(struct cold_result result)
{
	cold_plan_note(&plan, &settings, look.now_s, &result);
}

static void packed(uint64_t groups)
{
	note((struct cold_result){.groups = groups, .blocks = 16 * groups, .bytes_saved = groups * 10000});
}

static void expect_text(enum cold_state state, const char *text)
{
	assert_int_equal(plan.state, state);
	assert_string_equal(plan.text.text, text);
}

static void test_off(void **state)
{
	settings.on = false;
	assert_int_equal(next(), COLD_DO_NOTHING);
	expect_text(COLD_STATE_OFF, "off");
	/* What is under way when it is switched off is stopped, once. */
	settings.on = true;
	assert_int_equal(next(), COLD_DO_GROUP);
	settings.on = false;
	assert_int_equal(next(), COLD_DO_STOP);
	assert_int_equal(next(), COLD_DO_NOTHING);
	packed(3);
	assert_int_equal(next(), COLD_DO_NOTHING);
	expect_text(COLD_STATE_OFF, "off");
	assert_int_equal(plan.sums.groups, 3);
	assert_int_equal(plan.sums.stopped, 1);
}

static void test_ages(void **state)
{
	assert_int_equal(next(), COLD_DO_GROUP);
	assert_int_equal(step.older_than_s, 900);
	assert_int_equal(step.max_groups, COLD_ROUND_GROUPS);
	expect_text(COLD_STATE_WORKING, "packing what nobody has used for 15m with zstd:9");
	/* One at a time. */
	assert_int_equal(next(), COLD_DO_NOTHING);
	packed(10);
	assert_int_equal(next(), COLD_DO_FREEZE);
	assert_int_equal(step.older_than_s, 4 * 3600);
	expect_text(COLD_STATE_WORKING, "packing what nobody has used for 4h with lzma:1");
	packed(10);
	assert_int_equal(next(), COLD_DO_NOTHING);
	expect_text(COLD_STATE_WAITING, "waiting for blocks that nobody uses for 15m");
	/* An eighth of the age later. */
	assert_int_equal(next_after(100), COLD_DO_NOTHING);
	assert_int_equal(next_after(12), COLD_DO_GROUP);
	note((struct cold_result){.groups = 512, .blocks = 8192, .more = true});
	/* There is more of it. Whoever looks for it may need a while. */
	old_blocks = COLD_FOUND_LATER;
	assert_int_equal(next(), COLD_DO_NOTHING);
	assert_int_equal(next(), COLD_DO_NOTHING);
	expect_text(COLD_STATE_WAITING, "waiting for blocks that nobody uses for 15m");
	old_blocks = COLD_FOUND_SOME;
	assert_int_equal(next(), COLD_DO_GROUP);
	packed(1);
	assert_int_equal(next(), COLD_DO_NOTHING);
	/* Nothing is that old. */
	old_blocks = COLD_FOUND_NOTHING;
	assert_int_equal(next_after(300), COLD_DO_NOTHING);
	assert_int_equal(next_after(112), COLD_DO_NOTHING);
	assert_int_equal(plan.sums.groups, 523);
	assert_int_equal(plan.sums.frozen_groups, 10);
	assert_int_equal(plan.sums.frozen_blocks, 160);
}

/* Ages so short that both are due whenever a step ends: neither keeps the other from its turn. */
static void test_turns(void **state)
{
	settings.cold_after_s = 1;
	settings.frozen_after_s = 2;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(next(), COLD_DO_GROUP);
		packed(1);
		assert_int_equal(next(), COLD_DO_FREEZE);
		packed(1);
	}
	/* Nor do those of which there is more. The first of two that are due for equally long is not the frozen one. */
	assert_int_equal(next(), COLD_DO_GROUP);
	note((struct cold_result){.groups = 512, .blocks = 8192, .more = true});
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(next(), i % 2 ? COLD_DO_FREEZE : COLD_DO_GROUP);
		note((struct cold_result){.groups = 512, .blocks = 8192, .more = true});
	}
}

static void test_never_frozen(void **state)
{
	settings.frozen_after_s = 0;
	assert_int_equal(next(), COLD_DO_GROUP);
	packed(10);
	for (unsigned i = 0; i < 10000; i++) {
		assert_int_not_equal(next(), COLD_DO_FREEZE);
		if (step.what == COLD_DO_GROUP)
			packed(1);
	}
}

/* What was freed is compacted, if that gains a part of the pool. */
static void test_compaction(void **state)
{
	look.freeable = 50 * MIB;
	assert_int_equal(next(), COLD_DO_GROUP);
	packed(100);
	look.freeable = 3 * MIB;
	assert_int_equal(next(), COLD_DO_FREEZE);
	packed(100);
	look.freeable = 4 * MIB;
	assert_int_equal(next(), COLD_DO_COMPACT);
	expect_text(COLD_STATE_WORKING, "compacting the pool, which frees about 4096 KiB");
	note((struct cold_result){.bytes_saved = MIB});
	/* Once, until something is freed again. */
	assert_int_equal(next(), COLD_DO_NOTHING);
	look.used = MIB;
	look.freeable = MIB / 2;
	assert_int_equal(next_after(113), COLD_DO_GROUP);
	packed(1);
	assert_int_not_equal(next(), COLD_DO_COMPACT);
}

static void test_pressure(void **state)
{
	old_blocks = COLD_FOUND_NOTHING;
	look.has_pressure = true;
	look.pressure = COLD_PRESSED_FROM - 1;
	assert_int_equal(next(), COLD_DO_NOTHING);
	assert_int_equal(asked_age, 4 * 3600);
	old_blocks = COLD_FOUND_SOME;
	look.pressure++;
	assert_int_equal(next(), COLD_DO_GROUP);
	assert_int_equal(step.older_than_s, 225);
	expect_text(
		COLD_STATE_WORKING,
		"packing what nobody has used for 225s with zstd:9, and earlier than asked for, since memory is short");
	packed(1);
	/* In between it stays as it is. */
	look.pressure = COLD_PRESSED_UNTIL;
	assert_int_equal(next(), COLD_DO_FREEZE);
	assert_int_equal(step.older_than_s, 3600);
	packed(1);
	look.pressure--;
	assert_int_equal(next(), COLD_DO_NOTHING);
	expect_text(COLD_STATE_WAITING, "waiting for blocks that nobody uses for 15m");
	assert_int_equal(next_after(113), COLD_DO_GROUP);
	assert_int_equal(step.older_than_s, 900);
	packed(1);
	/* A figure that is not there says nothing. */
	look.pressure = 10000;
	look.has_pressure = false;
	assert_int_not_equal(next_after(113), COLD_DO_NOTHING);
	assert_int_equal(step.older_than_s, 900);
}

static void test_storm(void **state)
{
	assert_int_equal(next(), COLD_DO_GROUP);
	look.cold_reads += COLD_STORM_READS - 1;
	assert_int_equal(next(), COLD_DO_NOTHING);
	look.cold_reads += COLD_STORM_READS;
	assert_int_equal(next(), COLD_DO_STOP);
	packed(1);
	assert_int_equal(next(), COLD_DO_NOTHING);
	expect_text(COLD_STATE_PAUSED, "paused for 59s, since 500 blocks a second or more were read out of groups");
	/* It goes on: the time begins anew. */
	look.cold_reads += 30 * COLD_STORM_READS;
	assert_int_equal(next_after(30), COLD_DO_NOTHING);
	assert_int_equal(plan.sums.storms, 1);
	assert_int_equal(next_after(59), COLD_DO_NOTHING);
	/* The step that was stopped is taken up at once. */
	assert_int_equal(next(), COLD_DO_GROUP);
	packed(1);
	look.cold_reads += 10 * COLD_STORM_READS;
	assert_int_equal(next(), COLD_DO_NOTHING);
	assert_int_equal(plan.sums.storms, 2);
}

/* Before the server began, or in a second that was looked at before, there was none. */
static void test_no_storm(void **state)
{
	old_blocks = COLD_FOUND_NOTHING;
	look.cold_reads = 1000000;
	next();
	look.cold_reads += 10000;
	next_after(0);
	look.cold_reads -= 10000;
	next();
	assert_int_equal(plan.sums.storms, 0);
}

static void test_near(void **state)
{
	static const struct {
		enum cold_do what;
		uint64_t age_s;
	} ladder[] = {{COLD_DO_GROUP, 900},   {COLD_DO_FREEZE, 14400}, {COLD_DO_GROUP, 112},
		      {COLD_DO_FREEZE, 1800}, {COLD_DO_RECOMPRESS, 0}, {COLD_DO_GROUP, 14}};

	settings.budget = settings.rate = MIB;
	look.limit = 1600 * MIB;
	look.used = 1499 * MIB;
	old_blocks = COLD_FOUND_NOTHING;
	assert_int_equal(next(), COLD_DO_NOTHING);
	old_blocks = COLD_FOUND_SOME;
	look.used = 1500 * MIB;
	look.freeable = COLD_GROUP_BYTES;
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(next(), COLD_DO_COMPACT);
		note((struct cold_result){.bytes_saved = 0});
		for (unsigned i = 0; i < COUNT_OF(ladder); i++) {
			assert_int_equal(next(), ladder[i].what);
			assert_int_equal(step.older_than_s, ladder[i].age_s);
			assert_non_null(strstr(plan.text.text, "near its limit"));
			note((struct cold_result){.groups = 0});
		}
		assert_int_equal(next(), COLD_DO_NOTHING);
		expect_text(
			COLD_STATE_PAUSED,
			"the pool is near its limit, and nothing is left that would make room; tried again after 20s");
		assert_int_equal(next_after(19), COLD_DO_NOTHING);
	}
	/* What helps is done until it does not. What it frees is compacted at once. */
	assert_int_equal(next(), COLD_DO_COMPACT);
	note((struct cold_result){.bytes_saved = 0});
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(next(), COLD_DO_GROUP);
		assert_int_equal(step.older_than_s, 900);
		note((struct cold_result){.groups = 512, .blocks = 8192, .bytes_saved = MIB, .more = true});
		assert_int_equal(next(), COLD_DO_COMPACT);
		note((struct cold_result){.bytes_saved = MIB});
	}
	/* There is room: not near until there is less than a 16th again. */
	look.used = 1399 * MIB;
	assert_int_equal(next(), COLD_DO_NOTHING);
	look.used = 1499 * MIB;
	assert_int_equal(next(), COLD_DO_NOTHING);
}

/* Nothing is packed then, near the limit or not; compaction hurts nobody. */
static void test_storm_near_the_limit(void **state)
{
	look.limit = look.used;
	look.freeable = MIB;
	next();
	look.cold_reads += 10 * COLD_STORM_READS;
	assert_int_equal(plan.step.what, COLD_DO_COMPACT);
	assert_int_equal(next(), COLD_DO_NOTHING);
	note((struct cold_result){.bytes_saved = MIB});
	assert_int_equal(next(), COLD_DO_NOTHING);
	assert_int_equal(plan.state, COLD_STATE_PAUSED);
}

static void test_rate(void **state)
{
	settings.frozen_after_s = 0;
	settings.rate = MIB;
	assert_int_equal(next(), COLD_DO_GROUP);
	assert_int_equal(step.max_groups, 160);
	note((struct cold_result){.groups = 160, .blocks = 2560, .more = true});
	assert_int_equal(next(), COLD_DO_NOTHING);
	expect_text(COLD_STATE_PAUSED, "waiting, so as to pack no more than 1024 KiB a second");
	assert_int_equal(next_after(8), COLD_DO_NOTHING);
	assert_int_equal(next(), COLD_DO_GROUP);
	packed(0);
	settings.rate = 1;
	assert_int_equal(next_after(200), COLD_DO_GROUP);
	assert_int_equal(step.max_groups, 1);
	packed(1);
	assert_int_equal(next_after(65534), COLD_DO_NOTHING);
	settings.rate = UINT64_MAX;
	assert_int_equal(next_after(2), COLD_DO_GROUP);
	assert_int_equal(step.max_groups, COLD_ROUND_GROUPS);
}

static void test_budget(void **state)
{
	look.now_s = 1000 * 3600 - 1;
	settings.frozen_after_s = 0;
	settings.budget = 10 * COLD_GROUP_BYTES + 1;
	assert_int_equal(next(), COLD_DO_GROUP);
	assert_int_equal(step.max_groups, 10);
	packed(9);
	assert_int_equal(next_after(3600), COLD_DO_GROUP);
	assert_int_equal(step.max_groups, 1);
	packed(1);
	assert_int_equal(next_after(3600), COLD_DO_NOTHING);
	settings.budget = MIB;
	assert_int_equal(next(), COLD_DO_GROUP);
	packed(6);
	assert_int_equal(next(), COLD_DO_NOTHING);
	expect_text(COLD_STATE_PAUSED, "waiting, since the 1 MiB that may be packed in 24 hours are used up");
	/* 22 hours later the first hour does not count any more. */
	assert_int_equal(cold_plan_packed(&plan, look.now_s + 21 * 3600), MIB);
	assert_int_equal(next_after(22 * 3600), COLD_DO_GROUP);
	assert_int_equal(step.max_groups, 9);
	packed(0);
	assert_int_equal(next_after(100 * 3600), COLD_DO_GROUP);
	assert_int_equal(step.max_groups, 16);
	assert_int_equal(cold_plan_packed(&plan, look.now_s), 0);
}

static void test_failure(void **state)
{
	assert_int_equal(next(), COLD_DO_GROUP);
	note((struct cold_result){.why = "no memory to spare"});
	expect_text(COLD_STATE_PAUSED, "paused for 10s: no memory to spare");
	assert_int_equal(next_after(9), COLD_DO_NOTHING);
	expect_text(COLD_STATE_PAUSED, "paused for 10s: no memory to spare");
	assert_int_equal(plan.sums.failed, 1);
	assert_int_equal(next(), COLD_DO_GROUP);
	note((struct cold_result){.by_hand = true});
	expect_text(COLD_STATE_PAUSED, "paused for 600s, since its job was cancelled by hand");
	assert_int_equal(next_after(599), COLD_DO_NOTHING);
	assert_int_not_equal(next(), COLD_DO_NOTHING);
	/* New settings end a rest. */
	note((struct cold_result){.by_hand = true});
	cold_plan_reset(&plan);
	assert_int_equal(next(), COLD_DO_GROUP);
}

/* A job of somebody is no failure: the same step begins when that is over. */
static void test_gives_way(void **state)
{
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(next(), COLD_DO_GROUP);
		note((struct cold_result){.gave_way = true, .why = "job 3 (group) is at work"});
		expect_text(COLD_STATE_PAUSED, "paused for 10s: job 3 (group) is at work");
		assert_int_equal(next_after(9), COLD_DO_NOTHING);
	}
	assert_int_equal(next(), COLD_DO_GROUP);
	note((struct cold_result){.gave_way = true, .groups = 3, .bytes_saved = 30000});
	expect_text(COLD_STATE_PAUSED, "paused for 10s: its job gave way to one that somebody has begun");
	assert_int_equal(next_after(10), COLD_DO_GROUP);
	assert_int_equal(plan.sums.failed, 0);
	/* Nor has compaction been done then. */
	cold_plan_init(&plan);
	look.limit = look.used;
	look.freeable = MIB;
	assert_int_equal(next(), COLD_DO_COMPACT);
	note((struct cold_result){.gave_way = true});
	assert_int_equal(next_after(10), COLD_DO_COMPACT);
}

/* How often a step begins within a day, if each of them ends like this at once. */
static unsigned count_steps(enum cold_do what, struct cold_result result)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 24 * 3600; i++) {
		if (next() == COLD_DO_NOTHING)
			continue;
		n += step.what == what;
		note(step.what == what ? result : (struct cold_result){.groups = 1, .bytes_saved = 1});
	}
	return n;
}

/* What fails, or gains nothing, is tried once an hour in the end, and what gains goes on beside it. */
static void test_in_vain(void **state)
{
	assert_in_range(count_steps(COLD_DO_GROUP, (struct cold_result){.why = "no room for groups"}), 24, 24 + 10);
	assert_int_equal(plan.state, COLD_STATE_WAITING);
	assert_non_null(strstr(plan.text.text, "; packing was in vain "));
	assert_true(plan.sums.steps > 24 * 10);
	cold_plan_init(&plan);
	assert_in_range(count_steps(COLD_DO_FREEZE, (struct cold_result){.groups = 0}), 24, 24 + 10);
	assert_non_null(strstr(plan.text.text, "; freezing was in vain "));
	/* One that gains ends that. */
	cold_plan_init(&plan);
	assert_int_equal(next(), COLD_DO_GROUP);
	for (unsigned i = 0; i < 10; i++)
		note((struct cold_result){.groups = 0});
	packed(1);
	assert_true(plan.backoff[COLD_WORK_GROUP].until_s == 0);
}

/* When memory becomes short, ages are others than those with which it was in vain. */
static void test_in_vain_until_pressed(void **state)
{
	look.has_pressure = true;
	count_steps(COLD_DO_GROUP, (struct cold_result){.groups = 0});
	assert_true(plan.backoff[COLD_WORK_GROUP].until_s > look.now_s);
	plan.backoff[COLD_WORK_FREEZE] = plan.backoff[COLD_WORK_GROUP];
	look.pressure = COLD_PRESSED_FROM;
	assert_int_equal(next(), COLD_DO_GROUP);
	note((struct cold_result){.groups = 0});
	assert_int_equal(next(), COLD_DO_FREEZE);
	packed(1);
	/* Once, and not for as long as it lasts. */
	assert_int_equal(next(), COLD_DO_NOTHING);
	assert_true(plan.backoff[COLD_WORK_GROUP].until_s > look.now_s);
}

/* Near the limit every 2 minutes in the end, for each step of the ladder by itself. One that fails is in no other's way. */
static void test_in_vain_near_the_limit(void **state)
{
	look.limit = look.used;
	look.freeable = 0;
	assert_int_equal(next(), COLD_DO_GROUP);
	note((struct cold_result){.why = "no room for groups"});
	assert_int_equal(next_after(10), COLD_DO_FREEZE);
	note((struct cold_result){.why = "no room for groups"});
	assert_int_equal(next_after(10), COLD_DO_GROUP);
	assert_int_equal(step.older_than_s, 112);
	cold_plan_init(&plan);
	assert_in_range(count_steps(COLD_DO_GROUP, (struct cold_result){.why = "no room for groups"}), 3 * 24 * 20,
			3 * 24 * 30);
	assert_true(plan.sums.steps - plan.sums.failed > 24 * 60);
	/* Some bytes are no gain, if all blocks were compressed again for them. */
	cold_plan_init(&plan);
	assert_in_range(count_steps(COLD_DO_RECOMPRESS, (struct cold_result){.bytes_saved = MIB / 4}), 24 * 20,
			24 * 30);
	cold_plan_init(&plan);
	assert_true(count_steps(COLD_DO_RECOMPRESS, (struct cold_result){.bytes_saved = MIB}) > 24 * 60);
	cold_plan_init(&plan);
	look.freeable = MIB;
	assert_in_range(count_steps(COLD_DO_COMPACT, (struct cold_result){.bytes_saved = 0}), 24 * 20, 24 * 30);
	/* When it is near anew, all of them are tried anew. */
	look.used = look.limit / 2;
	next();
	look.used = look.limit;
	assert_int_equal(next(), COLD_DO_COMPACT);
}

int main(void)
{
#define WITH_PLAN(test) cmocka_unit_test_setup(test, set_up)
	const struct CMUnitTest tests[] = {
		WITH_PLAN(test_off),
		WITH_PLAN(test_ages),
		WITH_PLAN(test_turns),
		WITH_PLAN(test_never_frozen),
		WITH_PLAN(test_compaction),
		WITH_PLAN(test_pressure),
		WITH_PLAN(test_storm),
		WITH_PLAN(test_no_storm),
		WITH_PLAN(test_near),
		WITH_PLAN(test_rate),
		WITH_PLAN(test_storm_near_the_limit),
		WITH_PLAN(test_budget),
		WITH_PLAN(test_failure),
		WITH_PLAN(test_gives_way),
		WITH_PLAN(test_in_vain),
		WITH_PLAN(test_in_vain_until_pressed),
		WITH_PLAN(test_in_vain_near_the_limit),
	};

	return cmocka_run_group_tests_name("cold_plan", tests, NULL, NULL);
}

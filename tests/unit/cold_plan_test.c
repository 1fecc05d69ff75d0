/* SPDX-License-Identifier: BSD-3-Clause */
/* The plan of the policy: each rule by itself, and a day in fast motion. */
#include "lib/random.h"
#include "lib/test.h"

#include "host/cold_plan.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)

static struct cold_plan plan;
static struct cold_settings settings;
static struct cold_look look;
static struct cold_step step;
static uint64_t old_blocks, asked_age;

static uint64_t count_old(void *opaque, uint64_t seconds)
{
	asked_age = seconds;
	return old_blocks;
}

static int set_up(void **state)
{
	cold_plan_init(&plan);
	cold_settings_init(&settings);
	settings.on = true;
	settings.frozen_after_s = 4 * 3600;
	look = (struct cold_look){.now_s = 1000000, .used = 100 * MIB, .older = count_old};
	old_blocks = 1000;
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
	/* There is more of it. */
	assert_int_equal(next(), COLD_DO_GROUP);
	packed(0);
	assert_int_equal(next(), COLD_DO_NOTHING);
	/* Nothing is that old. */
	old_blocks = 1;
	assert_int_equal(next_after(300), COLD_DO_NOTHING);
	assert_int_equal(next_after(112), COLD_DO_NOTHING);
	assert_int_equal(plan.sums.groups, 522);
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
		packed(0);
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
			packed(0);
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
	old_blocks = 0;
	look.has_pressure = true;
	look.pressure = COLD_PRESSED_FROM - 1;
	assert_int_equal(next(), COLD_DO_NOTHING);
	assert_int_equal(asked_age, 4 * 3600);
	old_blocks = 1000;
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
	old_blocks = 0;
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
	old_blocks = 0;
	assert_int_equal(next(), COLD_DO_NOTHING);
	old_blocks = 1000;
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
	assert_int_equal(next(), COLD_DO_FREEZE);
	note((struct cold_result){.by_hand = true});
	expect_text(COLD_STATE_PAUSED, "paused for 600s, since its job was cancelled by hand");
	assert_int_equal(next_after(599), COLD_DO_NOTHING);
	assert_int_equal(next(), COLD_DO_GROUP);
	packed(0);
	/* New settings end a rest. */
	note((struct cold_result){.by_hand = true});
	cold_plan_reset(&plan);
	assert_int_equal(next(), COLD_DO_GROUP);
}

/* ------------------------------------------------------------------ a day
 *
 * A device as it might be: blocks with ages, in three states. The clock is ours.
 */

#define BLOCKS     16384u
#define HOT_BYTES  2000u
#define COLD_BYTES 900u
#define ICE_BYTES  760u
#define HOUR       3600u

enum where { HOT, COLD, ICE };

static struct {
	uint64_t used_s[BLOCKS];
	uint8_t where[BLOCKS];
	uint64_t holes;    /* bytes that objects left behind */
	uint64_t reads;    /* out of groups */
	uint64_t too_soon; /* blocks that were packed younger than they had to be */
	uint64_t busy_until_s;
	unsigned limit_mib;
} day;

static uint64_t day_older(void *opaque, uint64_t seconds)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < BLOCKS; i++)
		n += look.now_s - day.used_s[i] >= seconds;
	return n;
}

static uint64_t day_objects(void)
{
	static const unsigned bytes[] = {[HOT] = HOT_BYTES, [COLD] = COLD_BYTES, [ICE] = ICE_BYTES};
	uint64_t sum = 0;

	for (unsigned i = 0; i < BLOCKS; i++)
		sum += bytes[day.where[i]];
	return sum;
}

/* A block that is read again within ten minutes comes out of its group. */
static void day_use(unsigned block, bool write)
{
	bool again = look.now_s - day.used_s[block] < 600;

	day.used_s[block] = look.now_s;
	day.reads += !write && day.where[block] != HOT;
	if (write || again)
		day.where[block] = HOT;
}

/* What the engine would do within the step. */
static struct cold_result day_pack(enum where to)
{
	struct cold_result result = {.groups = 0};

	for (unsigned i = 0; i < BLOCKS; i++) {
		if (day.where[i] >= to || look.now_s - day.used_s[i] < step.older_than_s)
			continue;
		if (result.blocks == 16 * step.max_groups) {
			result.more = true;
			break;
		}
		result.bytes_saved += day.where[i] == HOT ? HOT_BYTES - (to == COLD ? COLD_BYTES : ICE_BYTES)
							  : COLD_BYTES - ICE_BYTES;
		day.where[i] = (uint8_t)to;
		result.blocks++;
	}
	result.groups = (result.blocks + 15) / 16;
	day.holes += result.bytes_saved;
	return result;
}

static void day_end_step(struct cold_step *under_way)
{
	struct cold_result result = {.bytes_saved = 0};

	step = *under_way;
	if (step.what == COLD_DO_GROUP || step.what == COLD_DO_FREEZE)
		result = day_pack(step.what == COLD_DO_GROUP ? COLD : ICE);
	if (step.what == COLD_DO_COMPACT) {
		result.bytes_saved = day.holes;
		day.holes = 0;
	}
	note(result);
	under_way->what = COLD_DO_NOTHING;
}

/* What people do at this second: a few daemons always; a working set by day; lunch; a storm at 14:00; much that is new at 16:00. */
static void day_live(uint64_t *random, uint64_t second)
{
	unsigned hour = (unsigned)(second / HOUR);

	day_use((unsigned)(second % 128), false);
	if ((hour >= 8 && hour < 12) || (hour >= 13 && hour < 18))
		for (unsigned i = 0; i < 20; i++)
			day_use(128 + (unsigned)random_below(random, 2000), random_below(random, 4) == 0);
	if (second >= 14 * HOUR && second < 14 * HOUR + 3)
		for (unsigned i = 0; i < 1000; i++)
			day_use(8000 + 1000 * (unsigned)(second % HOUR) + i, false);
	if (hour == 16 && second % 4 == 0)
		day_use(12000 + (unsigned)(second % HOUR), true);
	look.pressure = hour == 10 ? 1200 : 20;
	look.limit = hour >= 16 && hour < 18 ? day.limit_mib * MIB : 0;
}

/* The rules that hold at every moment. */
static void day_check(uint64_t second)
{
	bool early = plan.pressed || plan.near;
	uint64_t asked_s = step.what == COLD_DO_FREEZE ? settings.frozen_after_s : settings.cold_after_s;

	assert_true(second < 14 * HOUR + 1 || second >= 14 * HOUR + COLD_STORM_REST_S || step.what == COLD_DO_NOTHING ||
		    step.what == COLD_DO_STOP);
	if (step.what == COLD_DO_GROUP || step.what == COLD_DO_FREEZE) {
		assert_true(early || step.older_than_s == asked_s);
		assert_true(step.older_than_s >= 10);
	}
	assert_true(!settings.budget || plan.near || cold_plan_packed(&plan, look.now_s) <= settings.budget);
	assert_true(plan.text.text[0]);
}

static uint64_t day_count(enum where where, unsigned first, unsigned end)
{
	uint64_t n = 0;

	for (unsigned i = first; i < end; i++)
		n += day.where[i] == where;
	return n;
}

static void live_a_day(void)
{
	struct cold_step under_way = {.what = COLD_DO_NOTHING};
	uint64_t random = 13;
	uint64_t midnight = look.now_s;

	look.older = day_older;
	look.has_pressure = true;
	for (unsigned i = 0; i < BLOCKS; i++)
		day.used_s[i] = midnight;
	for (uint64_t second = 0; second < 24 * HOUR; second++) {
		look.now_s = midnight + second;
		day_live(&random, second);
		if (under_way.what && look.now_s >= day.busy_until_s)
			day_end_step(&under_way);
		look.cold_reads = day.reads;
		look.freeable = day.holes;
		look.used = day_objects() + day.holes;
		cold_plan_next(&plan, &settings, &look, &step);
		day_check(second);
		if (step.what == COLD_DO_STOP)
			day.busy_until_s = 0;
		else if (step.what != COLD_DO_NOTHING) {
			under_way = step;
			day.busy_until_s = look.now_s + 2 + step.max_groups / 64;
		}
	}
}

static void test_a_day(void **state)
{
	memset(&day, 0, sizeof day);
	day.limit_mib = 14;
	live_a_day();
	/* At midnight what was not used since the afternoon is frozen, and the daemons' blocks are hot. */
	assert_int_equal(day_count(HOT, 0, 128), 128);
	assert_int_equal(day_count(ICE, 128, BLOCKS), BLOCKS - 128);
	assert_int_equal(plan.sums.storms, 1);
	assert_int_equal(plan.sums.failed, 0);
	/* The pool is what all of that needs. */
	assert_true(look.used < 128 * HOT_BYTES + (BLOCKS - 128) * ICE_BYTES + look.used / 16);
	/* A look at the table each two minutes, and more of them near the limit only. */
	assert_true(plan.sums.steps < 24 * HOUR / 40);
}

static void test_a_day_within_a_budget(void **state)
{
	memset(&day, 0, sizeof day);
	day.limit_mib = 1000;
	settings.budget = 20 * MIB;
	settings.rate = MIB / 4;
	live_a_day();
	assert_true(cold_plan_packed(&plan, look.now_s) > 19 * MIB);
	assert_true(plan.sums.blocks + plan.sums.frozen_blocks <= 20 * MIB / 4096);
	assert_int_equal(plan.state, COLD_STATE_PAUSED);
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
		WITH_PLAN(test_a_day),
		WITH_PLAN(test_a_day_within_a_budget),
	};

	return cmocka_run_group_tests_name("cold_plan", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plan of the policy through a day in fast motion: a device as it might be, blocks with ages, in three states. The clock is ours.
 * Each rule by itself is tested in cold_plan_test.c.
 */
#include "lib/random.h"
#include "lib/test.h"

#include "host/cold_plan.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)

static struct cold_plan plan;
static struct cold_settings settings;
static struct cold_look look;
static struct cold_step step;

#define BLOCKS     16384u
#define HOT_BYTES  2000u
#define COLD_BYTES 900u
#define ICE_BYTES  760u
#define HOUR       3600u

enum where { HOT, COLD, ICE };

static struct {
	uint64_t used_s[BLOCKS];
	uint8_t where[BLOCKS];
	uint64_t objects;  /* bytes that they take */
	uint64_t holes;    /* bytes that objects left behind */
	uint64_t reads;    /* out of groups */
	uint64_t too_soon; /* blocks that were packed younger than they had to be */
	uint64_t busy_until_s;
	unsigned limit_mib;
} day;

/* As in the engine: what is packed as tightly already does not count. */
static enum cold_found day_find(void *opaque, enum cold_do what, uint64_t older_than_s)
{
	enum where to = what == COLD_DO_FREEZE ? ICE : COLD;

	for (unsigned i = 0; i < BLOCKS; i++)
		if (day.where[i] < to && look.now_s - day.used_s[i] >= older_than_s)
			return COLD_FOUND_SOME;
	return COLD_FOUND_NOTHING;
}

static void day_move(unsigned block, enum where to)
{
	static const unsigned bytes[] = {[HOT] = HOT_BYTES, [COLD] = COLD_BYTES, [ICE] = ICE_BYTES};

	day.objects -= bytes[day.where[block]];
	day.objects += bytes[to];
	day.where[block] = (uint8_t)to;
}

/* A block that is read again within ten minutes comes out of its group. */
static void day_use(unsigned block, bool write)
{
	bool again = look.now_s - day.used_s[block] < 600;

	day.used_s[block] = look.now_s;
	day.reads += !write && day.where[block] != HOT;
	if (write || again)
		day_move(block, HOT);
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
		day_move(i, to);
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
	cold_plan_note(&plan, &settings, look.now_s, &result);
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

	for (unsigned i = 0; i < BLOCKS; i++)
		day.used_s[i] = midnight;
	for (uint64_t second = 0; second < 24 * HOUR; second++) {
		look.now_s = midnight + second;
		day_live(&random, second);
		if (under_way.what && look.now_s >= day.busy_until_s)
			day_end_step(&under_way);
		look.cold_reads = day.reads;
		look.freeable = day.holes;
		look.used = day.objects + day.holes;
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

static int set_up(void **state)
{
	memset(&day, 0, sizeof day);
	day.objects = BLOCKS * (uint64_t)HOT_BYTES;
	cold_plan_init(&plan);
	cold_settings_init(&settings);
	settings.on = true;
	settings.frozen_after_s = 4 * HOUR;
	look = (struct cold_look){.now_s = 1000000, .find = day_find, .has_pressure = true};
	return 0;
}

static void test_a_day(void **state)
{
	day.limit_mib = 14;
	live_a_day();
	/* At midnight what was not used since the afternoon is frozen, and the daemons' blocks are hot. */
	assert_int_equal(day_count(HOT, 0, 128), 128);
	assert_int_equal(day_count(ICE, 128, BLOCKS), BLOCKS - 128);
	assert_int_equal(plan.sums.storms, 1);
	assert_int_equal(plan.sums.failed, 0);
	/* The pool is what all of that needs, and less than what is worth compacting. */
	assert_true(look.used < 128 * HOT_BYTES + (BLOCKS - 128) * ICE_BYTES + MIB);
	/* A look at the table each two minutes, and more of them near the limit only. */
	assert_true(plan.sums.steps < 24 * HOUR / 40);
}

static void test_a_day_within_a_budget(void **state)
{
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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_day, set_up),
		cmocka_unit_test_setup(test_a_day_within_a_budget, set_up),
	};

	return cmocka_run_group_tests_name("cold_day", tests, NULL, NULL);
}

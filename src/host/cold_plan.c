/* SPDX-License-Identifier: BSD-3-Clause */
/* The plan of the policy. See cold_plan.h. */
#include "host/cold_plan.h"

#include "text/duration.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Blocks of an age are looked for after this part of the age, and at least and at most after so many seconds. */
#define DUE_PART    8u
#define DUE_LEAST_S 1u
#define DUE_MOST_S  300u
/* Under pressure an age is this part of what was asked for. */
#define PRESSED_PART 4u
/* Compact what a step has freed if that gains at least so much. */
#define COMPACT_LEAST (UINT64_C(1) << 20)
#define COMPACT_PART  32u
/* Near the limit every page counts. */
#define COMPACT_NEAR (UINT64_C(16) * ZSBLK_BLOCK_SIZE)
/* After a step that could not begin, mostly for lack of memory for itself, or since somebody's job is at work. */
#define FAILED_REST_S 10u
/* After somebody has cancelled one by hand. */
#define BY_HAND_REST_S 600u
/* With a rate, a step packs what the rate allows in so long. */
#define RATE_S 10u
#define HOUR_S 3600u

void cold_plan_init(struct cold_plan *plan)
{
	*plan = (struct cold_plan){.state = COLD_STATE_OFF};
}

void cold_plan_reset(struct cold_plan *plan)
{
	plan->due_s[0] = plan->due_s[1] = 0;
	plan->rest_until_s = plan->pace_until_s = 0;
	plan->rung = 0;
	memset(plan->backoff, 0, sizeof plan->backoff);
}

const char *cold_plan_state_name(enum cold_state state)
{
	static const char *const names[] = {[COLD_STATE_OFF] = "off",
					    [COLD_STATE_WAITING] = "waiting",
					    [COLD_STATE_WORKING] = "working",
					    [COLD_STATE_PAUSED] = "paused"};

	return names[state];
}

__attribute__((format(printf, 3, 4))) static void say(struct cold_plan *plan, enum cold_state state, const char *format,
						      ...)
{
	va_list args;

	plan->state = state;
	va_start(args, format);
	vsnprintf(plan->text.text, sizeof plan->text.text, format, args);
	va_end(args);
}

/* ------------------------------------------------------------------ the budget */

/* Hours that have passed since become empty. */
static void turn_hours(struct cold_plan *plan, uint64_t now_s)
{
	uint64_t hour = now_s / HOUR_S;

	for (unsigned i = 0; i < COLD_HOURS && plan->hour < hour; i++)
		plan->packed[++plan->hour % COLD_HOURS] = 0;
	plan->hour = hour;
}

uint64_t cold_plan_packed(const struct cold_plan *plan, uint64_t now_s)
{
	struct cold_plan copy = *plan;
	uint64_t sum = 0;

	turn_hours(&copy, now_s);
	for (unsigned i = 0; i < COLD_HOURS; i++)
		sum += copy.packed[i];
	return sum;
}

/* Groups that a step may make within rate and budget; 0: the budget is used up. */
static uint64_t allowed_groups(const struct cold_plan *plan, const struct cold_settings *settings, uint64_t now_s)
{
	uint64_t groups = COLD_ROUND_GROUPS, most;

	if (settings->rate) {
		most = settings->rate > UINT64_MAX / RATE_S ? groups : settings->rate * RATE_S / COLD_GROUP_BYTES;
		groups = most > groups ? groups : most ? most : 1;
	}
	if (settings->budget) {
		uint64_t packed = cold_plan_packed(plan, now_s);

		most = packed < settings->budget ? (settings->budget - packed) / COLD_GROUP_BYTES : 0;
		groups = most > groups ? groups : most;
	}
	return groups;
}

/* ------------------------------------------------------------------ what is in vain waits */

static bool may_begin(const struct cold_plan *plan, unsigned work, uint64_t now_s)
{
	return now_s >= plan->backoff[work].until_s;
}

static void note_in_vain(struct cold_backoff *backoff, uint64_t now_s, uint64_t most_s)
{
	uint64_t seconds = COLD_BACKOFF_FIRST_S;

	for (unsigned i = 0; i < backoff->in_vain && seconds < most_s; i++)
		seconds *= 2;
	backoff->until_s = now_s + (seconds < most_s ? seconds : most_s);
	backoff->in_vain++;
}

/* Has the step that is over done what it was for? */
static bool has_gained(const struct cold_plan *plan, const struct cold_result *result)
{
	if (plan->step.what == COLD_DO_RECOMPRESS)
		return result->bytes_saved && result->bytes_saved >= plan->used / COLD_RECOMPRESS_PART;
	return result->groups || result->bytes_saved;
}

/* ------------------------------------------------------------------ what is found */

static void find_storm(struct cold_plan *plan, const struct cold_look *look)
{
	uint64_t seconds = look->now_s - plan->looked_s, reads = look->cold_reads - plan->cold_reads;

	if (!plan->looked) {
		plan->looked = true;
	} else if (!seconds) {
		return;
	} else if (reads / seconds >= COLD_STORM_READS) {
		plan->sums.storms += look->now_s >= plan->storm_until_s;
		plan->storm_until_s = look->now_s + COLD_STORM_REST_S;
	}
	plan->looked_s = look->now_s;
	plan->cold_reads = look->cold_reads;
}

/* `from` and `until`: between the two it stays what it is. */
static bool with_hysteresis(bool is, uint64_t value, uint64_t from, uint64_t until)
{
	return is ? value >= until : value >= from;
}

static void find_shortage(struct cold_plan *plan, const struct cold_look *look)
{
	bool pressed = look->has_pressure &&
		       with_hysteresis(plan->pressed, look->pressure, COLD_PRESSED_FROM, COLD_PRESSED_UNTIL);
	uint64_t sixteenth = look->limit / 16;
	bool near =
		look->limit && with_hysteresis(plan->near, look->used, look->limit - (16 - COLD_NEAR_FROM) * sixteenth,
					       look->limit - (16 - COLD_NEAR_UNTIL) * sixteenth);

	/* What was not old enough may be now, and what was in vain with few blocks need not be with more. */
	if (pressed && !plan->pressed) {
		plan->due_s[0] = plan->due_s[1] = 0;
		plan->backoff[COLD_WORK_GROUP] = plan->backoff[COLD_WORK_FREEZE] = (struct cold_backoff){0};
	}
	if (!near)
		plan->rung = 0;
	if (near && !plan->near) {
		plan->rest_until_s = 0;
		plan->has_compacted = false;
		memset(&plan->backoff[COLD_WORK_COMPACT], 0,
		       (COLD_WORKS - COLD_WORK_COMPACT) * sizeof plan->backoff[0]);
	}
	plan->used = look->used;
	plan->pressed = pressed;
	plan->near = near;
}

/* ------------------------------------------------------------------ steps */

static void begin(struct cold_plan *plan, struct cold_step *step, unsigned work, enum cold_do what,
		  uint64_t older_than_s, uint64_t max_groups)
{
	*step = (struct cold_step){.what = what, .older_than_s = older_than_s, .max_groups = max_groups};
	plan->step = *step;
	plan->work = work;
	plan->stopping = false;
	plan->sums.steps++;
}

static const char *reason(const struct cold_plan *plan)
{
	return plan->near      ? ", since the pool is near its limit"
	       : plan->pressed ? ", and earlier than asked for, since memory is short"
			       : "";
}

/* Pack blocks as the step says, if there are any. Returns whether there are; then the step has begun. */
static enum cold_found pack(struct cold_plan *plan, const struct cold_settings *settings, const struct cold_look *look,
			    unsigned work, const struct cold_step *wanted, struct cold_step *step)
{
	const struct cold_codec *codec = wanted->what == COLD_DO_FREEZE ? &settings->frozen : &settings->cold;
	enum cold_found found = look->find(look->opaque, wanted->what, wanted->older_than_s);
	char age[DURATION_BYTES];

	if (found != COLD_FOUND_SOME)
		return found;
	begin(plan, step, work, wanted->what, wanted->older_than_s, wanted->max_groups);
	say(plan, COLD_STATE_WORKING, "packing what nobody has used for %s with %s:%d%s",
	    duration_text(wanted->older_than_s, age), codec->algorithm, codec->level, reason(plan));
	return found;
}

/* ------------------------------------------------------------------ near the limit */

/* From what costs least to what costs most. Ages are divided; what is to be younger than 10 seconds is in use. */
static const struct rung {
	enum cold_do what;
	unsigned part;
} ladder[] = {
	{COLD_DO_GROUP, 1},  {COLD_DO_FREEZE, 1},     {COLD_DO_GROUP, 8},
	{COLD_DO_FREEZE, 8}, {COLD_DO_RECOMPRESS, 0}, {COLD_DO_GROUP, 64},
};
#define RUNGS       (sizeof ladder / sizeof ladder[0])
#define LEAST_AGE_S 10u
_Static_assert(RUNGS == COLD_RUNGS, "each has its backoff");

static uint64_t part_of(uint64_t age_s, unsigned part)
{
	uint64_t least = age_s < LEAST_AGE_S ? age_s : LEAST_AGE_S;

	return age_s / part > least ? age_s / part : least;
}

static void compact(struct cold_plan *plan, const struct cold_look *look, struct cold_step *step)
{
	begin(plan, step, COLD_WORK_COMPACT, COLD_DO_COMPACT, 0, 0);
	say(plan, COLD_STATE_WORKING, "compacting the pool, which frees about %" PRIu64 " KiB%s", look->freeable >> 10,
	    reason(plan));
}

static bool can_compact(const struct cold_plan *plan, const struct cold_look *look)
{
	return look->freeable >= COMPACT_NEAR && !plan->has_compacted &&
	       may_begin(plan, COLD_WORK_COMPACT, look->now_s);
}

static enum cold_found try_rung(struct cold_plan *plan, const struct cold_settings *settings,
				const struct cold_look *look, struct cold_step *step)
{
	const struct rung *rung = &ladder[plan->rung];
	uint64_t age_s = rung->what == COLD_DO_FREEZE ? settings->frozen_after_s : settings->cold_after_s;
	unsigned work = COLD_WORK_LADDER + plan->rung;

	if (!may_begin(plan, work, look->now_s))
		return COLD_FOUND_NOTHING;
	if (rung->what == COLD_DO_RECOMPRESS) {
		begin(plan, step, work, COLD_DO_RECOMPRESS, 0, 0);
		say(plan, COLD_STATE_WORKING, "compressing all blocks again with zstd%s", reason(plan));
		return COLD_FOUND_SOME;
	}
	if (!age_s)
		return COLD_FOUND_NOTHING;
	return pack(plan, settings, look, work,
		    &(struct cold_step){rung->what, part_of(age_s, rung->part), COLD_ROUND_GROUPS}, step);
}

/* Rate and budget are for what is done ahead of need: they do not count here. */
static void make_room(struct cold_plan *plan, const struct cold_settings *settings, const struct cold_look *look,
		      struct cold_step *step)
{
	enum cold_found found = COLD_FOUND_NOTHING;

	if (can_compact(plan, look)) {
		compact(plan, look, step);
		return;
	}
	while (plan->rung < RUNGS && (found = try_rung(plan, settings, look, step)) == COLD_FOUND_NOTHING)
		plan->rung++;
	if (found == COLD_FOUND_LATER)
		say(plan, COLD_STATE_WAITING, "the pool is near its limit: looking for blocks to pack");
	if (found != COLD_FOUND_NOTHING)
		return;
	plan->rung = 0;
	plan->has_compacted = false;
	plan->rest_until_s = look->now_s + COLD_NEAR_REST_S;
	say(plan, COLD_STATE_PAUSED,
	    "the pool is near its limit, and nothing is left that would make room; tried again after %us",
	    COLD_NEAR_REST_S);
}

/* ------------------------------------------------------------------ ahead of need */

static uint64_t pressed_age(const struct cold_plan *plan, uint64_t age_s)
{
	return plan->pressed ? part_of(age_s, PRESSED_PART) : age_s;
}

static uint64_t due_after(uint64_t age_s)
{
	uint64_t seconds = age_s / DUE_PART;

	return seconds < DUE_LEAST_S ? DUE_LEAST_S : seconds > DUE_MOST_S ? DUE_MOST_S : seconds;
}

/* One of the two kinds, if it is due. */
static enum cold_found pack_due(struct cold_plan *plan, const struct cold_settings *settings,
				const struct cold_look *look, enum cold_do what, uint64_t groups,
				struct cold_step *step)
{
	bool frozen = what == COLD_DO_FREEZE;
	uint64_t asked_s = frozen ? settings->frozen_after_s : settings->cold_after_s,
		 age_s = pressed_age(plan, asked_s);
	unsigned work = frozen ? COLD_WORK_FREEZE : COLD_WORK_GROUP;
	enum cold_found found;

	if (!asked_s || look->now_s < plan->due_s[frozen] || !may_begin(plan, work, look->now_s))
		return COLD_FOUND_NOTHING;
	found = pack(plan, settings, look, work, &(struct cold_step){what, age_s, groups}, step);
	if (found != COLD_FOUND_LATER)
		plan->due_s[frozen] = look->now_s + due_after(age_s);
	return found;
}

static void say_waiting(struct cold_plan *plan, const struct cold_settings *settings, uint64_t now_s)
{
	const struct cold_backoff *cold = &plan->backoff[COLD_WORK_GROUP], *frozen = &plan->backoff[COLD_WORK_FREEZE],
				  *longer = cold->until_s >= frozen->until_s ? cold : frozen;
	char age[DURATION_BYTES], in_vain[112] = "";

	if (now_s < longer->until_s)
		snprintf(in_vain, sizeof in_vain,
			 "; %s was in vain %u times in a row, and is tried again in %" PRIu64 "s",
			 longer == cold ? "packing" : "freezing", longer->in_vain, longer->until_s - now_s);
	say(plan, COLD_STATE_WAITING, "waiting for blocks that nobody uses for %s%s%s",
	    duration_text(pressed_age(plan, settings->cold_after_s), age), reason(plan), in_vain);
}

static void go_on(struct cold_plan *plan, const struct cold_settings *settings, const struct cold_look *look,
		  struct cold_step *step)
{
	uint64_t groups = allowed_groups(plan, settings, look->now_s);
	enum cold_do first, second;
	enum cold_found found;

	if (plan->has_freed && look->freeable >= COMPACT_LEAST && look->freeable >= look->used / COMPACT_PART) {
		compact(plan, look, step);
		return;
	}
	if (look->now_s < plan->pace_until_s) {
		say(plan, COLD_STATE_PAUSED, "waiting, so as to pack no more than %" PRIu64 " KiB a second",
		    settings->rate >> 10);
		return;
	}
	if (!groups) {
		say(plan, COLD_STATE_PAUSED,
		    "waiting, since the %" PRIu64 " MiB that may be packed in 24 hours are used up",
		    settings->budget >> 20);
		return;
	}
	/* First what is due for longer: with a short age, either can be due again whenever a step ends. */
	first = plan->due_s[true] < plan->due_s[false] ? COLD_DO_FREEZE : COLD_DO_GROUP;
	second = first == COLD_DO_GROUP ? COLD_DO_FREEZE : COLD_DO_GROUP;
	found = pack_due(plan, settings, look, first, groups, step);
	if (found == COLD_FOUND_NOTHING)
		found = pack_due(plan, settings, look, second, groups, step);
	if (found != COLD_FOUND_SOME)
		say_waiting(plan, settings, look->now_s);
}

/* ------------------------------------------------------------------ what comes next */

/* A step is under way. */
static void look_after(struct cold_plan *plan, const struct cold_settings *settings, const struct cold_look *look,
		       struct cold_step *step)
{
	bool in_storm = look->now_s < plan->storm_until_s && plan->step.what != COLD_DO_COMPACT;

	if (plan->stopping || (settings->on && !in_storm))
		return;
	step->what = COLD_DO_STOP;
	plan->stopping = true;
	plan->sums.stopped++;
}

/* In a storm nothing is packed. Near the limit compaction goes on. */
static void sit_out(struct cold_plan *plan, const struct cold_look *look, struct cold_step *step)
{
	if (plan->near && can_compact(plan, look))
		compact(plan, look, step);
	else
		say(plan, COLD_STATE_PAUSED,
		    "paused for %" PRIu64 "s, since %u blocks a second or more were read out of groups",
		    plan->storm_until_s - look->now_s, COLD_STORM_READS);
}

void cold_plan_next(struct cold_plan *plan, const struct cold_settings *settings, const struct cold_look *look,
		    struct cold_step *step)
{
	*step = (struct cold_step){.what = COLD_DO_NOTHING};
	turn_hours(plan, look->now_s);
	find_storm(plan, look);
	find_shortage(plan, look);
	if (plan->state == COLD_STATE_WORKING)
		look_after(plan, settings, look, step);
	else if (!settings->on)
		say(plan, COLD_STATE_OFF, "off");
	else if (look->now_s < plan->storm_until_s)
		sit_out(plan, look, step);
	else if (look->now_s < plan->rest_until_s)
		/* Why, was said when the rest began. */
		plan->state = COLD_STATE_PAUSED;
	else if (plan->near)
		make_room(plan, settings, look, step);
	else
		go_on(plan, settings, look, step);
}

static void note_packed(struct cold_plan *plan, const struct cold_settings *settings, uint64_t now_s,
			const struct cold_result *result)
{
	bool frozen = plan->step.what == COLD_DO_FREEZE;
	uint64_t bytes = result->blocks * ZSBLK_BLOCK_SIZE;

	plan->packed[plan->hour % COLD_HOURS] += bytes;
	*(frozen ? &plan->sums.frozen_groups : &plan->sums.groups) += result->groups;
	*(frozen ? &plan->sums.frozen_blocks : &plan->sums.blocks) += result->blocks;
	/*
	 * The next step goes on where this one has ended: after the other kind, if there is more, and before it, if this one was stopped.
	 * How long after one that has failed, its backoff says.
	 */
	if (plan->stopping || result->gave_way || result->why)
		plan->due_s[frozen] = 0;
	else if (result->more)
		plan->due_s[frozen] = now_s;
	if (settings->rate)
		plan->pace_until_s = now_s + bytes / settings->rate;
}

/* How it ended, and what that means for the next ones. */
static void note_end(struct cold_plan *plan, uint64_t now_s, const struct cold_result *result)
{
	struct cold_backoff *backoff = &plan->backoff[plan->work];

	if (result->by_hand || result->gave_way) {
		plan->rest_until_s = now_s + (result->by_hand ? BY_HAND_REST_S : FAILED_REST_S);
		say(plan, COLD_STATE_PAUSED, "paused for %us%s%.250s", result->by_hand ? BY_HAND_REST_S : FAILED_REST_S,
		    result->by_hand ? ", since its job was cancelled by hand" : ": ",
		    result->by_hand ? ""
		    : result->why   ? result->why
				    : "its job gave way to one that somebody has begun");
		return;
	}
	if (result->why) {
		plan->sums.failed++;
		plan->rest_until_s = now_s + FAILED_REST_S;
		say(plan, COLD_STATE_PAUSED, "paused for %us: %.250s", FAILED_REST_S, result->why);
	}
	if (plan->stopping)
		return;
	if (result->why || !has_gained(plan, result))
		note_in_vain(backoff, now_s, plan->near ? COLD_NEAR_BACKOFF_MOST_S : COLD_BACKOFF_MOST_S);
	else
		*backoff = (struct cold_backoff){0};
	/* What fails is in nobody's way. */
	if (plan->work == COLD_WORK_LADDER + plan->rung && (!result->more || result->why))
		plan->rung++;
}

void cold_plan_note(struct cold_plan *plan, const struct cold_settings *settings, uint64_t now_s,
		    const struct cold_result *result)
{
	enum cold_do what = plan->step.what;

	turn_hours(plan, now_s);
	plan->state = COLD_STATE_WAITING;
	plan->sums.bytes_saved += result->bytes_saved;
	if (what == COLD_DO_COMPACT && !result->gave_way) {
		plan->has_freed = false;
		plan->has_compacted = true;
	} else if (result->bytes_saved) {
		plan->has_freed = true;
		plan->has_compacted = false;
		if (result->bytes_saved >= COMPACT_NEAR)
			plan->backoff[COLD_WORK_COMPACT] = (struct cold_backoff){0};
	}
	if (what == COLD_DO_GROUP || what == COLD_DO_FREEZE)
		note_packed(plan, settings, now_s, result);
	note_end(plan, now_s, result);
}

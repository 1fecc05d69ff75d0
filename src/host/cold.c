/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy of cold blocks. See cold.h.
 *
 * Locks: `lock` protects what the thread and others have in common: the settings, and the report. It is not held while the thread looks at
 * the device, which takes long. change_lock is held by one change at a time, before `lock`.
 */
#include "host/cold.h"

#include "host/memo.h"
#include "host/ticker.h"
#include "process/pressure.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Near the limit and ahead of need alike, recompression is done with this. */
#define RECOMPRESS_WITH "zstd"

struct cold {
	struct zsblk *dev;
	struct jobs *jobs;
	struct cold_settings given;   /* by the parameters */
	char adopted[ZSBLK_MEMO_MAX]; /* for people; each with a blank in front */
	pthread_mutex_t change_lock;
	struct ticker *ticker; /* NULL: there is none yet */
	pthread_mutex_t lock;
	struct cold_settings settings;
	bool is_new; /* the plan does not know the settings yet */
	struct cold_report report;
	/* The thread's. */
	struct cold_plan plan;
	struct pressure pressure;
	struct zsblk_why last;
	uint64_t job; /* that is under way; 0: none */
	/* The errand that looks for something to pack, and for what it looks; 0: none. */
	uint64_t ticket;
	struct zsblk_group_what sought;
};

static uint64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

/* ------------------------------------------------------------------ what the next server goes on with */

/* With change_lock. The memo has room for all settings, which have some 400 bytes together. */
static void keep(struct cold *cold, unsigned which)
{
	char now[COLD_VALUE_BYTES], given[COLD_VALUE_BYTES];

	for (unsigned i = 0; cold_settings_key(i); i++)
		if (which & 1u << i)
			(void)memo_note(cold->dev, cold_settings_key(i), cold_settings_value(&cold->given, i, given),
					cold_settings_value(&cold->settings, i, now));
}

/* What this version would refuse, it does not go on with. */
static void adopt(struct cold *cold)
{
	char now[MEMO_VALUE_MAX], text[COLD_VALUE_BYTES];
	unsigned adopted = 0;
	size_t n = 0;

	for (unsigned i = 0; cold_settings_key(i); i++)
		if (memo_adopt(cold->dev, cold_settings_key(i), cold_settings_value(&cold->given, i, text), now) &&
		    !cold_settings_set(&cold->settings, cold_settings_key(i), now, NULL))
			adopted |= 1u << i;
	/* Each may be right, and all together not. */
	if (cold_settings_check(&cold->settings, NULL)) {
		cold->settings = cold->given;
		return;
	}
	for (unsigned i = 0; cold_settings_key(i); i++)
		if (adopted & 1u << i)
			n += (size_t)snprintf(cold->adopted + n, sizeof cold->adopted - n, " %s=%s",
					      cold_settings_key(i), cold_settings_value(&cold->settings, i, text));
}

const char *cold_adopted(const struct cold *cold)
{
	return cold->adopted[0] ? cold->adopted + 1 : "";
}

/* ------------------------------------------------------------------ a look */

static void describe_group(struct zsblk_group_what *what, const struct cold_settings *settings, enum cold_do does,
			   uint64_t older_than_s)
{
	bool freezes = does == COLD_DO_FREEZE;
	const struct cold_codec *codec = freezes ? &settings->frozen : &settings->cold;

	*what = (struct zsblk_group_what){
		/* The name has to stay. */
		.algorithm = zsblk_algorithm_by_name(codec->algorithm)->name,
		.has_level = true,
		.level = codec->level,
		.older_than_s = older_than_s,
		.again = freezes,
	};
}

/* An errand: it goes over the whole table, with the share of a processor that jobs have. One group is enough. */
struct search {
	struct zsblk_group_what what;
	uint64_t groups;
};
_Static_assert(sizeof(struct search) <= JOBS_ERRAND_BYTES, "an errand takes it");

static int search(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	struct search *search = memory;

	/* What is wrong here, a job finds wrong as well, and tells. */
	if (zsblk_group_count(dev, &search->what, 1, &search->groups, why) < 0)
		search->groups = 1;
	return 0;
}

static bool is_sought(const struct cold *cold, const struct zsblk_group_what *what)
{
	return cold->ticket && cold->sought.algorithm == what->algorithm && cold->sought.level == what->level &&
	       cold->sought.older_than_s == what->older_than_s && cold->sought.again == what->again;
}

static void drop_search(struct cold *cold)
{
	if (cold->ticket)
		jobs_drop(cold->jobs, cold->ticket);
	cold->ticket = 0;
}

/* Who looks: the policy, and the settings that it has at this moment. */
struct looker {
	struct cold *cold;
	const struct cold_settings *settings;
};

static enum cold_found find(void *opaque, enum cold_do what, uint64_t older_than_s)
{
	const struct looker *looker = opaque;
	struct cold *cold = looker->cold;
	struct search wanted = {.groups = 0};
	struct zsblk_why why;
	int r;

	if (zsblk_ages_since(cold->dev) < older_than_s)
		return COLD_FOUND_NOTHING;
	describe_group(&wanted.what, looker->settings, what, older_than_s);
	if (!is_sought(cold, &wanted.what)) {
		drop_search(cold);
		cold->sought = wanted.what;
		cold->ticket = jobs_send(cold->jobs, JOBS_LOOK, search, &wanted, sizeof wanted);
		return COLD_FOUND_LATER;
	}
	r = jobs_collect(cold->jobs, cold->ticket, &wanted, sizeof wanted, &why);
	if (r == -EINPROGRESS)
		return COLD_FOUND_LATER;
	cold->ticket = 0;
	return r == 0 && wanted.groups ? COLD_FOUND_SOME : COLD_FOUND_NOTHING;
}

static uint64_t freeable(struct zsblk *dev)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < zsblk_class_count(dev); i++) {
		struct zs_class_stats class;

		if (zsblk_class_stats(dev, i, &class) == 0)
			pages += class.freeable;
	}
	return pages * ZSBLK_BLOCK_SIZE;
}

static void look_around(struct cold *cold, struct looker *looker, struct cold_look *look)
{
	struct zsblk_stats stats;

	zsblk_get_stats(cold->dev, &stats);
	*look = (struct cold_look){
		.now_s = now_s(),
		.used = stats.mem_used_total,
		.limit = stats.mem_cap && (!stats.mem_limit || stats.mem_cap < stats.mem_limit) ? stats.mem_cap
												: stats.mem_limit,
		.freeable = freeable(cold->dev),
		.cold_reads = stats.cold_reads,
		.find = find,
		.opaque = looker,
	};
	look->has_pressure = pressure_look(&cold->pressure, &look->pressure);
}

/* ------------------------------------------------------------------ steps */

static void note(struct cold *cold, const struct cold_settings *settings, const struct cold_result *result)
{
	cold_plan_note(&cold->plan, settings, now_s(), result);
}

/* Is the job over? Then tell the plan what has come of it. */
static void look_after_job(struct cold *cold, const struct cold_settings *settings)
{
	struct jobs_report report = {.id = 0};
	struct cold_result result;

	if (!cold->job || (jobs_find(cold->jobs, cold->job, &report) == 0 && report.state == JOBS_RUNNING))
		return;
	cold->job = 0;
	cold->last = report.text;
	result = (struct cold_result){
		.by_hand = report.state == JOBS_CANCELLED && !report.gave_way && !cold->plan.stopping,
		.gave_way = report.state == JOBS_CANCELLED && report.gave_way,
		.more = cold->plan.step.max_groups && report.groups >= cold->plan.step.max_groups,
		.groups = report.groups,
		.blocks = report.blocks,
		.bytes_saved = report.bytes_saved,
		.why = report.state == JOBS_FAILED ? report.text.text : NULL,
	};
	note(cold, settings, &result);
}

static void describe_job(struct jobs_what *what, const struct cold_step *step, const struct cold_settings *settings)
{
	switch (step->what) {
	case COLD_DO_COMPACT:
		what->does = JOBS_COMPACT;
		break;
	case COLD_DO_RECOMPRESS:
		what->does = JOBS_RECOMPRESS;
		what->recompress =
			(struct zsblk_recompress){.type = ZSBLK_RECOMPRESS_ALL, .algorithm = RECOMPRESS_WITH};
		break;
	default:
		what->does = JOBS_GROUP;
		describe_group(&what->group, settings, step->what, step->older_than_s);
		what->group.max_groups = step->max_groups;
		break;
	}
}

static void begin(struct cold *cold, const struct cold_settings *settings, const struct cold_step *step)
{
	struct jobs_what what = {.does = JOBS_COMPACT};
	struct jobs_report other;
	struct zsblk_why why;
	uint64_t id;

	describe_job(&what, step, settings);
	if (jobs_begin(cold->jobs, JOBS_COLD, &what, &id) == 0) {
		cold->job = id;
		return;
	}
	snprintf(why.text, sizeof why.text, "job %" PRIu64 " (%s) is at work", id,
		 jobs_find(cold->jobs, id, &other) == 0 ? jobs_kind_name(other.kind) : "another one");
	note(cold, settings, &(struct cold_result){.gave_way = true, .why = why.text});
}

static void publish(struct cold *cold, const struct cold_look *look)
{
	pthread_mutex_lock(&cold->lock);
	cold->report.state = cold->plan.state;
	cold->report.text = cold->plan.text;
	cold->report.last = cold->last;
	cold->report.sums = cold->plan.sums;
	cold->report.packed = cold_plan_packed(&cold->plan, look->now_s);
	cold->report.has_pressure = look->has_pressure;
	cold->report.pressure = look->pressure;
	pthread_mutex_unlock(&cold->lock);
}

static bool tick(void *opaque)
{
	struct cold *cold = opaque;
	struct cold_settings settings;
	struct looker looker = {.cold = cold, .settings = &settings};
	struct cold_look look;
	struct cold_step step;
	bool is_new;

	pthread_mutex_lock(&cold->lock);
	settings = cold->settings;
	is_new = cold->is_new;
	cold->is_new = false;
	pthread_mutex_unlock(&cold->lock);
	if (is_new) {
		cold_plan_reset(&cold->plan);
		drop_search(cold);
	}
	/* Somebody has switched it off: there is nothing to look at. */
	if (!settings.on && !cold->job && cold->plan.state == COLD_STATE_OFF)
		return true;
	look_around(cold, &looker, &look);
	look_after_job(cold, &settings);
	cold_plan_next(&cold->plan, &settings, &look, &step);
	if (step.what == COLD_DO_STOP)
		(void)jobs_cancel(cold->jobs, cold->job);
	else if (step.what != COLD_DO_NOTHING)
		begin(cold, &settings, &step);
	publish(cold, &look);
	return true;
}

/* ------------------------------------------------------------------ life */

static int start_ticker(struct cold *cold)
{
	return cold->ticker ? 0 : ticker_start(&cold->ticker, "zsblk-cold", 1, tick, cold);
}

int cold_start(struct cold **result, struct zsblk *dev, struct jobs *jobs, const struct cold_settings *given)
{
	struct cold *cold = calloc(1, sizeof *cold);
	int r = 0;

	if (!cold)
		return -ENOMEM;
	cold->dev = dev;
	cold->jobs = jobs;
	cold->settings = cold->given = *given;
	pthread_mutex_init(&cold->change_lock, NULL);
	pthread_mutex_init(&cold->lock, NULL);
	pressure_open(&cold->pressure);
	cold_plan_init(&cold->plan);
	adopt(cold);
	snprintf(cold->report.text.text, sizeof cold->report.text.text, "off");
	if (cold->settings.on)
		r = start_ticker(cold);
	if (r)
		cold_stop(cold);
	else
		*result = cold;
	return r;
}

void cold_stop(struct cold *cold)
{
	if (!cold)
		return;
	ticker_stop(cold->ticker);
	if (cold->job)
		(void)jobs_cancel(cold->jobs, cold->job);
	drop_search(cold);
	pressure_close(&cold->pressure);
	pthread_mutex_destroy(&cold->lock);
	pthread_mutex_destroy(&cold->change_lock);
	free(cold);
}

int cold_change(struct cold *cold, const struct cold_settings *settings, unsigned which, struct zsblk_why *why)
{
	struct cold_settings changed;
	int r;

	pthread_mutex_lock(&cold->change_lock);
	changed = cold->settings;
	for (unsigned i = 0; cold_settings_key(i); i++)
		if (which & 1u << i)
			cold_settings_copy(&changed, settings, i);
	r = cold_settings_check(&changed, why);
	if (!r && changed.on)
		r = start_ticker(cold);
	if (!r) {
		pthread_mutex_lock(&cold->lock);
		cold->settings = changed;
		cold->is_new = true;
		pthread_mutex_unlock(&cold->lock);
		keep(cold, which);
	}
	pthread_mutex_unlock(&cold->change_lock);
	return r;
}

void cold_look(struct cold *cold, struct cold_report *report)
{
	pthread_mutex_lock(&cold->lock);
	*report = cold->report;
	report->settings = cold->settings;
	pthread_mutex_unlock(&cold->lock);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Replay. See replay.h. */
#include "bench/replay.h"

#include "bench/bench.h"
#include "bench/contents.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct replay {
	const struct options *options;
	struct replay_trace trace;
	const struct pages *pages; /* NULL: without contents */
	struct choice group;       /* of contents */
	struct tiers **tiers;
	struct contents **contents;
	struct contents_figures *costs;
	struct replay_result *results;
	unsigned count;
};

/* The last list changes fastest. */
static void take_setting(const struct replay_options *wanted, unsigned at, struct tiers_setting *setting)
{
	setting->rule = wanted->rule[at % wanted->rule_count];
	at /= wanted->rule_count;
	setting->cache_groups = wanted->cache[at % wanted->cache_count];
	at /= wanted->cache_count;
	setting->group_blocks = wanted->group[at % wanted->group_count];
	at /= wanted->group_count;
	setting->cold_after_s = wanted->cold_after_s[at];
}

static int create_models(struct replay *replay, struct zsblk_why *why)
{
	const struct options *options = replay->options;
	int r = 0;

	for (unsigned i = 0; i < replay->count && !r; i++) {
		struct replay_result *result = &replay->results[i];

		take_setting(&options->replay, i, &result->setting);
		if (replay->pages)
			r = contents_create(&replay->contents[i], replay->pages, &options->algorithms[0],
					    &replay->group, why);
		if (r)
			return r;
		r = tiers_create(&replay->tiers[i], &result->setting,
				 replay->pages ? contents_of(replay->contents[i]) : NULL);
		if (r)
			return because(why, r, "no memory for %u settings", replay->count);
		result->figures = tiers_figures(replay->tiers[i]);
	}
	return 0;
}

static int play_event(struct replay *replay, const struct trace_event *event)
{
	int r = 0;

	replay->trace.us = event->us;
	if (event->op == TRACE_LOST)
		replay->trace.lost += event->blocks;
	else
		replay->trace.events++;
	for (unsigned i = 0; i < replay->count && !r; i++)
		r = tiers_play(replay->tiers[i], event);
	return r;
}

static int play(struct replay *replay, struct trace *trace, struct zsblk_why *why)
{
	struct trace_event event;
	int r, more;

	while ((more = trace_next(trace, &event, why)) > 0) {
		if (replay->trace.events % 65536 == 0)
			progress("playing: %" PRIu64 " events, %" PRIu64 " s", replay->trace.events,
				 event.us / 1000000);
		r = play_event(replay, &event);
		if (r)
			return because(why, r, "the trace cannot be played on: %s", strerror(-r));
	}
	if (more < 0)
		return more;
	if (!replay->trace.events)
		return because(why, -ENODATA, "%s has no events: name a trace, such as zsblkctl trace makes",
			       replay->options->replay.trace);
	for (unsigned i = 0; i < replay->count; i++) {
		r = tiers_end(replay->tiers[i], replay->trace.us);
		if (r)
			return because(why, r, "the trace cannot be played to its end: %s", strerror(-r));
	}
	return 0;
}

static int report(const struct replay *replay, struct zsblk_why *why)
{
	for (unsigned i = 0; replay->pages && i < replay->count; i++) {
		contents_tell(replay->contents[i], &replay->costs[i]);
		replay->results[i].costs = &replay->costs[i];
	}
	if (!replay->options->json)
		replay_report_table(stdout, replay->options, &replay->trace, replay->results, replay->count);
	else if (replay_report_json(stdout, replay->options, &replay->trace, replay->results, replay->count))
		return because(why, -ENOMEM, "no memory for the report");
	return 0;
}

static int make_room(struct replay *replay, struct zsblk_why *why)
{
	replay->tiers = calloc(replay->count, sizeof(struct tiers *));
	replay->contents = calloc(replay->count, sizeof(struct contents *));
	replay->costs = calloc(replay->count, sizeof *replay->costs);
	replay->results = calloc(replay->count, sizeof *replay->results);
	if (!replay->tiers || !replay->contents || !replay->costs || !replay->results)
		return because(why, -ENOMEM, "no memory for %u settings", replay->count);
	return create_models(replay, why);
}

int replay_run(const struct options *options, const struct pages *pages, struct zsblk_why *why)
{
	const struct replay_options *wanted = &options->replay;
	struct replay replay = {
		.options = options,
		.pages = pages,
		.group = {.codec = wanted->algorithm, .level = wanted->level},
		.count = wanted->cold_after_count * wanted->group_count * wanted->cache_count * wanted->rule_count,
	};
	struct trace *trace = NULL;
	int r = trace_open(&trace, wanted->trace, why);

	if (r)
		return r;
	r = make_room(&replay, why);
	if (!r)
		r = play(&replay, trace, why);
	progress_clear();
	if (!r)
		r = report(&replay, why);
	for (unsigned i = 0; replay.tiers && i < replay.count; i++)
		tiers_destroy(replay.tiers[i]);
	for (unsigned i = 0; replay.contents && i < replay.count; i++)
		contents_destroy(replay.contents[i]);
	free(replay.tiers);
	free(replay.contents);
	free(replay.costs);
	free(replay.results);
	trace_close(trace);
	return r;
}

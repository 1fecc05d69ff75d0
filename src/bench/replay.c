/* SPDX-License-Identifier: BSD-3-Clause */
/* Replay. See replay.h. */
#include "bench/replay.h"

#include "bench/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct replay {
	const struct options *options;
	struct replay_trace trace;
	struct tiers **tiers;
	struct replay_result *results;
	unsigned count;
};

static int create_models(struct replay *replay)
{
	const struct replay_options *wanted = &replay->options->replay;
	unsigned i = 0;

	/* The last list changes fastest. */
	for (; i < replay->count; i++) {
		struct tiers_setting *setting = &replay->results[i].setting;
		unsigned at = i;
		int r;

		setting->rule = wanted->rule[at % wanted->rule_count];
		at /= wanted->rule_count;
		setting->cache_groups = wanted->cache[at % wanted->cache_count];
		at /= wanted->cache_count;
		setting->group_blocks = wanted->group[at % wanted->group_count];
		at /= wanted->group_count;
		setting->cold_after_s = wanted->cold_after_s[at];
		r = tiers_create(&replay->tiers[i], setting, NULL);
		if (r)
			return r;
		replay->results[i].figures = tiers_figures(replay->tiers[i]);
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
	if (!replay->options->json)
		replay_report_table(stdout, replay->options, &replay->trace, replay->results, replay->count);
	else if (replay_report_json(stdout, replay->options, &replay->trace, replay->results, replay->count))
		return because(why, -ENOMEM, "no memory for the report");
	return 0;
}

int replay_run(const struct options *options, struct zsblk_why *why)
{
	const struct replay_options *wanted = &options->replay;
	struct replay replay = {
		.options = options,
		.count = wanted->cold_after_count * wanted->group_count * wanted->cache_count * wanted->rule_count,
	};
	struct trace *trace = NULL;
	int r = trace_open(&trace, wanted->trace, why);

	if (r)
		return r;
	replay.tiers = calloc(replay.count, sizeof(struct tiers *));
	replay.results = calloc(replay.count, sizeof *replay.results);
	if (!replay.tiers || !replay.results || create_models(&replay))
		r = because(why, -ENOMEM, "no memory for %u settings", replay.count);
	if (!r)
		r = play(&replay, trace, why);
	progress_clear();
	if (!r)
		r = report(&replay, why);
	for (unsigned i = 0; replay.tiers && i < replay.count; i++)
		tiers_destroy(replay.tiers[i]);
	free(replay.tiers);
	free(replay.results);
	trace_close(trace);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* A day with the default policy. See day.h. */
#include "bench/day.h"

#include "bench/shape.h"
#include "bench/trace.h"
#include "codec/group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The server's: groups that are kept decoded (docs/cold.md). */
#define CACHE_GROUPS 16u

enum tier { COLD, FROZEN, TIERS };

struct player {
	struct trace *trace; /* NULL: the shape is played */
	struct shape *shape;
	struct contents *contents[TIERS];
	struct tiers *models[TIERS];
	uint64_t us;
};

/* 1, or 0 behind the last event, or a negative errno. */
static int next_event(struct player *player, struct trace_event *event, struct zsblk_why *why)
{
	return player->trace ? trace_next(player->trace, event, why) : shape_next(player->shape, event);
}

static int play_all(struct player *player, struct day *day, struct zsblk_why *why)
{
	struct trace_event event;
	int r = 0, more;

	while ((more = next_event(player, &event, why)) > 0) {
		player->us = event.us;
		if (event.op == TRACE_LOST)
			day->lost += event.blocks;
		else if (day->events++ % 65536 == 0)
			progress("a day: %" PRIu64 " events, %" PRIu64 " minutes", day->events, event.us / 60000000);
		for (unsigned i = 0; i < TIERS && !r; i++)
			r = tiers_play(player->models[i], &event);
		if (r)
			return because(why, r, "the day cannot be played on: %s", strerror(-r));
	}
	if (more < 0)
		return more;
	if (!player->trace)
		player->us = SHAPE_END_S * UINT64_C(1000000);
	for (unsigned i = 0; i < TIERS && !r; i++)
		r = tiers_end(player->models[i], player->us);
	return r ? because(why, r, "the day cannot be played to its end: %s", strerror(-r)) : 0;
}

/* ------------------------------------------------------------------ what came of it */

static double per_block(uint64_t bytes, uint64_t blocks)
{
	return ratio_of((double)bytes, (double)blocks);
}

/* The last moment that is not after `us`. The first one of all begins the list. */
static const struct tiers_moment *moment_at(const struct tiers_figures *figures, uint64_t us)
{
	unsigned at = 0;

	while (at + 1 < figures->moment_count && figures->moments[at + 1].us <= us)
		at++;
	return &figures->moments[at];
}

/* Both models at one moment. What is frozen has left the groups of the first model, at their average size. */
static void join(struct day_moment *moment, const struct tiers_moment *cold, const struct tiers_moment *frozen)
{
	uint64_t frozen_blocks =
		frozen->grouped_blocks < cold->grouped_blocks ? frozen->grouped_blocks : cold->grouped_blocks;
	double cold_each = per_block(cold->grouped_bytes, cold->grouped_blocks);
	double frozen_each = per_block(frozen->grouped_bytes, frozen->grouped_blocks);

	*moment = (struct day_moment){
		.s = (double)cold->us / 1e6,
		.blocks = cold->single_blocks + cold->grouped_blocks,
		.cold_blocks = cold->grouped_blocks - frozen_blocks,
		.frozen_blocks = frozen_blocks,
		.alone_bytes = (double)cold->alone_bytes,
		.policy_bytes = (double)(cold->single_bytes + cold->grouped_bytes) -
				(double)frozen_blocks * (cold_each - frozen_each),
	};
}

static void tell(struct player *player, struct day *day)
{
	struct day_tier *tiers[TIERS] = {&day->cold, &day->frozen};
	const struct tiers_figures *cold = tiers_figures(player->models[COLD]);
	const struct tiers_figures *frozen = tiers_figures(player->models[FROZEN]);

	for (unsigned i = 0; i < TIERS; i++) {
		const struct tiers_figures *figures = tiers_figures(player->models[i]);

		*tiers[i] = (struct day_tier){
			.reads = figures->cold_reads, .decodes = figures->decodes, .groups_made = figures->groups_made};
		contents_tell(player->contents[i], &tiers[i]->costs);
	}
	day->reads = cold->reads;
	day->writes = cold->writes;
	day->seconds = (double)player->us / 1e6;
	day->moment_count = cold->moment_count;
	for (unsigned i = 0; i < cold->moment_count; i++)
		join(&day->moments[i], &cold->moments[i], moment_at(frozen, cold->moments[i].us));
}

/* ------------------------------------------------------------------ life */

static int create(struct player *player, const struct options *options, const struct pages *pages, uint32_t blocks,
		  struct zsblk_why *why)
{
	const struct choice *choices[TIERS] = {&options->cold, &options->frozen};
	static const uint64_t ages[TIERS] = {DAY_COLD_AFTER_S, DAY_FROZEN_AFTER_S};
	int r = 0;

	if (options->replay.trace)
		r = trace_open(&player->trace, options->replay.trace, why);
	else if (shape_create(&player->shape, blocks, options->seed))
		r = because(why, -ENOMEM, "no memory for a day");
	for (unsigned i = 0; i < TIERS && !r; i++) {
		const struct tiers_setting setting = {.cold_after_s = ages[i],
						      .group_blocks = GROUP_BLOCKS,
						      .cache_groups = CACHE_GROUPS,
						      .rule = TIERS_STAY};

		r = contents_create(&player->contents[i], pages, &options->algorithms[0], choices[i], why);
		if (r)
			return r;
		if (tiers_create(&player->models[i], &setting, contents_of(player->contents[i])))
			r = because(why, -ENOMEM, "no memory for a day");
	}
	return r;
}

int day_play(struct day *day, const struct options *options, const struct pages *pages, uint32_t blocks,
	     struct zsblk_why *why)
{
	struct player player = {0};
	int r = create(&player, options, pages, blocks, why);

	*day = (struct day){.is_recorded = options->replay.trace};
	if (!r)
		r = play_all(&player, day, why);
	if (!r && !day->events)
		r = because(why, -ENODATA, "%s has no events: name a trace, such as zsblkctl trace makes",
			    options->replay.trace);
	if (!r)
		tell(&player, day);
	for (unsigned i = 0; i < TIERS; i++) {
		tiers_destroy(player.models[i]);
		contents_destroy(player.contents[i]);
	}
	shape_destroy(player.shape);
	trace_close(player.trace);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A day with the default policy: requests are played against a model of cold memory (tiers.h) with real pages as contents. Requests are those
 * of a trace, or of a day that nobody recorded (shape.h).
 *
 * A model has one kind of groups, and the policy has two. So there are two models: in one, blocks become cold, in the other they are frozen at once. A block
 * that is frozen in the second one is in a group of the first one as well, and counts as frozen.
 */
#ifndef DAY_H
#define DAY_H

#include "bench/bench.h"
#include "bench/contents.h"

/* The policy's defaults: zsblk.conf(5), cold-after and frozen-after. */
#define DAY_COLD_AFTER_S   900u
#define DAY_FROZEN_AFTER_S 14400u

struct day_moment {
	double s;                            /* since the day began */
	uint64_t blocks;                     /* that are stored */
	uint64_t cold_blocks, frozen_blocks; /* of these */
	double alone_bytes, policy_bytes;    /* objects of all of them, each by itself, and with the policy */
};

struct day_tier {
	uint64_t reads, decodes, groups_made; /* reads of blocks in groups; decodes for them */
	struct contents_figures costs;
};

struct day {
	bool is_recorded; /* the trace is */
	uint64_t events, lost, reads, writes;
	double seconds;
	struct day_tier cold;   /* frozen blocks are among its reads */
	struct day_tier frozen; /* of the second model */
	struct day_moment moments[TIERS_MOMENTS];
	unsigned moment_count;
};

/*
 * Play the trace of the options, or a day of `blocks` blocks if there is none. Blocks by themselves are stored with the first algorithm, and groups are made
 * with the cold and the frozen one. 0 or a negative errno.
 */
int day_play(struct day *day, const struct options *options, const struct pages *pages, uint32_t blocks,
	     struct zsblk_why *why);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* What the making of groups consists of. For its files and its test: users see zsblk_cold.h. */
#ifndef GROUPING_H
#define GROUPING_H

#include "engine/groups.h"
#include "engine/rework.h"
#include "engine/room.h"

/* Blocks of a group lie within so many that follow each other. */
#define GROUPING_SPAN 64u
/* While the reserve gets low, the pool is compacted once in so many groups: room.h. */
#define GROUPING_BETWEEN 8u

/* A block that is to be put into a group. */
struct grouping_block {
	uint64_t block;
	uint64_t word; /* as it was found; with the mark once work on it has begun */
	bool is_begun;
	size_t before; /* memory that comes back when the block leaves its place */
};

struct zsblk_grouping {
	struct context ctx; /* decoders of single blocks, and buffers; not one of the requests' contexts */
	struct rework work;
	struct encoder encoder; /* for blocks that are taken out of a group */
	struct groups_decoder decoder;
	const struct codec *codec; /* of groups */
	int level;
	void *cctx;
	uint8_t *blocks; /* of the group that is being made */
	uint8_t *bytes;  /* its object */
	uint8_t *old;    /* a group that blocks come from */
	uint32_t old_entry;
	unsigned old_done; /* blocks of `old` that are there; 0: none */
	struct zsblk *dev;
	struct zsblk_group_what what;
	uint64_t block, end; /* the next one to be looked at; the end of the range, or UINT64_MAX */
	struct grouping_block found[GROUP_BLOCKS]; /* the next group is to be made of these */
	unsigned n;
	bool is_anew; /* they are a group already, of a weaker algorithm */
	bool is_over; /* there is no room for another group, and none can be made */
	struct room room;
	struct zsblk_group_figures figures;
	size_t bytes_of_job;
};

/* Was it tried to put this block into a group, without gain, and has it the same word still? */
bool grouping_was_given_up(const struct zsblk_grouping *job, uint64_t block, uint64_t word);
/*
 * Make a group of job->found, if that takes less memory; otherwise take leftovers of groups apart. False: try the same again,
 * after the pool was compacted if job->room says so.
 */
bool grouping_make(struct zsblk_grouping *job);

#endif

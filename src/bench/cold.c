/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cold memory: what pages take in groups of neighbours, how long a read of one block out of a group takes, and how quickly
 * groups are made. Pages are stored block by block, and put into groups by one thread. To compare: the bare codecs, which
 * turn each object back into a page, compress 16 pages together, and keep nothing.
 */
#include "bench/bench.h"

#include "codec/fill.h"
#include "codec/group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Reads that are timed, at most. */
#define READS_MAX 50000u
/* Blocks that are described by one call. */
#define DESCRIBED 256u

struct bench {
	const struct options *options;
	const struct choice *hot, *tier;
	const struct pages *pages;
	struct zsblk *dev;
	struct codec_loop *loop;
	void *cctx; /* for groups */
	uint8_t blocks[GROUP_BYTES], group[GROUP_BOUND];
};

/* ------------------------------------------------------------------ making groups */

static int make_groups(struct bench *bench, double *seconds, struct zsblk_why *why)
{
	const struct zsblk_group_what what = {
		.algorithm = bench->tier->codec->name, .level = bench->tier->level, .has_level = true};
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	bool more = true;
	uint64_t start;
	int r = zsblk_group_begin(bench->dev, &what, &job, why);

	if (r)
		return r;
	start = now_ns();
	while (more)
		zsblk_group_step(job, &figures, &more);
	*seconds = seconds_since(start);
	zsblk_group_end(job);
	return 0;
}

static int run_codecs(struct bench *bench, double *seconds)
{
	const struct choice *tier = bench->tier;
	uint64_t pattern, start = now_ns();
	unsigned n = 0;
	int r = 0;

	for (uint64_t i = 0; i < bench->pages->count && !r; i++) {
		const uint8_t *page = bench->pages->data + i * BLOCK;

		if (fill_detect(page, &pattern))
			continue;
		r = codec_loop_load(bench->loop, 0, i, i + 1);
		memcpy(bench->blocks + n * BLOCK, page, BLOCK);
		if (++n == GROUP_BLOCKS) {
			group_compress(tier->codec, bench->cctx, tier->level, bench->blocks, n, bench->group,
				       GROUP_BOUND);
			n = 0;
		}
	}
	if (n)
		group_compress(tier->codec, bench->cctx, tier->level, bench->blocks, n, bench->group, GROUP_BOUND);
	*seconds = seconds_since(start);
	return r;
}

/* ------------------------------------------------------------------ memory */

/* Objects, headers, rounding, free slots, the table with its entries, and ages. */
static uint64_t memory_of(struct zsblk *dev, struct zsblk_stats *stats)
{
	uint64_t entries;

	zsblk_compact(dev);
	zsblk_get_stats(dev, stats);
	/* A count of 4 bytes in process memory for each piece of a group. */
	entries = stats->group_bytes / BLOCK + stats->groups;
	return stats->pool_bytes + stats->metadata_bytes + 4 * entries;
}

/* ------------------------------------------------------------------ reading */

static bool is_cold(const struct zsblk_block *block)
{
	return block->state == ZSBLK_BLOCK_COLD;
}

/* The numbers of the blocks that are in groups. */
static uint64_t list_cold(const struct zsblk *dev, uint32_t *cold, uint64_t room)
{
	struct zsblk_block blocks[DESCRIBED];
	uint64_t next = 0, count = 0, all = zsblk_size(dev) / BLOCK;

	while (next < all) {
		unsigned n = zsblk_blocks(dev, next, blocks, DESCRIBED, &next);

		for (unsigned i = 0; i < n && count < room; i++)
			if (is_cold(&blocks[i]))
				cold[count++] = (uint32_t)blocks[i].block;
	}
	return count;
}

static int read_one(struct bench *bench, uint32_t number, uint32_t *ns, struct zsblk_why *why)
{
	uint64_t start = now_ns(), at = (uint64_t)number * BLOCK;
	int r = zsblk_read(bench->dev, bench->blocks, BLOCK, at);

	*ns = (uint32_t)(now_ns() - start);
	if (!r && memcmp(bench->blocks, bench->pages->data + at, BLOCK) != 0)
		r = -EIO;
	return r ? because(why, r, "page %" PRIu32 " does not come back from its group: %s", number, strerror(-r)) : 0;
}

/* Each block at most once: one that is read again may leave its group. */
static int measure_reads(struct bench *bench, struct cold_tier *result, struct zsblk_why *why)
{
	uint64_t room = bench->pages->count, count;
	uint32_t *cold = malloc(room * sizeof *cold), *order = malloc(room * sizeof *order),
		 *ns = malloc(room * sizeof *ns);
	int r = cold && order && ns ? 0 : because(why, -ENOMEM, "no memory for reads");

	if (!r) {
		count = list_cold(bench->dev, cold, room);
		shuffle(order, count, bench->options->seed);
		count = count < READS_MAX ? count : READS_MAX;
		for (uint64_t i = 0; i < count && !r; i++)
			r = read_one(bench, cold[order[i]], &ns[i], why);
		if (!r && count)
			result->read = latency_of(ns, count);
	}
	free(cold);
	free(order);
	free(ns);
	return r;
}

/* ------------------------------------------------------------------ one tier */

static int prepare(struct bench *bench, struct zsblk_why *why)
{
	const struct choice *tier = bench->tier;
	size_t bytes = group_cctx_size(tier->codec, tier->level);
	int r = device_open(&bench->dev, bench->options, bench->hot, bench->pages->count, why);

	if (r)
		return r;
	bench->cctx = aligned_alloc(64, (bytes + 63) / 64 * 64);
	if (!bench->cctx || group_cctx_init(tier->codec, bench->cctx, bytes, tier->level))
		return because(why, -ENOMEM, "no memory for a context of %s:%d", tier->codec->name, tier->level);
	return codec_loop_create(&bench->loop, bench->hot, bench->pages, 1, device_largest_compressed(bench->dev), why);
}

static int repeat(struct bench *bench, struct cold_tier *result, uint64_t *hot_bytes, double *engine, double *codec,
		  struct zsblk_why *why)
{
	struct zsblk_stats stats;
	int r = device_open_full(&bench->dev, bench->options, bench->hot, bench->pages, why);

	if (r)
		return r;
	*hot_bytes = memory_of(bench->dev, &stats);
	r = make_groups(bench, engine, why);
	if (r)
		return r;
	result->bytes = memory_of(bench->dev, &stats);
	result->groups = stats.groups;
	result->blocks = stats.group_blocks;
	result->group_bytes = stats.group_bytes;
	return run_codecs(bench, codec) ? because(why, -EIO, "a page cannot be decompressed") : 0;
}

static int measure_repeats(struct bench *bench, struct cold_tier *result, uint64_t *hot_bytes, uint64_t stored,
			   struct zsblk_why *why)
{
	const struct choice *tier = bench->tier;
	unsigned repeats = bench->options->repeat;
	double *engine = calloc(3 * (size_t)repeats, sizeof *engine), *codec = engine + repeats;
	int r = engine ? prepare(bench, why) : because(why, -ENOMEM, "no memory for %u repeats", repeats);

	for (unsigned i = 0; i < repeats && !r; i++) {
		progress("%s:%d: making groups, %u of %u", tier->codec->name, tier->level, i + 1, repeats);
		r = repeat(bench, result, hot_bytes, &engine[i], &codec[i], why);
	}
	if (!r) {
		double bytes = (double)stored * BLOCK / 1e6;

		/* Times, so the other way round than speeds. */
		result->ratio = median_ratio(codec, engine, repeats, engine + 2 * (size_t)repeats);
		result->mbps = ratio_of(bytes, median(engine, repeats));
		result->codec_mbps = ratio_of(bytes, median(codec, repeats));
	}
	free(engine);
	return r ? r : measure_reads(bench, result, why);
}

static int measure_tier(const struct options *options, const struct choice *tier, const struct pages *pages,
			struct cold_result *result, struct cold_tier *figures, struct zsblk_why *why)
{
	const struct choice hot = {.codec = result->codec, .level = result->level};
	struct bench *bench = calloc(1, sizeof *bench);
	int r;

	if (!tier->codec || !bench) {
		free(bench);
		return tier->codec ? because(why, -ENOMEM, "no memory") : 0;
	}
	*bench = (struct bench){.options = options, .hot = &hot, .tier = tier, .pages = pages};
	r = measure_repeats(bench, figures, &result->hot_bytes, result->blocks, why);
	codec_loop_destroy(bench->loop);
	zsblk_close(bench->dev);
	free(bench->cctx);
	free(bench);
	return r;
}

int measure_cold(const struct options *options, const struct choice *hot, const struct pages *pages,
		 struct cold_result *result, struct zsblk_why *why)
{
	uint64_t pattern;
	int r;

	*result = (struct cold_result){.codec = hot->codec, .level = hot->level};
	for (uint64_t i = 0; i < pages->count; i++)
		result->blocks += !fill_detect(pages->data + i * BLOCK, &pattern);
	r = measure_tier(options, &options->cold, pages, result, &result->cold, why);
	return r ? r : measure_tier(options, &options->frozen, pages, result, &result->frozen, why);
}

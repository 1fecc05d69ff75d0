/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recompression: pages are stored with one algorithm, and compressed again with another one, by one thread. To compare:
 * the bare codecs, which turn each object back into a page and compress that, and keep nothing.
 */
#include "bench/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct bench {
	const struct options *options;
	const struct choice *choice;
	const struct pages *pages;
	struct zsblk *dev;
	struct codec_loop *from, *to;
};

static int recompress(struct bench *bench, double *seconds, struct zsblk_why *why)
{
	const struct choice *to = &bench->options->recompress;
	const struct zsblk_recompress what = {
		.type = ZSBLK_RECOMPRESS_ALL, .algorithm = to->codec->name, .level = to->level, .has_level = true};
	struct zsblk_recompress_figures figures;
	struct zsblk_recompression *job;
	bool more = true;
	uint64_t start;
	int r = zsblk_recompress_begin(bench->dev, &what, &job, why);

	if (r)
		return r;
	start = now_ns();
	while (more)
		zsblk_recompress_step(job, &figures, &more);
	*seconds = seconds_since(start);
	zsblk_recompress_end(job);
	return 0;
}

/* Both codecs in turns, so that what disturbs one disturbs the other. */
static int run_codecs(struct bench *bench, double *seconds)
{
	uint64_t start = now_ns(), count = bench->pages->count;
	int r = 0;

	for (uint64_t i = 0; i < count && !r; i++) {
		r = codec_loop_load(bench->from, 0, i, i + 1);
		codec_loop_store(bench->to, 0, i, i + 1);
	}
	*seconds = seconds_since(start);
	return r;
}

static int prepare(struct bench *bench, struct zsblk_why *why)
{
	size_t cap;
	int r = device_open(&bench->dev, bench->options, bench->choice, bench->pages->count, why);

	if (r)
		return r;
	cap = device_largest_compressed(bench->dev);
	r = codec_loop_create(&bench->from, bench->choice, bench->pages, 1, cap, why);
	return r ? r : codec_loop_create(&bench->to, &bench->options->recompress, bench->pages, 1, cap, why);
}

static int repeat(struct bench *bench, struct recompress_result *result, double *engine, double *codec,
		  struct zsblk_why *why)
{
	struct zsblk_stats stats;
	int r = device_open_full(&bench->dev, bench->options, bench->choice, bench->pages, why);

	if (r)
		return r;
	zsblk_compact(bench->dev);
	zsblk_get_stats(bench->dev, &stats);
	result->blocks = stats.blocks_stored;
	result->before_bytes = stats.pool_bytes + stats.metadata_bytes;
	r = recompress(bench, engine, why);
	if (r)
		return r;
	zsblk_compact(bench->dev);
	zsblk_get_stats(bench->dev, &stats);
	result->recompressed = stats.recompressed;
	result->after_bytes = stats.pool_bytes + stats.metadata_bytes;
	return run_codecs(bench, codec) ? because(why, -EIO, "a page cannot be decompressed") : 0;
}

static int measure_repeats(struct bench *bench, struct recompress_result *result, struct zsblk_why *why)
{
	unsigned repeats = bench->options->repeat;
	double *engine = calloc(4 * (size_t)repeats, sizeof *engine), *codec = engine + repeats;
	int r = engine ? prepare(bench, why) : because(why, -ENOMEM, "no memory for %u repeats", repeats);

	for (unsigned i = 0; i < repeats && !r; i++) {
		progress("%s:%d: recompressing, %u of %u", bench->choice->codec->name, bench->choice->level, i + 1,
			 repeats);
		r = repeat(bench, result, &engine[i], &codec[i], why);
	}
	if (!r) {
		double bytes = (double)result->blocks * BLOCK / 1e6;

		/* Times, so the other way round than speeds. */
		result->ratio = median_ratio(codec, engine, repeats, engine + 2 * repeats);
		result->mbps = ratio_of(bytes, median(engine, repeats));
		result->codec_mbps = ratio_of(bytes, median(codec, repeats));
	}
	free(engine);
	return r;
}

int measure_recompression(const struct options *options, const struct choice *choice, const struct pages *pages,
			  struct recompress_result *result, struct zsblk_why *why)
{
	struct bench bench = {.options = options, .choice = choice, .pages = pages};
	int r;

	*result = (struct recompress_result){.codec = choice->codec, .level = choice->level};
	r = measure_repeats(&bench, result, why);
	codec_loop_destroy(bench.from);
	codec_loop_destroy(bench.to);
	zsblk_close(bench.dev);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How requests get on beside each other.
 *
 * Each mix is one kind of request for one block, done by all threads as often as they can for PASS_MS, and made to meet
 * at one place of the engine:
 *
 *   raw                 whole pages of the pool are taken and freed
 *   same                all objects are of one class
 *   hot-block           all requests are for one block
 *   overwrite           objects of all classes are made and freed
 *   read-beside-writer  one thread reads; the others take and free pages, and are not counted
 *
 * For each repeat the numbers of threads take turns on the same device, so that what disturbs the machine for longer than
 * a pass disturbs all of them. What a thread writes was made beforehand.
 */
#include "bench/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PASS_MS 100u
/* Pages of noise, and of repeated words: they stay in the caches. */
#define MADE 16u

struct worker {
	_Alignas(64) uint64_t ops;
	double seconds;
	uint8_t *buffer;
};

struct bench {
	const struct options *options;
	const struct choice *choice;
	const struct pages *pages;
	struct team *team;
	struct zsblk *dev;
	uint32_t *order;        /* the blocks, shuffled */
	uint32_t *compressible; /* pages */
	uint64_t compressible_count;
	uint8_t *noise, *same; /* MADE pages each */
	struct worker *workers;
	uint64_t end_ns; /* of the pass */
	enum mix mix;
};

static const char *const names[MIXES] = {
	[MIX_RAW] = "raw",
	[MIX_SAME] = "same",
	[MIX_HOT_BLOCK] = "hot-block",
	[MIX_OVERWRITE] = "overwrite",
	[MIX_READ_BESIDE_WRITER] = "read-beside-writer",
};

const char *mix_name(enum mix mix)
{
	return names[mix];
}

int mix_by_name(const char *name)
{
	for (int mix = 0; mix < MIXES; mix++)
		if (!strcmp(name, names[mix]))
			return mix;
	return -1;
}

/* ------------------------------------------------------------------ requests: number `op` of all in the pass */

static int write_block(struct bench *bench, uint64_t block, const uint8_t *page)
{
	return zsblk_write(bench->dev, page, BLOCK, block * BLOCK);
}

/* A compressible page; a block gets another one each time it comes to its turn. */
static const uint8_t *compressible_page(const struct bench *bench, uint64_t op)
{
	uint64_t turn = op / bench->pages->count;

	return bench->pages->data + (uint64_t)bench->compressible[(op + turn) % bench->compressible_count] * BLOCK;
}

static uint64_t block_of(const struct bench *bench, uint64_t op)
{
	return bench->order[op % bench->pages->count];
}

static int do_raw(struct bench *bench, uint64_t op)
{
	return write_block(bench, block_of(bench, op), bench->noise + op % MADE * BLOCK);
}

static int do_same(struct bench *bench, uint64_t op)
{
	return write_block(bench, block_of(bench, op), bench->same + op % MADE * BLOCK);
}

static int do_overwrite(struct bench *bench, uint64_t op)
{
	return write_block(bench, block_of(bench, op), compressible_page(bench, op));
}

static int do_hot_block(struct bench *bench, struct worker *worker, uint64_t op)
{
	if (op % 2)
		return write_block(bench, 0, compressible_page(bench, op));
	return zsblk_read(bench->dev, worker->buffer, BLOCK, 0);
}

/* Even blocks are read, and hold repeated words; odd ones are written and discarded. */
static int do_read(struct bench *bench, struct worker *worker, uint64_t op)
{
	return zsblk_read(bench->dev, worker->buffer, BLOCK, (block_of(bench, op) & ~UINT64_C(1)) * BLOCK);
}

static int do_write_beside(struct bench *bench, uint64_t op)
{
	uint64_t block = block_of(bench, op) | 1;
	int r;

	if (block >= bench->pages->count)
		return 0;
	r = write_block(bench, block, bench->noise + op % MADE * BLOCK);
	return r ? r : zsblk_discard(bench->dev, BLOCK, block * BLOCK);
}

static int do_op(struct bench *bench, unsigned thread, uint64_t op)
{
	struct worker *worker = &bench->workers[thread];

	switch (bench->mix) {
	case MIX_RAW:
		return do_raw(bench, op);
	case MIX_SAME:
		return do_same(bench, op);
	case MIX_HOT_BLOCK:
		return do_hot_block(bench, worker, op);
	case MIX_OVERWRITE:
		return do_overwrite(bench, op);
	default:
		return thread ? do_write_beside(bench, op) : do_read(bench, worker, op);
	}
}

/* ------------------------------------------------------------------ a pass */

static int do_span(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	struct bench *bench = opaque;
	struct worker *worker = &bench->workers[thread];
	uint64_t start = now_ns(), done;
	int r = 0;

	for (uint64_t op = first; op < end && !r; op++)
		r = do_op(bench, thread, op);
	done = now_ns();
	worker->ops += end - first;
	worker->seconds += (double)(done - start) / 1e9;
	return !r && done >= bench->end_ns ? TEAM_ENOUGH : r;
}

static int failed(const struct bench *bench, int error, struct zsblk_why *why)
{
	return because(why, error, "%s:%d, %s: %s", bench->choice->codec->name, bench->choice->level,
		       mix_name(bench->mix), strerror(-error));
}

/* Requests a second in *rate, of those that count. */
static int time_pass(struct bench *bench, unsigned threads, double *rate, struct zsblk_why *why)
{
	unsigned counted = bench->mix == MIX_READ_BESIDE_WRITER ? 1 : threads;
	struct team_time time;
	int r;

	for (unsigned i = 0; i < threads; i++)
		bench->workers[i].ops = 0, bench->workers[i].seconds = 0;
	bench->end_ns = now_ns() + PASS_MS * UINT64_C(1000000);
	r = team_run(bench->team, threads, UINT64_MAX / 2, do_span, bench, &time);
	if (r)
		return failed(bench, r, why);
	*rate = 0;
	for (unsigned i = 0; i < counted; i++)
		*rate += ratio_of((double)bench->workers[i].ops, bench->workers[i].seconds);
	return 0;
}

/* ------------------------------------------------------------------ before the first pass */

/* What the blocks hold at first. Writers of the last mix begin with nothing. */
static int fill_span(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	struct bench *bench = opaque;
	int r = 0;

	(void)thread;
	for (uint64_t op = first; op < end && !r; op++) {
		if (bench->mix == MIX_RAW)
			r = do_raw(bench, op);
		else if (bench->mix == MIX_SAME || (bench->mix == MIX_READ_BESIDE_WRITER && op % 2 == 0))
			r = write_block(bench, op, bench->same + op / 2 % MADE * BLOCK);
		else if (bench->mix != MIX_READ_BESIDE_WRITER)
			r = do_overwrite(bench, op);
	}
	return r;
}

static int begin_mix(struct bench *bench, struct zsblk_why *why)
{
	struct team_time time;
	int r = device_open(&bench->dev, bench->options, bench->choice, bench->pages->count, why);

	if (r)
		return r;
	r = team_run(bench->team, 1, bench->pages->count, fill_span, bench, &time);
	return r ? failed(bench, r, why) : 0;
}

/* Which pages the codec makes smaller. */
static int find_compressible(struct bench *bench, struct zsblk_why *why)
{
	struct codec_loop *loop;
	int r = codec_loop_create(&loop, bench->choice, bench->pages, 1, device_largest_compressed(bench->dev), why);

	if (r)
		return r;
	for (uint64_t i = 0; i < bench->pages->count; i++)
		if (codec_loop_is_compressed(loop, i))
			bench->compressible[bench->compressible_count++] = (uint32_t)i;
	codec_loop_destroy(loop);
	if (!bench->compressible_count)
		return because(why, -EINVAL, "%s:%d makes none of these %" PRIu64 " pages smaller; --mix needs some",
			       bench->choice->codec->name, bench->choice->level, bench->pages->count);
	return 0;
}

static void make_pages(struct bench *bench)
{
	uint64_t state = bench->options->seed;

	for (unsigned i = 0; i < MADE; i++) {
		uint64_t repeated = random_next(&state);

		for (unsigned at = 0; at < BLOCK; at += sizeof repeated) {
			uint64_t random = random_next(&state);

			memcpy(bench->noise + i * BLOCK + at, &random, sizeof random);
			memcpy(bench->same + i * BLOCK + at, &repeated, sizeof repeated);
		}
	}
}

static int prepare(struct bench *bench, struct zsblk_why *why)
{
	uint64_t pages = bench->pages->count;
	unsigned threads = bench->options->threads_max;
	int r = device_open(&bench->dev, bench->options, bench->choice, pages, why);

	if (r)
		return r;
	bench->order = malloc(pages * sizeof *bench->order);
	bench->compressible = malloc(pages * sizeof *bench->compressible);
	bench->noise = aligned_alloc(BLOCK, MADE * BLOCK);
	bench->same = aligned_alloc(BLOCK, MADE * BLOCK);
	bench->workers = aligned_alloc(64, threads * sizeof *bench->workers);
	if (!bench->order || !bench->compressible || !bench->noise || !bench->same || !bench->workers)
		return because(why, -ENOMEM, "no memory for %" PRIu64 " pages and %u threads", pages, threads);
	memset(bench->workers, 0, threads * sizeof *bench->workers);
	for (unsigned i = 0; i < threads; i++) {
		bench->workers[i].buffer = aligned_alloc(BLOCK, BLOCK);
		if (!bench->workers[i].buffer)
			return because(why, -ENOMEM, "no memory for %u threads", threads);
	}
	shuffle(bench->order, pages, bench->options->seed);
	make_pages(bench);
	return find_compressible(bench, why);
}

/* ------------------------------------------------------------------ from one to the other */

/* `rates` has room for one number of threads after the other, all repeats of each. */
static int time_mix(struct bench *bench, double *rates, struct zsblk_why *why)
{
	const struct options *options = bench->options;
	int r = begin_mix(bench, why);

	for (unsigned repeat = 0; repeat < options->repeat && !r; repeat++) {
		progress("%s:%d, %s: %u of %u", bench->choice->codec->name, bench->choice->level, mix_name(bench->mix),
			 repeat + 1, options->repeat);
		for (unsigned i = 0; i < options->thread_count && !r; i++)
			r = time_pass(bench, options->threads[i], &rates[i * options->repeat + repeat], why);
	}
	return r;
}

static void take_medians(struct bench *bench, const double *rates, double *scratch, struct mix_result *results)
{
	unsigned repeats = bench->options->repeat;

	for (unsigned i = 0; i < bench->options->thread_count; i++) {
		const double *own = rates + i * repeats;

		results[i] = (struct mix_result){
			.codec = bench->choice->codec,
			.level = bench->choice->level,
			.mix = bench->mix,
			.threads = bench->options->threads[i],
		};
		results[i].scaling = median_ratio(own, rates, repeats, scratch);
		memcpy(scratch, own, repeats * sizeof *scratch);
		results[i].ops_per_s = median(scratch, repeats);
	}
}

static int measure_all(struct bench *bench, struct mix_result *results, struct zsblk_why *why)
{
	const struct options *options = bench->options;
	size_t repeats = options->repeat;
	double *rates = calloc((options->thread_count + 1) * repeats, sizeof *rates);
	int r = rates ? prepare(bench, why) : because(why, -ENOMEM, "no memory for %u repeats", options->repeat);

	for (unsigned i = 0; i < options->mix_count && !r; i++) {
		bench->mix = options->mixes[i];
		r = time_mix(bench, rates, why);
		if (!r)
			take_medians(bench, rates, rates + options->thread_count * repeats,
				     &results[i * options->thread_count]);
	}
	free(rates);
	return r;
}

int measure_mixes(const struct options *options, const struct choice *choice, const struct pages *pages,
		  struct team *team, struct mix_result *results, struct zsblk_why *why)
{
	struct bench bench = {
		.options = options,
		.choice = choice,
		.pages = pages,
		.team = team,
	};
	int r = measure_all(&bench, results, why);

	zsblk_close(bench.dev);
	for (unsigned i = 0; bench.workers && i < options->threads_max; i++)
		free(bench.workers[i].buffer);
	free(bench.workers);
	free(bench.noise);
	free(bench.same);
	free(bench.compressible);
	free(bench.order);
	return r;
}

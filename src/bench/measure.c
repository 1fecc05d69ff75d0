/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One algorithm, measured.
 *
 *   for each number of threads:   open a device, fill it              page faults, memory figures
 *   for each repeat and number:   store, load; engine and codec loop  speeds and their ratios
 *   for each number of threads:   store, load, in random order        latency of single blocks
 *   once:                         verify; churn                       trust; fragmentation
 *
 * The engine and the codec loop take turns at being first, so that what disturbs a machine for
 * longer than a pass disturbs both. Repeats overwrite the blocks of a full device: that is its
 * steady state, whereas the fill measures the system's page faults too and is reported apart.
 */
#include "bench/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum speed { STORE, LOAD, CODEC_STORE, CODEC_LOAD, SPEEDS };

struct bench {
	const struct options *options;
	const struct choice *choice;
	const struct pages *pages;
	struct team *team;
	struct zsblk *dev;
	struct codec_loop *loop;
	uint8_t *buffers; /* one request for each thread */
	uint32_t *order;  /* the blocks, shuffled */
	uint32_t *ns;     /* latencies, by place in order */
	uint64_t freed;   /* the first of order, that churn has freed */
};

/* ------------------------------------------------------------------ what a thread does */

static uint8_t *buffer_of(const struct bench *bench, unsigned thread)
{
	return bench->buffers + (size_t)thread * bench->options->request * BLOCK;
}

static const uint8_t *page_at(const struct bench *bench, uint64_t block)
{
	return bench->pages->data + block * BLOCK;
}

static int store(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	struct bench *bench = opaque;
	uint64_t step = bench->options->request;
	int r = 0;

	for (uint64_t at = first; at < end && !r; at += step) {
		uint64_t n = end - at < step ? end - at : step;

		r = zsblk_write(bench->dev, page_at(bench, at), n * BLOCK, at * BLOCK);
	}
	return r;
}

static int load(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	struct bench *bench = opaque;
	uint64_t step = bench->options->request;
	uint8_t *buffer = buffer_of(bench, thread);
	int r = 0;

	for (uint64_t at = first; at < end && !r; at += step) {
		uint64_t n = end - at < step ? end - at : step;

		r = zsblk_read(bench->dev, buffer, n * BLOCK, at * BLOCK);
	}
	return r;
}

static int codec_store(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	struct bench *bench = opaque;

	codec_loop_store(bench->loop, thread, first, end);
	return 0;
}

static int codec_load(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	struct bench *bench = opaque;

	return codec_loop_load(bench->loop, thread, first, end);
}

static uint32_t since_ns(uint64_t start)
{
	uint64_t ns = now_ns() - start;

	return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static int store_timed(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	struct bench *bench = opaque;
	int r = 0;

	for (uint64_t i = first; i < end && !r; i++) {
		uint64_t block = bench->order[i], start = now_ns();

		r = zsblk_write(bench->dev, page_at(bench, block), BLOCK, block * BLOCK);
		bench->ns[i] = since_ns(start);
	}
	return r;
}

static int load_timed(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	struct bench *bench = opaque;
	uint8_t *buffer = buffer_of(bench, thread);
	int r = 0;

	for (uint64_t i = first; i < end && !r; i++) {
		uint64_t start = now_ns();

		r = zsblk_read(bench->dev, buffer, BLOCK, (uint64_t)bench->order[i] * BLOCK);
		bench->ns[i] = since_ns(start);
	}
	return r;
}

/* -EBADMSG: a block is not what was written. */
static int verify(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	static const uint8_t zeroes[BLOCK];
	struct bench *bench = opaque;
	uint8_t *buffer = buffer_of(bench, thread);
	int r = 0;

	for (uint64_t i = first; i < end && !r; i++) {
		uint64_t block = bench->order[i];

		r = zsblk_read(bench->dev, buffer, BLOCK, block * BLOCK);
		if (!r && memcmp(buffer, i < bench->freed ? zeroes : page_at(bench, block), BLOCK))
			r = -EBADMSG;
	}
	return r;
}

static int discard(void *opaque, unsigned thread, uint64_t first, uint64_t end)
{
	struct bench *bench = opaque;
	int r = 0;

	for (uint64_t i = first; i < end && !r; i++)
		r = zsblk_discard(bench->dev, BLOCK, (uint64_t)bench->order[i] * BLOCK);
	return r;
}

/* ------------------------------------------------------------------ passes */

static int run(struct bench *bench, unsigned threads, uint64_t count, team_fn *fn, const char *what,
	       struct team_time *time, struct zsblk_why *why)
{
	int r = team_run(bench->team, threads, count, fn, bench, time);

	if (!r)
		return 0;
	return because(why, r, "%s:%d, %s: %s", bench->choice->codec->name, bench->choice->level, what,
		       r == -EBADMSG ? "a block came back different from what was written" : strerror(-r));
}

static void say(const struct bench *bench, unsigned threads, const char *what, unsigned at)
{
	progress("%s:%d, threads: %u: %s %u of %u", bench->choice->codec->name, bench->choice->level, threads, what, at,
		 bench->options->repeat);
}

/* Bytes of this process that are in memory now. */
static uint64_t resident_bytes(void)
{
	unsigned long long kb = 0;
	char line[256];
	FILE *file = fopen("/proc/self/smaps_rollup", "re");

	while (file && fgets(line, sizeof line, file) && sscanf(line, "Rss: %llu kB", &kb) != 1)
		;
	if (file)
		fclose(file);
	return kb * 1024;
}

/* Open a device and store every page once. */
static int fill(struct bench *bench, struct result *result, struct zsblk_why *why)
{
	struct zsblk_stats stats;
	struct team_time time;
	uint64_t rss;
	int r = device_open(&bench->dev, bench->options, bench->choice, bench->pages->count, why);

	if (r)
		return r;
	say(bench, result->threads, "filling", 1);
	rss = resident_bytes();
	r = run(bench, result->threads, result->pages, store, "storing", &time, why);
	if (r)
		return r;
	/* As the background thread does once a device has come to rest. */
	zsblk_compact(bench->dev);
	result->rss_bytes = resident_bytes() - rss;
	zsblk_get_stats(bench->dev, &stats);
	result->same_pages = stats.same_pages;
	result->huge_pages = stats.huge_pages;
	result->compressed_bytes = stats.compr_data_size;
	result->pool_bytes = stats.pool_bytes;
	result->metadata_bytes = stats.metadata_bytes;
	result->reserved_bytes = stats.reserved_bytes;
	result->fill_store_mbps = ratio_of((double)(result->pages * BLOCK) / 1e6, time.seconds);
	return 0;
}

/* The figures of all repeats of one number of threads. */
struct series {
	double *mbps[SPEEDS], *cpu_ns[SPEEDS], *ratio[2];
};

static int time_pass(struct bench *bench, const struct result *result, enum speed speed, unsigned repeat,
		     struct series *series, struct zsblk_why *why)
{
	static const struct {
		team_fn *fn;
		const char *what;
	} passes[SPEEDS] = {
		[STORE] = {store, "storing"},
		[LOAD] = {load, "loading"},
		[CODEC_STORE] = {codec_store, "compressing"},
		[CODEC_LOAD] = {codec_load, "decompressing"},
	};
	struct team_time time;
	int r;

	say(bench, result->threads, passes[speed].what, repeat + 1);
	r = run(bench, result->threads, result->pages, passes[speed].fn, passes[speed].what, &time, why);
	series->mbps[speed][repeat] = ratio_of((double)(result->pages * BLOCK) / 1e6, time.seconds);
	series->cpu_ns[speed][repeat] = time.cpu_seconds * 1e9 / (double)result->pages;
	return r;
}

static int time_repeat(struct bench *bench, const struct result *result, unsigned repeat, struct series *series,
		       struct zsblk_why *why)
{
	static const enum speed orders[2][SPEEDS] = {
		{STORE, CODEC_STORE, LOAD, CODEC_LOAD},
		{CODEC_STORE, STORE, CODEC_LOAD, LOAD},
	};
	int r = 0;

	for (unsigned i = 0; i < SPEEDS && !r; i++)
		r = time_pass(bench, result, orders[repeat % 2][i], repeat, series, why);
	if (r)
		return r;
	series->ratio[STORE][repeat] = ratio_of(series->mbps[STORE][repeat], series->mbps[CODEC_STORE][repeat]);
	series->ratio[LOAD][repeat] = ratio_of(series->mbps[LOAD][repeat], series->mbps[CODEC_LOAD][repeat]);
	return 0;
}

/* Before take_medians, which sorts. */
static void take_scaling(struct result *result, const struct series *series, const struct series *base, double *scratch,
			 unsigned repeats)
{
	result->store_scaling = median_ratio(series->mbps[STORE], base->mbps[STORE], repeats, scratch);
	result->load_scaling = median_ratio(series->mbps[LOAD], base->mbps[LOAD], repeats, scratch);
	result->codec_store_scaling =
		median_ratio(series->mbps[CODEC_STORE], base->mbps[CODEC_STORE], repeats, scratch);
	result->codec_load_scaling = median_ratio(series->mbps[CODEC_LOAD], base->mbps[CODEC_LOAD], repeats, scratch);
}

static void take_medians(struct result *result, struct series *series, unsigned repeats)
{
	result->store_mbps = median(series->mbps[STORE], repeats);
	result->load_mbps = median(series->mbps[LOAD], repeats);
	result->codec_store_mbps = median(series->mbps[CODEC_STORE], repeats);
	result->codec_load_mbps = median(series->mbps[CODEC_LOAD], repeats);
	result->store_cpu_ns = median(series->cpu_ns[STORE], repeats);
	result->load_cpu_ns = median(series->cpu_ns[LOAD], repeats);
	result->codec_store_cpu_ns = median(series->cpu_ns[CODEC_STORE], repeats);
	result->codec_load_cpu_ns = median(series->cpu_ns[CODEC_LOAD], repeats);
	result->store_ratio = median(series->ratio[STORE], repeats);
	result->load_ratio = median(series->ratio[LOAD], repeats);
}

/* The figures of one number of threads take COLUMNS times `repeats` values. */
#define COLUMNS (2 * SPEEDS + 2)

static struct series make_series(double *values, unsigned repeats)
{
	struct series series;

	for (unsigned i = 0; i < SPEEDS; i++, values += 2 * (size_t)repeats) {
		series.mbps[i] = values;
		series.cpu_ns[i] = values + repeats;
	}
	series.ratio[STORE] = values;
	series.ratio[LOAD] = values + repeats;
	return series;
}

static int time_all(struct bench *bench, struct result *results, struct zsblk_why *why)
{
	unsigned repeats = bench->options->repeat, teams = bench->options->thread_count;
	double *scratch = calloc(((size_t)teams * COLUMNS + 1) * repeats, sizeof *scratch);
	struct series series[TEAMS_MAX];
	int r = 0;

	if (!scratch)
		return because(why, -ENOMEM, "no memory for %u repeats", repeats);
	for (unsigned team = 0; team < teams; team++)
		series[team] = make_series(scratch + ((size_t)team * COLUMNS + 1) * repeats, repeats);
	for (unsigned repeat = 0; repeat < repeats && !r; repeat++) {
		for (unsigned team = 0; team < teams && !r; team++)
			r = time_repeat(bench, &results[team], repeat, &series[team], why);
	}
	for (unsigned team = 0; team < teams && !r; team++)
		take_scaling(&results[team], &series[team], &series[0], scratch, repeats);
	for (unsigned team = 0; team < teams && !r; team++)
		take_medians(&results[team], &series[team], repeats);
	free(scratch);
	return r;
}

static int time_blocks(struct bench *bench, struct result *result, struct zsblk_why *why)
{
	struct team_time time;
	int r;

	say(bench, result->threads, "single blocks", bench->options->repeat);
	r = run(bench, result->threads, result->pages, store_timed, "storing", &time, why);
	if (r)
		return r;
	result->store_latency = latency_of(bench->ns, result->pages);
	r = run(bench, result->threads, result->pages, load_timed, "loading", &time, why);
	if (!r)
		result->load_latency = latency_of(bench->ns, result->pages);
	return r;
}

static int check_blocks(struct bench *bench, const char *what, struct zsblk_why *why)
{
	struct team_time time;

	say(bench, bench->options->threads_max, what, bench->options->repeat);
	return run(bench, bench->options->threads_max, bench->pages->count, verify, what, &time, why);
}

/* Free a random half, and compact. */
static int churn(struct bench *bench, struct churn *churn, struct zsblk_why *why)
{
	uint64_t half = bench->pages->count / 2, rss = resident_bytes(), start, now;
	struct zsblk_stats stats;
	struct team_time time;
	int r;

	say(bench, 1, "churn", bench->options->repeat);
	r = run(bench, 1, half, discard, "discarding", &time, why);
	if (r)
		return r;
	bench->freed = half;
	start = now_ns();
	churn->pages_freed = zsblk_compact(bench->dev);
	churn->compact_seconds = (double)(now_ns() - start) / 1e9;
	zsblk_get_stats(bench->dev, &stats);
	now = resident_bytes();
	churn->blocks = bench->pages->count - half;
	churn->pool_bytes = stats.pool_bytes;
	churn->metadata_bytes = stats.metadata_bytes;
	churn->compressed_bytes = stats.compr_data_size;
	churn->rss_bytes = rss > now ? rss - now : 0;
	return check_blocks(bench, "verifying after churn", why);
}

/* ------------------------------------------------------------------ from one to the other */

static int prepare(struct bench *bench, struct zsblk_why *why)
{
	const struct options *options = bench->options;
	uint64_t pages = bench->pages->count;
	size_t buffers = (size_t)options->threads_max * options->request * BLOCK;
	int r = device_open(&bench->dev, bench->options, bench->choice, bench->pages->count, why);

	if (r)
		return r;
	bench->buffers = aligned_alloc(BLOCK, buffers);
	bench->order = malloc(pages * sizeof *bench->order);
	bench->ns = malloc(pages * sizeof *bench->ns);
	if (!bench->buffers || !bench->order || !bench->ns)
		return because(why, -ENOMEM, "no memory for the figures of %" PRIu64 " pages", pages);
	/* Touched now, so that it does not look like growth of the device. */
	memset(bench->buffers, 0, buffers);
	memset(bench->ns, 0, pages * sizeof *bench->ns);
	shuffle(bench->order, pages, options->seed);
	return codec_loop_create(&bench->loop, bench->choice, bench->pages, options->threads_max,
				 device_largest_compressed(bench->dev), why);
}

static int measure_all(struct bench *bench, struct result *results, struct zsblk_why *why)
{
	unsigned teams = bench->options->thread_count;
	int r = prepare(bench, why);

	for (unsigned i = 0; i < teams && !r; i++) {
		results[i] = (struct result){
			.codec = bench->choice->codec,
			.level = bench->choice->level,
			.threads = bench->options->threads[i],
			.pages = bench->pages->count,
			.zero_pages = codec_loop_zero_pages(bench->loop),
			.churned = bench->options->churn,
		};
		r = fill(bench, &results[i], why);
	}
	if (!r)
		r = time_all(bench, results, why);
	for (unsigned i = 0; i < teams && !r; i++)
		r = time_blocks(bench, &results[i], why);
	if (!r)
		r = check_blocks(bench, "verifying", why);
	if (!r && bench->options->churn)
		r = churn(bench, &results[0].churn, why);
	/* Churn has one thread, whatever the rest. */
	for (unsigned i = 1; i < teams && !r; i++)
		results[i].churn = results[0].churn;
	return r;
}

int measure(const struct options *options, const struct choice *choice, const struct pages *pages, struct team *team,
	    struct result *results, struct zsblk_why *why)
{
	struct bench bench = {
		.options = options,
		.choice = choice,
		.pages = pages,
		.team = team,
	};
	int r = measure_all(&bench, results, why);

	codec_loop_destroy(bench.loop);
	zsblk_close(bench.dev);
	free(bench.buffers);
	free(bench.order);
	free(bench.ns);
	return r;
}

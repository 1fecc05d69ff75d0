/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsblk-bench: what would compressed memory give on this machine, with these pages, and at what
 * speed?
 *
 *   main.c       from options to reports
 *   options.c    the command line                 source.c     pages: from a file, kept in a file
 *   values.c     values of options            help.c       what it says of itself
 *   measure.c    one algorithm, measured          process.c    pages of a running process
 *   mix.c        how requests meet                synthetic.c  pages made up
 *   codec_loop.c the codec alone, to compare      device.c     what is measured
 *   team.c       threads that start together      report.c     a table for people
 *   sample.c     medians, percentiles, shuffles   json.c       JSON for programs
 *   progress.c   what goes on, on a terminal  recompress.c blocks compressed once more
 *   cold.c       blocks in groups             zram.c       the same pages in the kernel's zram
 *   trace.c      requests that were recorded  replay.c     policies, tried on a trace
 *   capture.c    pages in the order of swap   keeper.c     swap and control group for that
 *   plot.c       plots of a report           chart.c      charts as SVG
 *   markup.c     text in HTML and SVG      bars.c       rows of figures as SVG
 *   tiers.c      which blocks are hot or cold replay_report.c  what came of that
 *   contents.c   pages for such a model    day.c        a day with the default policy
 *   shape.c      a day that nobody recorded facts.c     what the machine is
 *   survey*.c    a report for everybody    publish.c    that report in a folder
 *   processes.c  pages of all processes
 *
 * Errors of the lower files are a negative errno with the reason in a struct zsblk_why; only
 * main.c, options.c, progress.c and the reports print.
 */
#ifndef BENCH_H
#define BENCH_H

#include "bench/replay.h"
#include "codec/codec.h"
#include "zsblk.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define BLOCK          ZSBLK_BLOCK_SIZE
#define ALGORITHMS_MAX 64u
#define THREADS_MAX    256u
#define TEAMS_MAX      16u

/* Pages to measure with. Opaque to nobody: they are only ever read. */
struct pages {
	uint8_t *data;
	uint64_t count;
	uint64_t room;      /* pages that data has address space for */
	uint64_t available; /* pages the source had; more than count when only a sample was taken */
	bool synthetic;
	char source[256]; /* for people */
};

struct choice {
	const struct codec *codec;
	int level;
};

/* How requests meet: see mix.c. */
enum mix { MIX_RAW, MIX_SAME, MIX_HOT_BLOCK, MIX_OVERWRITE, MIX_READ_BESIDE_WRITER, MIXES };

#define OPTIONS_MAX 32u

struct options {
	/* Exactly one source. */
	const char *file;
	int pid;
	uint64_t synthetic;      /* pages */
	bool given[OPTIONS_MAX]; /* on the command line, in the order of --help's table */

	struct choice algorithms[ALGORITHMS_MAX];
	unsigned algorithm_count;
	unsigned threads[TEAMS_MAX];
	unsigned thread_count;
	unsigned threads_max;
	unsigned repeat;
	uint64_t limit; /* pages */
	uint64_t seed;
	unsigned request; /* blocks */
	/* None: the whole measurement of measure.c instead. */
	enum mix mixes[MIXES];
	unsigned mix_count;
	/* codec NULL: the whole measurement instead. */
	struct choice recompress;
	/* Likewise; one of them suffices. */
	struct choice cold, frozen;
	bool churn;
	bool json;
	const char *save;
	struct replay_options replay;
	const char *plot;         /* NULL: nothing is plotted */
	const char *report;       /* a folder; NULL: there is no report for everybody */
	const char *const *words; /* the whole command line; the last one is NULL */
	/* NULL: nothing is captured. */
	const char *capture;
	uint64_t capture_seconds, capture_memory; /* bytes */
	char *const *command;                     /* the last one is NULL */
};

/* Microseconds. */
struct latency {
	double p50, p90, p99, p999, max;
};

struct churn {
	uint64_t blocks, pool_bytes, metadata_bytes, compressed_bytes, rss_bytes;
	uint64_t pages_freed; /* by compaction */
	double compact_seconds;
};

/* What one algorithm did with one number of threads. MB are 10^6 bytes; speeds count uncompressed bytes. */
struct result {
	const struct codec *codec;
	int level;
	unsigned threads;

	uint64_t pages, zero_pages, same_pages, huge_pages;
	uint64_t compressed_bytes, pool_bytes, metadata_bytes, reserved_bytes;
	uint64_t rss_bytes; /* growth of the process while the pages were stored */

	double fill_store_mbps; /* into memory not used before: page faults included */
	double store_mbps, load_mbps;
	double codec_store_mbps, codec_load_mbps;
	/* Median of the repeats' own ratios: what happens to one half of a repeat happens to the other. */
	double store_ratio, load_ratio;
	/* Speed against the first number of threads, likewise. */
	double store_scaling, load_scaling, codec_store_scaling, codec_load_scaling;
	/* Processor time of one block, in nanoseconds: not disturbed by other programs' turns. */
	double store_cpu_ns, load_cpu_ns, codec_store_cpu_ns, codec_load_cpu_ns;
	struct latency store_latency, load_latency;

	bool churned;
	struct churn churn;
};

/* One mix with one number of threads. */
struct mix_result {
	const struct codec *codec;
	int level;
	enum mix mix;
	unsigned threads;
	double ops_per_s; /* median */
	double scaling;   /* against the first number of threads: the median of the repeats' own ratios */
};

/* Blocks of one algorithm, compressed again with options->recompress. */
struct recompress_result {
	const struct codec *codec;
	int level;
	uint64_t blocks, recompressed;      /* that are not same-filled; that take less memory now */
	uint64_t before_bytes, after_bytes; /* memory, after a compaction */
	double mbps, codec_mbps;            /* medians, of the blocks */
	double ratio;                       /* median of the repeats' own ratios */
};

/* Blocks in groups. */
struct cold_tier {
	uint64_t groups, blocks;     /* groups, and blocks in them */
	uint64_t group_bytes, bytes; /* of the compressed groups; of all memory that the pages take then */
	struct latency read;         /* one block out of a group */
	/* Making groups, of all blocks that are not same-filled: medians; and the median of the repeats' own ratios. */
	double mbps, codec_mbps, ratio;
};

/* Pages stored with one algorithm, and then in groups. `blocks` are not same-filled. A tier that was not asked for is 0. */
struct cold_result {
	const struct codec *codec;
	int level;
	uint64_t blocks, hot_bytes;
	struct cold_tier cold, frozen;
};

/* What the kernel's zram takes for the same pages. 0: it cannot be told here. */
struct zram_memory {
	uint64_t lz4, zstd;
	struct zsblk_why lz4_why, zstd_why; /* of a 0 */
};

/* ------------------------------------------------------------------ help.c */

#define DEFAULT_ALGORITHMS "lz4,zstd:-1,zstd:1,zstd:3"

/* Print it, and end the program. */
__attribute__((noreturn)) void help_print(void);

/* ------------------------------------------------------------------ options.c */

/* Fills in *options, or prints what is wrong and ends the program; also after --help and --version. */
void options_parse(struct options *options, int argc, char **argv);

/* ------------------------------------------------------------------ sources of pages */

/*
 * A whole number of pages from a file, or from a pipe to its end; at most `limit` pages, evenly
 * picked where the length is known beforehand.
 */
int pages_from_file(struct pages *pages, const char *path, uint64_t limit, struct zsblk_why *why);
/* Resident private anonymous pages of a process that goes on running meanwhile. */
int pages_from_process(struct pages *pages, int pid, uint64_t limit, struct zsblk_why *why);
/* Of all processes that may be read, of each its share; never of this one. */
int pages_from_processes(struct pages *pages, uint64_t limit, struct zsblk_why *why);
/* The same pages for the same count and seed. */
int pages_synthetic(struct pages *pages, uint64_t count, uint64_t seed, struct zsblk_why *why);
/* Keep the pages in a new file that only its owner may read. `option` has named it. */
int pages_save(const struct pages *pages, const char *option, const char *path, struct zsblk_why *why);
int pages_alloc(struct pages *pages, uint64_t count, struct zsblk_why *why);
void pages_free(struct pages *pages);

/* Pages are picked in runs, which keeps neighbours together: is run `run` of `runs` among the `wanted`? */
#define PAGES_RUN 16u
bool pages_pick_run(uint64_t run, uint64_t runs, uint64_t wanted);

/* ------------------------------------------------------------------ capture.c */

/*
 * Let the command of the options run in a control group with little memory, keep the pages that the kernel has swapped out by then in a new
 * file, in the order of their swap slots, and tell how that was.
 */
int capture_swap(const struct options *options, struct zsblk_why *why);

/* ------------------------------------------------------------------ codec_loop.c */

struct codec_loop;

/*
 * The codec with a context for each of `threads` threads, and every page compressed once. `cap` is
 * the largest object that is worth storing compressed.
 */
int codec_loop_create(struct codec_loop **loop, const struct choice *choice, const struct pages *pages,
		      unsigned threads, size_t cap, struct zsblk_why *why);
void codec_loop_destroy(struct codec_loop *loop);
/* What a thread does with pages [first, end). Nothing is kept. */
void codec_loop_store(struct codec_loop *loop, unsigned thread, uint64_t first, uint64_t end);
/* 0 or -EIO. */
int codec_loop_load(struct codec_loop *loop, unsigned thread, uint64_t first, uint64_t end);
uint64_t codec_loop_zero_pages(const struct codec_loop *loop);
/* Neither same-filled nor too large: page number `page` is stored compressed. */
bool codec_loop_is_compressed(const struct codec_loop *loop, uint64_t page);

/* ------------------------------------------------------------------ team.c */

struct team;

/* Spans of blocks are handed out as threads ask for them, so that none waits for a slow one at the end. */
#define TEAM_SPAN 256u

struct team_time {
	double seconds;     /* from the first start to the last end */
	double cpu_seconds; /* of all threads */
};

/* What a thread returns to end its part without an error. */
#define TEAM_ENOUGH 1

/* Work on blocks [first, end) as thread number `thread`: 0, TEAM_ENOUGH or a negative errno. */
typedef int team_fn(void *opaque, unsigned thread, uint64_t first, uint64_t end);

/* A clock that only goes on, in nanoseconds. */
uint64_t now_ns(void);
double seconds_since(uint64_t start_ns);

int team_create(struct team **team, unsigned threads, struct zsblk_why *why);
void team_destroy(struct team *team);
/* Have `threads` of them do blocks [0, count); the first error any had, or 0. */
int team_run(struct team *team, unsigned threads, uint64_t count, team_fn *fn, void *opaque, struct team_time *time);

/* ------------------------------------------------------------------ measure.c */

/* One result for each number of threads in the options. */
int measure(const struct options *options, const struct choice *choice, const struct pages *pages, struct team *team,
	    struct result *results, struct zsblk_why *why);

/* ------------------------------------------------------------------ mix.c */

const char *mix_name(enum mix mix);
/* -1: there is none of that name. */
int mix_by_name(const char *name);
/* One result for each mix and, within it, number of threads in the options. */
int measure_mixes(const struct options *options, const struct choice *choice, const struct pages *pages,
		  struct team *team, struct mix_result *results, struct zsblk_why *why);

/* ------------------------------------------------------------------ recompress.c */

int measure_recompression(const struct options *options, const struct choice *choice, const struct pages *pages,
			  struct recompress_result *result, struct zsblk_why *why);

/* ------------------------------------------------------------------ cold.c */

int measure_cold(const struct options *options, const struct choice *hot, const struct pages *pages,
		 struct cold_result *result, struct zsblk_why *why);

/* ------------------------------------------------------------------ zram.c */

/* All memory that a zram device of these pages takes. For root, where the kernel has zram. */
void measure_zram(const struct pages *pages, struct zram_memory *zram);

/* ------------------------------------------------------------------ device.c */

/* Open a new device of `blocks` blocks in place of the one in *dev, which is closed if it is not NULL. */
int device_open(struct zsblk **dev, const struct options *options, const struct choice *choice, uint64_t blocks,
		struct zsblk_why *why);
/* The same, of as many blocks as there are pages, which are stored. */
int device_open_full(struct zsblk **dev, const struct options *options, const struct choice *choice,
		     const struct pages *pages, struct zsblk_why *why);
/* The largest object that the engine stores compressed: what fits the last class that is not huge. */
size_t device_largest_compressed(struct zsblk *dev);

/* ------------------------------------------------------------------ sample.c */

uint64_t random_next(uint64_t *state);
/* The numbers below `count`, shuffled. */
void shuffle(uint32_t *order, uint64_t count, uint64_t seed);
/* Sorts `values`. */
double median(double *values, unsigned count);
/* Of each value's ratio to the base's of the same number: what happens to a whole repeat happens to both. `scratch` has room for all. */
double median_ratio(const double *values, const double *base, unsigned count, double *scratch);
/* Sorts `ns`. */
struct latency latency_of(uint32_t *ns, uint64_t count);
/* 0 where there is nothing to divide by. */
double ratio_of(double a, double b);
/* Say why, and return `error`. */
__attribute__((format(printf, 3, 4))) int because(struct zsblk_why *why, int error, const char *format, ...);

/* ------------------------------------------------------------------ progress.c */

__attribute__((format(printf, 1, 2))) void progress(const char *format, ...);
void progress_clear(void);

/* ------------------------------------------------------------------ plot.c */

/* Draw, as SVG, what --json has printed to a file; "-" is standard input. */
int plot_json(FILE *out, const char *path, struct zsblk_why *why);

/* ------------------------------------------------------------------ reports */

void report_table(FILE *out, const struct options *options, const struct pages *pages, const struct result *results,
		  unsigned count);
int report_json(FILE *out, const struct options *options, const struct pages *pages, const struct result *results,
		unsigned count);
void report_mix_table(FILE *out, const struct options *options, const struct pages *pages,
		      const struct mix_result *results, unsigned count);
int report_mix_json(FILE *out, const struct options *options, const struct pages *pages,
		    const struct mix_result *results, unsigned count);
void report_recompress_table(FILE *out, const struct options *options, const struct pages *pages,
			     const struct recompress_result *results, unsigned count);
int report_recompress_json(FILE *out, const struct options *options, const struct pages *pages,
			   const struct recompress_result *results, unsigned count);

void report_cold_table(FILE *out, const struct options *options, const struct pages *pages,
		       const struct cold_result *results, unsigned count, const struct zram_memory *zram);
int report_cold_json(FILE *out, const struct options *options, const struct pages *pages,
		     const struct cold_result *results, unsigned count, const struct zram_memory *zram);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* From options to reports. */
#include "bench/bench.h"
#include "bench/publish.h"
#include "bench/survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int get_pages(struct pages *pages, const struct options *options, struct zsblk_why *why)
{
	int r;

	if (options->pid)
		r = pages_from_process(pages, options->pid, options->limit, why);
	else if (options->synthetic)
		r = pages_synthetic(pages, options->synthetic, options->seed, why);
	else if (!options->file)
		r = pages_from_processes(pages, options->limit, why);
	else
		r = pages_from_file(pages, options->file, options->limit, why);
	if (!r && options->save)
		r = pages_save(pages, "--save", options->save, why);
	return r;
}

/*
 * The figures of the engine against what the system says: the process grew by what is said to
 * be in use. A few per cent and a MiB are for what else happened in the process meanwhile.
 */
static void check_resident(const struct result *result)
{
	uint64_t counted = result->pool_bytes + result->metadata_bytes + result->reserved_bytes;
	uint64_t apart = counted > result->rss_bytes ? counted - result->rss_bytes : result->rss_bytes - counted;

	if (apart <= counted / 33 || apart <= 1 << 20)
		return;
	fprintf(stderr, "zsblk-bench: warning: %s:%d: the engine counts %.1f MB, but the process grew by %.1f MB\n",
		result->codec->name, result->level, (double)counted / 1e6, (double)result->rss_bytes / 1e6);
}

static int measure_all(const struct options *options, const struct pages *pages, struct team *team,
		       struct result *results, struct zsblk_why *why)
{
	int r = 0;

	for (unsigned i = 0; i < options->algorithm_count && !r; i++)
		r = measure(options, &options->algorithms[i], pages, team, &results[i * options->thread_count], why);
	return r;
}

static int report_all(const struct options *options, const struct pages *pages, const struct result *results,
		      unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		check_resident(&results[i]);
	if (options->json)
		return report_json(stdout, options, pages, results, count);
	report_table(stdout, options, pages, results, count);
	return 0;
}

static int run_all(const struct options *options, const struct pages *pages, struct team *team, struct zsblk_why *why)
{
	unsigned count = options->algorithm_count * options->thread_count;
	struct result *results = calloc(count, sizeof *results);
	int r = results ? measure_all(options, pages, team, results, why) : because(why, -ENOMEM, "no memory");

	progress_clear();
	if (!r && report_all(options, pages, results, count))
		r = because(why, -ENOMEM, "no memory for the report");
	free(results);
	return r;
}

/* The same with --mix. */
static int run_mixes(const struct options *options, const struct pages *pages, struct team *team, struct zsblk_why *why)
{
	unsigned each = options->mix_count * options->thread_count, count = options->algorithm_count * each;
	struct mix_result *results = calloc(count, sizeof *results);
	int r = results ? 0 : because(why, -ENOMEM, "no memory");

	for (unsigned i = 0; i < options->algorithm_count && !r; i++)
		r = measure_mixes(options, &options->algorithms[i], pages, team, &results[i * each], why);
	progress_clear();
	if (!r && !options->json)
		report_mix_table(stdout, options, pages, results, count);
	else if (!r && report_mix_json(stdout, options, pages, results, count))
		r = because(why, -ENOMEM, "no memory for the report");
	free(results);
	return r;
}

/* The same with --recompress. */
static int run_recompress(const struct options *options, const struct pages *pages, struct zsblk_why *why)
{
	unsigned count = options->algorithm_count;
	struct recompress_result *results = calloc(count, sizeof *results);
	int r = results ? 0 : because(why, -ENOMEM, "no memory");

	for (unsigned i = 0; i < count && !r; i++)
		r = measure_recompression(options, &options->algorithms[i], pages, &results[i], why);
	progress_clear();
	if (!r && !options->json)
		report_recompress_table(stdout, options, pages, results, count);
	else if (!r && report_recompress_json(stdout, options, pages, results, count))
		r = because(why, -ENOMEM, "no memory for the report");
	free(results);
	return r;
}

/* The same with --cold and --frozen. */
static int run_cold(const struct options *options, const struct pages *pages, struct zsblk_why *why)
{
	unsigned count = options->algorithm_count;
	struct cold_result *results = calloc(count, sizeof *results);
	struct zram_memory zram;
	int r = results ? 0 : because(why, -ENOMEM, "no memory");

	for (unsigned i = 0; i < count && !r; i++)
		r = measure_cold(options, &options->algorithms[i], pages, &results[i], why);
	if (!r)
		measure_zram(pages, &zram);
	progress_clear();
	if (!r && !options->json)
		report_cold_table(stdout, options, pages, results, count, &zram);
	else if (!r && report_cold_json(stdout, options, pages, results, count, &zram))
		r = because(why, -ENOMEM, "no memory for the report");
	free(results);
	return r;
}

static int run(const struct options *options, const struct pages *pages, struct zsblk_why *why)
{
	struct team *team = NULL;
	int r = team_create(&team, options->threads_max, why);

	if (!r)
		r = options->recompress.codec                      ? run_recompress(options, pages, why)
		    : options->cold.codec || options->frozen.codec ? run_cold(options, pages, why)
		    : options->mix_count                           ? run_mixes(options, pages, team, why)
								   : run_all(options, pages, team, why);
	team_destroy(team);
	return r;
}

static bool has_pages(const struct options *options)
{
	return options->file || options->pid || options->synthetic;
}

static int obey(const struct options *options, struct pages *pages, struct zsblk_why *why)
{
	int r;

	if (options->replay.trace && !has_pages(options))
		return replay_run(options, NULL, why);
	if (options->plot)
		return plot_json(stdout, options->plot, why);
	if (options->capture)
		return capture_swap(options, why);
	r = options->report ? publish_check(options->report, why) : 0;
	if (!r)
		r = get_pages(pages, options, why);
	if (r)
		return r;
	if (options->report)
		return survey_run(options, pages, why);
	return options->replay.trace ? replay_run(options, pages, why) : run(options, pages, why);
}

int main(int argc, char **argv)
{
	struct options options;
	struct pages pages = {0};
	struct zsblk_why why = {0};
	int r;

	options_parse(&options, argc, argv);
	r = obey(&options, &pages, &why);
	if (!r && (fflush(stdout) || ferror(stdout)))
		r = because(&why, -errno, "writing the report: %s", strerror(errno));
	progress_clear();
	if (r)
		fprintf(stderr, "zsblk-bench: %s\n", why.text);
	pages_free(&pages);
	return r ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* From options to reports. */
#include "bench/bench.h"

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
	else
		r = pages_from_file(pages, options->file, options->limit, why);
	if (!r && options->save)
		r = pages_save(pages, options->save, why);
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

static int measure_all(const struct options *options, const struct pages *pages, struct result *results,
		       struct zsblk_why *why)
{
	struct team *team = NULL;
	int r = team_create(&team, options->threads_max, why);

	for (unsigned i = 0; i < options->algorithm_count && !r; i++)
		r = measure(options, &options->algorithms[i], pages, team, &results[i * options->thread_count], why);
	team_destroy(team);
	return r;
}

static int report(const struct options *options, const struct pages *pages, const struct result *results,
		  unsigned count, struct zsblk_why *why)
{
	int r = 0;

	progress_clear();
	for (unsigned i = 0; i < count; i++)
		check_resident(&results[i]);
	if (options->json)
		r = report_json(stdout, options, pages, results, count);
	else
		report_table(stdout, options, pages, results, count);
	if (!r && (fflush(stdout) || ferror(stdout)))
		r = -errno;
	return r ? because(why, r, "writing the report: %s", strerror(-r)) : 0;
}

int main(int argc, char **argv)
{
	struct options options;
	struct pages pages = {0};
	struct zsblk_why why = {0};
	struct result *results;
	unsigned count;
	int r;

	options_parse(&options, argc, argv);
	count = options.algorithm_count * options.thread_count;
	results = calloc(count, sizeof *results);
	r = results ? get_pages(&pages, &options, &why) : because(&why, -ENOMEM, "no memory");
	if (!r)
		r = measure_all(&options, &pages, results, &why);
	if (!r)
		r = report(&options, &pages, results, count, &why);
	progress_clear();
	if (r)
		fprintf(stderr, "zsblk-bench: %s\n", why.text);
	pages_free(&pages);
	free(results);
	return r ? 1 : 0;
}

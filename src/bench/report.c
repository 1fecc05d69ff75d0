/* SPDX-License-Identifier: BSD-3-Clause */
/* A table for people. */
#include "bench/bench.h"

#include <inttypes.h>

static double mb(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

static uint64_t memory_of(const struct result *result)
{
	return result->pool_bytes + result->metadata_bytes;
}

static const char *name_of(const struct result *result, char name[32])
{
	snprintf(name, 32, "%s:%d", result->codec->name, result->level);
	return name;
}

static void print_pages(FILE *out, const struct pages *pages)
{
	fprintf(out, "%s: %" PRIu64 " pages, %.1f MB", pages->source, pages->count, mb(pages->count * BLOCK));
	if (pages->count < pages->available)
		fprintf(out, " (evenly picked from %" PRIu64 ")", pages->available);
}

static void print_made_up(FILE *out, const struct pages *pages)
{
	if (pages->synthetic)
		fputs("These pages are made up: measure with a file or a process of your own to decide.\n", out);
}

static void print_source(FILE *out, const struct options *options, const struct pages *pages,
			 const struct result *result)
{
	print_pages(out, pages);
	fprintf(out, "; %" PRIu64 " zero, %" PRIu64 " same-filled\n", result->zero_pages, result->same_pages);
	print_made_up(out, pages);
	fprintf(out, "%u KiB a request; MB are 10^6 bytes of pages, speeds are medians of %u\n\n",
		options->request * BLOCK / 1024, options->repeat);
}

static void print_memory(FILE *out, const struct options *options, const struct result *results, unsigned count)
{
	fprintf(out, "MEMORY     %7s %9s %9s %9s %7s %7s %7s %8s%s\n", "pages/", "compres-", "", "meta-", "pool/",
		"over-", "", "resident", options->churn ? "   after churn" : "");
	fprintf(out, "           %7s %9s %9s %9s %7s %7s %7s %8s%s\n", "memory", "sed MB", "pool MB", "data MB",
		"compr.", "head B", "huge", "MB", options->churn ? "   pool/compr." : "");
	for (unsigned i = 0; i < count; i += options->thread_count) {
		const struct result *result = &results[i];
		uint64_t stored = result->pages - result->zero_pages;
		char name[32];

		fprintf(out, "%-10s %7.2f %9.1f %9.1f %9.2f %7.3f %7.1f %7" PRIu64 " %8.1f", name_of(result, name),
			ratio_of(mb(result->pages * BLOCK), mb(memory_of(result))), mb(result->compressed_bytes),
			mb(result->pool_bytes), mb(result->metadata_bytes),
			ratio_of(mb(result->pool_bytes), mb(result->compressed_bytes)),
			ratio_of((double)memory_of(result) - (double)result->compressed_bytes, (double)stored),
			result->huge_pages, mb(result->rss_bytes));
		if (result->churned)
			fprintf(out, " %13.3f",
				ratio_of(mb(result->churn.pool_bytes), mb(result->churn.compressed_bytes)));
		fputc('\n', out);
	}
	fputc('\n', out);
}

/* How often the first number of threads a speed is; blank where there is nothing to compare. */
static void print_times(FILE *out, const struct options *options, double scaling)
{
	if (options->thread_count > 1)
		fprintf(out, " %6.2f", scaling);
}

static void print_speed(FILE *out, const struct options *options, const struct result *results, unsigned count)
{
	const char *times = options->thread_count > 1 ? "  times" : "";

	fprintf(out, "SPEED               store MB/s                     %*s  load MB/s\n",
		options->thread_count > 1 ? 7 : 0, "");
	fprintf(out, "           threads  %8s %8s %8s %9s%s  %8s %8s %9s%s\n", "first", "again", "codec", "of codec",
		times, "engine", "codec", "of codec", times);
	for (unsigned i = 0; i < count; i++) {
		const struct result *result = &results[i];
		char name[32];

		fprintf(out, "%-10s %7u  %8.0f %8.0f %8.0f %9.3f", name_of(result, name), result->threads,
			result->fill_store_mbps, result->store_mbps, result->codec_store_mbps, result->store_ratio);
		print_times(out, options, result->store_scaling);
		fprintf(out, "  %8.0f %8.0f %9.3f", result->load_mbps, result->codec_load_mbps, result->load_ratio);
		print_times(out, options, result->load_scaling);
		fputc('\n', out);
	}
	fputc('\n', out);
}

static void print_latency(FILE *out, const struct result *results, unsigned count)
{
	fprintf(out, "LATENCY             store one block, microseconds      load one block, microseconds\n");
	fprintf(out, "           threads  %8s %7s %7s %7s  %8s %7s %7s %7s\n", "50%", "90%", "99%", "99.9%", "50%",
		"90%", "99%", "99.9%");
	for (unsigned i = 0; i < count; i++) {
		const struct latency *store = &results[i].store_latency;
		const struct latency *load = &results[i].load_latency;
		char name[32];

		fprintf(out, "%-10s %7u  %8.1f %7.1f %7.1f %7.1f  %8.1f %7.1f %7.1f %7.1f\n",
			name_of(&results[i], name), results[i].threads, store->p50, store->p90, store->p99, store->p999,
			load->p50, load->p90, load->p99, load->p999);
	}
}

static void print_verdict(FILE *out, const struct options *options, const struct result *results, unsigned count)
{
	const struct result *small = &results[0], *fast = &results[0];
	char name[32];

	for (unsigned i = 0; i < count; i += options->thread_count) {
		if (memory_of(&results[i]) < memory_of(small))
			small = &results[i];
		if (results[i].store_mbps > fast->store_mbps)
			fast = &results[i];
	}
	fprintf(out, "\n%s is the fastest to store and keeps these %.1f MB in %.1f MB", name_of(fast, name),
		mb(fast->pages * BLOCK), mb(memory_of(fast)));
	if (small->codec != fast->codec || small->level != fast->level)
		fprintf(out, "; %s is the smallest, with %.1f MB", name_of(small, name), mb(memory_of(small)));
	fputs(".\n", out);
}

void report_table(FILE *out, const struct options *options, const struct pages *pages, const struct result *results,
		  unsigned count)
{
	print_source(out, options, pages, &results[0]);
	print_memory(out, options, results, count);
	print_speed(out, options, results, count);
	print_latency(out, results, count);
	print_verdict(out, options, results, count);
}

void report_mix_table(FILE *out, const struct options *options, const struct pages *pages,
		      const struct mix_result *results, unsigned count)
{
	print_pages(out, pages);
	fputc('\n', out);
	print_made_up(out, pages);
	fprintf(out, "requests for one block of 4 KiB, speeds are medians of %u\n\n", options->repeat);
	fprintf(out, "MIX                             threads  requests/s   times\n");
	for (unsigned i = 0; i < count; i++) {
		const struct mix_result *result = &results[i];
		char name[32];

		snprintf(name, sizeof name, "%s:%d", result->codec->name, result->level);
		fprintf(out, "%-10s %-20s %7u %11.0f %7.2f\n", name, mix_name(result->mix), result->threads,
			result->ops_per_s, result->scaling);
	}
}

void report_recompress_table(FILE *out, const struct options *options, const struct pages *pages,
			     const struct recompress_result *results, unsigned count)
{
	const struct choice *to = &options->recompress;

	print_pages(out, pages);
	fputc('\n', out);
	print_made_up(out, pages);
	fprintf(out, "all blocks compressed again with %s:%d by one thread, speeds are medians of %u\n\n",
		to->codec->name, to->level, options->repeat);
	fprintf(out, "RECOMPRESSED      blocks    gained  MB before  MB after     MB/s  codecs  of codecs\n");
	for (unsigned i = 0; i < count; i++) {
		const struct recompress_result *result = &results[i];
		char name[32];

		snprintf(name, sizeof name, "%s:%d", result->codec->name, result->level);
		fprintf(out, "%-14s %9" PRIu64 " %9" PRIu64 " %10.1f %9.1f %8.1f %7.1f %10.3f\n", name, result->blocks,
			result->recompressed, mb(result->before_bytes), mb(result->after_bytes), result->mbps,
			result->codec_mbps, result->ratio);
	}
}

static void print_tier(FILE *out, const char *what, const struct choice *choice, const struct cold_tier *tier,
		       uint64_t hot_bytes, const struct zram_memory *zram)
{
	char name[32];

	if (!choice->codec)
		return;
	snprintf(name, sizeof name, "%s %s:%d", what, choice->codec->name, choice->level);
	fprintf(out, "%-16s %8" PRIu64 " %9" PRIu64 " %9.1f %7.3f", name, tier->groups, tier->blocks, mb(tier->bytes),
		ratio_of((double)tier->bytes, (double)hot_bytes));
	if (zram->lz4)
		fprintf(out, " %8.3f", ratio_of((double)tier->bytes, (double)zram->lz4));
	fprintf(out, " %8.1f %7.1f %8.1f %10.3f\n", tier->read.p50, tier->read.p99, tier->mbps, tier->ratio);
}

/* Something that has no groups. */
static void print_flat(FILE *out, const char *name, uint64_t bytes, uint64_t hot_bytes, const struct zram_memory *zram)
{
	fprintf(out, "%-16s %8s %9s %9.1f %7.3f", name, "", "", mb(bytes), ratio_of((double)bytes, (double)hot_bytes));
	if (zram->lz4)
		fprintf(out, " %8.3f", ratio_of((double)bytes, (double)zram->lz4));
	fputc('\n', out);
}

void report_cold_table(FILE *out, const struct options *options, const struct pages *pages,
		       const struct cold_result *results, unsigned count, const struct zram_memory *zram)
{
	print_pages(out, pages);
	fputc('\n', out);
	print_made_up(out, pages);
	fprintf(out,
		"blocks in groups, all memory counted; reads of one block; groups made by one thread, medians of %u\n",
		options->repeat);
	for (unsigned i = 0; i < count; i++) {
		const struct cold_result *result = &results[i];
		char name[32];

		fprintf(out,
			"\nTIER               GROUPS    BLOCKS        MB  OF HOT%s  p50 us  p99 us     MB/s  OF CODECS\n",
			zram->lz4 ? "  OF ZRAM" : "");
		snprintf(name, sizeof name, "hot %s:%d", result->codec->name, result->level);
		print_flat(out, name, result->hot_bytes, result->hot_bytes, zram);
		print_tier(out, "cold", &options->cold, &result->cold, result->hot_bytes, zram);
		print_tier(out, "frozen", &options->frozen, &result->frozen, result->hot_bytes, zram);
		if (zram->lz4)
			print_flat(out, "zram lz4", zram->lz4, result->hot_bytes, zram);
		if (zram->zstd)
			print_flat(out, "zram zstd", zram->zstd, result->hot_bytes, zram);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Views of one device: how long work takes, where memory is, how old its data is. See view_parts.h. */
#include "ctl/human.h"
#include "ctl/top/view_parts.h"

#include <inttypes.h>
#include <string.h>

#define BAR 24u

/* ------------------------------------------------------------------ latency */

static void make_latency(struct page *page, const struct view *view, const struct watch_device *device)
{
	page_add(page, PAGE_HEADING, "%-12s %7s %7s %7s %7s %7s %7s %7s", "WORK", "PER S", "MEAN", "P50", "P90", "P99",
		 "P99.9", "MOST");
	page->fixed = page->n;
	for (enum sample_work work = 0; work < SAMPLE_WORKS; work++) {
		const struct figures_latency *latency = &device->figures.work[work];
		char a[PAGE_FIGURE], b[PAGE_FIGURE], c[PAGE_FIGURE], d[PAGE_FIGURE];

		page_add(page, PAGE_PLAIN, "%-12s %7s %7s %7s", sample_work_name(work), page_count(latency->rate, a),
			 page_time(latency->mean_ns, b), page_time(latency->p50_ns, c));
		page_append(page, " %7s %7s %7s %7s", page_time(latency->p90_ns, a), page_time(latency->p99_ns, b),
			    page_time(latency->p999_ns, c), page_time(latency->max_ns, d));
	}
	page_add(page, PAGE_PLAIN, "%s", "");
	page_add(page, PAGE_PLAIN, "%s",
		 device->figures.has_rates
			 ? "Of the time since the last look; upper ends of the buckets of the server's histograms."
			 : "There has been one look only; figures come with the next one.");
}

const struct view_part view_latency_part = {.name = "latency", .wants = SAMPLE_LATENCIES, .make = make_latency};

/* ------------------------------------------------------------------ memory */

/* Figures that are no parts: sums of those before, and what is counted beside. */
static bool is_sum(const char *name)
{
	return strcmp(name, "segment") == 0 || strcmp(name, "total") == 0;
}

static bool is_beside(const char *name)
{
	return strcmp(name, "page_tables") == 0;
}

/* What the parts add up to. */
static double sum_of(const struct sample *now)
{
	double sum = 0;

	for (size_t i = 0; i < now->n_memory; i++)
		if (!is_sum(now->memory[i].name) && !is_beside(now->memory[i].name))
			sum += (double)now->memory[i].bytes;
	return sum;
}

static void add_part(struct page *page, const struct sample_part *part, double sum)
{
	char bytes[PAGE_FIGURE], bar[PAGE_BAR];

	page_add(page, is_sum(part->name) ? PAGE_TITLE : PAGE_PLAIN, "%-24s %10s", part->name,
		 page_bytes((double)part->bytes, bytes));
	if (!is_beside(part->name))
		page_append(page, " %5.1f%%", sum > 0 ? 100 * (double)part->bytes / sum : 0);
	if (!is_beside(part->name) && !is_sum(part->name))
		page_append(page, "  %s", page_bar((double)part->bytes, sum, BAR, bar));
}

static void make_memory(struct page *page, const struct view *view, const struct watch_device *device)
{
	const struct sample *now = &device->now;
	char a[PAGE_FIGURE], b[PAGE_FIGURE], c[PAGE_FIGURE];
	double sum = sum_of(now);

	page_add(page, PAGE_PLAIN, "stored %s, compressed %s, in %s (%.2f)", page_bytes((double)now->data, a),
		 page_bytes((double)now->compressed, b), page_bytes((double)now->total, c), device->figures.ratio);
	page_append(page, "; at most so far %s, limit %s", page_bytes((double)now->total_max, a),
		    now->limit ? page_bytes((double)now->limit, b) : "none");
	page_append(page, "; blocks: same-filled %s, raw %s", page_count((double)now->same_blocks, a),
		    page_count((double)now->raw_blocks, b));
	page_add(page, PAGE_HEADING, "%-24s %10s %6s  %-*s", "PART", "BYTES", "SHARE", (int)BAR, "");
	page->fixed = page->n;
	for (size_t i = 0; i < now->n_memory; i++)
		add_part(page, &now->memory[i], sum);
	if (!now->n_memory)
		page_add(page, PAGE_PLAIN, "This server does not tell the parts of its memory.");
}

const struct view_part view_memory_part = {.name = "memory", .wants = SAMPLE_MEMORY, .make = make_memory};

/* ------------------------------------------------------------------ ages */

static void make_ages(struct page *page, const struct view *view, const struct watch_device *device)
{
	const struct sample *now = &device->now;
	char from[HUMAN_BYTES], a[PAGE_FIGURE], b[PAGE_FIGURE], c[PAGE_FIGURE], bar[PAGE_BAR];
	double all = 0, most = 0, so_far = 0;

	page_add(page, PAGE_HEADING, "%-14s %7s %7s %7s %6s %6s  %-*s", "UNUSED FOR", "BLOCKS", "IDLE", "BYTES",
		 "SHARE", "SUM", (int)BAR, "");
	page->fixed = page->n;
	for (size_t i = 0; i < now->n_ages; i++) {
		double blocks = (double)now->ages[i].blocks;

		all += blocks;
		most = blocks > most ? blocks : most;
	}
	for (size_t i = 0; i < now->n_ages; i++) {
		const struct sample_age *age = &now->ages[i];
		double blocks = (double)age->blocks;

		so_far += blocks;
		page_add(page, PAGE_PLAIN, "%-14s %7s %7s %7s %5.1f%% %5.1f%%  %s", human_time(age->from_s, from),
			 page_count(blocks, a), page_count((double)age->idle, c), page_bytes((double)age->bytes, b),
			 all > 0 ? 100 * blocks / all : 0, all > 0 ? 100 * so_far / all : 0,
			 page_bar(blocks, most, BAR, bar));
	}
	if (!now->n_ages)
		page_add(page, PAGE_PLAIN, "This server has no ages.");
	else if (now->ages_since_s)
		page_add(page, PAGE_PLAIN, "Ages have been kept for %s; none is higher.",
			 human_time(now->ages_since_s, from));
}

const struct view_part view_ages_part = {.name = "ages", .wants = SAMPLE_AGES, .make = make_ages};

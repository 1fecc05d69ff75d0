/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory and latencies of a survey, for pages as they are stored one by one and in groups. See survey.h. */
#include "bench/survey.h"

#include "bench/bars.h"
#include "bench/markup.h"

#include <inttypes.h>

/* As they are, zram with two algorithms, each algorithm of zsblk, cold, frozen. */
#define ROWS_MAX (5u + ALGORITHMS_MAX)

/* A way to keep the pages. */
struct way {
	const char *name;
	struct survey_name how;
	double bytes;
	bool is_other;
};

static struct way *add_way(struct way *ways, unsigned *count, const char *name, struct survey_name how, uint64_t bytes)
{
	struct way *way = &ways[(*count)++];

	*way = (struct way){.name = name, .how = how, .bytes = (double)bytes};
	return way;
}

static unsigned list_ways(const struct survey *survey, struct way *ways)
{
	const struct options *options = survey->options;
	const struct cold_result *cold = &survey->cold;
	unsigned count = 0;

	add_way(ways, &count, "Uncompressed", (struct survey_name){""}, survey->pages->count * BLOCK)->is_other = true;
	if (survey->zram.lz4)
		add_way(ways, &count, "Kernel zram", (struct survey_name){"lz4"}, survey->zram.lz4)->is_other = true;
	if (survey->zram.zstd)
		add_way(ways, &count, "Kernel zram", (struct survey_name){"zstd"}, survey->zram.zstd)->is_other = true;
	for (unsigned i = 0; i < options->algorithm_count; i++) {
		const struct result *result = &survey->results[i];

		add_way(ways, &count, "zsblk, each page by itself", survey_name_of(result->codec, result->level),
			result->pool_bytes + result->metadata_bytes);
	}
	add_way(ways, &count, "zsblk, cold: 15 minutes unused",
		survey_name_of(options->cold.codec, options->cold.level), cold->cold.bytes);
	add_way(ways, &count, "zsblk, frozen: 4 hours unused",
		survey_name_of(options->frozen.codec, options->frozen.level), cold->frozen.bytes);
	return count;
}

static void put_bars(FILE *out, const struct survey *survey, const struct way *ways, unsigned count)
{
	static const struct bars_about about = {
		.id = "memory",
		.title = "Memory that 100 MB of pages take",
		.description =
			"A bar for each way to keep them; the table below has the same figures. Bars of zsblk are filled."};
	struct bars_row rows[ROWS_MAX];

	for (unsigned i = 0; i < count; i++) {
		rows[i] = (struct bars_row){.name = ways[i].name,
					    .how = ways[i].how.text,
					    .value = survey_share(survey, ways[i].bytes),
					    .is_other = ways[i].is_other};
		snprintf(rows[i].text, sizeof rows[i].text, "%s MB", survey_number(rows[i].value).text);
	}
	fputs("<figure>\n", out);
	bars_draw(out, &about, rows, count);
	fputs("</figure>\n", out);
}

static void put_way(FILE *out, const struct survey *survey, const struct way *way)
{
	fputs("<tr><th scope=\"row\">", out);
	markup_text(out, way->name);
	if (*way->how.text) {
		fputs(" <small>", out);
		markup_text(out, way->how.text);
		fputs("</small>", out);
	}
	fprintf(out, "</th><td>%s</td><td>%s</td>", survey_number(way->bytes / 1e6).text,
		survey_number(survey_share(survey, way->bytes)).text);
	if (survey->zram.lz4)
		fprintf(out, "<td>%.2f</td>", ratio_of(way->bytes, (double)survey->zram.lz4));
	fputs("</tr>\n", out);
}

/* Why there is no zram beside the others. */
static void put_missing(FILE *out, const char *algorithm, uint64_t bytes, const struct zsblk_why *why)
{
	if (bytes)
		return;
	markup_print(out, "Not measured: kernel zram with %s, because %s. ", algorithm, why->text);
}

void survey_memory(FILE *out, const struct survey *survey)
{
	const struct zram_memory *zram = &survey->zram;
	struct way ways[ROWS_MAX];
	unsigned count = list_ways(survey, ways);

	fputs("<h2>Memory</h2>\n<p>How much memory 100&#8239;MB of these pages take. The longer nobody uses a page, the more "
	      "tightly zsblk packs it: first each page by itself; then <em>cold</em>, 16 "
	      "neighbours together; then <em>frozen</em>, the same with a slower and stronger algorithm.</p>\n",
	      out);
	put_bars(out, survey, ways, count);
	fputs("<table>\n<caption>All memory is counted: objects, tables, headers, rounding.</caption>\n<thead><tr><th "
	      "scope=\"col\">Kept as</th><th scope=\"col\">MB</th><th scope=\"col\">of 100&#8239;MB</th>",
	      out);
	fputs(zram->lz4 ? "<th scope=\"col\">of zram lz4</th></tr></thead>\n<tbody>\n" : "</tr></thead>\n<tbody>\n",
	      out);
	for (unsigned i = 0; i < count; i++)
		put_way(out, survey, &ways[i]);
	fputs("</tbody>\n</table>\n", out);
	if (zram->lz4 && zram->zstd)
		return;
	fputs("<p class=\"note\">", out);
	put_missing(out, "lz4", zram->lz4, &zram->lz4_why);
	put_missing(out, "zstd", zram->zstd, &zram->zstd_why);
	fputs("</p>\n", out);
}

/* ------------------------------------------------------------------ latencies */

struct access {
	const char *name;
	struct survey_name how;
	double p50, p99;
};

static void add_access(struct access *list, unsigned *count, const char *name, struct survey_name how,
		       const struct latency *latency)
{
	list[(*count)++] = (struct access){.name = name, .how = how, .p50 = latency->p50, .p99 = latency->p99};
}

static unsigned list_accesses(const struct survey *survey, struct access *list)
{
	const struct options *options = survey->options;
	unsigned count = 0;

	for (unsigned i = 0; i < options->algorithm_count; i++)
		add_access(list, &count, "Read a page kept by itself",
			   survey_name_of(survey->results[i].codec, survey->results[i].level),
			   &survey->results[i].load_latency);
	/* Without a group nothing was read. */
	if (survey->cold.cold.groups)
		add_access(list, &count, "Read a page out of a cold group",
			   survey_name_of(options->cold.codec, options->cold.level), &survey->cold.cold.read);
	if (survey->cold.frozen.groups)
		add_access(list, &count, "Read a page out of a frozen group",
			   survey_name_of(options->frozen.codec, options->frozen.level), &survey->cold.frozen.read);
	for (unsigned i = 0; i < options->algorithm_count; i++)
		add_access(list, &count, "Write a page",
			   survey_name_of(survey->results[i].codec, survey->results[i].level),
			   &survey->results[i].store_latency);
	return count;
}

static void put_spans(FILE *out, const struct access *list, unsigned count)
{
	static const struct bars_about about = {
		.id = "latency",
		.title = "Time to read or write one page, in microseconds",
		.description =
			"For each kind a circle at the time that half of all took at most, and a square at that of 99 in 100; the table "
			"below has the same figures."};
	struct bars_row rows[2 + 2 * ALGORITHMS_MAX];

	for (unsigned i = 0; i < count; i++) {
		rows[i] = (struct bars_row){
			.name = list[i].name, .how = list[i].how.text, .value = list[i].p50, .most = list[i].p99};
		snprintf(rows[i].text, sizeof rows[i].text, "%s – %s µs", survey_number(list[i].p50).text,
			 survey_number(list[i].p99).text);
	}
	fputs("<figure>\n", out);
	bars_draw_spans(out, &about, "microseconds; from line to line ten times as many", rows, count);
	fputs("</figure>\n", out);
}

void survey_latency(FILE *out, const struct survey *survey)
{
	struct access list[2 + 2 * ALGORITHMS_MAX];
	unsigned count = list_accesses(survey, list);

	fputs("<h2>How long one page takes</h2>\n<p>A page is 4&#8239;KiB; a microsecond (µs) is a millionth of a second. "
	      "&#9675; half of all took no longer; &#9632; 99 of 100 took no longer.</p>\n",
	      out);
	put_spans(out, list, count);
	fputs("<table>\n<caption>Microseconds, in random order, by one thread.</caption>\n<thead><tr><th scope=\"col\">What</th>"
	      "<th scope=\"col\">half took at most <small>p50</small></th><th scope=\"col\">99 of 100 took at most "
	      "<small>p99</small></th></tr></thead>\n<tbody>\n",
	      out);
	for (unsigned i = 0; i < count; i++) {
		fputs("<tr><th scope=\"row\">", out);
		markup_print(out, "%s, %s", list[i].name, list[i].how.text);
		fprintf(out, "</th><td>%s</td><td>%s</td></tr>\n", survey_number(list[i].p50).text,
			survey_number(list[i].p99).text);
	}
	fputs("</tbody>\n</table>\n<p class=\"note\">Reads out of groups are the worst case: each one has to unpack its group. "
	      "In use, neighbours are mostly read together, and only the first one of them waits. What other programs took from the processors meanwhile is in all figures.</p>\n",
	      out);
}

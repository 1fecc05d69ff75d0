/* SPDX-License-Identifier: BSD-3-Clause */
/* What a replay found: for people, and as JSON. */
#include "bench/bench.h"
#include "bench/contents.h"
#include "bench/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>

static double seconds_of(uint64_t us)
{
	return (double)us / 1e6;
}

static void print_trace(FILE *out, const struct options *options, const struct replay_trace *trace,
			const struct tiers_figures *figures)
{
	fprintf(out,
		"%s: %" PRIu64 " events in %.1f s; %" PRIu64 " blocks read, %" PRIu64 " written, %" PRIu64
		" discarded\n",
		options->replay.trace, trace->events, seconds_of(trace->us), figures->reads, figures->writes,
		figures->discards);
	if (figures->unknown_reads)
		fprintf(out,
			"%" PRIu64
			" reads were of blocks that the trace never wrote; they count as neither hot nor cold\n",
			figures->unknown_reads);
	if (trace->lost)
		fprintf(out,
			"%" PRIu64 " requests were lost when it was recorded: all figures are a little too small\n",
			trace->lost);
}

static void print_contents(FILE *out, const struct options *options, bool has_contents)
{
	const struct choice *single = &options->algorithms[0];

	if (!has_contents)
		fputs("Simulated by counts alone: without contents there are no bytes and no processor time.\n\n", out);
	else
		fprintf(out,
			"Contents are the given pages, one after the other; %s:%d by themselves, %s:%d in groups.\n\n",
			single->codec->name, single->level, options->replay.algorithm->name, options->replay.level);
}

static double share(uint64_t part, uint64_t whole)
{
	return ratio_of((double)part, (double)whole);
}

/* The average over all moments: they are at equal distances. */
static double mean_grouped(const struct tiers_figures *figures)
{
	double sum = 0;

	for (unsigned i = 0; i < figures->moment_count; i++)
		sum += share(figures->moments[i].grouped_blocks,
			     figures->moments[i].grouped_blocks + figures->moments[i].single_blocks);
	return ratio_of(sum, figures->moment_count);
}

/* Bytes on average over the trace. */
struct mean {
	double single, grouped, alone;
};

static struct mean mean_bytes(const struct tiers_figures *figures)
{
	struct mean mean = {0};

	for (unsigned i = 0; i < figures->moment_count; i++) {
		mean.single += (double)figures->moments[i].single_bytes / figures->moment_count;
		mean.grouped += (double)figures->moments[i].grouped_bytes / figures->moment_count;
		mean.alone += (double)figures->moments[i].alone_bytes / figures->moment_count;
	}
	return mean;
}

static void print_costs(FILE *out, const struct replay_result *results, unsigned count)
{
	fprintf(out,
		"\nCOLD AFTER  GROUP  CACHE  READ   MB WITHOUT       MB    OF IT   SECONDS TO   SECONDS TO  DECODE US\n");
	fprintf(out,
		"         s blocks groups  RULE       GROUPS     WITH   GROUPS  MAKE GROUPS  DECODE THEM  50%%   99%%\n");
	for (unsigned i = 0; i < count; i++) {
		const struct tiers_setting *setting = &results[i].setting;
		const struct contents_figures *costs = results[i].costs;
		struct mean mean = mean_bytes(results[i].figures);

		fprintf(out, "%10" PRIu64 " %6u %6u  %-6s %10.1f %8.1f %8.1f %12.2f %12.2f %4.0f %5.0f\n",
			setting->cold_after_s, setting->group_blocks, setting->cache_groups,
			tiers_rule_name(setting->rule), mean.alone / 1e6, (mean.single + mean.grouped) / 1e6,
			mean.grouped / 1e6, costs->encode_seconds, costs->decode_seconds, costs->decode.p50,
			costs->decode.p99);
	}
	fputs("\nMB are bytes of objects, on average over the trace; seconds are of a processor.\n", out);
}

void replay_report_table(FILE *out, const struct options *options, const struct replay_trace *trace,
			 const struct replay_result *results, unsigned count)
{
	print_trace(out, options, trace, results[0].figures);
	print_contents(out, options, results[0].costs);
	fprintf(out,
		"COLD AFTER  GROUP  CACHE  READ     COLD  OF ALL  DECODES  A COLD    GROUPS   BLOCKS   COME   TAKEN"
		"      IN\n");
	fprintf(out,
		"         s blocks groups  RULE    READS   READS     MADE    READ      MADE  GROUPED    OUT   APART"
		"  GROUPS\n");
	for (unsigned i = 0; i < count; i++) {
		const struct tiers_setting *setting = &results[i].setting;
		const struct tiers_figures *figures = results[i].figures;

		fprintf(out,
			"%10" PRIu64 " %6u %6u  %-6s %7" PRIu64 " %7.3f %8" PRIu64 " %7.3f %9" PRIu64 " %8" PRIu64
			" %6" PRIu64 " %7" PRIu64 " %7.3f\n",
			setting->cold_after_s, setting->group_blocks, setting->cache_groups,
			tiers_rule_name(setting->rule), figures->cold_reads, share(figures->cold_reads, figures->reads),
			figures->decodes, share(figures->decodes, figures->cold_reads), figures->groups_made,
			figures->blocks_grouped, figures->blocks_out, figures->groups_apart, mean_grouped(figures));
	}
	fputs("\nIn groups: the share of all stored blocks, on average over the trace.\n", out);
	if (results[0].costs)
		print_costs(out, results, count);
}

/* ------------------------------------------------------------------ JSON */

static void put_count(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static void put_figure(struct json_object *to, const char *key, double value)
{
	char text[32];

	snprintf(text, sizeof text, "%.3f", value);
	json_object_object_add(to, key, json_object_new_double_s(value, text));
}

static struct json_object *moments_array(const struct tiers_figures *figures, bool has_bytes)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < figures->moment_count; i++) {
		const struct tiers_moment *moment = &figures->moments[i];
		struct json_object *one = json_object_new_object();

		put_figure(one, "s", seconds_of(moment->us));
		put_count(one, "single_blocks", moment->single_blocks);
		put_count(one, "grouped_blocks", moment->grouped_blocks);
		put_count(one, "dead_blocks", moment->dead_blocks);
		if (has_bytes) {
			put_count(one, "single_bytes", moment->single_bytes);
			put_count(one, "grouped_bytes", moment->grouped_bytes);
			put_count(one, "alone_bytes", moment->alone_bytes);
		}
		json_object_array_add(list, one);
	}
	return list;
}

static struct json_object *result_object(const struct replay_result *result)
{
	const struct tiers_figures *figures = result->figures;
	struct json_object *to = json_object_new_object();

	put_count(to, "cold_after_s", result->setting.cold_after_s);
	put_count(to, "group_blocks", result->setting.group_blocks);
	put_count(to, "cache_groups", result->setting.cache_groups);
	json_object_object_add(to, "read_rule", json_object_new_string(tiers_rule_name(result->setting.rule)));
	put_count(to, "cold_reads", figures->cold_reads);
	put_count(to, "cache_hits", figures->cold_reads - figures->decodes);
	put_count(to, "decodes", figures->decodes);
	put_figure(to, "decodes_per_cold_read", share(figures->decodes, figures->cold_reads));
	put_count(to, "groups_made", figures->groups_made);
	put_count(to, "blocks_grouped", figures->blocks_grouped);
	put_count(to, "blocks_out", figures->blocks_out);
	put_count(to, "groups_apart", figures->groups_apart);
	if (result->costs) {
		put_figure(to, "encode_ms", result->costs->encode_seconds * 1e3);
		put_figure(to, "decode_ms", result->costs->decode_seconds * 1e3);
		put_figure(to, "decode_p50_us", result->costs->decode.p50);
		put_figure(to, "decode_p90_us", result->costs->decode.p90);
		put_figure(to, "decode_p99_us", result->costs->decode.p99);
		put_figure(to, "decode_p999_us", result->costs->decode.p999);
		put_figure(to, "decode_max_us", result->costs->decode.max);
	}
	json_object_object_add(to, "memory", moments_array(figures, result->costs));
	return to;
}

int replay_report_json(FILE *out, const struct options *options, const struct replay_trace *trace,
		       const struct replay_result *results, unsigned count)
{
	struct json_object *top = json_object_new_object(), *list = json_object_new_array();
	const char *text;

	json_object_object_add(top, "program", json_object_new_string("zsblk-bench"));
	json_object_object_add(top, "version", json_object_new_string(ZSBLK_BENCH_VERSION));
	json_object_object_add(top, "trace", json_object_new_string(options->replay.trace));
	put_count(top, "events", trace->events);
	put_count(top, "lost", trace->lost);
	put_figure(top, "seconds", seconds_of(trace->us));
	put_count(top, "reads", results[0].figures->reads);
	put_count(top, "unknown_reads", results[0].figures->unknown_reads);
	put_count(top, "writes", results[0].figures->writes);
	put_count(top, "discards", results[0].figures->discards);
	for (unsigned i = 0; i < count; i++)
		json_object_array_add(list, result_object(&results[i]));
	json_object_object_add(top, "results", list);
	text = json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		fprintf(out, "%s\n", text);
	json_object_put(top);
	return text ? 0 : -ENOMEM;
}

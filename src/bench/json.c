/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON for programs. Names and units are listed in zsblk-bench(1); they do not change meaning. */
#include "bench/bench.h"

#include <errno.h>
#include <json-c/json.h>

/* json-c says out of memory with NULL, and accepts it as null: nothing is left to check here. */
static void put_count(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static void put_figure(struct json_object *to, const char *key, double value)
{
	char text[32];

	/* Three decimals are more than any clock here is good for, and seventeen are unreadable. */
	snprintf(text, sizeof text, "%.3f", value);
	json_object_object_add(to, key, json_object_new_double_s(value, text));
}

static void put_text(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, json_object_new_string(value));
}

static void put_latency(struct json_object *to, const char *what, const struct latency *latency)
{
	const struct {
		const char *name;
		double value;
	} figures[] = {
		{"p50", latency->p50},   {"p90", latency->p90}, {"p99", latency->p99},
		{"p999", latency->p999}, {"max", latency->max},
	};

	for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
		char key[32];

		snprintf(key, sizeof key, "%s_%s_us", what, figures[i].name);
		put_figure(to, key, figures[i].value);
	}
}

static void put_memory(struct json_object *to, const struct result *result)
{
	double bytes = (double)(result->pages * BLOCK);

	put_count(to, "pages", result->pages);
	put_count(to, "zero_pages", result->zero_pages);
	put_count(to, "same_pages", result->same_pages);
	put_count(to, "huge_pages", result->huge_pages);
	put_count(to, "compressed_bytes", result->compressed_bytes);
	put_count(to, "pool_bytes", result->pool_bytes);
	put_count(to, "metadata_bytes", result->metadata_bytes);
	put_count(to, "reserved_bytes", result->reserved_bytes);
	put_count(to, "rss_bytes", result->rss_bytes);
	put_figure(to, "ratio", ratio_of(bytes, (double)result->compressed_bytes));
	put_figure(to, "memory_ratio", ratio_of(bytes, (double)(result->pool_bytes + result->metadata_bytes)));
}

static void put_speed(struct json_object *to, const struct result *result)
{
	put_figure(to, "fill_store_mbps", result->fill_store_mbps);
	put_figure(to, "store_mbps", result->store_mbps);
	put_figure(to, "load_mbps", result->load_mbps);
	put_figure(to, "codec_store_mbps", result->codec_store_mbps);
	put_figure(to, "codec_load_mbps", result->codec_load_mbps);
	put_figure(to, "store_ratio", result->store_ratio);
	put_figure(to, "load_ratio", result->load_ratio);
	put_figure(to, "store_scaling", result->store_scaling);
	put_figure(to, "load_scaling", result->load_scaling);
	put_figure(to, "codec_store_scaling", result->codec_store_scaling);
	put_figure(to, "codec_load_scaling", result->codec_load_scaling);
	put_figure(to, "store_cpu_ns", result->store_cpu_ns);
	put_figure(to, "load_cpu_ns", result->load_cpu_ns);
	put_figure(to, "codec_store_cpu_ns", result->codec_store_cpu_ns);
	put_figure(to, "codec_load_cpu_ns", result->codec_load_cpu_ns);
	put_latency(to, "store", &result->store_latency);
	put_latency(to, "load", &result->load_latency);
}

static void put_churn(struct json_object *to, const struct churn *churn)
{
	put_count(to, "churn_blocks", churn->blocks);
	put_count(to, "churn_pool_bytes", churn->pool_bytes);
	put_count(to, "churn_metadata_bytes", churn->metadata_bytes);
	put_count(to, "churn_compressed_bytes", churn->compressed_bytes);
	put_count(to, "churn_rss_freed_bytes", churn->rss_bytes);
	put_count(to, "churn_pages_compacted", churn->pages_freed);
	put_figure(to, "churn_compact_ms", churn->compact_seconds * 1e3);
}

static struct json_object *result_object(const struct result *result)
{
	struct json_object *to = json_object_new_object();

	put_text(to, "algorithm", result->codec->name);
	json_object_object_add(to, "level", json_object_new_int(result->level));
	put_count(to, "threads", result->threads);
	put_memory(to, result);
	put_speed(to, result);
	put_churn(to, &result->churn);
	return to;
}

/* What the pages are, and how they were measured. */
static struct json_object *top_object(const struct options *options, const struct pages *pages)
{
	struct json_object *top = json_object_new_object();

	put_text(top, "program", "zsblk-bench");
	put_text(top, "version", ZSBLK_BENCH_VERSION);
	put_text(top, "source", pages->source);
	json_object_object_add(top, "synthetic", json_object_new_boolean(pages->synthetic));
	put_count(top, "pages", pages->count);
	put_count(top, "pages_available", pages->available);
	put_count(top, "repeat", options->repeat);
	put_count(top, "request_bytes", options->request * BLOCK);
	put_count(top, "seed", options->seed);
	return top;
}

/* Print `top` with its results, and free both. */
static int print(FILE *out, struct json_object *top, struct json_object *results)
{
	const char *text;

	json_object_object_add(top, "results", results);
	text = json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		fprintf(out, "%s\n", text);
	json_object_put(top);
	return text ? 0 : -ENOMEM;
}

int report_json(FILE *out, const struct options *options, const struct pages *pages, const struct result *results,
		unsigned count)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < count; i++)
		json_object_array_add(list, result_object(&results[i]));
	return print(out, top_object(options, pages), list);
}

static struct json_object *mix_object(const struct mix_result *result)
{
	struct json_object *to = json_object_new_object();

	put_text(to, "algorithm", result->codec->name);
	json_object_object_add(to, "level", json_object_new_int(result->level));
	put_text(to, "mix", mix_name(result->mix));
	put_count(to, "threads", result->threads);
	put_figure(to, "ops_per_s", result->ops_per_s);
	put_figure(to, "scaling", result->scaling);
	return to;
}

int report_mix_json(FILE *out, const struct options *options, const struct pages *pages,
		    const struct mix_result *results, unsigned count)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < count; i++)
		json_object_array_add(list, mix_object(&results[i]));
	return print(out, top_object(options, pages), list);
}

static struct json_object *recompress_object(const struct recompress_result *result)
{
	struct json_object *to = json_object_new_object();

	put_text(to, "algorithm", result->codec->name);
	json_object_object_add(to, "level", json_object_new_int(result->level));
	put_count(to, "blocks", result->blocks);
	put_count(to, "recompressed", result->recompressed);
	put_count(to, "before_bytes", result->before_bytes);
	put_count(to, "after_bytes", result->after_bytes);
	put_figure(to, "recompress_mbps", result->mbps);
	put_figure(to, "codec_mbps", result->codec_mbps);
	put_figure(to, "recompress_ratio", result->ratio);
	return to;
}

int report_recompress_json(FILE *out, const struct options *options, const struct pages *pages,
			   const struct recompress_result *results, unsigned count)
{
	struct json_object *list = json_object_new_array(), *top = top_object(options, pages);

	put_text(top, "recompress_algorithm", options->recompress.codec->name);
	json_object_object_add(top, "recompress_level", json_object_new_int(options->recompress.level));
	for (unsigned i = 0; i < count; i++)
		json_object_array_add(list, recompress_object(&results[i]));
	return print(out, top, list);
}

static void put_tier(struct json_object *to, const char *tier, const struct cold_tier *figures)
{
	const struct {
		const char *name;
		uint64_t value;
	} counts[] = {
		{"groups", figures->groups},
		{"blocks", figures->blocks},
		{"group_bytes", figures->group_bytes},
		{"bytes", figures->bytes},
	};
	const struct {
		const char *name;
		double value;
	} values[] = {
		{"read_us_p50", figures->read.p50},  {"read_us_p99", figures->read.p99}, {"mbps", figures->mbps},
		{"codec_mbps", figures->codec_mbps}, {"ratio", figures->ratio},
	};
	char key[32];

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		snprintf(key, sizeof key, "%s_%s", tier, counts[i].name);
		put_count(to, key, counts[i].value);
	}
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		snprintf(key, sizeof key, "%s_%s", tier, values[i].name);
		put_figure(to, key, values[i].value);
	}
}

static struct json_object *cold_object(const struct options *options, const struct cold_result *result)
{
	struct json_object *to = json_object_new_object();

	put_text(to, "algorithm", result->codec->name);
	json_object_object_add(to, "level", json_object_new_int(result->level));
	put_count(to, "blocks", result->blocks);
	put_count(to, "hot_bytes", result->hot_bytes);
	if (options->cold.codec)
		put_tier(to, "cold", &result->cold);
	if (options->frozen.codec)
		put_tier(to, "frozen", &result->frozen);
	return to;
}

static void put_choice(struct json_object *to, const char *tier, const struct choice *choice)
{
	char key[32];

	if (!choice->codec)
		return;
	snprintf(key, sizeof key, "%s_algorithm", tier);
	put_text(to, key, choice->codec->name);
	snprintf(key, sizeof key, "%s_level", tier);
	json_object_object_add(to, key, json_object_new_int(choice->level));
}

int report_cold_json(FILE *out, const struct options *options, const struct pages *pages,
		     const struct cold_result *results, unsigned count, const struct zram_memory *zram)
{
	struct json_object *list = json_object_new_array(), *top = top_object(options, pages);

	put_choice(top, "cold", &options->cold);
	put_choice(top, "frozen", &options->frozen);
	if (zram->lz4)
		put_count(top, "zram_lz4_bytes", zram->lz4);
	if (zram->zstd)
		put_count(top, "zram_zstd_bytes", zram->zstd);
	for (unsigned i = 0; i < count; i++)
		json_object_array_add(list, cold_object(options, &results[i]));
	return print(out, top, list);
}

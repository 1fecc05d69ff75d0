/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plots of what --json has printed: memory over time, of a replay; percentiles of latencies. Which of them there are follows from the
 * fields of the results.
 */
#include "bench/bench.h"
#include "bench/chart.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PLOTS_MAX  4u
#define NUMBER_MAX 1e100

struct plot {
	struct chart charts[PLOTS_MAX];
	struct chart_series series[PLOTS_MAX][CHART_SERIES_MAX];
	unsigned count;
};

/* Adds one line for this result. False: the result has nothing of that, or there is no memory (then *error). */
typedef bool add_fn(struct json_object *result, const char *field, struct chart_series *series, int *error);

static const char *const percents[] = {"50 %", "90 %", "99 %", "99.9 %", "max", NULL};

static struct json_object *member(struct json_object *object, const char *name, enum json_type type)
{
	struct json_object *found = NULL;

	if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &found))
		return NULL;
	return type == json_type_null || json_object_is_type(found, type) ? found : NULL;
}

/* 0 for what no axis has room for: infinite, no number, or so large that scales would be. */
static double number(struct json_object *object, const char *name)
{
	double value = json_object_get_double(member(object, name, json_type_null));

	return fabs(value) <= NUMBER_MAX ? value : 0;
}

static const char *text(struct json_object *object, const char *name)
{
	struct json_object *found = member(object, name, json_type_string);

	return found ? json_object_get_string(found) : "";
}

static bool make_points(struct chart_series *series, unsigned count, int *error)
{
	series->x = calloc(count, sizeof(double));
	series->y = calloc(count, sizeof(double));
	series->count = count;
	if (!series->x || !series->y)
		*error = -ENOMEM;
	return !*error;
}

/* A setting of a replay, or an algorithm. */
static void name_series(struct json_object *result, struct chart_series *series)
{
	if (member(result, "cold_after_s", json_type_null))
		snprintf(series->name, sizeof series->name, "%g s, %g x %g, %s", number(result, "cold_after_s"),
			 number(result, "cache_groups"), number(result, "group_blocks"), text(result, "read_rule"));
	else
		snprintf(series->name, sizeof series->name, "%s:%g, %g thread%s", text(result, "algorithm"),
			 number(result, "level"), number(result, "threads"), number(result, "threads") == 1 ? "" : "s");
}

/* ------------------------------------------------------------------ lines */

/* "bytes": all of them, in MB. Otherwise a field of the moments. */
static bool add_moments(struct json_object *result, const char *field, struct chart_series *series, int *error)
{
	struct json_object *moments = member(result, "memory", json_type_array);
	size_t count = moments ? json_object_array_length(moments) : 0;
	bool is_bytes = !strcmp(field, "bytes");

	if (!count || count > UINT16_MAX)
		return false;
	if (!member(json_object_array_get_idx(moments, 0), is_bytes ? "single_bytes" : field, json_type_null))
		return false;
	if (!make_points(series, (unsigned)count, error))
		return false;
	for (unsigned i = 0; i < count; i++) {
		struct json_object *moment = json_object_array_get_idx(moments, i);

		series->x[i] = number(moment, "s");
		series->y[i] = is_bytes ? (number(moment, "single_bytes") + number(moment, "grouped_bytes")) / 1e6
					: number(moment, field);
	}
	return true;
}

/* The percentiles of "store", "load" or "decode". */
static bool add_latencies(struct json_object *result, const char *field, struct chart_series *series, int *error)
{
	static const char *const names[] = {"p50", "p90", "p99", "p999", "max"};
	char name[32];

	snprintf(name, sizeof name, "%s_p50_us", field);
	if (!member(result, name, json_type_null) || !make_points(series, 5, error))
		return false;
	for (unsigned i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "%s_%s_us", field, names[i]);
		series->x[i] = i;
		series->y[i] = number(result, name);
	}
	return true;
}

/* ------------------------------------------------------------------ charts */

static int add_chart(struct plot *plot, struct json_object *results, struct chart chart, const char *field, add_fn *add)
{
	struct chart_series *series = plot->series[plot->count];
	int error = 0;

	for (size_t i = 0; i < json_object_array_length(results) && !error; i++) {
		struct json_object *result = json_object_array_get_idx(results, i);

		if (chart.series_count == CHART_SERIES_MAX)
			return -E2BIG;
		if (!add(result, field, &series[chart.series_count], &error))
			continue;
		name_series(result, &series[chart.series_count++]);
	}
	/* Also after an error: what was made is to be freed. */
	chart.series = series;
	plot->charts[plot->count] = chart;
	plot->count += chart.series_count > 0;
	return error;
}

static int add_charts(struct plot *plot, struct json_object *results)
{
	const struct chart bytes = {
		.look = &chart_file, .title = "Memory", .x_label = "seconds", .y_label = "MB of objects"};
	const struct chart blocks = {
		.look = &chart_file, .title = "Blocks in groups", .x_label = "seconds", .y_label = "blocks"};
	struct chart latencies = {.look = &chart_file,
				  .x_label = "so many took no longer",
				  .y_label = "microseconds",
				  .names = percents,
				  .is_log = true};
	static const char *const fields[] = {"store", "load", "decode"};
	static const char *const titles[] = {"Storing one block", "Loading one block", "Decoding for a cold read"};
	int r = add_chart(plot, results, bytes, "bytes", add_moments);

	if (!r && !plot->count)
		r = add_chart(plot, results, blocks, "grouped_blocks", add_moments);
	for (unsigned i = 0; i < 3 && !r; i++) {
		latencies.title = titles[i];
		r = add_chart(plot, results, latencies, fields[i], add_latencies);
	}
	return r;
}

static void free_plot(struct plot *plot)
{
	for (unsigned i = 0; i < PLOTS_MAX; i++)
		for (unsigned at = 0; at < CHART_SERIES_MAX; at++) {
			free(plot->series[i][at].x);
			free(plot->series[i][at].y);
		}
}

static int draw(FILE *out, const char *path, struct json_object *top, struct zsblk_why *why)
{
	struct json_object *results = member(top, "results", json_type_array);
	struct plot plot = {.count = 0};
	int r = results ? add_charts(&plot, results) : 0;

	if (r == -E2BIG)
		because(why, r, "%s has more than %u results, which nobody can tell apart: measure fewer at a time",
			path, CHART_SERIES_MAX);
	else if (r)
		because(why, r, "no memory");
	else if (!plot.count)
		r = because(why, -ENODATA,
			    "%s has no memory over time and no latencies: name a file that --json has printed, of a"
			    " measurement or a replay",
			    path);
	if (!r) {
		chart_begin(out, "zsblk-bench", plot.count);
		for (unsigned i = 0; i < plot.count; i++)
			chart_draw(out, &plot.charts[i], i);
		chart_end(out);
	}
	free_plot(&plot);
	return r;
}

int plot_json(FILE *out, const char *path, struct zsblk_why *why)
{
	struct json_object *top = strcmp(path, "-") ? json_object_from_file(path) : json_object_from_fd(0);
	int r;

	if (!top)
		return because(why, -EINVAL, "%s cannot be read as JSON: name a file that --json has printed", path);
	r = draw(out, path, top, why);
	json_object_put(top);
	return r;
}

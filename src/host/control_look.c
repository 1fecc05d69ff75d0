/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods of org.zsblk.Device that tell of the device and change nothing. What goes over the whole table is an errand. */
#include "host/control_errand.h"
#include "host/control_methods.h"

#include "host/host.h"
#include "host/jobs.h"
#include "host/stats_list.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In one reply at most: more would not fit. */
#define CLASSES_MAX 96u
#define BLOCKS_MAX  512u

/* Too large for the stack. One thread serves all clients. */
static struct zsblk_block blocks[BLOCKS_MAX];
static struct zsblk_latency latency;

void control_look_prepare(void)
{
	memset(blocks, 0, sizeof blocks);
	memset(&latency, 0, sizeof latency);
}

static void describe_parameters(struct json_object *out, const struct host *host)
{
	const struct zsblk_params *engine = &host->params->engine;

	varlink_add_string(out, "memory", engine->memory);
	varlink_add_int(out, "reserve", zsblk_reserve(host->device));
	varlink_add_int(out, "ages_since_s", zsblk_ages_since(host->device));
	varlink_add_int(out, "background_cpu", jobs_cpu(host->jobs));
	varlink_add_int(out, "started_s", host->started_s);
	varlink_add_string(out, "lock", host->locked ? "yes" : "no");
}

static void describe_use(struct json_object *out, const struct host *host)
{
	char text[128];

	if (host->device_name && host->device_name(text, sizeof text))
		varlink_add_string(out, "device", text);
	if (host->has_clients)
		varlink_add_bool(out, "in_use", host->has_clients());
}

enum varlink_result control_get_description(void *opaque, struct varlink_call *call)
{
	struct json_object *out = json_object_new_object();
	const struct host *host = opaque;
	struct zsblk_stats stats;

	zsblk_get_stats(host->device, &stats);
	if (host->name[0])
		varlink_add_string(out, "name", host->name);
	varlink_add_string(out, "version", ZSBLK_VERSION);
	varlink_add_int(out, "pid", (uint64_t)getpid());
	varlink_add_string(out, "transport", host->transport);
	varlink_add_int(out, "size", zsblk_size(host->device));
	varlink_add_int(out, "max_size", zsblk_max_size(host->device));
	varlink_add_int(out, "block_size", ZSBLK_BLOCK_SIZE);
	varlink_add_string(out, "algorithm", zsblk_algorithm_name(host->device));
	varlink_add(out, "level", json_object_new_int(zsblk_level(host->device)));
	varlink_add_int(out, "streams", zsblk_contexts(host->device));
	varlink_add_int(out, "mem_limit", stats.mem_limit);
	describe_parameters(out, host);
	describe_use(out, host);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

/* Lines of the form "name=value\n", as the statistics file has them. */
static void add_lines(struct json_object *out, char *lines)
{
	for (char *rest, *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *equals = strchr(line, '=');
		struct json_object *value;

		if (!equals || !out)
			continue;
		*equals = '\0';
		value = json_object_new_int64(strtoll(equals + 1, NULL, 10));
		if (json_object_object_add(out, line, value) < 0)
			json_object_put(value);
	}
}

enum varlink_result control_get_statistics(void *opaque, struct varlink_call *call)
{
	struct json_object *out = json_object_new_object(), *statistics = json_object_new_object();
	const struct host *host = opaque;
	struct zsblk_stats stats;
	char lines[512];

	zsblk_get_stats(host->device, &stats);
	for (const struct stats_list *one = stats_list; one->name; one++)
		varlink_add_int(statistics, one->name, stats_list_value(one, &stats));
	if (host->more_statistics && host->more_statistics(lines, sizeof lines) < sizeof lines)
		add_lines(statistics, lines);
	varlink_add(out, "statistics", statistics);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

static struct json_object *describe_class(const struct zs_class_stats *class)
{
	struct json_object *out = json_object_new_object(), *fullness = json_object_new_array();
	uint64_t zspages = 0;

	/* An empty zspage does not stay: the group of these is left out, as in the kernel's table. */
	for (unsigned i = ZS_INUSE_RATIO_0; i < ZS_FULLNESS_GROUPS; i++) {
		zspages += class->zspages[i];
		if (i != ZS_INUSE_RATIO_0)
			varlink_append(fullness, json_object_new_int64((int64_t) class->zspages[i]));
	}
	varlink_add_int(out, "index", class->index);
	varlink_add_int(out, "size", class->size);
	varlink_add_int(out, "pages_per_zspage", class->pages_per_zspage);
	varlink_add_int(out, "objects_per_zspage", class->objs_per_zspage);
	varlink_add_int(out, "zspages", zspages);
	varlink_add(out, "fullness", fullness);
	varlink_add_int(out, "almost_full", class->almost_full);
	varlink_add_int(out, "almost_empty", class->almost_empty);
	varlink_add_int(out, "capacity", class->obj_allocated);
	varlink_add_int(out, "objects", class->obj_used);
	varlink_add_int(out, "pages", class->pages_used);
	varlink_add_int(out, "freeable_pages", class->freeable);
	varlink_add_bool(out, "huge", class->huge);
	return out;
}

enum varlink_result control_get_classes(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;
	unsigned classes = zsblk_class_count(host->device), n = 0;
	int64_t first = 0, count = CLASSES_MAX;
	struct json_object *out, *list;
	uint64_t index;

	varlink_int(call, "first", &first);
	varlink_int(call, "count", &count);
	if (first < 0 || count < 1) {
		varlink_refuse(call, "Refused",
			       "first=%" PRId64 ", count=%" PRId64 ": there are classes 0 to %u; ask for one at least",
			       first, count, classes - 1);
		return VARLINK_DONE;
	}
	out = json_object_new_object();
	list = json_object_new_array();
	for (index = (uint64_t)first; index < classes && n < CLASSES_MAX && n < (uint64_t)count; index++, n++) {
		struct zs_class_stats class;

		if (zsblk_class_stats(host->device, (unsigned)index, &class) == 0)
			varlink_append(list, describe_class(&class));
	}
	varlink_add(out, "classes", list);
	if (index < classes)
		varlink_add_int(out, "next", index);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

/* ------------------------------------------------------------------ blocks */

static struct json_object *describe_block(const struct zsblk_block *block)
{
	static const char *const states[] = {
		[ZSBLK_BLOCK_SAME] = "same", [ZSBLK_BLOCK_RAW] = "raw",         [ZSBLK_BLOCK_COMPRESSED] = "compressed",
		[ZSBLK_BLOCK_COLD] = "cold", [ZSBLK_BLOCK_SPILLED] = "spilled",
	};
	struct json_object *out = json_object_new_object();

	varlink_add_int(out, "block", block->block);
	varlink_add_string(out, "state", states[block->state]);
	if (block->algorithm)
		varlink_add_string(out, "algorithm", block->algorithm);
	varlink_add_int(out, "size", block->size);
	varlink_add_int(out, "stored", block->stored);
	if (block->has_age)
		varlink_add_int(out, "age_s", block->age_s);
	varlink_add_bool(out, "idle", block->idle);
	varlink_add_bool(out, "tried", block->tried);
	return out;
}

enum varlink_result control_get_blocks(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;
	uint64_t end = zsblk_size(host->device) / ZSBLK_BLOCK_SIZE, next;
	int64_t first = 0, count = 0;
	struct json_object *out, *list;
	unsigned n;

	varlink_int(call, "first", &first);
	varlink_int(call, "count", &count);
	if (first < 0 || count < 1) {
		varlink_refuse(call, "Refused",
			       "first=%" PRId64 ", count=%" PRId64 ": there are blocks 0 to %" PRIu64
			       "; ask for one at least",
			       first, count, end - 1);
		return VARLINK_DONE;
	}
	n = zsblk_blocks(host->device, (uint64_t)first, blocks, count < BLOCKS_MAX ? (unsigned)count : BLOCKS_MAX,
			 &next);
	out = json_object_new_object();
	list = json_object_new_array();
	for (unsigned i = 0; i < n; i++)
		varlink_append(list, describe_block(&blocks[i]));
	varlink_add(out, "blocks", list);
	if (next < end)
		varlink_add_int(out, "next", next);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

/* ------------------------------------------------------------------ latencies */

static struct json_object *describe_latency(struct zsblk *dev, enum zsblk_latency_kind kind)
{
	struct json_object *out = json_object_new_object(), *buckets = json_object_new_array();

	zsblk_get_latency(dev, kind, &latency);
	for (unsigned i = 0; i < ZSBLK_LATENCY_BUCKETS; i++) {
		struct json_object *bucket;

		if (!latency.buckets[i])
			continue;
		bucket = json_object_new_object();
		varlink_add_int(bucket, "upper_ns", zsblk_latency_bucket(i));
		varlink_add_int(bucket, "count", latency.buckets[i]);
		varlink_append(buckets, bucket);
	}
	varlink_add_string(out, "what", zsblk_latency_name(kind));
	varlink_add_int(out, "count", latency.count);
	varlink_add_int(out, "sum_ns", latency.sum_ns);
	varlink_add_int(out, "max_ns", latency.max_ns);
	varlink_add_int(out, "sampled", latency.sampled);
	varlink_add(out, "buckets", buckets);
	return out;
}

enum varlink_result control_get_latencies(void *opaque, struct varlink_call *call)
{
	struct json_object *out = json_object_new_object(), *list = json_object_new_array();
	const char *what = varlink_string(call, "what");
	const struct host *host = opaque;

	for (unsigned kind = 0; kind < ZSBLK_LATENCY_KINDS; kind++)
		if (!what || strcmp(what, zsblk_latency_name((enum zsblk_latency_kind)kind)) == 0)
			varlink_append(list, describe_latency(host->device, (enum zsblk_latency_kind)kind));
	varlink_add(out, "latencies", list);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

/* ------------------------------------------------------------------ ages */

/* Up to twelve seconds, a minute, and so on. The engine knows ages to within a quarter. */
static const uint64_t age_ranges[] = {0, 12, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600};
#define AGE_RANGES (sizeof age_ranges / sizeof age_ranges[0])

static int count_ages(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	struct zsblk_age_range *ranges = memory;

	(void)why;
	for (size_t i = 0; i < AGE_RANGES; i++)
		ranges[i].from_s = age_ranges[i];
	return zsblk_ages(dev, ranges, AGE_RANGES);
}

/* An errand, since it goes over the whole table. */
enum varlink_result control_get_ages(void *opaque, struct varlink_call *call)
{
	struct zsblk_age_range ranges[AGE_RANGES] = {{.from_s = 0}};
	struct json_object *out, *list;
	bool done;
	enum varlink_result result = control_errand_look(opaque, call, count_ages, ranges, sizeof ranges, &done);

	if (!done)
		return result;
	out = json_object_new_object();
	list = json_object_new_array();
	for (size_t i = 0; i < AGE_RANGES; i++) {
		struct json_object *range = json_object_new_object();

		varlink_add_int(range, "from_s", ranges[i].from_s);
		varlink_add_int(range, "blocks", ranges[i].blocks);
		varlink_add_int(range, "idle", ranges[i].idle);
		varlink_add_int(range, "bytes", ranges[i].bytes);
		varlink_append(list, range);
	}
	varlink_add(out, "ages", list);
	varlink_reply(call, out);
	return result;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods of org.zsblk.Device. See control_methods.h, and src/varlink/org.zsblk.Device.varlink for what each of them does. */
#include "host/control_methods.h"

#include "host/host.h"
#include "host/stats_list.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Classes in one reply at most: it would not fit otherwise. */
#define CLASSES_MAX 128

/* ------------------------------------------------------------------ to look */

static void describe_parameters(struct json_object *out, const struct host *host)
{
	const struct zsblk_params *engine = &host->params->engine;

	varlink_add_string(out, "memory", engine->memory);
	varlink_add_int(out, "reserve", engine->reserve);
	varlink_add_int(out, "started_s", host->started_s);
	varlink_add_string(out, "lock", host->locked ? "yes" : "no");
}

static enum varlink_result get_description(void *opaque, struct varlink_call *call)
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
	varlink_add_int(out, "mem_limit", stats.mem_limit);
	describe_parameters(out, host);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

/* Lines of the form "name=value\n", as the statistics file has them. */
static void add_lines(struct json_object *out, char *lines)
{
	for (char *rest, *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *equals = strchr(line, '=');

		if (!equals)
			continue;
		*equals = '\0';
		json_object_object_add(out, line, json_object_new_int64(strtoll(equals + 1, NULL, 10)));
	}
}

static enum varlink_result get_statistics(void *opaque, struct varlink_call *call)
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
	struct json_object *out = json_object_new_object();
	uint64_t zspages = 0;

	for (unsigned i = 0; i < ZS_FULLNESS_GROUPS; i++)
		zspages += class->zspages[i];
	varlink_add_int(out, "index", class->index);
	varlink_add_int(out, "size", class->size);
	varlink_add_int(out, "pages_per_zspage", class->pages_per_zspage);
	varlink_add_int(out, "objects_per_zspage", class->objs_per_zspage);
	varlink_add_int(out, "zspages", zspages);
	varlink_add_int(out, "almost_full", class->almost_full);
	varlink_add_int(out, "almost_empty", class->almost_empty);
	varlink_add_int(out, "capacity", class->obj_allocated);
	varlink_add_int(out, "objects", class->obj_used);
	varlink_add_int(out, "pages", class->pages_used);
	varlink_add_int(out, "freeable_pages", class->freeable);
	varlink_add_bool(out, "huge", class->huge);
	return out;
}

static enum varlink_result get_classes(void *opaque, struct varlink_call *call)
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
			json_object_array_add(list, describe_class(&class));
	}
	varlink_add(out, "classes", list);
	if (index < classes)
		varlink_add_int(out, "next", index);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

/* ------------------------------------------------------------------ to change */

static enum varlink_result set_memory_limit(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;
	int64_t bytes = 0;

	varlink_int(call, "bytes", &bytes);
	if (bytes < 0)
		varlink_refuse(call, "Refused", "a limit of %" PRId64 " bytes makes no sense; 0 stands for none",
			       bytes);
	else
		zsblk_set_mem_limit(host->device, (uint64_t)bytes);
	return VARLINK_DONE;
}

static enum varlink_result reset_peak(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;

	zsblk_reset_mem_used_max(host->device);
	return VARLINK_DONE;
}

const struct varlink_method control_methods[] = {
	{"GetDescription", VARLINK_LOOK, get_description}, {"GetStatistics", VARLINK_LOOK, get_statistics},
	{"GetClasses", VARLINK_LOOK, get_classes},         {"SetMemoryLimit", VARLINK_CHANGE, set_memory_limit},
	{"ResetPeak", VARLINK_CHANGE, reset_peak},         {NULL, VARLINK_NOTHING, NULL},
};

/* SPDX-License-Identifier: BSD-3-Clause */
/* How the instance is doing, for programs. See report.h. */
#include "daemon/report.h"

#include "daemon/keeper/keeper.h"
#include "daemon/settings/settings.h"
#include "daemon/transport/transport.h"
#include "varlink/server.h"

#include <ctype.h>
#include <json-c/json.h>
#include <unistd.h>

/* Microseconds as milliseconds, rounded up: an outage is never nothing. */
static uint64_t ms_of(uint64_t us)
{
	return (us + 999) / 1000;
}

static struct json_object *report_entry(const struct history_entry *entry)
{
	struct json_object *out = json_object_new_object();

	varlink_add_int(out, "when_s", (uint64_t)entry->when);
	varlink_add_string(out, "event", history_event_name(entry->event));
	varlink_add_string(out, "why", entry->why);
	varlink_add_int(out, "outage_ms", ms_of(entry->outage_us));
	if (entry->before)
		varlink_add_int(out, "before_pid", (uint64_t)entry->before);
	varlink_add_int(out, "server_pid", (uint64_t)entry->server);
	return out;
}

static void report_history(struct json_object *out, const struct history *history)
{
	struct json_object *list = json_object_new_array();
	unsigned n = history_count(history);

	varlink_add_int(out, "replacements", history->replaced);
	if (n) {
		varlink_add_int(out, "outage_median_ms", ms_of(history_median_outage_us(history)));
		varlink_add_int(out, "outage_max_ms", ms_of(history->longest_outage_us));
	}
	for (unsigned i = 0; list && i < n; i++)
		varlink_append(list, report_entry(history_at(history, i)));
	varlink_add(out, "history", list);
}

/* As the key of configuration files has it. */
static void report_transport(struct json_object *out, const struct transport *transport)
{
	char name[16];
	size_t i;

	for (i = 0; i < sizeof name - 1 && transport->name[i]; i++)
		name[i] = (char)tolower((unsigned char)transport->name[i]);
	name[i] = '\0';
	varlink_add_string(out, "transport", name);
}

static const char *state_of(const struct instance *instance, bool is_stopping)
{
	if (is_stopping)
		return "stopping";
	if (!instance->in_service)
		return "starting";
	return keeper_is_serving(instance->keeper) ? "in service" : "being replaced";
}

struct json_object *report_status(const struct instance *instance, bool is_stopping)
{
	struct json_object *out = json_object_new_object();
	const struct device *device = keeper_device(instance->keeper);
	pid_t server = keeper_server(instance->keeper);
	bool is_swap = !device_is_none(device) && device_is_swap(device);

	if (!out)
		return NULL;
	varlink_add_string(out, "name", instance->settings->name);
	varlink_add_string(out, "version", ZSBLKD_VERSION);
	varlink_add_int(out, "pid", (uint64_t)getpid());
	varlink_add_string(out, "device", device->path);
	report_transport(out, instance->transport);
	if (instance->fallback[0])
		varlink_add_string(out, "fallback", instance->fallback);
	varlink_add_string(out, "state", state_of(instance, is_stopping));
	if (server)
		varlink_add_int(out, "server_pid", (uint64_t)server);
	varlink_add_int(out, "size", own_segment_size(&instance->segment));
	varlink_add_bool(out, "swap", is_swap);
	varlink_add_int(out, "swapped", is_swap ? device_swapped_kib(device) * 1024 : 0);
	varlink_add_int(out, "segment", (uint64_t)own_segment_id(&instance->segment));
	report_history(out, keeper_history(instance->keeper));
	return out;
}

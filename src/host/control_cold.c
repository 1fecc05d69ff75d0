/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods of org.zsblk.Device that are about cold blocks: the policy's settings, and what it does. */
#include "host/control_errand.h"
#include "host/control_methods.h"

#include "host/cold.h"
#include "host/host.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ a look */

static void describe_settings(struct json_object *out, const struct cold_settings *settings)
{
	char text[COLD_VALUE_BYTES];

	varlink_add_bool(out, "on", settings->on);
	varlink_add_int(out, "cold_after_s", settings->cold_after_s);
	snprintf(text, sizeof text, "%s:%d", settings->cold.algorithm, settings->cold.level);
	varlink_add_string(out, "cold_algorithm", text);
	varlink_add_int(out, "frozen_after_s", settings->frozen_after_s);
	snprintf(text, sizeof text, "%s:%d", settings->frozen.algorithm, settings->frozen.level);
	varlink_add_string(out, "frozen_algorithm", text);
	varlink_add_int(out, "rate", settings->rate);
	varlink_add_int(out, "budget", settings->budget);
}

static void describe_sums(struct json_object *out, const struct cold_sums *sums)
{
	varlink_add_int(out, "steps", sums->steps);
	varlink_add_int(out, "stopped", sums->stopped);
	varlink_add_int(out, "failed", sums->failed);
	varlink_add_int(out, "cold_groups", sums->groups);
	varlink_add_int(out, "cold_blocks", sums->blocks);
	varlink_add_int(out, "frozen_groups", sums->frozen_groups);
	varlink_add_int(out, "frozen_blocks", sums->frozen_blocks);
	varlink_add_int(out, "bytes_saved", sums->bytes_saved);
	varlink_add_int(out, "storms", sums->storms);
}

enum varlink_result control_get_cold(void *opaque, struct varlink_call *call)
{
	struct json_object *out = json_object_new_object(), *all = json_object_new_object();
	const struct host *host = opaque;
	struct cold_report report;

	cold_look(host->cold, &report);
	describe_settings(all, &report.settings);
	varlink_add_string(all, "state", cold_plan_state_name(report.state));
	varlink_add_string(all, "text", report.text.text);
	if (report.last.text[0])
		varlink_add_string(all, "last", report.last.text);
	describe_sums(all, &report.sums);
	varlink_add_int(all, "packed_24h", report.packed);
	if (report.has_pressure)
		varlink_add_int(all, "pressure", report.pressure);
	varlink_add(out, "cold", all);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

/* ------------------------------------------------------------------ a change */

struct change {
	struct cold *cold;
	unsigned which;
	struct cold_settings settings;
};
_Static_assert(sizeof(struct change) <= JOBS_ERRAND_BYTES, "an errand takes it");

static int change(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	const struct change *wanted = memory;

	(void)dev;
	return cold_change(wanted->cold, &wanted->settings, wanted->which, why);
}

/* The value of a parameter as a text that cold_settings_set() takes. False: it is not given. */
static bool value_of(const struct varlink_call *call, const char *key, char *text, size_t size)
{
	static const struct {
		const char *key, *parameter;
	} numbers[] = {{"cold-after", "cold_after_s"},
		       {"frozen-after", "frozen_after_s"},
		       {"cold-rate", "rate"},
		       {"cold-budget", "budget"}};
	const char *string;
	int64_t number;
	bool on;

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (strcmp(numbers[i].key, key) == 0) {
			bool given = varlink_int(call, numbers[i].parameter, &number);

			snprintf(text, size, "%" PRId64, given ? number : 0);
			if (given && number == 0 && strcmp(key, "frozen-after") == 0)
				snprintf(text, size, "never");
			return given;
		}
	if (strcmp(key, "cold") == 0) {
		if (!varlink_bool(call, "on", &on))
			return false;
		snprintf(text, size, "%s", on ? "yes" : "no");
		return true;
	}
	string = varlink_string(call, strcmp(key, "cold-algorithm") == 0 ? "cold_algorithm" : "frozen_algorithm");
	snprintf(text, size, "%s", string ? string : "");
	return string;
}

enum varlink_result control_set_cold(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;
	struct change wanted = {.cold = host->cold};
	struct zsblk_why why;
	char text[80];
	bool done;

	for (unsigned i = 0; cold_settings_key(i); i++) {
		if (!value_of(call, cold_settings_key(i), text, sizeof text))
			continue;
		wanted.which |= 1u << i;
		if (cold_settings_set(&wanted.settings, cold_settings_key(i), text, &why) == 0)
			continue;
		varlink_refuse(call, "Refused", "%s", why.text);
		return VARLINK_DONE;
	}
	return control_errand(opaque, call, change, &wanted, sizeof wanted, &done);
}

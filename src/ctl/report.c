/* SPDX-License-Identifier: BSD-3-Clause */
/* One device after another. See report.h. */
#include "ctl/report.h"

#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/member.h"

#include <stdio.h>

void report_init(struct report *report, const struct call *call)
{
	*report = (struct report){.call = call};
	if (options_has(call->options, OPTION_JSON))
		report->devices = json_object_new_array();
}

void report_heading(struct report *report, const struct connection *connection)
{
	if (report->call->n_connections > 1)
		printf("%s%s:\n", report->headings++ ? "\n" : "", connection_name(connection));
}

static void copy_member(void *opaque, const char *name, struct json_object *value)
{
	json_object_object_add(opaque, name, json_object_get(value));
}

void report_add(struct report *report, const struct connection *connection, struct json_object *device)
{
	struct json_object *named = json_object_new_object();

	/* The name comes first. */
	json_object_object_add(named, "name", json_object_new_string(connection_name(connection)));
	member_each(device, copy_member, named);
	json_object_put(device);
	json_object_array_add(report->devices, named);
}

int report_print(struct json_object *object)
{
	const char *text =
		json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);

	if (text)
		puts(text);
	json_object_put(object);
	return text ? EXIT_DONE : complain(EXIT_FAILED, "no memory");
}

int report_end(struct report *report)
{
	struct json_object *top;

	if (!report->devices)
		return EXIT_DONE;
	top = json_object_new_object();
	json_object_object_add(top, "devices", report->devices);
	report->devices = NULL;
	return report_print(top);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What a verb says of one device after another: headings for people where there are several, one JSON text for programs. */
#ifndef REPORT_H
#define REPORT_H

#include "ctl/connection.h"
#include "ctl/verbs.h"

#include <json-c/json.h>

struct report {
	const struct call *call;
	struct json_object *devices; /* with --json */
	size_t headings;
};

void report_init(struct report *report, const struct call *call);

/* "NAME:" if more than one device was asked for, after an empty line unless it is the first. */
void report_heading(struct report *report, const struct connection *connection);

/* With --json: add what is said of this device; `device` becomes the report's. */
void report_add(struct report *report, const struct connection *connection, struct json_object *device);

/* With --json: print {"devices": [{"name": NAME...}...]}. Frees everything. EXIT_DONE, or EXIT_FAILED, which was said. */
int report_end(struct report *report);

/* Print one JSON text, and free it. The same. */
int report_print(struct json_object *object);

#endif

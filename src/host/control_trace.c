/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods of org.zsblk.Device that record which requests come. To begin and to end a trace can wait, and is an errand. */
#include "host/control_errand.h"
#include "host/control_methods.h"

#include "host/host.h"
#include "host/tracer.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

struct start {
	struct tracer *tracer;
	uint64_t max_bytes;
	char path[TRACER_PATH_MAX];
};
_Static_assert(sizeof(struct start) <= JOBS_ERRAND_BYTES, "an errand's memory has the path");

static int start(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	const struct start *what = memory;

	(void)dev;
	return tracer_start(what->tracer, what->path, what->max_bytes, why);
}

enum varlink_result control_start_trace(void *opaque, struct varlink_call *call)
{
	struct host *host = opaque;
	struct start what = {.tracer = host->tracer, .max_bytes = TRACER_MAX_DEFAULT};
	const char *file = varlink_string(call, "file");
	int64_t bytes;
	bool done;

	if (varlink_int(call, "max_bytes", &bytes))
		what.max_bytes = bytes < 0 ? 0 : (uint64_t)bytes;
	if (strlen(file) >= sizeof what.path) {
		varlink_refuse(call, "Refused", "%.60s...: this path is too long; give one of less than %u bytes", file,
			       TRACER_PATH_MAX);
		return VARLINK_DONE;
	}
	memcpy(what.path, file, strlen(file) + 1);
	return control_errand(host, call, start, &what, sizeof what, &done);
}

static void describe(struct json_object *to, const struct tracer_report *report)
{
	char text[600];
	int n = snprintf(text, sizeof text, "%" PRIu64 " requests were recorded, and %" PRIu64 " lost",
			 report->requests, report->lost);

	if (report->state == TRACER_FULL)
		snprintf(text + n, sizeof text - (size_t)n, "; then the file had all the bytes that it may have");
	if (report->state == TRACER_FAILED)
		snprintf(text + n, sizeof text - (size_t)n, "; then %.300s could not be written: %s", report->path,
			 strerror(report->error));
	varlink_add_string(to, "file", report->path);
	varlink_add_string(to, "state", tracer_state_name(report->state));
	varlink_add_int(to, "requests", report->requests);
	varlink_add_int(to, "lost", report->lost);
	varlink_add_int(to, "bytes", report->bytes);
	varlink_add_int(to, "max_bytes", report->max_bytes);
	varlink_add_int(to, "seconds", report->seconds);
	varlink_add_string(to, "text", text);
}

enum varlink_result control_get_trace(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;
	struct json_object *out = json_object_new_object(), *trace;
	struct tracer_report report;

	tracer_look(host->tracer, &report);
	if (report.state != TRACER_NONE) {
		trace = json_object_new_object();
		describe(trace, &report);
		varlink_add(out, "trace", trace);
	}
	varlink_reply(call, out);
	return VARLINK_DONE;
}

static int stop(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	struct tracer *const *tracer = memory;

	(void)dev;
	(void)why;
	tracer_stop(*tracer);
	return 0;
}

enum varlink_result control_stop_trace(void *opaque, struct varlink_call *call)
{
	struct host *host = opaque;
	bool done;
	enum varlink_result result = control_errand(host, call, stop, &host->tracer, sizeof(struct tracer *), &done);

	return done ? control_get_trace(opaque, call) : result;
}

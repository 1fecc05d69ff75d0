/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods of org.zsblk.Device that begin jobs, tell of them, and cancel them. */
#include "host/control_methods.h"

#include "host/cold_settings.h"
#include "host/host.h"
#include "host/jobs.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

static enum varlink_result begin(struct host *host, struct varlink_call *call, enum jobs_kind kind,
				 const struct jobs_what *what)
{
	struct jobs_report other;
	struct json_object *out;
	uint64_t id;

	if (jobs_begin(host->jobs, kind, what, &id) < 0) {
		if (jobs_find(host->jobs, id, &other) == 0)
			kind = other.kind;
		varlink_refuse(call, "Busy", "%s is at work already, as job %" PRIu64 "; wait for it or cancel it",
			       jobs_kind_name(kind), id);
		return VARLINK_DONE;
	}
	out = json_object_new_object();
	varlink_add_int(out, "job", id);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

enum varlink_result control_compact(void *opaque, struct varlink_call *call)
{
	return begin(opaque, call, JOBS_COMPACT, NULL);
}

enum varlink_result control_check(void *opaque, struct varlink_call *call)
{
	return begin(opaque, call, JOBS_CHECK, NULL);
}

static enum zsblk_recompress_type type_of(const char *name)
{
	static const char *const names[] = {
		[ZSBLK_RECOMPRESS_ALL] = "all",
		[ZSBLK_RECOMPRESS_IDLE] = "idle",
		[ZSBLK_RECOMPRESS_HUGE] = "huge",
		[ZSBLK_RECOMPRESS_HUGE_IDLE] = "huge_idle",
	};
	unsigned type = 0;

	/* The interface has no other names. */
	while (type < sizeof names / sizeof names[0] - 1 && strcmp(names[type], name) != 0)
		type++;
	return (enum zsblk_recompress_type)type;
}

/* What the engine would find wrong, it finds when the job begins, and then its caller may have gone. False: the client was told. */
static bool take_numbers(struct varlink_call *call, const struct zsblk_algorithm *algorithm,
			 struct zsblk_recompress *what)
{
	int64_t level = 0, threshold = 0, most = 0;

	what->has_level = varlink_int(call, "level", &level);
	varlink_int(call, "threshold", &threshold);
	varlink_int(call, "max_pages", &most);
	if (what->has_level && (level < algorithm->level_min || level > algorithm->level_max))
		varlink_refuse(call, "Refused", "%s has no level %" PRId64 "; give one from %d to %d", algorithm->name,
			       level, algorithm->level_min, algorithm->level_max);
	else if (threshold < 0 || threshold > ZSBLK_BLOCK_SIZE)
		varlink_refuse(call, "Refused", "no object has %" PRId64 " bytes; give a threshold from 0 to %u",
			       threshold, ZSBLK_BLOCK_SIZE);
	else if (most < 0)
		varlink_refuse(call, "Refused", "%" PRId64 " pages make no sense; 0 stands for any number", most);
	else {
		what->level = (int)level;
		what->threshold = (uint64_t)threshold;
		what->max_pages = (uint64_t)most;
		return true;
	}
	return false;
}

enum varlink_result control_recompress(void *opaque, struct varlink_call *call)
{
	const char *name = varlink_string(call, "algorithm");
	const struct zsblk_algorithm *algorithm = zsblk_algorithm_by_name(name ? name : "zstd");
	struct jobs_what what = {.recompress.type = type_of(varlink_string(call, "type"))};

	if (!algorithm) {
		varlink_refuse(call, "Refused", "there is no algorithm %.40s; use %s", name, control_algorithms());
		return VARLINK_DONE;
	}
	what.recompress.algorithm = algorithm->name;
	return take_numbers(call, algorithm, &what.recompress) ? begin(opaque, call, JOBS_RECOMPRESS, &what)
							       : VARLINK_DONE;
}

/* Also blocks that are in groups of weaker algorithms: whoever asks wants them to be as small as that makes them. */
enum varlink_result control_group(void *opaque, struct varlink_call *call)
{
	const char *name = varlink_string(call, "algorithm");
	const struct zsblk_algorithm *algorithm = zsblk_algorithm_by_name(name ? name : "zstd");
	struct jobs_what what = {.group.again = true};
	int64_t level = 0, older_than_s = 0, most = 0;
	char which[80];

	what.group.has_level = varlink_int(call, "level", &level);
	varlink_int(call, "older_than_s", &older_than_s);
	varlink_int(call, "max_groups", &most);
	if (!algorithm || !algorithm->makes_groups)
		varlink_refuse(call, "Refused", "%s %.40s; use %s",
			       algorithm ? "groups cannot be made with" : "there is no algorithm", name,
			       cold_settings_algorithms(which));
	else if (what.group.has_level && (level < algorithm->level_min || level > algorithm->level_max))
		varlink_refuse(call, "Refused", "%s has no level %" PRId64 "; give one from %d to %d", algorithm->name,
			       level, algorithm->level_min, algorithm->level_max);
	else if (older_than_s < 0 || most < 0)
		varlink_refuse(call, "Refused", "%" PRId64 " %s make no sense; 0 stands for any",
			       older_than_s < 0 ? older_than_s : most, older_than_s < 0 ? "seconds" : "groups");
	else {
		what.group.algorithm = algorithm->name;
		what.group.level = (int)level;
		what.group.older_than_s = (uint64_t)older_than_s;
		what.group.max_groups = (uint64_t)most;
		return begin(opaque, call, JOBS_GROUP, &what);
	}
	return VARLINK_DONE;
}

static struct json_object *describe(const struct jobs_report *report)
{
	struct json_object *out = json_object_new_object();

	varlink_add_int(out, "id", report->id);
	varlink_add_string(out, "kind", jobs_kind_name(report->kind));
	varlink_add_string(out, "state", jobs_state_name(report->state));
	varlink_add_int(out, "done", report->done);
	varlink_add_int(out, "total", report->total);
	varlink_add_int(out, "pages_freed", report->pages_freed);
	varlink_add_int(out, "bytes_saved", report->bytes_saved);
	varlink_add_int(out, "groups", report->groups);
	varlink_add_int(out, "seconds", report->seconds);
	varlink_add_string(out, "text", report->text.text);
	return out;
}

static struct json_object *describe_one(const struct jobs_report *report)
{
	struct json_object *out = json_object_new_object();

	varlink_add(out, "job", describe(report));
	return out;
}

enum varlink_result control_get_jobs(void *opaque, struct varlink_call *call)
{
	struct json_object *out = json_object_new_object(), *list = json_object_new_array();
	const struct host *host = opaque;

	for (unsigned kind = 0; kind < JOBS_KINDS; kind++) {
		struct jobs_report report;

		jobs_last(host->jobs, (enum jobs_kind)kind, &report);
		if (report.id)
			varlink_append(list, describe(&report));
	}
	varlink_add(out, "jobs", list);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

/* True if the job of the parameters is there. Otherwise the client was told. */
static bool find(const struct host *host, struct varlink_call *call, struct jobs_report *report)
{
	struct json_object *out;
	int64_t id = 0;

	varlink_int(call, "job", &id);
	if (id > 0 && jobs_find(host->jobs, (uint64_t)id, report) == 0)
		return true;
	out = json_object_new_object();
	varlink_add(out, "job", json_object_new_int64(id));
	varlink_refuse_with(call, "NoSuchJob", out,
			    "there is no job %" PRId64 "; the last one of each kind is remembered", id);
	return false;
}

/* state[0] is what the client knows of the progress, plus one. */
enum varlink_result control_wait_job(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;
	struct jobs_report report;

	if (!find(host, call, &report))
		return VARLINK_DONE;
	if (report.state != JOBS_RUNNING) {
		varlink_reply(call, describe_one(&report));
		return VARLINK_DONE;
	}
	if (call->more && call->state[0] != report.done + 1)
		varlink_notify(call, describe_one(&report));
	call->state[0] = report.done + 1;
	return VARLINK_AGAIN;
}

enum varlink_result control_cancel_job(void *opaque, struct varlink_call *call)
{
	const struct host *host = opaque;
	struct jobs_report report;

	/* A job that has ended by itself meanwhile is what the client wanted. */
	if (find(host, call, &report))
		(void)jobs_cancel(host->jobs, report.id);
	return VARLINK_DONE;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Jobs. See job.h. */
#include "ctl/job.h"

#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A job that is paced can be still for long while memory is short. Whoever does not want to wait has --timeout. */
#define WAIT_S 86400

bool job_is_running(struct json_object *job)
{
	return strcmp(member_text(job, "state"), "running") == 0;
}

unsigned job_percent(struct json_object *job)
{
	uint64_t done = member_number(job, "done"), total = member_number(job, "total");

	return total && done < total ? (unsigned)((double)done * 100 / (double)total) : 100;
}

int job_get_all(struct connection *connection, struct json_object **reply, struct json_object **jobs)
{
	int r = connection_call(connection, CONNECTION_SERVER, "GetJobs", NULL, reply);

	if (r)
		return connection_complain(connection, r);
	*jobs = member_array(*reply, "jobs");
	return EXIT_DONE;
}

static struct json_object *with_id(uint64_t id)
{
	struct json_object *parameters = json_object_new_object();

	member_put_number(parameters, "job", id);
	return parameters;
}

/* ------------------------------------------------------------------ wait */

struct waiting {
	struct json_object *last; /* what was heard of the job last */
	bool shows_progress;
};

static bool take_progress(void *opaque, struct json_object *reply)
{
	struct waiting *waiting = opaque;
	struct json_object *job = member_object(reply, "job");

	if (!job)
		return true;
	json_object_put(waiting->last);
	waiting->last = json_object_get(job);
	if (waiting->shows_progress)
		fprintf(stderr, "\r%s: %3u %%", member_text(job, "kind"), job_percent(job));
	return true;
}

static int tell_end(const struct call *call, struct connection *connection, struct json_object *job)
{
	bool is_done = strcmp(member_text(job, "state"), "done") == 0;
	const char *text = member_text(job, "text");

	if (options_has(call->options, OPTION_JSON)) {
		int r = report_print(json_object_get(job));

		return is_done ? r : EXIT_FAILED;
	}
	if (is_done) {
		puts(*text ? text : "done");
		return EXIT_DONE;
	}
	return complain(EXIT_FAILED, "%s: job %" PRIu64 " (%s) %s%s%s", connection_name(connection),
			member_number(job, "id"), member_text(job, "kind"),
			strcmp(member_text(job, "state"), "failed") == 0 ? "has failed" : "was cancelled",
			*text ? ": " : "", text);
}

int job_wait(const struct call *call, struct connection *connection, uint64_t id)
{
	struct waiting waiting = {.shows_progress = isatty(STDERR_FILENO)};
	int r;

	if (!options_has(call->options, OPTION_TIMEOUT))
		connection_set_timeout(connection, WAIT_S);
	r = connection_watch(connection, CONNECTION_SERVER, "WaitJob", with_id(id), take_progress, &waiting);
	if (waiting.shows_progress && waiting.last)
		fputs("\r\033[K", stderr);
	if (r)
		connection_complain(connection, r);
	else if (waiting.last)
		r = tell_end(call, connection, waiting.last);
	json_object_put(waiting.last);
	return r;
}

/* ------------------------------------------------------------------ cancel */

int job_cancel(struct connection *connection, uint64_t id)
{
	int r = connection_call(connection, CONNECTION_SERVER, "CancelJob", with_id(id), NULL);

	return r ? connection_complain(connection, r) : EXIT_DONE;
}

static int cancel_kind(struct connection *connection, const char *kind)
{
	struct json_object *reply = NULL, *jobs = NULL;
	int r = job_get_all(connection, &reply, &jobs);
	bool found = false;

	for (size_t i = 0; !r && !found && jobs && i < json_object_array_length(jobs); i++) {
		struct json_object *job = json_object_array_get_idx(jobs, i);

		found = job_is_running(job) && strcmp(member_text(job, "kind"), kind) == 0;
		if (found)
			r = job_cancel(connection, member_number(job, "id"));
	}
	if (!r && !found)
		r = complain(EXIT_FAILED, "%s: no job of the kind %s runs", connection_name(connection), kind);
	json_object_put(reply);
	return r;
}

/* ------------------------------------------------------------------ begin */

int job_run(const struct call *call, const char *kind, const char *method, struct json_object *parameters)
{
	struct connection *connection = call->connections[0];
	struct json_object *reply = NULL;
	uint64_t id;
	int r;

	if (options_has(call->options, OPTION_CANCEL)) {
		json_object_put(parameters);
		return options_has(call->options, OPTION_WAIT | OPTION_JSON)
			       ? complain(EXIT_WRONG_USE, "give --cancel alone")
			       : cancel_kind(connection, kind);
	}
	r = connection_call(connection, CONNECTION_SERVER, method, parameters, &reply);
	if (r)
		return connection_complain(connection, r);
	id = member_number(reply, "job");
	if (options_has(call->options, OPTION_WAIT)) {
		r = job_wait(call, connection, id);
	} else if (options_has(call->options, OPTION_JSON)) {
		r = report_print(json_object_get(reply));
	} else {
		printf("job %" PRIu64 " runs: zsblkctl jobs %s\n", id, connection_name(connection));
	}
	json_object_put(reply);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl jobs, and the verbs that begin one: compact, recompress, check. */
#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/job.h"
#include "ctl/member.h"
#include "ctl/verbs.h"

enum {
	DEVICE,
	JOB,
	KIND,
	STATE,
	PROGRESS,
	DONE,
	TOTAL,
	SECONDS,
	RESULT,
};

static const struct column columns[] = {
	[DEVICE] = {"DEVICE", COLUMN_TEXT, "the instance or socket that was asked"},
	[JOB] = {"JOB", COLUMN_COUNT, "number of the job"},
	[KIND] = {"KIND", COLUMN_TEXT, "compact, check, recompress, group, or cold: what the policy does"},
	[STATE] = {"STATE", COLUMN_TEXT, "running, done, cancelled or failed"},
	[PROGRESS] = {"PROGRESS", COLUMN_COUNT, "how far it is, in percent"},
	[DONE] = {"DONE", COLUMN_COUNT, "blocks or classes it has dealt with"},
	[TOTAL] = {"TOTAL", COLUMN_COUNT, "blocks or classes there are"},
	[SECONDS] = {"SECONDS", COLUMN_TIME, "how long it has run"},
	[RESULT] = {"RESULT", COLUMN_TEXT, "what has come of it"},
};

const struct column_set verb_jobs_columns = {
	.name = "jobs",
	.usual = "DEVICE,JOB,KIND,STATE,PROGRESS,SECONDS,RESULT",
	.columns = columns,
	.n_columns = sizeof columns / sizeof columns[0],
};

static void put_job(struct columns *table, const struct connection *connection, struct json_object *job)
{
	columns_add_row(table);
	columns_put_text(table, DEVICE, connection_name(connection));
	columns_put(table, JOB, member_number(job, "id"));
	columns_put_text(table, KIND, member_text(job, "kind"));
	columns_put_text(table, STATE, member_text(job, "state"));
	columns_put(table, PROGRESS, job_percent(job));
	columns_put(table, DONE, member_number(job, "done"));
	columns_put(table, TOTAL, member_number(job, "total"));
	columns_put(table, SECONDS, member_number(job, "seconds"));
	columns_put_text(table, RESULT, member_text(job, "text"));
}

static int list_jobs(const struct call *call)
{
	struct columns *table;
	int worst = columns_create(&table, &verb_jobs_columns, call->options);

	if (worst)
		return worst;
	for (size_t i = 0; i < call->n_connections; i++) {
		struct json_object *reply = NULL, *jobs = NULL;

		worst = exit_worse(worst, job_get_all(call->connections[i], &reply, &jobs));
		for (size_t j = 0; jobs && j < json_object_array_length(jobs); j++)
			put_job(table, call->connections[i], json_object_array_get_idx(jobs, j));
		json_object_put(reply);
	}
	worst = exit_worse(worst, columns_print(table));
	columns_free(table);
	return worst;
}

/* Those of one device that run now: wait for them, one after the other, or cancel them. */
static int end_jobs(const struct call *call, struct connection *connection)
{
	struct json_object *reply = NULL, *jobs = NULL;
	int worst = job_get_all(connection, &reply, &jobs);

	for (size_t i = 0; jobs && i < json_object_array_length(jobs); i++) {
		struct json_object *job = json_object_array_get_idx(jobs, i);
		uint64_t id = member_number(job, "id");

		if (!job_is_running(job))
			continue;
		worst = exit_worse(worst, options_has(call->options, OPTION_CANCEL) ? job_cancel(connection, id)
										    : job_wait(call, connection, id));
	}
	json_object_put(reply);
	return worst;
}

int verb_jobs(const struct call *call)
{
	const uint32_t ends = OPTION_WAIT | OPTION_CANCEL;
	int worst = EXIT_DONE;

	if (!options_has(call->options, ends))
		return list_jobs(call);
	if (call->options->given & ~(ends | OPTIONS_ALWAYS) || (call->options->given & ends) == ends)
		return complain(EXIT_WRONG_USE, "jobs: give --wait or --cancel alone");
	if (call->is_for_all)
		return complain(EXIT_WRONG_USE,
				"jobs %s: of which devices? Give their NAMEs, which zsblkctl list shows",
				options_name(call->options->given & ends));
	for (size_t i = 0; i < call->n_connections; i++)
		worst = exit_worse(worst, end_jobs(call, call->connections[i]));
	return worst;
}

int verb_compact(const struct call *call)
{
	return job_run(call, "compact", "Compact", NULL);
}

int verb_check(const struct call *call)
{
	return job_run(call, "check", "Check", NULL);
}

int verb_recompress(const struct call *call)
{
	const uint32_t how = OPTION_TYPE | OPTION_ALGORITHM | OPTION_LEVEL | OPTION_THRESHOLD | OPTION_MAX_PAGES;
	const struct options *options = call->options;
	struct json_object *parameters;

	if (options_has(options, OPTION_CANCEL) && options_has(options, how))
		return complain(EXIT_WRONG_USE, "give --cancel alone");
	parameters = json_object_new_object();
	member_put_text(parameters, "type", options->type ? options->type : "idle");
	if (options->algorithm)
		member_put_text(parameters, "algorithm", options->algorithm);
	if (options_has(options, OPTION_LEVEL))
		member_put_signed(parameters, "level", options->level);
	if (options_has(options, OPTION_THRESHOLD))
		member_put_number(parameters, "threshold", options->threshold);
	if (options_has(options, OPTION_MAX_PAGES))
		member_put_number(parameters, "max_pages", options->max_pages);
	return job_run(call, "recompress", "Recompress", parameters);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl status: what is known of a device, in sentences or, with --json, as its server and its daemon have told it. */
#include "ctl/complain.h"
#include "ctl/describe.h"
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/mountpoint.h"
#include "ctl/report.h"
#include "ctl/verbs.h"

#include <limits.h>
#include <string.h>
#include <time.h>

/* Answers of one device, and what was wrong with those that did not come. */
struct answers {
	struct json_object *description, *statistics, *ages, *jobs, *cold, *daemon;
	struct complaint server_problem, daemon_problem;
	int server_code, daemon_code;
};

static void note(struct complaint *problem, const struct connection *connection)
{
	snprintf(problem->text, sizeof problem->text, "%s", connection_problem(connection));
}

/* Ages, jobs and the policy are left out of what an older server tells; the rest it must know. */
static void ask_server(struct connection *connection, struct answers *answers)
{
	int r = connection_call(connection, CONNECTION_SERVER, "GetDescription", NULL, &answers->description);

	if (!r)
		r = connection_call(connection, CONNECTION_SERVER, "GetStatistics", NULL, &answers->statistics);
	if (r) {
		answers->server_code = r;
		note(&answers->server_problem, connection);
		return;
	}
	connection_call(connection, CONNECTION_SERVER, "GetAges", NULL, &answers->ages);
	connection_call(connection, CONNECTION_SERVER, "GetJobs", NULL, &answers->jobs);
	connection_call(connection, CONNECTION_SERVER, "GetCold", NULL, &answers->cold);
}

static void ask_daemon(struct connection *connection, struct answers *answers)
{
	if (!connection_is_instance(connection))
		return;
	answers->daemon_code = connection_call(connection, CONNECTION_DAEMON, "GetStatus", NULL, &answers->daemon);
	if (answers->daemon_code)
		note(&answers->daemon_problem, connection);
}

static void free_answers(struct answers *answers)
{
	json_object_put(answers->description);
	json_object_put(answers->statistics);
	json_object_put(answers->ages);
	json_object_put(answers->jobs);
	json_object_put(answers->cold);
	json_object_put(answers->daemon);
}

static const char *text_or_null(const struct complaint *problem)
{
	return problem->text[0] ? problem->text : NULL;
}

static void print_for_people(const struct connection *connection, const struct answers *answers)
{
	const char *device = member_text(answers->description, "device");
	char mountpoint[PATH_MAX];

	if (!*device)
		device = member_text(answers->daemon, "device");
	describe(stdout,
		 &(struct describe_facts){
			 .name = connection_name(connection),
			 .description = answers->description,
			 .statistics = member_object(answers->statistics, "statistics"),
			 .ages = member_array(answers->ages, "ages"),
			 .jobs = member_array(answers->jobs, "jobs"),
			 .cold = member_object(answers->cold, "cold"),
			 .daemon = answers->daemon,
			 .mountpoint = mountpoint_find(device, mountpoint, sizeof mountpoint) ? mountpoint : NULL,
			 .server_problem = text_or_null(&answers->server_problem),
			 .daemon_problem = text_or_null(&answers->daemon_problem),
			 .now_s = time(NULL),
		 });
}

/* What was answered; a member that is missing was not. */
static void put(struct json_object *device, const char *name, struct json_object *value)
{
	if (value)
		json_object_object_add(device, name, json_object_get(value));
}

static struct json_object *device_object(const struct answers *answers)
{
	struct json_object *device = json_object_new_object();

	put(device, "description", answers->description);
	put(device, "statistics", member_object(answers->statistics, "statistics"));
	put(device, "ages", member_array(answers->ages, "ages"));
	put(device, "jobs", member_array(answers->jobs, "jobs"));
	put(device, "cold", member_object(answers->cold, "cold"));
	put(device, "daemon", answers->daemon);
	if (answers->server_problem.text[0])
		member_put_text(device, "server_problem", answers->server_problem.text);
	if (answers->daemon_problem.text[0])
		member_put_text(device, "daemon_problem", answers->daemon_problem.text);
	return device;
}

static int tell_one(const struct call *call, struct connection *connection, struct report *report)
{
	struct answers answers = {0};
	bool nobody;

	/* The daemon first: it can say why the server does not answer. */
	ask_daemon(connection, &answers);
	ask_server(connection, &answers);
	nobody = answers.server_code && !answers.daemon;
	if (options_has(call->options, OPTION_JSON))
		report_add(report, connection, device_object(&answers));
	else if (nobody)
		complain(answers.server_code, "%s: %s", connection_name(connection), answers.server_problem.text);
	else
		print_for_people(connection, &answers);
	free_answers(&answers);
	return exit_worse(answers.server_code, answers.daemon_code);
}

int verb_status(const struct call *call)
{
	struct report report;
	int worst = EXIT_DONE;

	if (!call->n_connections)
		worst = complain(EXIT_NOT_RUNNING,
				 "no device of zsblk runs under zsblkd; for another server give --control SOCKET");
	report_init(&report, call);
	for (size_t i = 0; i < call->n_connections; i++) {
		if (i && !options_has(call->options, OPTION_JSON))
			puts("");
		worst = exit_worse(worst, tell_one(call, call->connections[i], &report));
	}
	return exit_worse(worst, report_end(&report));
}

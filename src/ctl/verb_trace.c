/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl trace: begin a trace of requests, end it, or tell of it. */
#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/human.h"
#include "ctl/member.h"
#include "ctl/report.h"
#include "ctl/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The server works in another folder than the caller. NULL: no memory. */
static char *absolute_path(const char *path)
{
	char *folder = path[0] == '/' ? NULL : getcwd(NULL, 0), *absolute = NULL;

	if (path[0] == '/')
		return strdup(path);
	if (folder && asprintf(&absolute, "%s/%s", folder, path) < 0)
		absolute = NULL;
	free(folder);
	return absolute;
}

static int start(struct connection *connection, const char *path)
{
	struct json_object *parameters;
	char *absolute = absolute_path(path);
	int r;

	if (!absolute)
		return complain(EXIT_FAILED, "trace %.100s: there is no memory, or no present folder", path);
	parameters = json_object_new_object();
	member_put_text(parameters, "file", absolute);
	free(absolute);
	r = connection_call(connection, CONNECTION_SERVER, "StartTrace", parameters, NULL);
	return r ? connection_complain(connection, r) : EXIT_DONE;
}

static void print_trace(struct json_object *trace)
{
	char size[HUMAN_BYTES], time[HUMAN_BYTES];

	if (!trace) {
		puts("No trace was recorded");
		return;
	}
	printf("%s, %s, %s in %s: %s\n", member_text(trace, "file"), member_text(trace, "state"),
	       human_size(member_number(trace, "bytes"), size), human_time(member_number(trace, "seconds"), time),
	       member_text(trace, "text"));
}

static int tell(const struct call *call, const char *method)
{
	struct connection *connection = call->connections[0];
	struct json_object *reply = NULL;
	int r = connection_call(connection, CONNECTION_SERVER, method, NULL, &reply);

	if (r)
		return connection_complain(connection, r);
	if (options_has(call->options, OPTION_JSON))
		return report_print(reply);
	print_trace(member_object(reply, "trace"));
	json_object_put(reply);
	return EXIT_DONE;
}

int verb_trace(const struct call *call)
{
	if (!call->n_words)
		return tell(call, "GetTrace");
	if (strcmp(call->words[0], "stop") == 0)
		return tell(call, "StopTrace");
	if (options_has(call->options, OPTION_JSON))
		return complain(EXIT_WRONG_USE, "trace: --json is for what is told, without a file or with stop");
	return start(call->connections[0], call->words[0]);
}

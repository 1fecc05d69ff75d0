/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs that change something of a device at once: limit, reserve, background-cpu, algorithm, idle, reset-peak and reset. */
#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/human.h"
#include "ctl/member.h"
#include "ctl/verbs.h"

#include "text/number.h"
#include "text/size.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Ask the server for something that has no answer but success. */
static int ask_server(const struct call *call, const char *method, struct json_object *parameters)
{
	struct connection *connection = call->connections[0];
	int r = connection_call(connection, CONNECTION_SERVER, method, parameters, NULL);

	return r ? connection_complain(connection, r) : EXIT_DONE;
}

/* The first word is a size; `zero` is another name of 0. EXIT_DONE, or EXIT_WRONG_USE, which was said. */
static int take_size(const struct call *call, const char *zero, uint64_t *bytes)
{
	const char *word = call->words[0];

	if (*zero && strcmp(word, zero) == 0) {
		*bytes = 0;
		return EXIT_DONE;
	}
	if (size_parse(word, bytes) == 0)
		return EXIT_DONE;
	return complain(EXIT_WRONG_USE, "%s: '%.60s' is no size; give one such as 512M or 2G%s%s", call->verb->name,
			word, *zero ? ", or " : "", zero);
}

/* ------------------------------------------------------------------ memory */

/* A limit below what is stored is no error, and whoever set it should know what comes of it. */
static int tell_limit(struct connection *connection, uint64_t limit)
{
	struct json_object *reply = NULL;
	char total_text[HUMAN_BYTES], limit_text[HUMAN_BYTES];
	uint64_t total;
	int r = connection_call(connection, CONNECTION_SERVER, "GetStatistics", NULL, &reply);

	if (r)
		return connection_complain(connection, r);
	total = member_number(member_object(reply, "statistics"), "mem_used_total");
	json_object_put(reply);
	if (limit && total > limit)
		printf("What is stored takes %s, more than %s: it stays, and writes that need more memory fail until some of it is freed\n",
		       human_size(total, total_text), human_size(limit, limit_text));
	return EXIT_DONE;
}

int verb_limit(const struct call *call)
{
	struct json_object *parameters;
	uint64_t bytes;
	int r = take_size(call, "none", &bytes);

	if (r)
		return r;
	parameters = json_object_new_object();
	member_put_number(parameters, "bytes", bytes);
	r = ask_server(call, "SetMemoryLimit", parameters);
	return r ? r : tell_limit(call->connections[0], bytes);
}

int verb_reserve(const struct call *call)
{
	struct json_object *parameters;
	uint64_t bytes;
	int r = take_size(call, "", &bytes);

	if (r)
		return r;
	parameters = json_object_new_object();
	member_put_number(parameters, "bytes", bytes);
	return ask_server(call, "SetReserve", parameters);
}

int verb_reset_peak(const struct call *call)
{
	return ask_server(call, "ResetPeak", NULL);
}

/* ------------------------------------------------------------------ how it works */

int verb_background_cpu(const struct call *call)
{
	struct json_object *parameters;
	int64_t percent;

	if (number_parse(call->words[0], 1, 100, &percent) < 0)
		return complain(EXIT_WRONG_USE,
				"background-cpu: '%.60s' is no share of a processor; give a number from 1 to 100",
				call->words[0]);
	parameters = json_object_new_object();
	member_put_signed(parameters, "percent", percent);
	return ask_server(call, "SetBackgroundCpu", parameters);
}

int verb_algorithm(const struct call *call)
{
	struct json_object *parameters;
	int64_t level = 0;

	if (call->n_words > 1 && number_parse(call->words[1], INT_MIN, INT_MAX, &level) < 0)
		return complain(EXIT_WRONG_USE, "algorithm: '%.60s' is no level; give a whole number", call->words[1]);
	parameters = json_object_new_object();
	member_put_text(parameters, "algorithm", call->words[0]);
	if (call->n_words > 1)
		member_put_signed(parameters, "level", level);
	return ask_server(call, "SetAlgorithm", parameters);
}

/* ------------------------------------------------------------------ its blocks */

int verb_idle(const struct call *call)
{
	struct connection *connection = call->connections[0];
	struct json_object *parameters = json_object_new_object(), *reply = NULL;
	int r;

	if (options_has(call->options, OPTION_OLDER_THAN))
		member_put_number(parameters, "older_than_s", call->options->older_than_s);
	r = connection_call(connection, CONNECTION_SERVER, "MarkIdle", parameters, &reply);
	if (r)
		return connection_complain(connection, r);
	printf("%" PRIu64 " blocks are marked as idle\n", member_number(reply, "blocks"));
	json_object_put(reply);
	return EXIT_DONE;
}

int verb_reset(const struct call *call)
{
	return ask_server(call, "Reset", NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl cold, which shows the policy of cold blocks or changes its settings, and zsblkctl group, which does its work by hand. */
#include "ctl/complain.h"
#include "ctl/describe.h"
#include "ctl/exit.h"
#include "ctl/job.h"
#include "ctl/member.h"
#include "ctl/report.h"
#include "ctl/verbs.h"

#include "text/duration.h"
#include "text/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ settings */

struct setting;

/* Put the value into the parameters; false: it cannot be. */
typedef bool put_fn(struct json_object *parameters, const struct setting *setting, const char *value);

struct setting {
	const char *key;       /* as configuration files have it */
	const char *parameter; /* of SetCold */
	put_fn *put;
	const char *right; /* what a value has to be */
};

static bool put_switch(struct json_object *parameters, const struct setting *setting, const char *value)
{
	member_put_bool(parameters, setting->parameter, strcmp(value, "yes") == 0);
	return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0;
}

static bool put_age(struct json_object *parameters, const struct setting *setting, const char *value)
{
	uint64_t seconds = 0;
	bool never = strcmp(setting->parameter, "frozen_after_s") == 0 && strcmp(value, "never") == 0;

	if (!never && (duration_parse(value, &seconds) < 0 || !seconds || seconds > INT64_MAX))
		return false;
	member_put_number(parameters, setting->parameter, seconds);
	return true;
}

static bool put_size(struct json_object *parameters, const struct setting *setting, const char *value)
{
	uint64_t bytes;

	if (size_parse(value, &bytes) < 0)
		return false;
	member_put_number(parameters, setting->parameter, bytes);
	return true;
}

/* Which algorithms there are, the server knows. */
static bool put_algorithm(struct json_object *parameters, const struct setting *setting, const char *value)
{
	member_put_text(parameters, setting->parameter, value);
	return *value;
}

static const struct setting settings[] = {
	{"cold", "on", put_switch, "yes or no"},
	{"cold-after", "cold_after_s", put_age, "an age such as 90s, 15m or 4h"},
	{"cold-algorithm", "cold_algorithm", put_algorithm, "an algorithm such as zstd:9"},
	{"frozen-after", "frozen_after_s", put_age, "an age such as 4h, or never"},
	{"frozen-algorithm", "frozen_algorithm", put_algorithm, "an algorithm such as lzma:1"},
	{"cold-rate", "rate", put_size, "a size such as 512K or 4M; 0: any"},
	{"cold-budget", "budget", put_size, "a size such as 10G; 0: any"},
};

static const struct setting *find_setting(const char *key, size_t length)
{
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		if (strlen(settings[i].key) == length && strncmp(settings[i].key, key, length) == 0)
			return &settings[i];
	return NULL;
}

/* A word: KEY=VALUE; or yes or no, for cold=yes and cold=no. EXIT_DONE, or EXIT_WRONG_USE, which was said. */
static int put_word(struct json_object *parameters, const char *word)
{
	const char *equals = strchr(word, '=');
	const struct setting *setting = equals ? find_setting(word, (size_t)(equals - word))
					: strcmp(word, "yes") == 0 || strcmp(word, "no") == 0 ? &settings[0]
											      : NULL;

	if (!setting)
		return complain(
			EXIT_WRONG_USE,
			"cold: '%.60s' is no setting; give yes, no, or one of cold-after=AGE, cold-algorithm=NAME:LEVEL, "
			"frozen-after=AGE, frozen-algorithm=NAME:LEVEL, cold-rate=SIZE and cold-budget=SIZE",
			word);
	if (member_has(parameters, setting->parameter))
		return complain(EXIT_WRONG_USE, "cold: %s is given twice; give it once", setting->key);
	if (!setting->put(parameters, setting, equals ? equals + 1 : word))
		return complain(EXIT_WRONG_USE, "cold: %.60s cannot be; give %s", word, setting->right);
	return EXIT_DONE;
}

static int change(const struct call *call)
{
	struct connection *connection = call->connections[0];
	struct json_object *parameters = json_object_new_object();
	int r = EXIT_DONE;

	for (size_t i = 0; !r && i < call->n_words; i++)
		r = put_word(parameters, call->words[i]);
	if (r) {
		json_object_put(parameters);
		return r;
	}
	r = connection_call(connection, CONNECTION_SERVER, "SetCold", parameters, NULL);
	return r ? connection_complain(connection, r) : EXIT_DONE;
}

/* ------------------------------------------------------------------ what there is */

static int show(const struct call *call)
{
	struct connection *connection = call->connections[0];
	struct json_object *reply = NULL, *statistics = NULL;
	int r = connection_call(connection, CONNECTION_SERVER, "GetCold", NULL, &reply);

	if (!r)
		r = connection_call(connection, CONNECTION_SERVER, "GetStatistics", NULL, &statistics);
	if (r)
		r = connection_complain(connection, r);
	else if (options_has(call->options, OPTION_JSON))
		r = report_print(json_object_get(member_object(reply, "cold")));
	else
		describe_cold(stdout, "", member_object(reply, "cold"), member_object(statistics, "statistics"));
	json_object_put(reply);
	json_object_put(statistics);
	return r;
}

int verb_cold(const struct call *call)
{
	if (call->n_words && options_has(call->options, OPTION_JSON))
		return complain(EXIT_WRONG_USE, "cold: give --json without settings");
	return call->n_words ? change(call) : show(call);
}

/* ------------------------------------------------------------------ by hand */

int verb_group(const struct call *call)
{
	const uint32_t how = OPTION_OLDER_THAN | OPTION_ALGORITHM | OPTION_LEVEL;
	const struct options *options = call->options;
	struct json_object *parameters;

	if (options_has(options, OPTION_CANCEL) && options_has(options, how))
		return complain(EXIT_WRONG_USE, "give --cancel alone");
	parameters = json_object_new_object();
	if (options->algorithm)
		member_put_text(parameters, "algorithm", options->algorithm);
	if (options_has(options, OPTION_LEVEL))
		member_put_signed(parameters, "level", options->level);
	if (options_has(options, OPTION_OLDER_THAN))
		member_put_number(parameters, "older_than_s", options->older_than_s);
	return job_run(call, "group", "Group", parameters);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of verbs, and --help, which is made of it. See verbs.h. */
#include "ctl/verbs.h"

#include <stdio.h>
#include <string.h>

const struct verb verbs[] = {
	{
		.name = "list",
		.names = VERB_NAMES_MANY,
		.options = OPTIONS_TABLE,
		.columns = &verb_list_columns,
		.summary = "list devices, as zramctl does; what zsblkctl does without a verb",
		.run = verb_list,
	},
};

const size_t verbs_count = sizeof verbs / sizeof verbs[0];

const struct verb *verbs_find(const char *name)
{
	for (size_t i = 0; i < verbs_count; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* "limit NAME SIZE" */
static const char *usage_of(const struct verb *verb, char text[80])
{
	static const char *const names[] = {
		[VERB_NAMES_NONE] = "", [VERB_NAMES_ONE] = " NAME", [VERB_NAMES_MANY] = " [NAME...]"};

	snprintf(text, 80, "%s%s%s%s", verb->name, names[verb->names], verb->words ? " " : "",
		 verb->words ? verb->words : "");
	return text;
}

void verbs_help(FILE *out)
{
	uint32_t options = OPTIONS_ALWAYS;
	char usage[80];

	fputs("Usage: zsblkctl [OPTION...] [VERB] [NAME...] [WORD...]\n"
	      "       zsblkctl [OPTION...] --control SOCKET [VERB] [WORD...]\n"
	      "See and steer running devices of zsblk. NAME is an instance of zsblkd, such as swap0 for zsblk@swap0, or its device, such as /dev/ublkb0.\n"
	      "\n"
	      "Verbs\n",
	      out);
	for (size_t i = 0; i < verbs_count; i++) {
		fprintf(out, "  %-30s %s\n", usage_of(&verbs[i], usage), verbs[i].summary);
		options |= verbs[i].options;
	}
	fputs("\nOptions; zsblkctl VERB --help has those of one verb\n", out);
	options_print(out, options);
}

void verbs_help_one(FILE *out, const struct verb *verb)
{
	char usage[80];

	fprintf(out, "Usage: zsblkctl [OPTION...] %s\n", usage_of(verb, usage));
	fprintf(out, "%s\n\nOptions\n", verb->summary);
	options_print(out, verb->options | OPTIONS_ALWAYS);
	if (!verb->columns)
		return;
	fputs("\nColumns\n", out);
	columns_help(out, verb->columns);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of verbs, and --help, which is made of it. See verbs.h. */
#include "ctl/verbs.h"

#include "ctl/job.h"

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
	{
		.name = "status",
		.names = VERB_NAMES_MANY,
		.options = OPTION_JSON,
		.summary = "say in sentences what a device is, holds and did lately",
		.run = verb_status,
	},
	{
		.name = "stat",
		.names = VERB_NAMES_MANY,
		.options = OPTION_JSON | OPTION_FORMAT,
		.summary = "print the figures of zram's mm_stat and io_stat",
		.run = verb_stat,
	},
	{
		.name = "classes",
		.names = VERB_NAMES_ONE,
		.options = OPTIONS_TABLE & ~OPTION_BYTES,
		.columns = &verb_classes_columns,
		.summary = "print the size classes of the allocator",
		.run = verb_classes,
	},
	{
		.name = "blocks",
		.words = "[RANGE]",
		.max_words = 1,
		.names = VERB_NAMES_ONE,
		.options = OPTION_JSON | OPTION_NOHEADINGS | OPTION_BYTES | OPTION_FORMAT,
		.summary = "print what is stored of each block",
		.run = verb_blocks,
	},
	{
		.name = "limit",
		.words = "SIZE|none",
		.min_words = 1,
		.max_words = 1,
		.names = VERB_NAMES_ONE,
		.summary = "limit the memory of stored data",
		.run = verb_limit,
	},
	{
		.name = "reserve",
		.words = "SIZE",
		.min_words = 1,
		.max_words = 1,
		.names = VERB_NAMES_ONE,
		.summary = "keep so much memory ready ahead of demand",
		.run = verb_reserve,
	},
	{
		.name = "algorithm",
		.words = "ALGORITHM [LEVEL]",
		.min_words = 1,
		.max_words = 2,
		.names = VERB_NAMES_ONE,
		.summary = "compress what is written from now on in another way",
		.run = verb_algorithm,
	},
	{
		.name = "background-cpu",
		.words = "PERCENT",
		.min_words = 1,
		.max_words = 1,
		.names = VERB_NAMES_ONE,
		.summary = "let jobs use this share of a processor",
		.run = verb_background_cpu,
	},
	{
		.name = "cold",
		.words = "[yes|no] [KEY=VALUE...]",
		.max_words = 7,
		.names = VERB_NAMES_ONE,
		.options = OPTION_JSON,
		.summary = "show or change what is done with data that nobody uses",
		.run = verb_cold,
	},
	{
		.name = "resize",
		.words = "SIZE",
		.min_words = 1,
		.max_words = 1,
		.names = VERB_NAMES_ONE,
		.timeout_s = 3600,
		.summary = "change the size of the device",
		.run = verb_resize,
	},
	{
		.name = "idle",
		.names = VERB_NAMES_ONE,
		.options = OPTION_OLDER_THAN,
		.summary = "mark blocks as idle, all or those not used for so long",
		.run = verb_idle,
	},
	{
		.name = "recompress",
		.names = VERB_NAMES_ONE,
		.options = JOB_OPTIONS | OPTION_TYPE | OPTION_ALGORITHM | OPTION_LEVEL | OPTION_THRESHOLD |
			   OPTION_MAX_PAGES,
		.summary = "compress stored blocks again, in the background",
		.run = verb_recompress,
	},
	{
		.name = "group",
		.names = VERB_NAMES_ONE,
		.options = JOB_OPTIONS | OPTION_OLDER_THAN | OPTION_ALGORITHM | OPTION_LEVEL,
		.summary = "pack stored blocks into groups, in the background",
		.run = verb_group,
	},
	{
		.name = "compact",
		.names = VERB_NAMES_ONE,
		.options = JOB_OPTIONS,
		.summary = "join zspages that are filled in part, in the background",
		.run = verb_compact,
	},
	{
		.name = "check",
		.names = VERB_NAMES_ONE,
		.options = JOB_OPTIONS,
		.summary = "verify all that is stored, in the background",
		.run = verb_check,
	},
	{
		.name = "jobs",
		.names = VERB_NAMES_MANY,
		.options = OPTIONS_TABLE | OPTION_WAIT | OPTION_CANCEL,
		.columns = &verb_jobs_columns,
		.summary = "list the work in the background",
		.run = verb_jobs,
	},
	{
		.name = "trace",
		.words = "[FILE|stop]",
		.max_words = 1,
		.names = VERB_NAMES_ONE,
		.options = OPTION_JSON,
		.summary = "record which requests come, in a new file, or end that",
		.run = verb_trace,
	},
	{
		.name = "reset-peak",
		.names = VERB_NAMES_ONE,
		.summary = "set the most memory so far to what is taken now",
		.run = verb_reset_peak,
	},
	{
		.name = "reset",
		.names = VERB_NAMES_ONE,
		.timeout_s = 600,
		.summary = "free all blocks of a device that nobody uses",
		.run = verb_reset,
	},
	{
		.name = "upgrade",
		.names = VERB_NAMES_ONE,
		.timeout_s = 3600,
		.summary = "put what is installed now in the place of server and daemon",
		.run = verb_upgrade,
	},
	{
		.name = "stop",
		.names = VERB_NAMES_ONE,
		.options = OPTION_UNLESS_USED,
		.timeout_s = 86400,
		.summary = "bring everything back, remove the device, and end",
		.run = verb_stop,
	},
	{
		.name = "top",
		.names = VERB_NAMES_MANY,
		.options = OPTION_BATCH | OPTION_COUNT | OPTION_INTERVAL | OPTION_VIEW,
		/* While one server does not answer, the others are not looked at. */
		.timeout_s = 2,
		.summary = "show what devices do just now, again and again",
		.run = verb_top,
	},
	{
		.name = "metrics",
		.names = VERB_NAMES_MANY,
		.summary = "print all figures in the text format of Prometheus",
		.run = verb_metrics,
	},
	{
		.name = "doctor",
		.names = VERB_NAMES_NONE,
		.options = OPTION_JSON,
		.summary = "look for what on this machine is in the way of swap, and say what to do",
		.run = verb_doctor,
	},
	{
		.name = "init",
		.words = "[NAME]",
		.max_words = 1,
		.names = VERB_NAMES_NONE,
		.options = OPTION_YES | OPTION_DRY_RUN | OPTION_FORCE,
		.summary = "measure pages of this machine, and propose a configuration for swap",
		.run = verb_init,
	},
	{
		.name = "convert",
		.words = "FILE [ZRAM]",
		.min_words = 1,
		.max_words = 2,
		.names = VERB_NAMES_NONE,
		.summary = "print the configuration of zram-generator or zramswap as one of zsblk",
		.run = verb_convert,
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

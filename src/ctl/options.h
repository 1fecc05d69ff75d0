/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of zsblkctl. Each has a bit; a verb names the bits that it takes, and others are refused, so that no option is ignored. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
	/* All verbs take these. */
	OPTION_HELP = 1 << 0,
	OPTION_VERSION = 1 << 1,
	OPTION_CONTROL = 1 << 2,
	OPTION_TIMEOUT = 1 << 3,
	/* How it is printed. */
	OPTION_JSON = 1 << 4,
	OPTION_RAW = 1 << 5,
	OPTION_NOHEADINGS = 1 << 6,
	OPTION_BYTES = 1 << 7,
	OPTION_OUTPUT = 1 << 8,
	OPTION_OUTPUT_ALL = 1 << 9,
	OPTION_FORMAT = 1 << 10,
	/* What is to be done. */
	OPTION_WAIT = 1 << 11,
	OPTION_CANCEL = 1 << 12,
	OPTION_OLDER_THAN = 1 << 13,
	OPTION_TYPE = 1 << 14,
	OPTION_ALGORITHM = 1 << 15,
	OPTION_LEVEL = 1 << 16,
	OPTION_THRESHOLD = 1 << 17,
	OPTION_MAX_PAGES = 1 << 18,
	OPTION_UNLESS_USED = 1 << 19,
	/* How top looks. */
	OPTION_BATCH = 1 << 20,
	OPTION_COUNT = 1 << 21,
	OPTION_INTERVAL = 1 << 22,
	OPTION_VIEW = 1 << 23,
	/* Of what writes a file. */
	OPTION_YES = 1 << 24,
	OPTION_DRY_RUN = 1 << 25,
	OPTION_FORCE = 1 << 26,
};

#define OPTIONS_ALWAYS (OPTION_HELP | OPTION_VERSION | OPTION_CONTROL | OPTION_TIMEOUT)
/* Of verbs that print a table. */
#define OPTIONS_TABLE (OPTION_JSON | OPTION_RAW | OPTION_NOHEADINGS | OPTION_BYTES | OPTION_OUTPUT | OPTION_OUTPUT_ALL)

struct options {
	uint32_t given;        /* OPTION_* */
	const char *control;   /* a socket; NULL: those of instances */
	unsigned timeout_s;    /* for each answer */
	const char *output;    /* names of columns, as they were given; NULL: the usual ones */
	const char *format;    /* NULL: for people */
	uint64_t older_than_s; /* 0: all */
	const char *type, *algorithm;
	int level;
	uint64_t threshold; /* bytes */
	uint64_t max_pages;
	uint64_t count;       /* 0: without end */
	unsigned interval_ms; /* between two looks */
	const char *view;     /* NULL: the usual one */
};

/* Was the option given? */
static inline bool options_has(const struct options *options, uint32_t option)
{
	return options->given & option;
}

/*
 * Take the options out of argv, wherever they stand: argv[optind] is then the first word that is none. EXIT_DONE, or EXIT_WRONG_USE once the
 * reason is on standard error.
 */
int options_parse(struct options *options, int argc, char **argv);

/* The lines of --help for those of the bits `which`. */
void options_print(FILE *out, uint32_t which);

/* The name of the lowest option in `which`, with its dashes. */
const char *options_name(uint32_t which);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The verbs of zsblkctl: a table, and what one of them gets. To add a verb: a file verb_NAME.c with its function, a row in verbs.c, its
 * declaration here, its options in options.c, and its paragraph in zsblkctl(8). Help and completions follow from the table.
 */
#ifndef VERBS_H
#define VERBS_H

#include "ctl/columns.h"
#include "ctl/connection.h"
#include "ctl/options.h"

#include <stddef.h>
#include <stdint.h>

/* Which instances a verb takes. */
enum verb_names {
	VERB_NAMES_NONE, /* it asks none, or finds them itself */
	VERB_NAMES_ONE, /* exactly one, before its other words: what changes something is never meant for whatever happens to run */
	VERB_NAMES_MANY, /* any number; without a name all that run. Such a verb has no other words. */
};

struct verb;

/* What a verb is asked for. */
struct call {
	const struct verb *verb;
	const struct options *options;
	/* One for each instance; not opened yet. With VERB_NAMES_ONE there is one. */
	struct connection **connections;
	size_t n_connections;
	bool is_for_all; /* no name was given, and these are all instances that there are now */
	/* The other words: between min_words and max_words. */
	char **words;
	size_t n_words;
};

struct verb {
	const char *name;
	const char *words; /* for people: "SIZE", "[RANGE]"; NULL: it takes none */
	size_t min_words, max_words;
	enum verb_names names;
	uint32_t options;   /* OPTION_*, beside OPTIONS_ALWAYS */
	unsigned timeout_s; /* what --timeout is when it is not given; 0: the usual */
	const char *summary;
	const struct column_set *columns; /* NULL: it prints no table */
	/* Do it. EXIT_*: what is wrong is on standard error by then. */
	int (*run)(const struct call *call);
};

/* All of them, in the order of --help. */
extern const struct verb verbs[];
extern const size_t verbs_count;

/* NULL if there is none of that name. */
const struct verb *verbs_find(const char *name);

/* --help, of all verbs or of one. */
void verbs_help(FILE *out);
void verbs_help_one(FILE *out, const struct verb *verb);

extern const struct column_set verb_classes_columns, verb_jobs_columns, verb_list_columns;

int verb_algorithm(const struct call *call);
int verb_background_cpu(const struct call *call);
int verb_blocks(const struct call *call);
int verb_check(const struct call *call);
int verb_classes(const struct call *call);
int verb_cold(const struct call *call);
int verb_compact(const struct call *call);
int verb_convert(const struct call *call);
int verb_doctor(const struct call *call);
int verb_group(const struct call *call);
int verb_idle(const struct call *call);
int verb_init(const struct call *call);
int verb_jobs(const struct call *call);
int verb_limit(const struct call *call);
int verb_list(const struct call *call);
int verb_metrics(const struct call *call);
int verb_recompress(const struct call *call);
int verb_reserve(const struct call *call);
int verb_reset(const struct call *call);
int verb_reset_peak(const struct call *call);
int verb_resize(const struct call *call);
int verb_stat(const struct call *call);
int verb_status(const struct call *call);
int verb_stop(const struct call *call);
int verb_top(const struct call *call);
int verb_trace(const struct call *call);
int verb_upgrade(const struct call *call);

#endif

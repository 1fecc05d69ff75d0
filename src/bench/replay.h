/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replay: play a trace against models of cold memory (tiers.h), one for each setting, all of them in one pass.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "bench/tiers.h"
#include "codec/codec.h"
#include "zsblk.h"

#include <stdio.h>

#define REPLAY_LIST_MAX     16u
#define REPLAY_SETTINGS_MAX 1024u

/* What the command line says. Each combination of these is a setting. */
struct replay_options {
	const char *trace; /* NULL: there is nothing to play */
	uint64_t cold_after_s[REPLAY_LIST_MAX];
	unsigned group[REPLAY_LIST_MAX], cache[REPLAY_LIST_MAX];
	enum tiers_rule rule[REPLAY_LIST_MAX];
	const struct codec *algorithm; /* of groups, with contents; NULL: it was not given */
	int level;
	unsigned cold_after_count, group_count, cache_count, rule_count;
};

/* What the trace was. */
struct replay_trace {
	uint64_t events, lost, us;
};

struct replay_result {
	struct tiers_setting setting;
	const struct tiers_figures *figures;  /* the model's */
	const struct contents_figures *costs; /* NULL: without contents */
};

struct contents_figures;
struct options;
struct pages;

/* Play the trace and print the report. `pages` are the contents; NULL: there are none. 0 or a negative errno. */
int replay_run(const struct options *options, const struct pages *pages, struct zsblk_why *why);

/* replay_report.c */
void replay_report_table(FILE *out, const struct options *options, const struct replay_trace *trace,
			 const struct replay_result *results, unsigned count);
/* -ENOMEM. */
int replay_report_json(FILE *out, const struct options *options, const struct replay_trace *trace,
		       const struct replay_result *results, unsigned count);

#endif

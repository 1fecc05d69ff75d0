/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A survey: what compressed memory would do on this machine, with these pages, told to people who have never heard of it, as one page of HTML that needs no
 * other file and no network.
 *
 *   survey.c        measures, and has the page written
 *   survey_page.c   the page: its frame, its style, the machine
 *   survey_tiers.c  memory and latencies
 *   survey_day.c    a day
 */
#ifndef SURVEY_H
#define SURVEY_H

#include "bench/day.h"
#include "bench/facts.h"

struct survey {
	const struct options *options;
	const struct pages *pages;
	struct facts facts;
	struct result *results;  /* of each algorithm of the options */
	struct cold_result cold; /* of the first one of these */
	struct zram_memory zram;
	struct day day;
};

/* Measure, and write the page into the folder of --report. 0 or a negative errno. */
int survey_run(const struct options *options, const struct pages *pages, struct zsblk_why *why);

/* ------------------------------------------------------------------ the page; only what is in the survey is told */

void survey_page(FILE *out, const struct survey *survey);
/* Its parts. */
void survey_memory(FILE *out, const struct survey *survey);
void survey_latency(FILE *out, const struct survey *survey);
void survey_day(FILE *out, const struct survey *survey);

/* ------------------------------------------------------------------ for all parts */

/* Bytes of each 100 that the pages have. */
double survey_share(const struct survey *survey, double bytes);
/* "zstd:9". */
struct survey_name {
	char text[32];
};
struct survey_name survey_name_of(const struct codec *codec, int level);
/* A figure with three digits that count, and no more than two behind the point. */
struct survey_number {
	char text[24];
};
struct survey_number survey_number(double value);

#endif

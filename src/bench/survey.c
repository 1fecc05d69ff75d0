/* SPDX-License-Identifier: BSD-3-Clause */
/* A survey. See survey.h. */
#include "bench/survey.h"

#include "bench/publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Blocks of a day that nobody recorded: more pages would take more time, and tell the same. */
#define DAY_BLOCKS 16384u

static int measure_all(struct survey *survey, struct zsblk_why *why)
{
	const struct options *options = survey->options;
	const struct pages *pages = survey->pages;
	struct team *team = NULL;
	int r = team_create(&team, 1, why);

	for (unsigned i = 0; i < options->algorithm_count && !r; i++)
		r = measure(options, &options->algorithms[i], pages, team, &survey->results[i], why);
	team_destroy(team);
	if (!r)
		r = measure_cold(options, &options->algorithms[0], pages, &survey->cold, why);
	if (!r)
		measure_zram(pages, &survey->zram);
	if (!r)
		r = day_play(&survey->day, options, pages,
			     pages->count < DAY_BLOCKS ? (uint32_t)pages->count : DAY_BLOCKS, why);
	progress_clear();
	return r;
}

static int publish(const struct survey *survey, struct zsblk_why *why)
{
	const char *folder = survey->options->report;
	char *page = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&page, &bytes);
	bool done = out;
	int r;

	if (out) {
		survey_page(out, survey);
		done = !ferror(out);
		done = fclose(out) == 0 && done;
	}
	if (!done)
		r = because(why, -ENOMEM, "no memory for the report");
	else
		r = publish_report(folder, page, bytes, why);
	free(page);
	if (!r)
		printf("%s/%s\n", folder, PUBLISH_NAME);
	return r;
}

int survey_run(const struct options *options, const struct pages *pages, struct zsblk_why *why)
{
	struct survey *survey = calloc(1, sizeof *survey);
	int r = 0;

	if (survey)
		*survey = (struct survey){.options = options,
					  .pages = pages,
					  .results = calloc(options->algorithm_count, sizeof *survey->results)};
	if (!survey || !survey->results)
		r = because(why, -ENOMEM, "no memory");
	if (!r)
		r = measure_all(survey, why);
	if (!r) {
		facts_get(&survey->facts);
		r = publish(survey, why);
	}
	if (survey)
		free(survey->results);
	free(survey);
	return r;
}

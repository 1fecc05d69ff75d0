/* SPDX-License-Identifier: BSD-3-Clause */
/* A day, in a survey. See survey.h. */
#include "bench/survey.h"

#include "bench/bars.h"
#include "bench/chart.h"
#include "bench/markup.h"
#include "bench/shape.h"

#include <inttypes.h>
#include <math.h>

/* Rows of the table. */
#define MOMENTS 7u

/* What time is told in. */
struct unit {
	const char *name;
	double seconds;
};

static struct unit unit_of(const struct day *day)
{
	if (day->seconds >= 2 * 3600)
		return (struct unit){"hours", 3600};
	return day->seconds >= 2 * 60 ? (struct unit){"minutes", 60} : (struct unit){"seconds", 1};
}

static void put_kind(FILE *out, const struct survey *survey)
{
	const struct day *day = &survey->day;

	if (!day->is_recorded) {
		fputs("<p class=\"kind\"><strong>A projection, not a measurement.</strong> No day was recorded here. So the times "
		      "for which pages rest in swap follow a trace of 117 seconds of a small busy machine, continued to a day: of "
		      "all pages put away, half are asked for again within 5 seconds, four fifths within a minute, and what is left "
		      "rests the longer the longer it has rested. To see a day of your own, record it with <code>zsblkctl "
		      "trace</code>, and give it to <code>--replay</code>.</p>\n",
		      out);
		return;
	}
	fputs("<p class=\"kind\"><strong>Recorded requests, simulated policy.</strong> ", out);
	markup_print(out, "%s: %" PRIu64 " events in %s %s.", survey->options->replay.trace, day->events,
		     survey_number(day->seconds / unit_of(day).seconds).text, unit_of(day).name);
	if (day->lost)
		fprintf(out, " %" PRIu64 " requests were lost when it was recorded.", day->lost);
	if (day->seconds < DAY_COLD_AFTER_S)
		fputs(" It is shorter than 15 minutes: with the default policy nothing becomes cold in it.", out);
	fputs("</p>\n", out);
}

/* Two lines: each page by itself, and the policy. */
static void put_chart(FILE *out, const struct day *day)
{
	static const struct bars_about about = {
		.id = "day",
		.title = "Memory over the day",
		.description =
			"Two lines over time: all pages each by itself, dashed, and with the default policy; the table below "
			"has their figures."};
	double x[TIERS_MOMENTS], alone[TIERS_MOMENTS], policy[TIERS_MOMENTS];
	const struct chart_series series[] = {
		{.name = "with the default policy", .x = x, .y = policy, .count = day->moment_count},
		{.name = "each page by itself", .x = x, .y = alone, .count = day->moment_count},
	};
	struct unit unit = unit_of(day);
	char label[48];
	const struct chart chart = {.look = &chart_page,
				    .x_label = label,
				    .y_label = "MB",
				    .x_step = day->seconds == SHAPE_END_S ? 4 : 0,
				    .series = series,
				    .series_count = 2};

	for (unsigned i = 0; i < day->moment_count; i++) {
		x[i] = day->moments[i].s / unit.seconds;
		alone[i] = day->moments[i].alone_bytes / 1e6;
		policy[i] = day->moments[i].policy_bytes / 1e6;
	}
	snprintf(label, sizeof label, "%s since the day began", unit.name);
	fputs("<figure>\n", out);
	bars_begin(out, &about, chart_page.width, chart_page.height);
	chart_draw(out, &chart, 0);
	bars_end(out);
	fputs("</figure>\n", out);
}

/* The moment next to `s`. */
static const struct day_moment *moment_at(const struct day *day, double s)
{
	const struct day_moment *best = &day->moments[0];

	for (unsigned i = 1; i < day->moment_count; i++)
		if (fabs(day->moments[i].s - s) < fabs(best->s - s))
			best = &day->moments[i];
	return best;
}

static void put_moment(FILE *out, const struct unit *unit, const struct day_moment *moment)
{
	double blocks = (double)moment->blocks;

	fprintf(out,
		"<tr><th scope=\"row\">%.1f</th><td>%s</td><td>%s</td><td>%s</td><td>%.0f&#8239;%%</td><td>%.0f&#8239;%%</td>"
		"</tr>\n",
		moment->s / unit->seconds, survey_number(blocks * BLOCK / 1e6).text,
		survey_number(moment->alone_bytes / 1e6).text, survey_number(moment->policy_bytes / 1e6).text,
		100 * ratio_of((double)moment->cold_blocks, blocks),
		100 * ratio_of((double)moment->frozen_blocks, blocks));
}

static void put_moments(FILE *out, const struct survey *survey)
{
	/* Parts of the whole: of a day the first hour, and then each fourth one. */
	static const double parts[MOMENTS] = {1. / 24, 4. / 24, 8. / 24, 12. / 24, 16. / 24, 20. / 24, 1};
	const struct day *day = &survey->day;
	struct unit unit = unit_of(day);

	fprintf(out,
		"<div class=\"wide\" role=\"region\" aria-label=\"The day as a table\" tabindex=\"0\">\n<table>\n<caption>Sizes in "
		"MB, of compressed pages alone; shares of all stored pages.</caption>\n<thead><tr><th scope=\"col\">%s</th><th "
		"scope=\"col\">stored</th><th scope=\"col\">by itself</th><th scope=\"col\">policy</th><th scope=\"col\">cold</th><th "
		"scope=\"col\">frozen</th></tr></thead>\n<tbody>\n",
		unit.name);
	for (unsigned i = 0; i < MOMENTS; i++)
		put_moment(out, &unit, moment_at(day, parts[i] * day->seconds));
	fputs("</tbody>\n</table>\n</div>\n", out);
}

/* A part of the figure above is set off from it. */
static void put_cost(FILE *out, bool is_part, const char *what, const char *figure, const char *note)
{
	fprintf(out, "<tr><th scope=\"row\"%s>%s", is_part ? " class=\"part\"" : "", what);
	if (note)
		fprintf(out, " <small>%s</small>", note);
	fprintf(out, "</th><td>%s</td></tr>\n", figure);
}

static void put_count(FILE *out, bool is_part, const char *what, uint64_t count, const char *note)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, count);
	put_cost(out, is_part, what, text, note);
}

/* Processor time, and its share of one processor. */
static void put_time(FILE *out, const struct day *day, const char *what, double seconds)
{
	char text[64];

	snprintf(text, sizeof text, "%s s <small>%.3f&#8239;%%</small>", survey_number(seconds).text,
		 100 * ratio_of(seconds, day->seconds));
	put_cost(out, false, what, text, "processor time, and its share of one processor");
}

static void put_costs(FILE *out, const struct day *day)
{
	const struct day_tier *cold = &day->cold, *frozen = &day->frozen;

	fputs("<table>\n<caption>What the day costs</caption>\n<thead><tr><th scope=\"col\">What</th><th scope=\"col\">Figure"
	      "</th></tr></thead>\n<tbody>\n",
	      out);
	put_count(out, false, "Pages read", day->reads, NULL);
	put_count(out, true, "of these, out of cold or frozen groups", cold->reads, NULL);
	put_count(out, true, "of these, out of frozen groups", frozen->reads, NULL);
	put_count(out, false, "Groups unpacked for these reads", cold->decodes, "the last 16 groups are kept unpacked");
	put_time(out, day, "To pack cold groups", cold->costs.encode_seconds);
	put_time(out, day, "To unpack them", cold->costs.decode_seconds);
	put_time(out, day, "To freeze", frozen->costs.encode_seconds);
	fputs("</tbody>\n</table>\n", out);
}

void survey_day(FILE *out, const struct survey *survey)
{
	const struct day *day = &survey->day;

	fputs("<h2>What a day would look like</h2>\n", out);
	put_kind(out, survey);
	fputs("<p>With <code>cold=yes</code> and its default settings: what nobody used for 15 minutes becomes cold, and what nobody used for 4 hours is "
	      "frozen.</p>\n",
	      out);
	put_chart(out, day);
	put_moments(out, survey);
	put_costs(out, day);
	if (!day->is_recorded)
		fprintf(out,
			"<p class=\"note\">All pages are swapped out in the first %u minutes. They rest in runs of %u neighbours. When "
			"a run has rested, each of its pages is read with a probability of one half, and at once swapped out again "
			"with other contents.</p>\n",
			SHAPE_FILL_S / 60, SHAPE_RUN);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Charts as SVG. Series differ by their dashes and marks, not by colours: all is black on white, and can be read in print.
 */
#ifndef CHART_H
#define CHART_H

#include <stdbool.h>
#include <stdio.h>

#define CHART_SERIES_MAX 8u
#define CHART_WIDTH      900u
#define CHART_HEIGHT     480u

struct chart_series {
	char name[96];
	double *x, *y;
	unsigned count;
};

struct chart {
	const char *title, *x_label, *y_label;
	/* NULL: x are numbers from 0 on. Otherwise x are indices of these names, the last of which is NULL. */
	const char *const *names;
	bool is_log; /* y are above 0, and each power of 10 takes the same room; otherwise y begin with 0 */
	const struct chart_series *series;
	unsigned series_count; /* 1 to CHART_SERIES_MAX, each with at least one point */
};

/* Charts one below the other; the first and the last thing in a file. */
void chart_begin(FILE *out, const char *title, unsigned charts);
void chart_end(FILE *out);
/* One chart, in the place of number `place` from 0 on. */
void chart_draw(FILE *out, const struct chart *chart, unsigned place);

#endif

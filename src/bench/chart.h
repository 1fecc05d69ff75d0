/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Charts as SVG. Series differ by their dashes and marks, not by colours: all has the colour of text on that of paper, and can be read in print.
 */
#ifndef CHART_H
#define CHART_H

#include <stdbool.h>
#include <stdio.h>

#define CHART_SERIES_MAX 8u

/* Where a chart stands. Lengths are units of its viewBox, in which text is 13 high. */
struct chart_look {
	unsigned width, height;
	unsigned left, right, top, bottom; /* around the frame */
	const char *ink, *paper, *grid;    /* colours */
	bool key_below;                    /* the names of series; otherwise they are on the right */
};

/* A file of its own, black on white. */
extern const struct chart_look chart_file;
/* In a page of HTML, whose colours it has; small enough for a telephone. */
extern const struct chart_look chart_page;

struct chart_series {
	char name[96];
	double *x, *y;
	unsigned count;
};

struct chart {
	const struct chart_look *look;
	const char *title; /* NULL: none */
	const char *x_label, *y_label;
	/* NULL: x are numbers from 0 on. Otherwise x are indices of these names, the last of which is NULL. */
	const char *const *names;
	double x_step; /* between numbers below; 0: a fifth of all */
	bool is_log;   /* y are above 0, and each power of 10 takes the same room; otherwise y begin with 0 */
	const struct chart_series *series;
	unsigned series_count; /* 1 to CHART_SERIES_MAX, each with at least one point */
};

/* Charts of chart_file one below the other; the first and the last thing in a file. */
void chart_begin(FILE *out, const char *title, unsigned charts);
void chart_end(FILE *out);
/* One chart, in the place of number `place` from 0 on. */
void chart_draw(FILE *out, const struct chart *chart, unsigned place);

#endif

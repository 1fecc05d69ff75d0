/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows of figures as SVG for a page of HTML, in that page's colours. Each row has its name and its figures in words, so nothing is told by colours alone. */
#ifndef BARS_H
#define BARS_H

#include <stdbool.h>
#include <stdio.h>

struct bars_row {
	const char *name, *how; /* `how` is a part of the name, and may be empty */
	double value, most;     /* at least 0; `most` is for spans alone */
	char text[64];          /* the figures, for people */
	bool is_other;          /* another program's: hollow */
};

/* What a screen reader says: a name, and what there is to see. `id` is unique in the page. */
struct bars_about {
	const char *id, *title, *description;
};

/* Begin and end a picture of this size; text is 13 high. */
void bars_begin(FILE *out, const struct bars_about *about, unsigned width, unsigned height);
void bars_end(FILE *out);
/* A bar for each row, from 0 on. */
void bars_draw(FILE *out, const struct bars_about *about, const struct bars_row *rows, unsigned count);
/* A line for each row from `value`, a circle, to `most`, a square, where each power of 10 takes the same room. */
void bars_draw_spans(FILE *out, const struct bars_about *about, const char *unit, const struct bars_row *rows,
		     unsigned count);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows of figures as SVG. See bars.h.
 *
 *   name of a row
 *   +-----------------+ figures         o----# figures
 *   +-----------------+
 */
#include "bench/bars.h"

#include "bench/chart.h"
#include "bench/markup.h"

#include <math.h>

#define WIDTH  420u
#define ROW    48u
#define HEIGHT 16u /* of a bar */
/* Figures stand behind the longest bar. */
#define FIGURES 132u
#define REACH   (double)(WIDTH - FIGURES)
/* Numbers below spans. */
#define AXIS 44u
/* Beside the outer ones: half of a number. */
#define SIDE 16.0
/* Attributes of text that lines pass below. */
#define OVER_LINES " paint-order=\"stroke\" stroke=\"var(--paper)\" stroke-width=\"4\""

void bars_begin(FILE *out, const struct bars_about *about, unsigned width, unsigned height)
{
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"%s-title %s-text\" "
		"viewBox=\"0 0 %u %u\" font-size=\"13\" fill=\"currentColor\">\n<title id=\"%s-title\">",
		about->id, about->id, width, height, about->id);
	markup_text(out, about->title);
	fprintf(out, "</title>\n<desc id=\"%s-text\">", about->id);
	markup_text(out, about->description);
	fputs("</desc>\n", out);
}

void bars_end(FILE *out)
{
	fputs("</svg>\n", out);
}

static void put_text(FILE *out, double x, double y, const char *attributes, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\"%s>", x, y, attributes);
	markup_text(out, text);
	fputs("</text>\n", out);
}

static void put_name(FILE *out, double y, const char *attributes, const struct bars_row *row)
{
	fprintf(out, "<text x=\"1\" y=\"%.1f\"%s>", y, attributes);
	markup_text(out, row->name);
	if (*row->how)
		markup_print(out, ", %s", row->how);
	fputs("</text>\n", out);
}

void bars_draw(FILE *out, const struct bars_about *about, const struct bars_row *rows, unsigned count)
{
	double most = 0;

	for (unsigned i = 0; i < count; i++)
		most = fmax(most, rows[i].value);
	bars_begin(out, about, WIDTH, ROW * count);
	for (unsigned i = 0; i < count; i++) {
		double y = ROW * i, length = most > 0 ? rows[i].value / most * (REACH - 2) : 0;

		put_name(out, y + 16, "", &rows[i]);
		fprintf(out, "<rect x=\"1\" y=\"%.1f\" width=\"%.1f\" height=\"%u\" fill=\"%s\" stroke=\"%s\"/>\n",
			y + 23, length, HEIGHT, rows[i].is_other ? "none" : "var(--accent)",
			rows[i].is_other ? "currentColor" : "var(--accent)");
		put_text(out, length + 8, y + 36, " font-weight=\"bold\"", rows[i].text);
	}
	bars_end(out);
}

/* ------------------------------------------------------------------ spans */

/* Powers of 10. */
struct scale {
	double first, last;
};

static struct scale scale_of(const struct bars_row *rows, unsigned count)
{
	double least = INFINITY, most = 0;
	struct scale scale;

	for (unsigned i = 0; i < count; i++) {
		least = fmin(least, rows[i].value);
		most = fmax(most, rows[i].most);
	}
	scale.first = floor(log10(fmax(least, 1e-3)));
	scale.last = fmax(ceil(log10(fmax(most, 1e-3))), scale.first + 1);
	return scale;
}

static double x_of(const struct scale *scale, double value)
{
	return SIDE + (log10(fmax(value, 1e-3)) - scale->first) / (scale->last - scale->first) * (REACH - 2 * SIDE);
}

static void put_grid(FILE *out, const struct scale *scale, const char *unit, double bottom)
{
	char text[32];

	for (double power = scale->first; power <= scale->last; power++) {
		double x = x_of(scale, pow(10, power));

		fprintf(out, "<path d=\"M%.1f 0V%.1f\" stroke=\"var(--line)\"/>\n", x, bottom);
		snprintf(text, sizeof text, "%g", pow(10, power));
		put_text(out, x, bottom + 16, " text-anchor=\"middle\"", text);
	}
	put_text(out, 1, bottom + 36, "", unit);
}

void bars_draw_spans(FILE *out, const struct bars_about *about, const char *unit, const struct bars_row *rows,
		     unsigned count)
{
	struct scale scale = scale_of(rows, count);

	bars_begin(out, about, WIDTH, ROW * count + AXIS);
	put_grid(out, &scale, unit, ROW * count);
	for (unsigned i = 0; i < count; i++) {
		double y = ROW * i + 32, from = x_of(&scale, rows[i].value), to = x_of(&scale, rows[i].most);

		put_name(out, y - 14, OVER_LINES, &rows[i]);
		fprintf(out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"currentColor\" stroke-width=\"3\"/>\n", from, y, to);
		fprintf(out,
			"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"var(--paper)\" stroke=\"currentColor\"/>\n",
			from, y);
		fprintf(out,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"9\" fill=\"var(--accent)\" "
			"stroke=\"currentColor\"/>\n",
			to - 4.5, y - 4.5);
		put_text(out, to + 12, y + 5, OVER_LINES " font-weight=\"bold\"", rows[i].text);
	}
	bars_end(out);
}

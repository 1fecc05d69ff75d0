/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Charts as SVG 1.1. See chart.h.
 *
 *   top     title
 *           +------------------------------+  series, with a piece of line and mark each: on the
 *           |                              |  right, or below all else
 *           +------------------------------+
 *   bottom  numbers, label of x
 */
#include "bench/chart.h"

#include "bench/markup.h"

#include <math.h>

/* Of a line, so that marks do not hide it. */
#define MARKS 8u
#define LINES 5u

/* What numbers become on paper. */
struct scale {
	const struct chart_look *look;
	double x_max, y_min, y_max; /* of y: powers of 10 if it is a log scale */
	bool is_log;
	double top;
};

static const char *const dashes[CHART_SERIES_MAX] = {"none", "8 4", "2 3",  "12 4 2 4",
						     "5 2",  "1 5", "16 4", "8 3 2 3 2 3"};

const struct chart_look chart_file = {
	.width = 900,
	.height = 480,
	.left = 80,
	.right = 260,
	.top = 50,
	.bottom = 60,
	.ink = "black",
	.paper = "white",
	.grid = "#bbb",
};

const struct chart_look chart_page = {
	.width = 420,
	.height = 340,
	.left = 52,
	.right = 12,
	.top = 16,
	.bottom = 100,
	.ink = "currentColor",
	.paper = "var(--paper)",
	.grid = "var(--line)",
	.key_below = true,
};

static double width_of(const struct chart_look *look)
{
	return look->width - look->left - look->right;
}

static double height_of(const struct chart_look *look)
{
	return look->height - look->top - look->bottom;
}

void chart_begin(FILE *out, const char *title, unsigned charts)
{
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" role=\"img\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\" font-family=\"sans-serif\" font-size=\"13\">\n<title>",
		chart_file.width, chart_file.height * charts, chart_file.width, chart_file.height * charts);
	markup_text(out, title);
	fprintf(out, "</title>\n<rect width=\"%u\" height=\"%u\" fill=\"white\"/>\n", chart_file.width,
		chart_file.height * charts);
}

void chart_end(FILE *out)
{
	fputs("</svg>\n", out);
}

/* ------------------------------------------------------------------ scales */

/* 1, 2, 2.5, 3, 4, 5, 6 or 8 times a power of 10: the least that is not below `value`. */
static double round_up(double value)
{
	double power = value > 0 ? pow(10, floor(log10(value))) : 1;

	for (unsigned i = 0; i < 8; i++) {
		static const double steps[] = {1, 2, 2.5, 3, 4, 5, 6, 8};

		if (value <= steps[i] * power)
			return steps[i] * power;
	}
	return 10 * power;
}

static struct scale scale_of(const struct chart *chart, double top)
{
	struct scale scale = {.look = chart->look, .is_log = chart->is_log, .top = top, .y_min = INFINITY, .y_max = 0};

	for (unsigned i = 0; i < chart->series_count; i++)
		for (unsigned at = 0; at < chart->series[i].count; at++) {
			scale.x_max = fmax(scale.x_max, chart->series[i].x[at]);
			scale.y_max = fmax(scale.y_max, chart->series[i].y[at]);
			scale.y_min = fmin(scale.y_min, chart->series[i].y[at]);
		}
	scale.x_max = scale.x_max > 0 ? scale.x_max : 1;
	if (chart->is_log) {
		scale.y_min = floor(log10(fmax(scale.y_min, 1e-3)));
		scale.y_max = fmax(ceil(log10(fmax(scale.y_max, 1e-3))), scale.y_min + 1);
	} else {
		scale.y_min = 0;
		scale.y_max = LINES * round_up(scale.y_max / LINES);
	}
	return scale;
}

static double x_of(const struct scale *scale, double x)
{
	return scale->look->left + x / scale->x_max * width_of(scale->look);
}

/* The lower edge of the frame. */
static double bottom_of(const struct scale *scale)
{
	return scale->top + scale->look->top + height_of(scale->look);
}

static double y_of(const struct scale *scale, double y)
{
	double at = scale->is_log ? log10(fmax(y, 1e-3)) : y;

	return bottom_of(scale) - (at - scale->y_min) / (scale->y_max - scale->y_min) * height_of(scale->look);
}

/* ------------------------------------------------------------------ the frame */

static void put_label(FILE *out, double x, double y, const char *anchor, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	markup_text(out, text);
	fputs("</text>\n", out);
}

static void put_grid_line(FILE *out, const struct scale *scale, double value)
{
	const struct chart_look *look = scale->look;
	char text[32];
	double y = y_of(scale, value);

	snprintf(text, sizeof text, "%g", value);
	fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", (double)look->left, y,
		look->left + width_of(look), y, look->grid);
	put_label(out, look->left - 8.0, y + 4, "end", text);
}

static void put_x_numbers(FILE *out, const struct chart *chart, const struct scale *scale)
{
	double y = bottom_of(scale) + 20, step = chart->x_step > 0 ? chart->x_step : scale->x_max / LINES;
	char text[32];

	for (unsigned i = 0; chart->names && chart->names[i] && i <= scale->x_max; i++)
		put_label(out, x_of(scale, i), y, "middle", chart->names[i]);
	for (double x = 0; !chart->names && x <= scale->x_max * (1 + 1e-9); x += step) {
		snprintf(text, sizeof text, "%g", round(x * 10) / 10);
		put_label(out, x_of(scale, x), y, "middle", text);
	}
}

/* A page has headings of its own. */
static void put_title(FILE *out, const struct chart *chart, const struct scale *scale)
{
	if (!chart->title)
		return;
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"16\" font-weight=\"bold\">", (double)chart->look->left,
		scale->top + 28);
	markup_text(out, chart->title);
	fputs("</text>\n", out);
}

static void put_frame(FILE *out, const struct chart *chart, const struct scale *scale)
{
	const struct chart_look *look = scale->look;
	double middle = scale->top + look->top + height_of(look) / 2;

	if (scale->is_log)
		for (double power = scale->y_min; power <= scale->y_max; power++)
			put_grid_line(out, scale, pow(10, power));
	else
		for (unsigned i = 0; i <= LINES; i++)
			put_grid_line(out, scale, scale->y_max * i / LINES);
	put_x_numbers(out, chart, scale);
	put_label(out, look->left + width_of(look) / 2, bottom_of(scale) + 46, "middle", chart->x_label);
	fprintf(out, "<text transform=\"translate(18 %.1f) rotate(-90)\" text-anchor=\"middle\">", middle);
	markup_text(out, chart->y_label);
	fprintf(out,
		"</text>\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"%s\"/>\n",
		(double)look->left, scale->top + look->top, width_of(look), height_of(look), look->ink);
}

/* ------------------------------------------------------------------ series */

/* A path around (x, y): a circle, a square, a triangle, a diamond; the next four are filled. */
static void put_mark(FILE *out, const struct chart_look *look, unsigned series, double x, double y)
{
	const char *fill = series < 4 ? look->paper : look->ink, *ink = look->ink;

	switch (series % 4) {
	case 0:
		fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" stroke=\"%s\"/>\n", x, y, fill, ink);
		break;
	case 1:
		fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\" fill=\"%s\" stroke=\"%s\"/>\n",
			x - 4, y - 4, fill, ink);
		break;
	case 2:
		fprintf(out, "<path d=\"M%.1f %.1fl5 9h-10z\" fill=\"%s\" stroke=\"%s\"/>\n", x, y - 5, fill, ink);
		break;
	default:
		fprintf(out, "<path d=\"M%.1f %.1fl5 5l-5 5l-5 -5z\" fill=\"%s\" stroke=\"%s\"/>\n", x, y - 5, fill,
			ink);
		break;
	}
}

/* Marks of different series lie at different places, so that lines that run together can be told apart. */
static bool has_mark(const struct chart *chart, const struct chart_series *series, unsigned number, unsigned at)
{
	unsigned every = series->count / MARKS + 1;

	return chart->names || at % every == number * every / chart->series_count;
}

static void put_series(FILE *out, const struct chart *chart, const struct scale *scale, unsigned number)
{
	const struct chart_series *series = &chart->series[number];

	fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" stroke-dasharray=\"%s\" points=\"",
		scale->look->ink, dashes[number]);
	for (unsigned at = 0; at < series->count; at++)
		fprintf(out, "%s%.1f,%.1f", at ? " " : "", x_of(scale, series->x[at]), y_of(scale, series->y[at]));
	fputs("\"/>\n", out);
	for (unsigned at = 0; at < series->count; at++)
		if (has_mark(chart, series, number, at))
			put_mark(out, scale->look, number, x_of(scale, series->x[at]), y_of(scale, series->y[at]));
}

static void put_key(FILE *out, const struct chart *chart, const struct scale *scale, unsigned number)
{
	const struct chart_look *look = scale->look;
	double x = look->key_below ? look->left : look->left + width_of(look) + 14;
	double y = (look->key_below ? bottom_of(scale) + 62 : scale->top + look->top + 12) + 24 * number;

	fprintf(out,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"1.5\" "
		"stroke-dasharray=\"%s\"/>\n",
		x, y, x + 40, y, look->ink, dashes[number]);
	put_mark(out, scale->look, number, x + 20, y);
	put_label(out, x + 48, y + 4, "start", chart->series[number].name);
}

void chart_draw(FILE *out, const struct chart *chart, unsigned place)
{
	struct scale scale = scale_of(chart, (double)(place * chart->look->height));

	fputs("<g>\n", out);
	put_title(out, chart, &scale);
	put_frame(out, chart, &scale);
	for (unsigned i = 0; i < chart->series_count; i++) {
		put_series(out, chart, &scale, i);
		put_key(out, chart, &scale, i);
	}
	fputs("</g>\n", out);
}

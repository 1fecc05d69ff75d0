/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Charts as SVG 1.1. See chart.h.
 *
 *   TOP     title
 *           +------------------------------+  series, with a piece of line and mark each
 *           |                              |
 *           +------------------------------+
 *   BOTTOM  numbers, label of x
 */
#include "bench/chart.h"

#include <math.h>

#define LEFT   80.0
#define RIGHT  260.0
#define TOP    50.0
#define BOTTOM 60.0
#define WIDTH  (CHART_WIDTH - LEFT - RIGHT)
#define HEIGHT (CHART_HEIGHT - TOP - BOTTOM)
/* Of a line, so that marks do not hide it. */
#define MARKS 8u
#define LINES 5u

/* What numbers become on paper. */
struct scale {
	double x_max, y_min, y_max; /* of y: powers of 10 if it is a log scale */
	bool is_log;
	double top;
};

static const char *const dashes[CHART_SERIES_MAX] = {"none", "8 4", "2 3",  "12 4 2 4",
						     "5 2",  "1 5", "16 4", "8 3 2 3 2 3"};

/* Names come from files, and have any characters. */
static void put_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '<')
			fputs("&lt;", out);
		else if (c == '>')
			fputs("&gt;", out);
		else if (c == '&')
			fputs("&amp;", out);
		else
			fputc(c < 0x20 || c > 0x7e ? '?' : c, out);
	}
}

void chart_begin(FILE *out, const char *title, unsigned charts)
{
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" role=\"img\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\" font-family=\"sans-serif\" font-size=\"13\">\n<title>",
		CHART_WIDTH, CHART_HEIGHT * charts, CHART_WIDTH, CHART_HEIGHT * charts);
	put_text(out, title);
	fprintf(out, "</title>\n<rect width=\"%u\" height=\"%u\" fill=\"white\"/>\n", CHART_WIDTH,
		CHART_HEIGHT * charts);
}

void chart_end(FILE *out)
{
	fputs("</svg>\n", out);
}

/* ------------------------------------------------------------------ scales */

/* 1, 2 or 5 times a power of 10: the least that is not below `value`. */
static double round_up(double value)
{
	double power = value > 0 ? pow(10, floor(log10(value))) : 1;

	for (unsigned i = 0; i < 3; i++) {
		static const double steps[] = {1, 2, 5};

		if (value <= steps[i] * power)
			return steps[i] * power;
	}
	return 10 * power;
}

static struct scale scale_of(const struct chart *chart, double top)
{
	struct scale scale = {.is_log = chart->is_log, .top = top, .y_min = INFINITY, .y_max = 0};

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
	return LEFT + x / scale->x_max * WIDTH;
}

static double y_of(const struct scale *scale, double y)
{
	double at = scale->is_log ? log10(fmax(y, 1e-3)) : y;

	return scale->top + TOP + HEIGHT - (at - scale->y_min) / (scale->y_max - scale->y_min) * HEIGHT;
}

/* ------------------------------------------------------------------ the frame */

static void put_label(FILE *out, double x, double y, const char *anchor, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	put_text(out, text);
	fputs("</text>\n", out);
}

static void put_grid_line(FILE *out, const struct scale *scale, double value)
{
	char text[32];
	double y = y_of(scale, value);

	snprintf(text, sizeof text, "%g", value);
	fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#bbb\"/>\n", LEFT, y, LEFT + WIDTH,
		y);
	put_label(out, LEFT - 8, y + 4, "end", text);
}

static void put_x_numbers(FILE *out, const struct chart *chart, const struct scale *scale)
{
	double y = scale->top + TOP + HEIGHT + 20;
	char text[32];

	for (unsigned i = 0; chart->names && chart->names[i] && i <= scale->x_max; i++)
		put_label(out, x_of(scale, i), y, "middle", chart->names[i]);
	for (unsigned i = 0; !chart->names && i <= LINES; i++) {
		snprintf(text, sizeof text, "%g", round(scale->x_max * i / LINES * 10) / 10);
		put_label(out, x_of(scale, scale->x_max * i / LINES), y, "middle", text);
	}
}

static void put_frame(FILE *out, const struct chart *chart, const struct scale *scale)
{
	double middle = scale->top + TOP + HEIGHT / 2;

	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"16\" font-weight=\"bold\">", LEFT, scale->top + 28);
	put_text(out, chart->title);
	fputs("</text>\n", out);
	if (scale->is_log)
		for (double power = scale->y_min; power <= scale->y_max; power++)
			put_grid_line(out, scale, pow(10, power));
	else
		for (unsigned i = 0; i <= LINES; i++)
			put_grid_line(out, scale, scale->y_max * i / LINES);
	put_x_numbers(out, chart, scale);
	put_label(out, LEFT + WIDTH / 2, scale->top + CHART_HEIGHT - 14, "middle", chart->x_label);
	fprintf(out, "<text transform=\"translate(18 %.1f) rotate(-90)\" text-anchor=\"middle\">", middle);
	put_text(out, chart->y_label);
	fprintf(out,
		"</text>\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"black\"/>\n",
		LEFT, scale->top + TOP, WIDTH, HEIGHT);
}

/* ------------------------------------------------------------------ series */

/* A path around (x, y): a circle, a square, a triangle, a diamond; the next four are filled. */
static void put_mark(FILE *out, unsigned series, double x, double y)
{
	const char *fill = series < 4 ? "white" : "black";

	switch (series % 4) {
	case 0:
		fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\" stroke=\"black\"/>\n", x, y, fill);
		break;
	case 1:
		fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\" fill=\"%s\" stroke=\"black\"/>\n",
			x - 4, y - 4, fill);
		break;
	case 2:
		fprintf(out, "<path d=\"M%.1f %.1fl5 9h-10z\" fill=\"%s\" stroke=\"black\"/>\n", x, y - 5, fill);
		break;
	default:
		fprintf(out, "<path d=\"M%.1f %.1fl5 5l-5 5l-5 -5z\" fill=\"%s\" stroke=\"black\"/>\n", x, y - 5, fill);
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

	fprintf(out, "<polyline fill=\"none\" stroke=\"black\" stroke-width=\"1.5\" stroke-dasharray=\"%s\" points=\"",
		dashes[number]);
	for (unsigned at = 0; at < series->count; at++)
		fprintf(out, "%s%.1f,%.1f", at ? " " : "", x_of(scale, series->x[at]), y_of(scale, series->y[at]));
	fputs("\"/>\n", out);
	for (unsigned at = 0; at < series->count; at++)
		if (has_mark(chart, series, number, at))
			put_mark(out, number, x_of(scale, series->x[at]), y_of(scale, series->y[at]));
}

static void put_key(FILE *out, const struct chart *chart, const struct scale *scale, unsigned number)
{
	double x = LEFT + WIDTH + 14, y = scale->top + TOP + 12 + 24 * number;

	fprintf(out,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"black\" stroke-width=\"1.5\" "
		"stroke-dasharray=\"%s\"/>\n",
		x, y, x + 40, y, dashes[number]);
	put_mark(out, number, x + 20, y);
	put_label(out, x + 48, y + 4, "start", chart->series[number].name);
}

void chart_draw(FILE *out, const struct chart *chart, unsigned place)
{
	struct scale scale = scale_of(chart, (double)(place * CHART_HEIGHT));

	fputs("<g>\n", out);
	put_frame(out, chart, &scale);
	for (unsigned i = 0; i < chart->series_count; i++) {
		put_series(out, chart, &scale, i);
		put_key(out, chart, &scale, i);
	}
	fputs("</g>\n", out);
}

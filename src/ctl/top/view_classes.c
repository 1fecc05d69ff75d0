/* SPDX-License-Identifier: BSD-3-Clause */
/* Size classes of one device: which hold what, and where much is stored and freed just now. See view_parts.h. */
#include "ctl/top/view_parts.h"

#include <inttypes.h>
#include <stdlib.h>

#define BAR       24u
#define POOL_PAGE 4096.0
/* A class is hot if it changes by more than this share of its objects a second, and warm if it changes at all. */
#define HOT_SHARE 0.01

enum figure { SIZE, OBJECTS, PAGES, USED, CHANGE, COLUMNS };

static const char *const columns[COLUMNS] = {"SIZE", "OBJECTS", "MEMORY", "USED", "CHANGE/S"};

struct row {
	const struct sample_class *of;
	double change; /* objects a second */
};

static double used_share(const struct sample_class *of)
{
	return of->capacity ? (double)of->objects / (double)of->capacity : 0;
}

static double figure_of(const struct row *row, enum figure column)
{
	switch (column) {
	case OBJECTS:
		return (double)row->of->objects;
	case PAGES:
		return (double)row->of->pages;
	case USED:
		return used_share(row->of);
	case CHANGE:
		return row->change < 0 ? -row->change : row->change;
	case SIZE:
	case COLUMNS:
		break;
	}
	/* From the smallest up. */
	return -(double)row->of->size;
}

struct order {
	enum figure column;
	bool is_reversed;
};

static int compare(const void *a, const void *b, void *opaque)
{
	const struct row *one = a, *other = b;
	const struct order *order = opaque;
	double x = figure_of(one, order->column), y = figure_of(other, order->column);
	int r = (x < y) - (x > y);

	if (!r)
		r = (one->of->size > other->of->size) - (one->of->size < other->of->size);
	return order->is_reversed ? -r : r;
}

static enum page_style heat(const struct row *row)
{
	double change = row->change < 0 ? -row->change : row->change;

	return !change ? PAGE_PLAIN : change > HOT_SHARE * (double)row->of->objects ? PAGE_HOT : PAGE_WARM;
}

static void add_rows(struct page *page, const struct row *rows, size_t n)
{
	char a[PAGE_FIGURE], b[PAGE_FIGURE], c[PAGE_FIGURE], bar[PAGE_BAR];
	double most = 0;

	for (size_t i = 0; i < n; i++)
		most = (double)rows[i].of->pages > most ? (double)rows[i].of->pages : most;
	for (size_t i = 0; i < n; i++) {
		const struct sample_class *of = rows[i].of;
		double change = rows[i].change;

		page_add(page, heat(&rows[i]), "%6" PRIu64 " %9s %8s %5.1f%%", of->size,
			 page_count((double)of->objects, a), page_bytes((double)of->pages * POOL_PAGE, b),
			 100 * used_share(of));
		page_append(page, " %s%*s  %s",
			    change < 0   ? "-"
			    : change > 0 ? "+"
					 : " ",
			    8, page_count(change < 0 ? -change : change, c),
			    page_bar((double)of->pages, most, BAR, bar));
	}
}

static void make_classes(struct page *page, const struct view *view, const struct watch_device *device)
{
	const struct sample *now = &device->now, *before = device->has_before ? &device->before : NULL;
	struct row *rows = now->n_classes ? calloc(now->n_classes, sizeof *rows) : NULL;
	struct order order = {view->sort[VIEW_CLASSES], view->is_reversed[VIEW_CLASSES]};
	size_t n = 0;

	page_add(page, PAGE_HEADING, "%6s %9s %8s %6s %9s  %-*s", columns[SIZE], columns[OBJECTS], columns[PAGES],
		 columns[USED], columns[CHANGE], (int)BAR, "");
	page->fixed = page->n;
	for (size_t i = 0; rows && i < now->n_classes; i++) {
		double change = figures_class_change(before, now, &now->classes[i]);

		/* Most classes of a small pool are empty. */
		if (now->classes[i].pages || change)
			rows[n++] = (struct row){&now->classes[i], change};
	}
	if (n) {
		qsort_r(rows, n, sizeof *rows, compare, &order);
		add_rows(page, rows, n);
	} else {
		page_add(page, PAGE_PLAIN,
			 now->n_classes ? "Nothing is stored." : "This server does not tell its size classes.");
	}
	free(rows);
}

const struct view_part view_classes_part = {
	.name = "classes",
	.wants = SAMPLE_CLASSES,
	.columns = columns,
	.n_columns = COLUMNS,
	.sort = PAGES,
	.make = make_classes,
};

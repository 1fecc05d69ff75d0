/* SPDX-License-Identifier: BSD-3-Clause */
/* What top shows of devices: views, as lines of text. Pure functions over what was seen; nothing here knows of a screen. */
#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include "ctl/top/page.h"
#include "ctl/top/watch.h"

#include <stdbool.h>
#include <stddef.h>

enum view_kind {
	VIEW_DEVICES, /* a row each */
	/* Of the device that is selected: */
	VIEW_LATENCY,
	VIEW_MEMORY,
	VIEW_CLASSES,
	VIEW_AGES,
	VIEWS
};

/* What the person in front of it has chosen. */
struct view {
	enum view_kind kind;
	unsigned sort[VIEWS]; /* the column that rows are sorted by */
	bool is_reversed[VIEWS];
	char selected[256]; /* name of a device */
	unsigned interval_ms;
};

/* Each view is sorted as is most useful there. */
void view_init(struct view *view, unsigned interval_ms);

/* "devices"; static. */
const char *view_name(enum view_kind kind);
/* VIEWS if there is none of that name. */
enum view_kind view_of_name(const char *name);
/* What has to be asked of servers for it: SAMPLE_... */
unsigned view_wants(enum view_kind kind);

/* Sort by the next column, or the one before. */
void view_sort_by_next(struct view *view, int step);
/* Select the device below, or above, in the order of the list. */
void view_select_next(struct view *view, const struct watch_device *const *devices, size_t n, int step);

/* Make the lines. `clock`: the time of day, for people. If no device is selected, the first one that answers is. */
void view_make(struct page *page, struct view *view, const struct watch_device *const *devices, size_t n,
	       const char *clock);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* The views of top, each in a file of its own: for view.c alone. */
#ifndef TOP_VIEW_PARTS_H
#define TOP_VIEW_PARTS_H

#include "ctl/top/view.h"

/* A view of one device, or the list of all. */
struct view_part {
	const char *name;
	unsigned wants;             /* SAMPLE_... */
	const char *const *columns; /* those that rows can be sorted by; NULL: they have their order */
	unsigned n_columns;
	unsigned sort; /* at first */
	/* Lines below the title; `device` was seen. NULL for the list, which view_device_list() makes. */
	void (*make)(struct page *page, const struct view *view, const struct watch_device *device);
};

extern const struct view_part view_devices_part, view_latency_part, view_memory_part, view_classes_part, view_ages_part;

/* Devices in the order of the list: into `sorted`, which has room for `n`. */
void view_device_sort(const struct watch_device **sorted, const struct watch_device *const *devices, size_t n,
		      unsigned column, bool is_reversed);
void view_device_list(struct page *page, const struct view *view, const struct watch_device *const *sorted, size_t n);

#endif

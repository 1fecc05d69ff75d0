/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The views of top. See view.h.
 *
 *   view_devices.c  the list      view_device.c  latency, memory and ages of one device      view_classes.c  its size classes
 */
#include "ctl/top/view.h"

#include "ctl/top/view_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct view_part *const parts[VIEWS] = {
	[VIEW_DEVICES] = &view_devices_part, [VIEW_LATENCY] = &view_latency_part, [VIEW_MEMORY] = &view_memory_part,
	[VIEW_CLASSES] = &view_classes_part, [VIEW_AGES] = &view_ages_part,
};

void view_init(struct view *view, unsigned interval_ms)
{
	*view = (struct view){.interval_ms = interval_ms};
	for (enum view_kind kind = 0; kind < VIEWS; kind++)
		view->sort[kind] = parts[kind]->sort;
}

const char *view_name(enum view_kind kind)
{
	return parts[kind]->name;
}

enum view_kind view_of_name(const char *name)
{
	enum view_kind kind = 0;

	while (kind < VIEWS && strcmp(view_name(kind), name) != 0)
		kind++;
	return kind;
}

unsigned view_wants(enum view_kind kind)
{
	return parts[kind]->wants | SAMPLE_LATENCIES;
}

void view_sort_by_next(struct view *view, int step)
{
	unsigned n = parts[view->kind]->n_columns;

	if (n)
		view->sort[view->kind] = (view->sort[view->kind] + n + (unsigned)step) % n;
}

/* ------------------------------------------------------------------ which device */

static size_t index_of(const struct watch_device *const *devices, size_t n, const char *name)
{
	size_t i = 0;

	while (i < n && strcmp(devices[i]->name, name) != 0)
		i++;
	return i;
}

static void choose(struct view *view, const struct watch_device *device)
{
	snprintf(view->selected, sizeof view->selected, "%s", device->name);
}

/* The first of all if none does. */
static size_t first_that_answers(const struct watch_device *const *devices, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (devices[i]->answers)
			return i;
	return 0;
}

/* Devices in the order of the list, to be freed. NULL: there are none, or no memory. */
static const struct watch_device **in_order(const struct view *view, const struct watch_device *const *devices,
					    size_t n)
{
	const struct watch_device **sorted = n ? calloc(n, sizeof *sorted) : NULL;

	if (sorted)
		view_device_sort(sorted, devices, n, view->sort[VIEW_DEVICES], view->is_reversed[VIEW_DEVICES]);
	return sorted;
}

void view_select_next(struct view *view, const struct watch_device *const *devices, size_t n, int step)
{
	const struct watch_device **sorted = in_order(view, devices, n);
	size_t i = sorted ? index_of(sorted, n, view->selected) : 0;

	if (!sorted)
		return;
	if (i == n)
		i = 0;
	else if (step < 0 && i > 0)
		i--;
	else if (step > 0 && i + 1 < n)
		i++;
	choose(view, sorted[i]);
	free(sorted);
}

/* ------------------------------------------------------------------ the top of the page */

static void add_title(struct page *page, const struct view *view, size_t n, const char *clock)
{
	const struct view_part *part = parts[view->kind];

	page_add(page, PAGE_TITLE, "zsblkctl top - %s, %zu device%s, every %.1f s;", clock, n, n == 1 ? "" : "s",
		 view->interval_ms / 1000.0);
	for (enum view_kind kind = 0; kind < VIEWS; kind++)
		page_append(page, kind == view->kind ? " [%s]" : " %s", view_name(kind));
	if (part->n_columns)
		page_append(page, "; by %s%s", part->columns[view->sort[view->kind]],
			    view->is_reversed[view->kind] ? ", backwards" : "");
}

static void add_sums(struct page *page, const struct watch_device *const *devices, size_t n)
{
	double data = 0, total = 0, reads = 0, writes = 0, read_bytes = 0, write_bytes = 0;
	char a[PAGE_FIGURE], b[PAGE_FIGURE];
	size_t away = 0;

	for (size_t i = 0; i < n; i++) {
		const struct figures *figures = &devices[i]->figures;

		away += !devices[i]->answers;
		if (!devices[i]->answers)
			continue;
		data += (double)devices[i]->now.data;
		total += (double)devices[i]->now.total;
		reads += figures->reads;
		writes += figures->writes;
		read_bytes += figures->read_bytes;
		write_bytes += figures->write_bytes;
	}
	page_add(page, PAGE_PLAIN, "stored %s in %s, ratio %.2f", page_bytes(data, a), page_bytes(total, b),
		 total > 0 ? data / total : 0);
	page_append(page, "; reads %s/s, %s/s", page_count(reads, a), page_bytes(read_bytes, b));
	page_append(page, "; writes %s/s, %s/s", page_count(writes, a), page_bytes(write_bytes, b));
	if (away)
		page_append(page, "; %zu away", away);
}

static void add_device(struct page *page, const struct view *view, const struct watch_device *device)
{
	page_add(page, PAGE_TITLE, "%s", device->name);
	if (device->now.device[0])
		page_append(page, " (%s)", device->now.device);
	if (!device->answers)
		page_append(page, ": away, %s%s", device->has_sample ? "and figures are those of the last look: " : "",
			    device->problem);
	page->fixed = page->n;
	if (device->has_sample)
		parts[view->kind]->make(page, view, device);
}

void view_make(struct page *page, struct view *view, const struct watch_device *const *devices, size_t n,
	       const char *clock)
{
	const struct watch_device **sorted = in_order(view, devices, n);
	size_t selected = sorted ? index_of(sorted, n, view->selected) : 0;

	n = sorted ? n : 0;
	/* The one that was selected has gone, or there was none. */
	if (n && selected == n) {
		selected = first_that_answers(sorted, n);
		choose(view, sorted[selected]);
	}
	page_clear(page);
	add_title(page, view, n, clock);
	add_sums(page, sorted, n);
	if (view->kind == VIEW_DEVICES || !n)
		view_device_list(page, view, sorted, n);
	else
		add_device(page, view, sorted[selected]);
	free(sorted);
}

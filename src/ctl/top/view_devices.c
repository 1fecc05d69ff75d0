/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of devices, a row each. See view_parts.h. */
#include "ctl/human.h"
#include "ctl/place.h"
#include "ctl/top/view_parts.h"

#include <stdlib.h>
#include <string.h>

#define NAME_WIDTH 12

enum figure {
	NAME,
	READS,
	WRITES,
	READ_BYTES,
	WRITE_BYTES,
	READ_P50,
	READ_P99,
	WRITE_P50,
	WRITE_P99,
	DATA,
	TOTAL,
	RATIO,
	SIZE,
	COLUMNS
};

static const char *const columns[] = {
	[NAME] = "NAME",           [READS] = "RD/S",    [WRITES] = "WR/S",   [READ_BYTES] = "READ/S",
	[WRITE_BYTES] = "WRITE/S", [READ_P50] = "RD50", [READ_P99] = "RD99", [WRITE_P50] = "WR50",
	[WRITE_P99] = "WR99",      [DATA] = "DATA",     [TOTAL] = "TOTAL",   [RATIO] = "RATIO",
	[SIZE] = "DISKSIZE",
};

const struct view_part view_devices_part = {
	.name = "devices",
	.wants = SAMPLE_LATENCIES,
	.columns = columns,
	.n_columns = COLUMNS,
	.sort = NAME,
};

/* ------------------------------------------------------------------ order */

static double figure_of(const struct watch_device *device, enum figure column)
{
	const struct figures *figures = &device->figures;

	/* The figures of one that is away are old. */
	if (!device->answers)
		return 0;
	switch (column) {
	case READS:
		return figures->reads;
	case WRITES:
		return figures->writes;
	case READ_BYTES:
		return figures->read_bytes;
	case WRITE_BYTES:
		return figures->write_bytes;
	case READ_P50:
		return (double)figures->work[SAMPLE_READ].p50_ns;
	case READ_P99:
		return (double)figures->work[SAMPLE_READ].p99_ns;
	case WRITE_P50:
		return (double)figures->work[SAMPLE_WRITE].p50_ns;
	case WRITE_P99:
		return (double)figures->work[SAMPLE_WRITE].p99_ns;
	case DATA:
		return (double)device->now.data;
	case TOTAL:
		return (double)device->now.total;
	case RATIO:
		return figures->ratio;
	case SIZE:
		return (double)device->now.size;
	case NAME:
	case COLUMNS:
		break;
	}
	return 0;
}

struct order {
	enum figure column;
	bool is_reversed;
};

/* The largest figures come first, names in their order; names decide between equals. */
static int compare(const void *a, const void *b, void *opaque)
{
	const struct watch_device *one = *(const struct watch_device *const *)a;
	const struct watch_device *other = *(const struct watch_device *const *)b;
	const struct order *order = opaque;
	double x = figure_of(one, order->column), y = figure_of(other, order->column);
	int r = (x < y) - (x > y);

	if (!r)
		r = strcmp(one->name, other->name);
	return order->is_reversed ? -r : r;
}

void view_device_sort(const struct watch_device **sorted, const struct watch_device *const *devices, size_t n,
		      unsigned column, bool is_reversed)
{
	struct order order = {column, is_reversed};

	if (!n)
		return;
	memcpy(sorted, devices, n * sizeof *sorted);
	qsort_r(sorted, n, sizeof *sorted, compare, &order);
}

/* ------------------------------------------------------------------ rows */

static void add_present(struct page *page, const struct watch_device *device)
{
	const struct figures *figures = &device->figures;
	const struct figures_latency *read = &figures->work[SAMPLE_READ], *write = &figures->work[SAMPLE_WRITE];
	char a[PAGE_FIGURE], b[PAGE_FIGURE], c[PAGE_FIGURE], d[PAGE_FIGURE];

	if (figures->has_rates)
		page_append(page, " %6s %6s %7s %7s", page_count(figures->reads, a), page_count(figures->writes, b),
			    page_bytes(figures->read_bytes, c), page_bytes(figures->write_bytes, d));
	else
		page_append(page, " %6s %6s %7s %7s", "-", "-", "-", "-");
	page_append(page, " %6s %6s", page_time(read->p50_ns, a), page_time(read->p99_ns, b));
	page_append(page, " %6s %6s", page_time(write->p50_ns, a), page_time(write->p99_ns, b));
	page_append(page, " %6s %6s %5.2f %8s", page_bytes((double)device->now.data, a),
		    page_bytes((double)device->now.total, b), figures->ratio, page_bytes((double)device->now.size, c));
	page_append(page, "  %s %s %s", device->now.algorithm, device->now.transport, device->now.device);
}

static void add_away(struct page *page, const struct watch_device *device)
{
	char since[HUMAN_BYTES];

	page_append(page, " away for %s: %s",
		    human_time((uint64_t)(place_now_ms() - device->away_since_ms) / 1000, since),
		    device->problem[0] ? device->problem : "not asked yet");
}

/* The end of a path says more than its beginning. */
static const char *end_of(const char *name)
{
	size_t length = strlen(name);

	return name[0] == '/' && length > NAME_WIDTH ? name + length - NAME_WIDTH : name;
}

void view_device_list(struct page *page, const struct view *view, const struct watch_device *const *sorted, size_t n)
{
	page_add(page, PAGE_HEADING, "%-12s %6s %6s %7s %7s", columns[NAME], columns[READS], columns[WRITES],
		 columns[READ_BYTES], columns[WRITE_BYTES]);
	page_append(page, " %6s %6s %6s %6s", columns[READ_P50], columns[READ_P99], columns[WRITE_P50],
		    columns[WRITE_P99]);
	page_append(page, " %6s %6s %5s %8s", columns[DATA], columns[TOTAL], columns[RATIO], columns[SIZE]);
	page->fixed = page->n;
	for (size_t i = 0; i < n; i++) {
		const struct watch_device *device = sorted[i];
		bool is_selected = strcmp(device->name, view->selected) == 0;

		if (is_selected)
			page->selected = page->n;
		page_add(page,
			 is_selected       ? PAGE_SELECTED
			 : device->answers ? PAGE_PLAIN
					   : PAGE_AWAY,
			 "%-12.12s", end_of(device->name));
		if (device->answers)
			add_present(page, device);
		else
			add_away(page, device);
	}
	if (!n)
		page_add(page, PAGE_PLAIN, "No device runs.");
}

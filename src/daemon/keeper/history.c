/* SPDX-License-Identifier: BSD-3-Clause */
/* The servers that were replaced. See history.h. */
#include "daemon/keeper/history.h"

#include <stdlib.h>

const char *history_event_name(enum history_event event)
{
	static const char *const names[] = {
		[HISTORY_DIED] = "died",         [HISTORY_HUNG] = "hung",       [HISTORY_LOST] = "lost",
		[HISTORY_UPGRADED] = "upgraded", [HISTORY_RESIZED] = "resized", [HISTORY_MISSING] = "missing",
	};

	return names[event];
}

void history_add(struct history *history, const struct history_entry *entry)
{
	history->entries[history->replaced % HISTORY_ENTRIES] = *entry;
	history->replaced++;
	history->hung += entry->event == HISTORY_HUNG;
	if (entry->outage_us > history->longest_outage_us)
		history->longest_outage_us = entry->outage_us;
}

unsigned history_count(const struct history *history)
{
	return history->replaced < HISTORY_ENTRIES ? history->replaced : HISTORY_ENTRIES;
}

const struct history_entry *history_at(const struct history *history, unsigned index)
{
	unsigned first = history->replaced - history_count(history);

	return &history->entries[(first + index) % HISTORY_ENTRIES];
}

void history_get_figures(const struct history *history, struct history_figures *figures)
{
	unsigned n = history_count(history);

	*figures = (struct history_figures){.replaced = history->replaced,
					    .hung = history->hung,
					    .last_outage_us = n ? history_at(history, n - 1)->outage_us : 0,
					    .longest_outage_us = history->longest_outage_us};
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

uint64_t history_median_outage_us(const struct history *history)
{
	uint64_t outages[HISTORY_ENTRIES];
	unsigned n = history_count(history);

	for (unsigned i = 0; i < n; i++)
		outages[i] = history_at(history, i)->outage_us;
	qsort(outages, n, sizeof outages[0], compare);
	return n ? outages[(n - 1) / 2] : 0;
}

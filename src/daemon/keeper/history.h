/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The servers that were replaced: when, why, and for how long the device was out of service. The last HISTORY_ENTRIES of them are kept,
 * since this daemon has started; the counts and the longest time are of all. Nothing is allocated. One thread.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HISTORY_ENTRIES 32u

/* Why a server is not there any more. */
enum history_event {
	HISTORY_DIED,     /* it ended, or was killed, by itself or by others */
	HISTORY_HUNG,     /* it did not do its work, and was killed */
	HISTORY_LOST,     /* it was not reached any more, or its connection was lost, and was killed */
	HISTORY_UPGRADED, /* it was replaced on purpose */
	HISTORY_RESIZED,  /* the same, since the device has another size */
	HISTORY_MISSING,  /* there was none when this daemon started */
};
/* "died", "hung" and so on, for programs: these never change. */
const char *history_event_name(enum history_event event);

struct history_entry {
	int64_t when;       /* the next server came into service: seconds since 1970 */
	uint64_t outage_us; /* from the end of service until then */
	enum history_event event;
	char why[80]; /* goes on from "the server": "was ended by signal 9 (Killed)" */
	pid_t before; /* the server that was replaced; 0: not known */
	pid_t server; /* the one that came after it */
	bool from_kept;
};

/* Zeroed at first. */
struct history {
	struct history_entry entries[HISTORY_ENTRIES];
	unsigned replaced; /* all that there were; the last one is at (replaced - 1) % HISTORY_ENTRIES */
	unsigned hung;     /* of these, the HISTORY_HUNG ones */
	uint64_t longest_outage_us;
};

/* A summary. */
struct history_figures {
	unsigned replaced;       /* servers so far */
	unsigned hung;           /* of these, those that did not do their work */
	uint64_t last_outage_us; /* from the end of service until the next server served */
	uint64_t longest_outage_us;
};

void history_add(struct history *history, const struct history_entry *entry);
void history_get_figures(const struct history *history, struct history_figures *figures);
/* How many are kept. */
unsigned history_count(const struct history *history);
/* The one at `index` of those that are kept, the oldest first. */
const struct history_entry *history_at(const struct history *history, unsigned index);
/* Of the outages that are kept, in microseconds: half of them were no longer than that. 0: there are none. */
uint64_t history_median_outage_us(const struct history *history);

#endif

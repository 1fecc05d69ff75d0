/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages that would be said again with each try: said when they change, and otherwise once a minute. */
#ifndef RECURRING_H
#define RECURRING_H

#include "daemon/base/say.h"

#include <stdbool.h>
#include <stdint.h>

/* One kind of message; zeroed at first. */
struct recurring {
	char text[200];    /* what was said the last time */
	uint64_t at;       /* when, in microseconds */
	unsigned left_out; /* how often it was not said since */
};

/*
 * Is a text to be said at this time (microseconds)? Two that differ in numbers only are the same, since each try has a process
 * number of its own.
 */
bool recurring_is_due(struct recurring *recurring, const char *text, uint64_t now);

/* say() it if it is due, with how often it was left out. */
__attribute__((format(printf, 3, 4))) void recurring_say(struct recurring *recurring, enum say_level level,
							 const char *format, ...);

/* What it was about is over: the next one is said at once. */
void recurring_end(struct recurring *recurring);

#endif

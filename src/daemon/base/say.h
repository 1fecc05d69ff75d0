/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of zsblkd and its servers to people, on standard error: with the journal's level prefixes under systemd. A
 * message never blocks, once standard error is the pipe of relay.h: a message that does not fit the pipe is dropped, and
 * the next one says how many were.
 */
#ifndef SAY_H
#define SAY_H

#include <stdbool.h>

/* syslog(3)'s. */
enum say_level { SAY_ERROR = 3, SAY_WARNING = 4, SAY_NOTICE = 5, SAY_INFO = 6, SAY_DEBUG = 7 };

/* Call once, first. `verbose`: debug messages too. */
void say_init(const char *name, int verbose);
__attribute__((format(printf, 2, 3))) void say(enum say_level level, const char *format, ...);

/* MESSAGE_ID of the journal: what contrib/systemd/zsblk.catalog explains. */
#define SAY_ID_REPLACED "a031fa698a7448488cadc82b0fca0e33"

struct say_field {
	const char *name, *value; /* NULL, NULL: the last one */
};
/* A message with further fields for the journal; where messages go elsewhere, they have no fields. */
__attribute__((format(printf, 4, 5))) void say_with_fields(enum say_level level, const char *id,
							   const struct say_field *fields, const char *format, ...);
/* Do messages go to the journal? */
bool say_is_for_journal(void);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message with fields, for the journal (systemd.journal-fields(7)), as one line of a pipe: the daemon writes it, and the process that
 * hands messages on (relay.h) gives it to the journal, which the daemon must not wait for.
 *
 *   RECORD_START  NAME=value  RECORD_SEPARATOR  NAME=value ... newline
 */
#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define RECORD_START     '\x1d'
#define RECORD_SEPARATOR '\x1f'
#define RECORD_FIELDS    16u
/* With the newline; less than PIPE_BUF, so that a record is written in one piece or not at all. */
#define RECORD_BYTES 2048u

struct record {
	char line[RECORD_BYTES];
	size_t used;
};

void record_begin(struct record *record);
/* `name`: capital letters, digits and _. Control characters of the value become blanks; what does not fit is cut off. */
void record_add(struct record *record, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The whole line is in record->line, record->used bytes of it. */
void record_end(struct record *record);

/*
 * The fields of a line, which is changed, without its newline: each "NAME=value". Returns how many there are; 0: it is no record.
 */
unsigned record_parse(char *line, size_t length, struct iovec fields[RECORD_FIELDS]);

#endif

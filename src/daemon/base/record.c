/* SPDX-License-Identifier: BSD-3-Clause */
/* A message with fields. See record.h. */
#include "daemon/base/record.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room for the newline. */
#define MOST (RECORD_BYTES - 1)

void record_begin(struct record *record)
{
	record->line[0] = RECORD_START;
	record->used = 1;
}

/* The length of what vsnprintf() has written into `size` bytes. */
static size_t written(int length, size_t size)
{
	return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

void record_add(struct record *record, const char *name, const char *format, ...)
{
	size_t left = MOST - record->used, start;
	char *at = record->line + record->used;
	va_list args;

	/* One byte stays for the separator. */
	if (left < 2)
		return;
	start = written(snprintf(at, left - 1, "%s=", name), left - 1);
	va_start(args, format);
	left -= start;
	left = start + written(vsnprintf(at + start, left - 1, format, args), left - 1);
	va_end(args);
	for (size_t i = start; i < left; i++)
		if (iscntrl((unsigned char)at[i]))
			at[i] = ' ';
	at[left] = RECORD_SEPARATOR;
	record->used += left + 1;
}

void record_end(struct record *record)
{
	record->line[record->used++] = '\n';
}

unsigned record_parse(char *line, size_t length, struct iovec fields[RECORD_FIELDS])
{
	char *at = line + 1, *end = line + length;
	unsigned n = 0;

	if (!length || line[0] != RECORD_START)
		return 0;
	while (at < end && n < RECORD_FIELDS) {
		char *stop = memchr(at, RECORD_SEPARATOR, (size_t)(end - at));

		stop = stop ? stop : end;
		if (stop > at)
			fields[n++] = (struct iovec){at, (size_t)(stop - at)};
		at = stop + 1;
	}
	return n;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Times as people give them to programs: a number of seconds, or one with a suffix. */
#ifndef DURATION_H
#define DURATION_H

#include <stdint.h>

/*
 * Take a whole number, and s, m, h, d or nothing (seconds) behind it: 90, 90s, 15m, 4h or 2d. 0, or -EINVAL; *seconds is left alone then.
 * Allocates nothing. Any thread.
 */
int duration_parse(const char *text, uint64_t *seconds);

/* Enough for any time. */
#define DURATION_BYTES 24u

/* Write a time so that duration_parse() takes it: with the largest unit that leaves no rest. 900 is "15m". Returns `text`. */
const char *duration_text(uint64_t seconds, char text[DURATION_BYTES]);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole numbers as people give them to programs. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdint.h>

/*
 * Take a decimal number from `min` to `max`: digits, with a - before them if it is negative, and nothing else.
 * 0, or -EINVAL; *number is left alone then. Allocates nothing. Any thread.
 */
int number_parse(const char *text, int64_t min, int64_t max, int64_t *number);

#endif

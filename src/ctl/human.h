/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes and times as people read them. */
#ifndef HUMAN_H
#define HUMAN_H

#include <stddef.h>
#include <stdint.h>

#define HUMAN_BYTES 48

/*
 * A size as zramctl prints one: the largest unit of 1024 that leaves a whole number before the point, one decimal unless it is 0, one letter.
 * 0 is "0B", 1536 is "1.5K". Returns `text`.
 */
const char *human_size(uint64_t bytes, char text[HUMAN_BYTES]);

/* A time in its two largest units: "45 s", "3 min", "2 h 5 min", "4 d 1 h". Returns `text`. */
const char *human_time(uint64_t seconds, char text[HUMAN_BYTES]);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values on the command line. Each function either takes a value, or says what is wrong with it, which values are right, and ends the
 * program. `option` is the name for that message, such as "--repeat". Lists are taken item by item; an item may be changed.
 */
#ifndef VALUES_H
#define VALUES_H

#include "bench/bench.h"

/* Say what is wrong, and end the program. */
__attribute__((noreturn, format(printf, 1, 2))) void values_refuse(const char *format, ...);
int64_t values_number(const char *option, const char *text, int64_t min, int64_t max);
/* Bytes: a multiple of BLOCK, from one block to `max`. */
uint64_t values_size(const char *option, const char *text, uint64_t max);
/* NAME or NAME:LEVEL. */
void values_choice(const char *option, char *item, struct choice *choice);
/* The same, of an algorithm that makes groups. */
void values_tier(const char *option, char *item, struct choice *choice);
/* One more of the list of that option. */
void values_add_algorithm(struct options *options, char *item);
void values_add_threads(struct options *options, char *item);
void values_add_mix(struct options *options, char *item);
void values_add_cold_after(struct options *options, char *item);
void values_add_group(struct options *options, char *item);
void values_add_cache(struct options *options, char *item);
void values_add_read_rule(struct options *options, char *item);
/* --group-algorithm. */
void values_group_algorithm(struct options *options, char *item);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of 64-bit words in a segment: the only truth about what is stored (I1).
 *
 * One word for each block of a device, or for each handle of a pool. Beside the words lies a map
 * with a bit for each page of them that was ever written. The others are empty, and looking at them
 * would only bring them into memory. The bit is set before the first word of its page is stored, so
 * it can be relied upon after a crash.
 */
#ifndef TABLE_H
#define TABLE_H

#include "segment/segment.h"

/* Words per page of the table, and so words per bit of the map. */
#define TABLE_PAGE_WORDS 512u

struct table {
	uint64_t *words;
	uint64_t *map;
	uint64_t n; /* words */
};

/* Bytes of the map of a table of n words. */
uint64_t table_map_bytes(uint64_t n);

uint64_t table_load(const struct table *table, uint64_t index);
/* Everything written before, the object's bytes above all, is visible to whoever loads this word (I2). */
void table_store(struct table *table, uint64_t index, uint64_t word);
/* Store `word` if the entry is *old; otherwise *old is what it is. May fail without a reason. */
bool table_change(struct table *table, uint64_t index, uint64_t *old, uint64_t word);
/* The first word from `index` on, but before `end`, that lies in a written page; `end` if none. */
uint64_t table_next_written(const struct table *table, uint64_t index, uint64_t end);
/*
 * Does a page of the words that the map calls unwritten hold something after all? Then the map is
 * damaged. Looks at pages that are in memory only. *first is the first word of such a page, or n; then *in_memory is
 * how many pages of the words are in memory. 0, or a negative errno if the system does not say what is in memory:
 * then nothing is known of the map.
 */
int table_unmapped_words(const struct table *table, const struct segment *seg, uint64_t *first, uint64_t *in_memory);
/*
 * The words from `first` on, but before `end`, are 0, those behind them as well, and nobody stores one meanwhile: give the memory of
 * those pages back that hold nothing else.
 */
void table_release(struct table *table, struct segment *seg, uint64_t first, uint64_t end);
/* Bytes of memory the table takes: written pages, and the map. */
uint64_t table_bytes(const struct table *table);

#endif

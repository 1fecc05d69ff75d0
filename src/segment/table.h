/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of 64-bit words in a segment: the only truth about what is stored (I1). It has one word for each block of a
 * device, or for each handle of a pool.
 *
 * A map lies beside the words, with one bit for each page of words. The bit is set before the first word of its page is
 * stored, so it is right after a crash as well. A page without the bit holds only zeroes, and is not read: that would
 * bring it into memory.
 *
 * Functions may be called from any thread. Two threads must not store the same word at once, except by table_change().
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

/* Load a word, with acquire order. */
uint64_t table_load(const struct table *table, uint64_t index);
/*
 * Store a word, with release order: whoever loads it sees all that was written before, the object's bytes above all
 * (I2).
 */
void table_store(struct table *table, uint64_t index, uint64_t word);
/* Store `word` if the entry is *old. Otherwise, or without a reason, return false, with the entry in *old. */
bool table_change(struct table *table, uint64_t index, uint64_t *old, uint64_t word);
/* The first index in [index, end) whose word lies in a written page; `end` if there is none. */
uint64_t table_next_written(const struct table *table, uint64_t index, uint64_t end);
/*
 * Look for pages of words that the map calls unwritten and that hold something all the same: then the map is damaged.
 * Only pages in memory are looked at. *first is the first word of such a page, or the table's n if there is none. In
 * that case *in_memory is the number of pages of words that are in memory. A negative errno if the system does not say
 * which pages are in memory; then nothing is known of the map.
 */
int table_unmapped_words(const struct table *table, const struct segment *seg, uint64_t *first, uint64_t *in_memory);
/*
 * Give back the memory of the pages all of whose words are in [first, end). Preconditions: these words are 0, and no thread
 * stores one meanwhile.
 */
void table_release(struct table *table, struct segment *seg, uint64_t first, uint64_t end);
/*
 * The number of pages of words that are in memory, or were written and may be swapped out. More than were written may
 * be in memory, since they were populated beforehand. A negative errno if the system does not say. Looks at each page
 * of the table: 40 ns for a page that is not in memory.
 */
int table_count_resident(const struct table *table, const struct segment *seg, uint64_t *pages);
/* Bytes of memory that the table takes: written pages, and the map. */
uint64_t table_bytes(const struct table *table);

#endif

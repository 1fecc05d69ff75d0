/* SPDX-License-Identifier: BSD-3-Clause */
/* A table of words in a segment. See table.h. */
#include "segment/table.h"

#include <string.h>

_Static_assert(TABLE_PAGE_WORDS * sizeof(uint64_t) == SEGMENT_PAGE, "a bit of the map stands for a page");
/*
 * A word says what its block is at every instant (I5). With a store in two halves, a kill between them would tear it.
 */
_Static_assert(__GCC_ATOMIC_LLONG_LOCK_FREE == 2, "64-bit stores must be single instructions");

static uint64_t pages_of(uint64_t words)
{
	return (words + TABLE_PAGE_WORDS - 1) / TABLE_PAGE_WORDS;
}

uint64_t table_map_bytes(uint64_t n)
{
	return (pages_of(n) + 63) / 64 * sizeof(uint64_t);
}

static uint64_t map_load(const struct table *table, uint64_t page)
{
	return __atomic_load_n(&table->map[page / 64], __ATOMIC_RELAXED);
}

static bool is_written(const struct table *table, uint64_t page)
{
	return map_load(table, page) >> (page % 64) & 1;
}

static void mark_written(struct table *table, uint64_t page)
{
	/* Relaxed suffices: the bit is set before the word's store, which has release order. */
	if (!is_written(table, page))
		__atomic_fetch_or(&table->map[page / 64], UINT64_C(1) << (page % 64), __ATOMIC_RELAXED);
}

uint64_t table_load(const struct table *table, uint64_t index)
{
	if (!is_written(table, index / TABLE_PAGE_WORDS))
		return 0;
	return __atomic_load_n(&table->words[index], __ATOMIC_ACQUIRE);
}

void table_store(struct table *table, uint64_t index, uint64_t word)
{
	mark_written(table, index / TABLE_PAGE_WORDS);
	__atomic_store_n(&table->words[index], word, __ATOMIC_RELEASE);
}

bool table_change(struct table *table, uint64_t index, uint64_t *old, uint64_t word)
{
	mark_written(table, index / TABLE_PAGE_WORDS);
	return __atomic_compare_exchange_n(&table->words[index], old, word, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

uint64_t table_next_written(const struct table *table, uint64_t index, uint64_t end)
{
	uint64_t page = index / TABLE_PAGE_WORDS, pages = pages_of(end), bits;

	if (index >= end || is_written(table, page))
		return index < end ? index : end;
	bits = map_load(table, page) >> (page % 64) << (page % 64);
	while (!bits) {
		page = (page / 64 + 1) * 64;
		if (page >= pages)
			return end;
		bits = map_load(table, page);
	}
	index = (page / 64 * 64 + (unsigned)__builtin_ctzll(bits)) * TABLE_PAGE_WORDS;
	return index < end ? index : end;
}

void table_release(struct table *table, struct segment *seg, uint64_t first, uint64_t end)
{
	uint64_t page = pages_of(first), last = end == table->n ? pages_of(end) : end / TABLE_PAGE_WORDS;
	uint64_t words = (uint64_t)((uint8_t *)table->words - seg->base);

	/*
	 * Pages without the bit must hold zeroes. These do, also if the process is killed before they are given back.
	 */
	for (uint64_t i = page; i < last; i++)
		if (is_written(table, i))
			__atomic_fetch_and(&table->map[i / 64], ~(UINT64_C(1) << (i % 64)), __ATOMIC_RELAXED);
	if (page < last)
		(void)segment_release(seg, words + page * SEGMENT_PAGE, (last - page) * SEGMENT_PAGE);
}

uint64_t table_bytes(const struct table *table)
{
	uint64_t bytes = table_map_bytes(table->n);

	for (uint64_t page = 0; page < pages_of(table->n); page += 64)
		bytes += (unsigned)__builtin_popcountll(map_load(table, page)) *
			 (uint64_t)(TABLE_PAGE_WORDS * sizeof(uint64_t));
	return bytes;
}

static bool page_is_zero(const struct table *table, uint64_t page)
{
	const uint64_t *words = table->words + page * TABLE_PAGE_WORDS;

	return words[0] == 0 && memcmp(words, words + 1, (TABLE_PAGE_WORDS - 1) * sizeof *words) == 0;
}

int table_unmapped_words(const struct table *table, const struct segment *seg, uint64_t *first, uint64_t *in_memory)
{
	uint64_t start = (uint64_t)((uint8_t *)table->words - seg->base), pages = pages_of(table->n);
	unsigned char resident[1024];

	*first = table->n;
	*in_memory = 0;
	for (uint64_t page = 0; page < pages; page += sizeof resident) {
		uint64_t n = pages - page < sizeof resident ? pages - page : sizeof resident;
		int r = segment_resident(seg, start + page * SEGMENT_PAGE, n * SEGMENT_PAGE, resident);

		if (r)
			return r;
		for (uint64_t i = 0; i < n; i++) {
			*in_memory += resident[i] & 1;
			if (!(resident[i] & 1) || is_written(table, page + i) || page_is_zero(table, page + i))
				continue;
			*first = (page + i) * TABLE_PAGE_WORDS;
			return 0;
		}
	}
	return 0;
}

int table_count_resident(const struct table *table, const struct segment *seg, uint64_t *in_memory)
{
	uint64_t start = (uint64_t)((uint8_t *)table->words - seg->base), pages = pages_of(table->n);
	unsigned char resident[4096];

	*in_memory = 0;
	for (uint64_t page = 0; page < pages; page += sizeof resident) {
		uint64_t n = pages - page < sizeof resident ? pages - page : sizeof resident;
		int r = segment_resident(seg, start + page * SEGMENT_PAGE, n * SEGMENT_PAGE, resident);

		if (r)
			return r;
		for (uint64_t i = 0; i < n; i++)
			*in_memory += (resident[i] & 1) || is_written(table, page + i);
	}
	return 0;
}

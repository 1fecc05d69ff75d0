/* SPDX-License-Identifier: BSD-3-Clause */
/* Chunks, and which of their pages are free. Private to the files of runs; the lock of runs is held. */
#ifndef ZS_CHUNK_H
#define ZS_CHUNK_H

#include "zsmalloc/runs.h"

/* Links are chunk numbers. These 48 bytes stand for 256 KiB of pool. */
struct chunk {
	_Alignas(8) uint64_t free; /* bit n: page n is free. Aligned as on 64-bit machines, where 48 bytes come of it */
	uint64_t hot;              /* bit n: page n is free and populated */
	uint32_t next[RUNS_LISTS];
	uint32_t prev[RUNS_LISTS];
	uint8_t longest[RUNS_LISTS];
	bool open;
};
_Static_assert(sizeof(struct chunk) == 48, "what docs/architecture.md says");

/* n bits from bit `first` on. */
static inline uint64_t chunk_mask(unsigned first, unsigned n)
{
	return bits_below(n) << first;
}

/* The length of the longest run of ones. */
unsigned chunk_longest_run(uint64_t bits);
/* Pages of a chunk: the last one can be shorter than others. */
unsigned chunk_pages(const struct runs *runs, uint32_t index);
/* The lists there are. */
enum runs_list chunk_lists(const struct runs *runs);
/* The list of what can be given back. Groups of one page are always whole. */
enum runs_list chunk_trim_list(const struct runs *runs);
/* The pages of a chunk that a list is about. */
uint64_t chunk_list_bits(const struct runs *runs, uint32_t index, enum runs_list list);
/* The free pages of the chunk that are hot according to R4: those whose system page is in memory. */
uint64_t chunk_hot_by_group(const struct runs *runs, uint32_t index);
/* Make R4 true for a chunk whose bits have changed, and put the chunk on the lists where it belongs. */
void chunk_relist(struct runs *runs, uint32_t index);

/* Open a chunk whose pages are all free; `hot` has those that are in memory. The chunk is on no list yet. */
void chunk_open(struct runs *runs, uint32_t index, uint64_t hot);
/* The same, and put the chunk on its lists. */
void chunk_adopt(struct runs *runs, uint32_t index, uint64_t hot);
/* Make the hint for the next process cover all open chunks. To be called before memory is taken in them. */
void chunk_leave_hint(struct runs *runs);

/*
 * Take a run of `want` pages from the list; or the longest one, if that has at least `least` pages. Cold pages are
 * taken in whole groups, so a cold run can be longer than `want`. The caller gives the rest back by
 * chunk_give_surplus().
 */
bool chunk_take(struct runs *runs, enum runs_list list, unsigned want, unsigned least, struct run *run);
void chunk_put_back(struct runs *runs, uint32_t page, unsigned pages, uint64_t hot);
/* Give back what a run has beyond `want` pages. */
void chunk_give_surplus(struct runs *runs, struct run *run, unsigned want);

#endif

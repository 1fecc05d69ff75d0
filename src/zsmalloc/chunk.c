/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chunks: 64 pages of the pool each. See runs.h.
 *
 *   chunk   |################........####..........................hhhhhhhhhhhhhhhhhh|
 *            in use          cold    in use      cold              hot
 *
 * Each chunk is on up to two lists: by its longest run of hot pages, and by its longest run of cold ones. So the search
 * for a run looks at one bit map of lists and one bit map of pages. Pages that are being populated or released are
 * neither hot nor cold.
 *
 * The system gives memory, and takes it back, by the system page. If that is larger than a page of the pool, the pages
 * of one system page are a group. A third list then says where whole groups are hot, since only whole groups can be
 * given back.
 *
 * Invariants: R1 to R4 in runs.c. All functions are called with the lock of runs held, and make no system call.
 */
#include "zsmalloc/chunk.h"

#include <string.h>

/* The starts of all runs of n ones. */
static uint64_t run_starts(uint64_t bits, unsigned n)
{
	unsigned have = 1;

	while (have < n && bits) {
		unsigned step = have < n - have ? have : n - have;

		bits &= bits >> step;
		have += step;
	}
	return bits;
}

unsigned chunk_longest_run(uint64_t bits)
{
	unsigned low = 0, high = 64;

	if (!bits)
		return 0;
	while (low < high) {
		unsigned middle = (low + high + 1) / 2;

		if (run_starts(bits, middle))
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* ------------------------------------------------------------------ groups */

/* All pages of the groups that have one of the bits. */
static uint64_t groups_with_any(const struct runs *runs, uint64_t bits)
{
	/* The first bit of each group becomes the OR of the group, then the whole group becomes its first bit. */
	for (unsigned n = 1; n < runs->group; n *= 2)
		bits |= bits >> n;
	return (bits & ~UINT64_C(0) / bits_below(runs->group)) * bits_below(runs->group);
}

static uint64_t groups_with_all(const struct runs *runs, uint64_t bits)
{
	return ~groups_with_any(runs, ~bits);
}

/*
 * The bits of the last chunk that stand for no page. A group that reaches beyond the pool's end is whole without them.
 */
static uint64_t beyond_pool(const struct runs *runs, uint32_t index)
{
	return ~bits_below(runs->pages - index * RUNS_CHUNK);
}

uint64_t chunk_hot_by_group(const struct runs *runs, uint32_t index)
{
	const struct chunk *chunk = &runs->chunks[index];
	uint64_t whole = groups_with_all(runs, chunk->free | beyond_pool(runs, index));

	return chunk->free & (~whole | groups_with_any(runs, chunk->hot));
}

/* ------------------------------------------------------------------ lists */

uint64_t chunk_list_bits(const struct runs *runs, uint32_t index, enum runs_list list)
{
	const struct chunk *chunk = &runs->chunks[index];

	switch (list) {
	case RUNS_HOT:
		return chunk->hot;
	case RUNS_COLD:
		return chunk->free & ~chunk->hot;
	default:
		return chunk->hot & groups_with_all(runs, chunk->hot | beyond_pool(runs, index));
	}
}

enum runs_list chunk_trim_list(const struct runs *runs)
{
	return runs->group == 1 ? RUNS_HOT : RUNS_WHOLE;
}

enum runs_list chunk_lists(const struct runs *runs)
{
	return runs->group == 1 ? RUNS_WHOLE : RUNS_LISTS;
}

static void list_remove(struct runs *runs, uint32_t index, enum runs_list list)
{
	struct chunk *chunk = &runs->chunks[index];
	unsigned longest = chunk->longest[list];
	uint32_t next = chunk->next[list], prev = chunk->prev[list];

	if (!longest)
		return;
	if (prev == RUNS_NONE)
		runs->head[list][longest] = next;
	else
		runs->chunks[prev].next[list] = next;
	if (next != RUNS_NONE)
		runs->chunks[next].prev[list] = prev;
	if (runs->head[list][longest] == RUNS_NONE)
		runs->nonempty[list] &= ~(UINT64_C(1) << (longest - 1));
	chunk->longest[list] = 0;
}

static void list_insert(struct runs *runs, uint32_t index, enum runs_list list, unsigned longest)
{
	struct chunk *chunk = &runs->chunks[index];
	uint32_t next;

	chunk->longest[list] = (uint8_t)longest;
	if (!longest)
		return;
	next = runs->head[list][longest];
	chunk->prev[list] = RUNS_NONE;
	chunk->next[list] = next;
	if (next != RUNS_NONE)
		runs->chunks[next].prev[list] = index;
	runs->head[list][longest] = index;
	runs->nonempty[list] |= UINT64_C(1) << (longest - 1);
}

void chunk_relist(struct runs *runs, uint32_t index)
{
	struct chunk *chunk = &runs->chunks[index];

	if (runs->group > 1) {
		uint64_t hot = chunk_hot_by_group(runs, index);

		figure_add(&runs->hot_free, (unsigned)__builtin_popcountll(hot & ~chunk->hot));
		chunk->hot = hot;
	}
	for (enum runs_list list = 0; list < chunk_lists(runs); list++) {
		unsigned longest = chunk_longest_run(chunk_list_bits(runs, index, list));

		if (longest == chunk->longest[list])
			continue;
		list_remove(runs, index, list);
		list_insert(runs, index, list, longest);
	}
}

/* ------------------------------------------------------------------ opening */

unsigned chunk_pages(const struct runs *runs, uint32_t index)
{
	unsigned pages = runs->pages - index * RUNS_CHUNK;

	return pages < RUNS_CHUNK ? pages : RUNS_CHUNK;
}

void chunk_leave_hint(struct runs *runs)
{
	uint64_t pages = (uint64_t)runs->end * RUNS_CHUNK;

	if (runs->hint && __atomic_load_n(runs->hint, __ATOMIC_RELAXED) < pages)
		__atomic_store_n(runs->hint, pages, __ATOMIC_RELAXED);
}

void chunk_open(struct runs *runs, uint32_t index, uint64_t hot)
{
	struct chunk *chunk = &runs->chunks[index];

	memset(chunk, 0, sizeof *chunk);
	chunk->free = bits_below(chunk_pages(runs, index));
	chunk->hot = hot;
	chunk->open = true;
	figure_add(&runs->opened, 1);
	if (index >= runs->end)
		runs->end = index + 1;
	chunk_leave_hint(runs);
}

void chunk_adopt(struct runs *runs, uint32_t index, uint64_t hot)
{
	unsigned found = (unsigned)__builtin_popcountll(hot);

	chunk_open(runs, index, hot);
	figure_add(&runs->hot_free, found);
	runs->unseen -= found < runs->unseen ? found : runs->unseen;
	chunk_relist(runs, index);
}

/* ------------------------------------------------------------------ taking and putting back */

/* Take `pages` from the list's best fitting chunk, which has a run of at least that length. */
static void take_from(struct runs *runs, enum runs_list list, unsigned longest, unsigned pages, struct run *run)
{
	uint32_t index = runs->head[list][longest];
	struct chunk *chunk = &runs->chunks[index];
	uint64_t starts = run_starts(chunk_list_bits(runs, index, list), pages);
	unsigned first = (unsigned)__builtin_ctzll(starts);
	uint64_t mask = chunk_mask(first, pages);

	run->page = index * RUNS_CHUNK + first;
	run->pages = pages;
	run->hot = list == RUNS_COLD ? 0 : bits_below(pages);
	chunk->free &= ~mask;
	chunk->hot &= ~mask;
	if (list != RUNS_COLD)
		figure_sub(&runs->hot_free, pages);
	chunk_relist(runs, index);
}

bool chunk_take(struct runs *runs, enum runs_list list, unsigned want, unsigned least, struct run *run)
{
	unsigned longest;
	uint64_t enough;

	if (list == RUNS_COLD)
		want = (want + runs->group - 1) / runs->group * runs->group;
	enough = runs->nonempty[list] & ~bits_below(want - 1);
	if (enough) {
		take_from(runs, list, (unsigned)__builtin_ctzll(enough) + 1, want, run);
		return true;
	}
	if (!runs->nonempty[list])
		return false;
	longest = 64 - (unsigned)__builtin_clzll(runs->nonempty[list]);
	if (longest < least)
		return false;
	take_from(runs, list, longest, longest, run);
	return true;
}

void chunk_put_back(struct runs *runs, uint32_t page, unsigned pages, uint64_t hot)
{
	uint32_t index = page / RUNS_CHUNK;
	unsigned first = page % RUNS_CHUNK;
	struct chunk *chunk = &runs->chunks[index];

	chunk->free |= chunk_mask(first, pages);
	chunk->hot |= hot << first;
	figure_add(&runs->hot_free, (unsigned)__builtin_popcountll(hot));
	chunk_relist(runs, index);
}

void chunk_give_surplus(struct runs *runs, struct run *run, unsigned want)
{
	unsigned surplus = run->pages > want ? run->pages - want : 0;

	if (!surplus)
		return;
	chunk_put_back(runs, run->page + want, surplus, run->hot >> want);
	run->pages = want;
	run->hot &= bits_below(want);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Rebuilding runs, and pages of a former life: those that an earlier process has left in memory. See runs.h. */
#include "zsmalloc/runs_parts.h"

#include <string.h>

/* Chunks whose pages are looked for in memory at once: 16 MiB in one system call. */
#define LOOK_CHUNKS 64u
/* After this many chunks (64 MiB) without such a page, an opening leaves the rest to the background thread. */
#define QUIET_CHUNKS 256u

/* Which pages of `n` chunks are in memory: a bit for each page, a word for each chunk. */
static int look_at(const struct runs *runs, uint32_t first, unsigned n, uint64_t hot[LOOK_CHUNKS])
{
	unsigned char in_memory[LOOK_CHUNKS * RUNS_CHUNK];
	unsigned pages = (n - 1) * RUNS_CHUNK + chunk_pages(runs, first + n - 1);
	int r = segment_resident(runs->seg, runs->offset + (uint64_t)first * RUNS_CHUNK * SEGMENT_PAGE,
				 (uint64_t)pages * SEGMENT_PAGE, in_memory);

	memset(hot, 0, n * sizeof *hot);
	for (unsigned p = 0; p < pages && !r; p++)
		hot[p / RUNS_CHUNK] |= (uint64_t)(in_memory[p] & 1) << p % RUNS_CHUNK;
	return r;
}

/*
 * The chunk where the search ends: the hint's, unless the system counts more pages than were found up to there; then
 * the hint is wrong, and the search goes on to the pool's end. If the system does not count, each chunk behind the hint
 * is looked at when it is opened.
 */
static uint32_t look_end(const struct runs *runs)
{
	return runs->look < runs->expected || !runs->counted ? runs->expected : runs->chunks_total;
}

static bool is_looking(const struct runs *runs)
{
	return runs->unseen && runs->look < look_end(runs);
}

bool runs_open_chunk(struct runs *runs)
{
	uint64_t hot[LOOK_CHUNKS] = {0};
	uint32_t index;

	while (runs->frontier < runs->chunks_total && runs->chunks[runs->frontier].open)
		runs->frontier++;
	index = runs->frontier;
	if (index == runs->chunks_total)
		return false;
	/* A system call under the lock, of some microseconds. It ends with the search of the background thread. */
	if (runs->unseen && index >= runs->look)
		(void)look_at(runs, index, 1, hot);
	chunk_adopt(runs, index, hot[0]);
	runs->frontier++;
	return true;
}

/*
 * Count the pages that are in memory and may lie anywhere in the pool: the reserve of a former process, and what it
 * freed a moment before it died. With that number the search can end at the last such page.
 */
static int count_unseen(struct runs *runs)
{
	uint64_t all = segment_pages(runs->seg);
	int r = 0;

	runs->unseen = UINT64_MAX;
	runs->counted = all != UINT64_MAX;
	if (!runs->counted)
		return 0;
	if (runs->outside == UINT64_MAX)
		r = segment_count_resident(runs->seg, 0, runs->offset, &runs->outside);
	runs->unseen = runs->outside < all ? all - runs->outside : 0;
	return r;
}

void runs_set_outside(struct runs *runs, uint64_t pages)
{
	runs->outside = pages;
}

void runs_expect(struct runs *runs, uint64_t pages)
{
	if (pages && pages < runs->pages)
		runs->expected = (uint32_t)((pages + RUNS_CHUNK - 1) / RUNS_CHUNK);
}

void runs_keep_frontier(struct runs *runs, uint64_t *frontier)
{
	pthread_mutex_lock(&runs->lock);
	runs->hint = frontier;
	chunk_leave_hint(runs);
	pthread_mutex_unlock(&runs->lock);
}

int runs_rebuild_begin(struct runs *runs, uint32_t highest_page)
{
	uint32_t floor = highest_page == RUNS_NONE ? 0 : highest_page / RUNS_CHUNK + 1;
	uint64_t hot[LOOK_CHUNKS];
	unsigned quiet = 0;
	int r = count_unseen(runs);

	while (!r &&
	       (runs->look < floor || (is_looking(runs) && runs->look < runs->expected && quiet < QUIET_CHUNKS))) {
		uint32_t first = runs->look, left = (first < floor ? floor : runs->expected) - first;
		unsigned n = left < LOOK_CHUNKS ? left : LOOK_CHUNKS;

		r = look_at(runs, first, n, hot);
		for (unsigned i = 0; i < n && !r; i++) {
			unsigned found = (unsigned)__builtin_popcountll(hot[i]);

			quiet = found ? 0 : quiet + 1;
			runs->unseen -= found < runs->unseen ? found : runs->unseen;
			if (found || first + i < floor)
				chunk_open(runs, first + i, hot[i]);
		}
		runs->look += n;
	}
	return r;
}

bool runs_look(struct runs *runs)
{
	uint64_t hot[LOOK_CHUNKS];
	uint32_t first, left;
	bool more;
	int r = 0;

	pthread_mutex_lock(&runs->lock);
	more = is_looking(runs);
	first = runs->look;
	left = look_end(runs) - first;
	pthread_mutex_unlock(&runs->lock);
	if (!more)
		return false;
	left = left < LOOK_CHUNKS ? left : LOOK_CHUNKS;
	r = look_at(runs, first, left, hot);
	pthread_mutex_lock(&runs->lock);
	/* A chunk that was opened meanwhile was looked at then. */
	for (unsigned i = 0; i < left && !r; i++)
		if (hot[i] && !runs->chunks[first + i].open)
			chunk_adopt(runs, first + i, hot[i]);
	/* Where the system does not say, there is nothing to be found. */
	runs->look = r ? runs->chunks_total : first + left;
	more = is_looking(runs);
	pthread_mutex_unlock(&runs->lock);
	return more;
}

void runs_rebuild_mark(struct runs *runs, uint32_t page, unsigned pages, uint64_t *hot)
{
	struct chunk *chunk = &runs->chunks[page / RUNS_CHUNK];
	unsigned first = page % RUNS_CHUNK;
	uint64_t mask = chunk_mask(first, pages);

	*hot = (chunk->hot & mask) >> first;
	chunk->free &= ~mask;
	chunk->hot &= ~mask;
}

void runs_rebuild_finish(struct runs *runs)
{
	for (uint32_t i = 0; i < runs->end; i++) {
		if (!runs->chunks[i].open)
			continue;
		figure_add(&runs->hot_free, (unsigned)__builtin_popcountll(runs->chunks[i].hot));
		chunk_relist(runs, i);
	}
}

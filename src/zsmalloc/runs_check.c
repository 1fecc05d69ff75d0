/* SPDX-License-Identifier: BSD-3-Clause */
/* Invariants R1 to R4 of runs: see runs.c. */
#include "zsmalloc/chunk.h"

/* Pages of a chunk that are neither free nor in use. */
static unsigned missing_pages(const struct runs *runs, uint32_t index, const uint64_t *in_use)
{
	unsigned pages = runs->pages - index * RUNS_CHUNK;

	return (unsigned)__builtin_popcountll(bits_below(pages) & ~(runs->chunks[index].free | in_use[index]));
}

/* R2 for one chunk: its longest runs are what its lists say. */
static const char *check_chunk(const struct runs *runs, uint32_t index, const uint64_t *in_use)
{
	const struct chunk *chunk = &runs->chunks[index];

	if (chunk->hot & ~chunk->free)
		return "a page is hot but not free";
	if (chunk->hot != chunk_hot_by_group(runs, index))
		return "free pages of one system page are hot and cold, or cold beside pages in use";
	for (enum runs_list list = 0; list < chunk_lists(runs); list++)
		if (chunk->longest[list] != chunk_longest_run(chunk_list_bits(runs, index, list)))
			return "a chunk is on the list of another run length";
	if (in_use && (chunk->free & in_use[index]))
		return "a page of a zspage is free at the same time";
	return NULL;
}

static const char *check_lists(const struct runs *runs)
{
	for (enum runs_list list = 0; list < chunk_lists(runs); list++) {
		for (unsigned n = 1; n <= RUNS_CHUNK; n++) {
			uint32_t prev = RUNS_NONE, steps = 0;

			if (!(runs->nonempty[list] >> (n - 1) & 1) != (runs->head[list][n] == RUNS_NONE))
				return "the map of lists disagrees with the lists";
			for (uint32_t i = runs->head[list][n]; i != RUNS_NONE;
			     prev = i, i = runs->chunks[i].next[list]) {
				if (i >= runs->end || !runs->chunks[i].open || ++steps > runs->opened)
					return "a list of chunks runs wild";
				if (runs->chunks[i].prev[list] != prev || runs->chunks[i].longest[list] != n)
					return "a list of chunks is broken";
			}
		}
	}
	return NULL;
}

const char *runs_check(struct runs *runs, const uint64_t *in_use)
{
	const char *why;
	uint64_t hot = 0, missing = 0;

	pthread_mutex_lock(&runs->lock);
	why = check_lists(runs);
	for (uint32_t i = 0; i < runs->end && !why; i++) {
		if (!runs->chunks[i].open)
			continue;
		why = check_chunk(runs, i, in_use);
		hot += (unsigned)__builtin_popcountll(runs->chunks[i].hot);
		missing += in_use ? missing_pages(runs, i, in_use) : 0;
	}
	if (!why && in_use && missing != runs->in_hand)
		why = "a page is neither free nor in a zspage: leaked";
	if (!why && hot != runs->hot_free)
		why = "the count of free hot pages is wrong";
	pthread_mutex_unlock(&runs->lock);
	return why;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs of pages. See runs.h.
 *
 * Free pages are found through chunks (chunk.c). runs_upkeep.c populates and releases pages in the background;
 * runs_look.c finds pages that a former process has left in memory. System calls that populate or release memory are
 * made outside the lock, one for each run.
 *
 * Invariants
 *   R1 a page is free in its chunk, or belongs to exactly one zspage, or is in one magazine, or is being populated or
 *      released by one upkeep call;
 *   R2 an open chunk is on the list of its longest hot run, and of its longest cold run, wherever that
 *      is not 0; one that is not open is on none. All chunks below the frontier are open, and beyond it those
 *      in which pages of a former life were found;
 *   R3 hot_free is the number of free hot pages;
 *   R4 the free pages of a group are all hot or all cold, and cold only if the whole group is free:
 *      a group with a page in use is in memory.
 */
#include "zsmalloc/runs_parts.h"

#include "process/lock.h"
#include "process/system_page.h"

#include <errno.h>
#include <string.h>

/* ------------------------------------------------------------------ life */

int runs_init(struct runs *runs, struct segment *seg, uint64_t offset, uint32_t pages)
{
	pthread_condattr_t attr;

	memset(runs, 0, sizeof *runs);
	if (offset % system_page())
		return -EINVAL;
	runs->group = (unsigned)(system_page() / SEGMENT_PAGE);
	runs->seg = seg;
	runs->offset = offset;
	runs->outside = UINT64_MAX;
	runs->pages = pages;
	runs->chunks_total = (pages + RUNS_CHUNK - 1) / RUNS_CHUNK;
	runs->expected = runs->chunks_total;
	memset(runs->head, 0xff, sizeof runs->head);
	lock_init(&runs->lock);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	for (enum runs_work work = 0; work < RUNS_WORKS; work++)
		pthread_cond_init(&runs->wake[work], &attr);
	pthread_cond_init(&runs->stopped, &attr);
	pthread_condattr_destroy(&attr);
	runs->chunks = segment_private_map(runs->chunks_total * sizeof *runs->chunks);
	return runs->chunks ? magazines_init(&runs->magazines) : -ENOMEM;
}

void runs_destroy(struct runs *runs)
{
	if (!runs->chunks)
		return;
	magazines_destroy(&runs->magazines);
	segment_private_unmap(runs->chunks, runs->chunks_total * sizeof *runs->chunks);
	runs->chunks = NULL;
	for (enum runs_work work = 0; work < RUNS_WORKS; work++)
		pthread_cond_destroy(&runs->wake[work]);
	pthread_cond_destroy(&runs->stopped);
	pthread_mutex_destroy(&runs->lock);
}

/* ------------------------------------------------------------------ taking and giving */

/* Populate a run that was taken cold. A request needs it now: the reserve is there to avoid this wait. */
static int heat(struct runs *runs, struct run *run, unsigned want)
{
	unsigned taken = run->pages;
	int r = runs_populate(runs, run->page, run->pages);

	if (r) {
		runs_give(runs, run);
	} else {
		run->hot = bits_below(run->pages);
		pthread_mutex_lock(&runs->lock);
		chunk_give_surplus(runs, run, want);
		pthread_mutex_unlock(&runs->lock);
	}
	atomic_fetch_sub_explicit(&runs->heating, taken, memory_order_relaxed);
	return r;
}

/* Under the lock. */
static uint64_t resident(const struct runs *runs)
{
	return atomic_load_explicit(&runs->used, memory_order_relaxed) +
	       atomic_load_explicit(&runs->tails, memory_order_relaxed) +
	       atomic_load_explicit(&runs->heating, memory_order_relaxed) + figure_get(&runs->hot_free);
}

/* May `pages` more be populated? Under the lock. */
static bool below_cap(const struct runs *runs, unsigned pages)
{
	uint64_t cap = atomic_load_explicit(&runs->cap, memory_order_relaxed);

	return !cap || resident(runs) + pages <= cap;
}

/* Without a hot run of the length that is wanted. Under the lock. */
static bool take_second_best(struct runs *runs, unsigned want, unsigned least, struct run *run)
{
	if (!below_cap(runs, want))
		return chunk_take(runs, RUNS_HOT, want, least, run);
	return chunk_take(runs, RUNS_COLD, want, want, run) ||
	       (runs_open_chunk(runs) && chunk_take(runs, RUNS_COLD, want, least, run)) ||
	       chunk_take(runs, RUNS_HOT, want, least, run) || chunk_take(runs, RUNS_COLD, want, least, run);
}

/* *heats: heat() has to be called for the run. -ENOSPC: there is none. */
static int take_run(struct runs *runs, unsigned want, unsigned least, struct run *run, bool *heats)
{
	bool found, has_reserve;

	pthread_mutex_lock(&runs->lock);
	has_reserve = runs->reserve != 0;
	/* With a reserve, a shorter run that is ready beats a longer one that has to be waited for. */
	found = chunk_take(runs, RUNS_HOT, want, has_reserve ? least : want, run);
	if (!found) {
		if (has_reserve)
			atomic_fetch_add_explicit(&runs->misses, 1, memory_order_relaxed);
		found = take_second_best(runs, want, least, run);
	}
	*heats = found && has_reserve && !run->hot;
	if (*heats)
		atomic_fetch_add_explicit(&runs->heating, run->pages, memory_order_relaxed);
	if (found && !*heats)
		chunk_give_surplus(runs, run, want);
	runs_wake(runs);
	pthread_mutex_unlock(&runs->lock);
	return found ? 0 : -ENOSPC;
}

int runs_take(struct runs *runs, unsigned want, unsigned least, struct run *run)
{
	bool heats;
	int r = take_run(runs, want, least, run, &heats);

	if (!r && heats)
		r = heat(runs, run, want);
	if (!r)
		return 0;
	/* What is missing may lie in the magazines, or be on its way from or to one. */
	magazines_hold(&runs->magazines);
	magazines_drain_held(runs);
	r = take_run(runs, want, least, run, &heats);
	/* The system may be waited for, and whoever gives pages back must not wait with us. */
	magazines_release(&runs->magazines);
	return !r && heats ? heat(runs, run, want) : r;
}

/*
 * Without a background thread, the thread that frees pages gives them back, a chunk at most with each call. Under the
 * lock.
 */
static void trim_unless_worker(struct runs *runs)
{
	bool trim = !runs->has_worker;

	while (trim && runs_wants_trim(runs) && runs_trim_piece(runs) == 0)
		;
}

void runs_give(struct runs *runs, const struct run *run)
{
	pthread_mutex_lock(&runs->lock);
	chunk_put_back(runs, run->page, run->pages, run->hot);
	runs_wake(runs);
	trim_unless_worker(runs);
	pthread_mutex_unlock(&runs->lock);
}

unsigned runs_take_hot(struct runs *runs, unsigned most, uint32_t *pages)
{
	struct run run;
	unsigned n = 0;

	pthread_mutex_lock(&runs->lock);
	/* One by one, each where it fits best: fragments first. */
	while (n < most && chunk_take(runs, RUNS_HOT, 1, 1, &run))
		pages[n++] = run.page;
	runs_wake(runs);
	pthread_mutex_unlock(&runs->lock);
	return n;
}

void runs_give_hot(struct runs *runs, const uint32_t *pages, unsigned n)
{
	pthread_mutex_lock(&runs->lock);
	for (unsigned i = 0; i < n; i++)
		chunk_put_back(runs, pages[i], 1, 1);
	runs_wake(runs);
	pthread_mutex_unlock(&runs->lock);
}

void runs_settle(struct runs *runs)
{
	pthread_mutex_lock(&runs->lock);
	trim_unless_worker(runs);
	pthread_mutex_unlock(&runs->lock);
}

/* ------------------------------------------------------------------ limits */

/* Under the lock. */
static void apply_limit(struct runs *runs)
{
	uint64_t own = runs_limit(runs);

	atomic_store_explicit(&runs->limit, own ? own + runs->lent : 0, memory_order_relaxed);
}

void runs_set_limit(struct runs *runs, uint64_t pages)
{
	pthread_mutex_lock(&runs->lock);
	atomic_store_explicit(&runs->own_limit, pages, memory_order_relaxed);
	apply_limit(runs);
	pthread_mutex_unlock(&runs->lock);
	/* What is in magazines was charged below the limit there was before. */
	magazines_drain(runs);
}

uint64_t runs_limit(struct runs *runs)
{
	return atomic_load_explicit(&runs->own_limit, memory_order_relaxed);
}

void runs_lend(struct runs *runs, unsigned pages)
{
	pthread_mutex_lock(&runs->lock);
	runs->lent = pages;
	apply_limit(runs);
	pthread_mutex_unlock(&runs->lock);
}

void runs_set_cap(struct runs *runs, uint64_t pages)
{
	atomic_store_explicit(&runs->cap, pages, memory_order_relaxed);
}

bool runs_has_reserve(struct runs *runs)
{
	bool has;

	pthread_mutex_lock(&runs->lock);
	has = runs->reserve != 0;
	pthread_mutex_unlock(&runs->lock);
	return has;
}

void runs_set_reserve(struct runs *runs, uint64_t pages)
{
	pthread_mutex_lock(&runs->lock);
	runs->reserve = pages;
	runs_wake(runs);
	pthread_mutex_unlock(&runs->lock);
}

/* ------------------------------------------------------------------ pages in use */

static int charge_quickly(struct runs *runs, unsigned pages, unsigned beyond)
{
	uint64_t limit = atomic_load_explicit(&runs->limit, memory_order_relaxed);
	unsigned fail_every = atomic_load_explicit(&runs->fail_every, memory_order_relaxed);
	uint64_t used = atomic_load_explicit(&runs->used, memory_order_relaxed);

	if (fail_every && (atomic_fetch_add_explicit(&runs->fail_count, 1, memory_order_relaxed) + 1) % fail_every == 0)
		return -ENOSPC;
	do {
		if (limit && used + pages > limit + beyond)
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak_explicit(&runs->used, &used, used + pages, memory_order_relaxed,
							memory_order_relaxed));
	return 0;
}

int runs_charge_quickly(struct runs *runs, unsigned pages)
{
	return charge_quickly(runs, pages, 0);
}

int runs_charge_beyond(struct runs *runs, unsigned pages, unsigned beyond)
{
	int r = charge_quickly(runs, pages, beyond);

	/* A failure that a test has injected must not be cured by the magazines. */
	if (r && !atomic_load_explicit(&runs->fail_every, memory_order_relaxed)) {
		magazines_hold(&runs->magazines);
		magazines_drain_held(runs);
		r = charge_quickly(runs, pages, beyond);
		magazines_release(&runs->magazines);
	}
	if (!r) {
		runs_note_used(runs);
		magazine_forget_low(&runs->magazines);
	}
	return r;
}

int runs_charge(struct runs *runs, unsigned pages)
{
	return runs_charge_beyond(runs, pages, 0);
}

bool runs_has_room(struct runs *runs, unsigned pages, unsigned beyond)
{
	uint64_t limit = atomic_load_explicit(&runs->limit, memory_order_relaxed);

	return !limit || atomic_load_explicit(&runs->used, memory_order_relaxed) + pages <= limit + beyond ||
	       runs_used(runs) + pages <= limit + beyond;
}

uint64_t runs_used(const struct runs *runs)
{
	uint64_t used = atomic_load_explicit(&runs->used, memory_order_relaxed);
	uint64_t kept = magazines_count(&runs->magazines);

	return used > kept ? used - kept : 0;
}

void runs_note_used(struct runs *runs)
{
	uint64_t max = atomic_load_explicit(&runs->used_max, memory_order_relaxed), used;

	/* Most of the time not even all pages of the magazines would make it more. */
	if (atomic_load_explicit(&runs->used, memory_order_relaxed) <= max)
		return;
	used = runs_used(runs);
	while (used > max && !atomic_compare_exchange_weak_explicit(&runs->used_max, &max, used, memory_order_relaxed,
								    memory_order_relaxed))
		;
}

uint64_t runs_used_max(struct runs *runs)
{
	runs_note_used(runs);
	return atomic_load_explicit(&runs->used_max, memory_order_relaxed);
}

void runs_reset_used_max(struct runs *runs)
{
	magazines_forget_lows(&runs->magazines);
	atomic_store_explicit(&runs->used_max, runs_used(runs), memory_order_relaxed);
}

void runs_uncharge(struct runs *runs, unsigned pages)
{
	atomic_fetch_sub_explicit(&runs->used, pages, memory_order_relaxed);
}

/* ------------------------------------------------------------------ figures */

int runs_populate_descriptors(struct runs *runs, uint64_t most)
{
	uint64_t bytes = runs->chunks_total * sizeof *runs->chunks;

	return segment_private_populate(runs->chunks, bytes < most ? bytes : most);
}

uint64_t runs_descriptor_bytes(struct runs *runs)
{
	return figure_get(&runs->opened) * sizeof(struct chunk);
}

uint64_t runs_descriptors_resident(const struct runs *runs)
{
	return segment_private_resident(runs->chunks, runs->chunks_total * sizeof *runs->chunks);
}

uint64_t runs_resident(struct runs *runs)
{
	uint64_t pages;

	pthread_mutex_lock(&runs->lock);
	pages = resident(runs);
	pthread_mutex_unlock(&runs->lock);
	return pages;
}

uint64_t runs_hot_free(struct runs *runs)
{
	return figure_get(&runs->hot_free);
}

uint64_t runs_moving(struct runs *runs)
{
	return figure_get(&runs->in_hand) + atomic_load_explicit(&runs->heating, memory_order_relaxed);
}

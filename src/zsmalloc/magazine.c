/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Magazines of hot pages. See magazine.h.
 *
 *            take                 refill: MAGAZINE_BATCH, charged
 *   thread <------ magazine <------------------------------------ runs
 *          ------>          ------------------------------------>
 *            give                 the oldest MAGAZINE_BATCH, uncharged
 *
 * Locks: one magazine, or all of them in order, then runs.
 */
#include "zsmalloc/magazine.h"

#include "process/lock.h"
#include "process/thread.h"
#include "zsmalloc/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Twice as many as CPUs, so that two threads at work seldom share one. */
#define LEAST 8u
#define MOST  256u

#define NO_LOW (MAGAZINE_PAGES + 1)

/* ------------------------------------------------------------------ life */

int magazines_init(struct magazines *magazines)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = LEAST;

	while (n < MOST && (long)n < 2 * cpus)
		n *= 2;
	magazines->all = aligned_alloc(128, n * sizeof *magazines->all);
	if (!magazines->all)
		return -ENOMEM;
	memset(magazines->all, 0, n * sizeof *magazines->all);
	for (unsigned i = 0; i < n; i++)
		lock_init(&magazines->all[i].lock);
	magazines->n = n;
	magazines_forget_lows(magazines);
	return 0;
}

void magazines_destroy(struct magazines *magazines)
{
	for (unsigned i = 0; i < magazines->n; i++)
		pthread_mutex_destroy(&magazines->all[i].lock);
	free(magazines->all);
	*magazines = (struct magazines){0};
}

static struct magazine *own(const struct magazines *magazines)
{
	return &magazines->all[thread_number() % magazines->n];
}

/* ------------------------------------------------------------------ counts */

/* Under the lock, so that there are no other writers. */
static uint32_t count_of(const struct magazine *magazine)
{
	return atomic_load_explicit(&magazine->count, memory_order_relaxed);
}

static void set_count(struct magazine *magazine, uint32_t count)
{
	atomic_store_explicit(&magazine->count, count, memory_order_relaxed);
}

static void add_taken(struct magazine *magazine, int64_t pages)
{
	int64_t taken = atomic_load_explicit(&magazine->taken, memory_order_relaxed);

	atomic_store_explicit(&magazine->taken, taken + pages, memory_order_relaxed);
}

/*
 * Bring used_max up to date before a page is given back, instead of with each page that is taken. The use was highest
 * when the count was lowest, and that is now.
 */
static void note_low(struct runs *runs, struct magazine *magazine)
{
	if (count_of(magazine) >= atomic_load_explicit(&magazine->low, memory_order_relaxed))
		return;
	runs_note_used(runs);
	atomic_store_explicit(&magazine->low, count_of(magazine), memory_order_relaxed);
}

static void forget_low(struct magazine *magazine)
{
	atomic_store_explicit(&magazine->low, NO_LOW, memory_order_relaxed);
}

void magazine_forget_low(struct magazines *magazines)
{
	forget_low(own(magazines));
}

void magazines_forget_lows(struct magazines *magazines)
{
	for (unsigned i = 0; i < magazines->n; i++)
		forget_low(&magazines->all[i]);
}

uint64_t magazines_count(const struct magazines *magazines)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < magazines->n; i++)
		count += count_of(&magazines->all[i]);
	return count;
}

uint64_t magazines_taken(const struct magazines *magazines)
{
	int64_t taken = 0;

	for (unsigned i = 0; i < magazines->n; i++)
		taken += atomic_load_explicit(&magazines->all[i].taken, memory_order_relaxed);
	/*
	 * Magazines are read one after another. A page given back to one and taken from another meanwhile can make the
	 * sum negative.
	 */
	return taken > 0 ? (uint64_t)taken : 0;
}

/* ------------------------------------------------------------------ pages */

/* Near a limit no page is kept, so that all are there for the threads that need some. */
static bool may_keep(const struct runs *runs)
{
	uint64_t limit = atomic_load_explicit(&runs->limit, memory_order_relaxed);
	uint64_t room = (uint64_t)runs->magazines.n * MAGAZINE_PAGES;

	return (!limit || atomic_load_explicit(&runs->used, memory_order_relaxed) + room <= limit) &&
	       !atomic_load_explicit(&runs->fail_every, memory_order_relaxed);
}

/* Fill an empty magazine, under its lock. False: it stays empty. */
static bool refill(struct runs *runs, struct magazine *magazine)
{
	unsigned n;

	note_low(runs, magazine);
	if (!may_keep(runs) || runs_charge_quickly(runs, MAGAZINE_BATCH))
		return false;
	n = runs_take_hot(runs, MAGAZINE_BATCH, magazine->page);
	if (n < MAGAZINE_BATCH)
		runs_uncharge(runs, MAGAZINE_BATCH - n);
	set_count(magazine, n);
	forget_low(magazine);
	return n > 0;
}

/* A page for which no magazine has been found. */
static int take_alone(struct runs *runs, unsigned beyond, uint32_t *page)
{
	struct run run;
	int r = runs_charge_beyond(runs, 1, beyond);

	if (r)
		return r;
	r = runs_take(runs, 1, 1, &run);
	if (r)
		runs_uncharge(runs, 1);
	*page = run.page;
	return r;
}

int magazine_take(struct runs *runs, unsigned beyond, uint32_t *page)
{
	struct magazine *magazine = own(&runs->magazines);
	bool found;
	int r;

	pthread_mutex_lock(&magazine->lock);
	found = count_of(magazine) || refill(runs, magazine);
	if (found) {
		set_count(magazine, count_of(magazine) - 1);
		*page = magazine->page[count_of(magazine)];
		add_taken(magazine, 1);
	}
	pthread_mutex_unlock(&magazine->lock);
	if (found)
		return 0;
	r = take_alone(runs, beyond, page);
	if (r)
		return r;
	pthread_mutex_lock(&magazine->lock);
	add_taken(magazine, 1);
	pthread_mutex_unlock(&magazine->lock);
	return 0;
}

/* Take the oldest pages out, under the lock: the others are likelier to be in a cache. Returns how many. */
static unsigned take_oldest(struct magazine *magazine, unsigned most, uint32_t *pages)
{
	unsigned count = count_of(magazine), n = count < most ? count : most;

	memcpy(pages, magazine->page, n * sizeof *pages);
	memmove(magazine->page, magazine->page + n, (count - n) * sizeof *pages);
	set_count(magazine, count - n);
	forget_low(magazine);
	return n;
}

void magazine_give(struct runs *runs, uint32_t page)
{
	struct magazine *magazine = own(&runs->magazines);
	uint32_t surplus[MAGAZINE_BATCH];
	unsigned n = 0;

	pthread_mutex_lock(&magazine->lock);
	note_low(runs, magazine);
	add_taken(magazine, -1);
	if (!may_keep(runs)) {
		surplus[n++] = page;
	} else {
		if (count_of(magazine) == MAGAZINE_PAGES)
			n = take_oldest(magazine, MAGAZINE_BATCH, surplus);
		magazine->page[count_of(magazine)] = page;
		set_count(magazine, count_of(magazine) + 1);
	}
	/* Under the lock, so that somebody who holds all magazines misses no page. */
	if (n) {
		runs_uncharge(runs, n);
		runs_give_hot(runs, surplus, n);
	}
	pthread_mutex_unlock(&magazine->lock);
	if (n)
		runs_settle(runs);
}

/* Give back the pages of a magazine, under its lock. */
static void drain(struct runs *runs, struct magazine *magazine)
{
	uint32_t pages[MAGAZINE_PAGES];
	unsigned n;

	note_low(runs, magazine);
	n = take_oldest(magazine, MAGAZINE_PAGES, pages);
	runs_uncharge(runs, n);
	runs_give_hot(runs, pages, n);
}

void magazines_hold(struct magazines *magazines)
{
	for (unsigned i = 0; i < magazines->n; i++)
		pthread_mutex_lock(&magazines->all[i].lock);
}

void magazines_release(struct magazines *magazines)
{
	for (unsigned i = magazines->n; i-- > 0;)
		pthread_mutex_unlock(&magazines->all[i].lock);
}

void magazines_drain_held(struct runs *runs)
{
	for (unsigned i = 0; i < runs->magazines.n; i++)
		if (count_of(&runs->magazines.all[i]))
			drain(runs, &runs->magazines.all[i]);
}

void magazines_drain(struct runs *runs)
{
	for (unsigned i = 0; i < runs->magazines.n; i++) {
		struct magazine *magazine = &runs->magazines.all[i];

		if (!count_of(magazine))
			continue;
		pthread_mutex_lock(&magazine->lock);
		drain(runs, magazine);
		pthread_mutex_unlock(&magazine->lock);
	}
}

void magazine_note_taken(struct magazines *magazines)
{
	add_taken(&magazines->all[0], 1);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs of pages. See runs.h.
 *
 *   chunk   |################........####..........................hhhhhhhhhhhhhhhhhh|
 *            in use          cold    in use      cold              hot
 *
 * Each chunk is on up to two lists: by its longest run of hot pages, and by its longest run of cold
 * ones, so that a run is found by looking at one bit map of lists and one bit map of pages. Pages
 * that are being populated or released are in neither: the system call happens outside the lock,
 * one call a run.
 *
 * The system gives memory, and takes it back, by the system page. Where that is larger than a page of
 * ours, the pages of one system page are a group. A third list then says where whole groups are hot,
 * since these alone can be given back.
 *
 * Invariants
 *   R1 a page is free in its chunk, or held by exactly one zspage, or in the hands of one upkeep call;
 *   R2 an open chunk is on the list of its longest hot run, and of its longest cold run, wherever that
 *      is not 0; one that is not open is on none. All chunks below the frontier are open, and beyond it those
 *      in which pages of a former life were found;
 *   R3 hot_free is the number of free hot pages;
 *   R4 the free pages of a group are all hot or all cold, and cold only if the whole group is free:
 *      beside a page in use there is no page without memory.
 */
#include "zsmalloc/runs.h"

#include "process/system_page.h"

#include <errno.h>
#include <string.h>
#include <time.h>

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

/* Chunks whose pages are looked for in memory at once: 16 MiB in one system call. */
#define LOOK_CHUNKS 64u
/* After so many chunks (64 MiB) without such a page an opening leaves the rest to the background. */
#define QUIET_CHUNKS 256u

static uint64_t mask_of(unsigned first, unsigned n)
{
	return bits_below(n) << first;
}

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

static unsigned longest_run(uint64_t bits)
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

/* Bits of the last chunk that stand for no page: a group that reaches beyond the pool's end is whole without them. */
static uint64_t beyond_pool(const struct runs *runs, uint32_t index)
{
	return ~bits_below(runs->pages - index * RUNS_CHUNK);
}

/* What is hot when R4 is kept: pages whose system page is in memory. */
static uint64_t hot_by_group(const struct runs *runs, uint32_t index)
{
	const struct chunk *chunk = &runs->chunks[index];
	uint64_t whole = groups_with_all(runs, chunk->free | beyond_pool(runs, index));

	return chunk->free & (~whole | groups_with_any(runs, chunk->hot));
}

/* ------------------------------------------------------------------ lists, under the lock */

static uint64_t list_bits(const struct runs *runs, uint32_t index, enum runs_list list)
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

/* The list of what can be given back. Groups of one page are always whole. */
static enum runs_list trim_list(const struct runs *runs)
{
	return runs->group == 1 ? RUNS_HOT : RUNS_WHOLE;
}

/* The lists there are. */
static enum runs_list lists_of(const struct runs *runs)
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

/* Put a chunk whose bits changed on the lists where it belongs, after R4. */
static void relist(struct runs *runs, uint32_t index)
{
	struct chunk *chunk = &runs->chunks[index];

	if (runs->group > 1) {
		uint64_t hot = hot_by_group(runs, index);

		runs->hot_free += (unsigned)__builtin_popcountll(hot & ~chunk->hot);
		chunk->hot = hot;
	}
	for (enum runs_list list = 0; list < lists_of(runs); list++) {
		unsigned longest = longest_run(list_bits(runs, index, list));

		if (longest == chunk->longest[list])
			continue;
		list_remove(runs, index, list);
		list_insert(runs, index, list, longest);
	}
}

static unsigned pages_of_chunk(const struct runs *runs, uint32_t index)
{
	unsigned pages = runs->pages - index * RUNS_CHUNK;

	return pages < RUNS_CHUNK ? pages : RUNS_CHUNK;
}

/* All of the chunk's pages are free, and `hot` says which are in memory. It is on no list yet. */
static void set_open(struct runs *runs, uint32_t index, uint64_t hot)
{
	struct chunk *chunk = &runs->chunks[index];

	memset(chunk, 0, sizeof *chunk);
	chunk->free = bits_below(pages_of_chunk(runs, index));
	chunk->hot = hot;
	chunk->open = true;
	runs->opened++;
	if (index >= runs->end)
		runs->end = index + 1;
}

/* The same, for a chunk that takes part at once. */
static void adopt_chunk(struct runs *runs, uint32_t index, uint64_t hot)
{
	unsigned found = (unsigned)__builtin_popcountll(hot);

	set_open(runs, index, hot);
	runs->hot_free += found;
	runs->unseen -= found < runs->unseen ? found : runs->unseen;
	relist(runs, index);
}

/* Which pages of `n` chunks are in memory: a bit for each page, a word for each chunk. */
static int look_at_chunks(const struct runs *runs, uint32_t first, unsigned n, uint64_t hot[LOOK_CHUNKS])
{
	unsigned char in_memory[LOOK_CHUNKS * RUNS_CHUNK];
	unsigned pages = (n - 1) * RUNS_CHUNK + pages_of_chunk(runs, first + n - 1);
	int r = segment_resident(runs->seg, runs->offset + (uint64_t)first * RUNS_CHUNK * SEGMENT_PAGE,
				 (uint64_t)pages * SEGMENT_PAGE, in_memory);

	memset(hot, 0, n * sizeof *hot);
	for (unsigned p = 0; p < pages && !r; p++)
		hot[p / RUNS_CHUNK] |= (uint64_t)(in_memory[p] & 1) << p % RUNS_CHUNK;
	return r;
}

static bool is_looking(const struct runs *runs)
{
	return runs->unseen && runs->look < runs->chunks_total;
}

/*
 * Begin the next chunk: the whole of it is cold, unless it lies where the pages of a former life have not been looked for
 * yet. False if the pool's address space is used up.
 */
static bool open_chunk(struct runs *runs)
{
	uint64_t hot[LOOK_CHUNKS] = {0};
	uint32_t index;

	while (runs->frontier < runs->chunks_total && runs->chunks[runs->frontier].open)
		runs->frontier++;
	index = runs->frontier;
	if (index == runs->chunks_total)
		return false;
	/* A system call under the lock, of some microseconds: only until the background thread has come by. */
	if (is_looking(runs) && index >= runs->look)
		(void)look_at_chunks(runs, index, 1, hot);
	adopt_chunk(runs, index, hot[0]);
	runs->frontier++;
	return true;
}

/* Take `pages` from the list's best fitting chunk, which has a run of at least that length. */
static void take_from(struct runs *runs, enum runs_list list, unsigned longest, unsigned pages, struct run *run)
{
	uint32_t index = runs->head[list][longest];
	struct chunk *chunk = &runs->chunks[index];
	uint64_t starts = run_starts(list_bits(runs, index, list), pages);
	unsigned first = (unsigned)__builtin_ctzll(starts);
	uint64_t mask = mask_of(first, pages);

	run->page = index * RUNS_CHUNK + first;
	run->pages = pages;
	run->hot = list == RUNS_COLD ? 0 : bits_below(pages);
	chunk->free &= ~mask;
	chunk->hot &= ~mask;
	if (list != RUNS_COLD)
		runs->hot_free -= pages;
	relist(runs, index);
}

/*
 * A run of `want` pages from the list, or else the longest one that is not below `least`. Cold pages are
 * taken in whole groups: the run can be longer than `want`, and whoever takes it calls give_surplus().
 */
static bool take_from_list(struct runs *runs, enum runs_list list, unsigned want, unsigned least, struct run *run)
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

static void put_back(struct runs *runs, uint32_t page, unsigned pages, uint64_t hot)
{
	uint32_t index = page / RUNS_CHUNK;
	unsigned first = page % RUNS_CHUNK;
	struct chunk *chunk = &runs->chunks[index];

	chunk->free |= mask_of(first, pages);
	chunk->hot |= hot << first;
	runs->hot_free += (unsigned)__builtin_popcountll(hot);
	relist(runs, index);
}

/* Keep `want` pages of a run that was taken. */
static void give_surplus(struct runs *runs, struct run *run, unsigned want)
{
	unsigned surplus = run->pages > want ? run->pages - want : 0;

	if (!surplus)
		return;
	put_back(runs, run->page + want, surplus, run->hot >> want);
	run->pages = want;
	run->hot &= bits_below(want);
}

/* ------------------------------------------------------------------ upkeep */

/* Free hot pages beyond the reserve that may stay: enough to give memory back in large pieces. */
static uint64_t slack(const struct runs *runs)
{
	return 4 * RUNS_CHUNK + runs->reserve / 8;
}

static bool wants_refill(const struct runs *runs)
{
	return runs->hot_free < runs->reserve;
}

static bool wants_trim(const struct runs *runs)
{
	return runs->hot_free > runs->reserve + slack(runs) && runs->nonempty[trim_list(runs)];
}

static bool wants(const struct runs *runs, enum runs_work work)
{
	return work == RUNS_REFILL ? wants_refill(runs) : wants_trim(runs);
}

static void wake_workers(struct runs *runs)
{
	if (!runs->has_worker)
		return;
	if (wants_trim(runs))
		pthread_cond_signal(&runs->wake[RUNS_TRIM]);
	else if (runs->hot_free < runs->reserve - runs->reserve / 8)
		pthread_cond_signal(&runs->wake[RUNS_REFILL]);
}

/* Populate a run. When that fails half-way, what was populated goes back: cold pages hold no memory. */
static int populate_run(struct runs *runs, uint32_t page, unsigned pages)
{
	uint64_t offset = runs->offset + (uint64_t)page * SEGMENT_PAGE;
	uint64_t len = (uint64_t)pages * SEGMENT_PAGE;
	int r;

	do
		r = segment_populate(runs->seg, offset, len);
	while (r == -EAGAIN);
	if (r)
		(void)segment_release(runs->seg, offset, len);
	return r;
}

static int refill_piece(struct runs *runs)
{
	uint64_t missing = runs->reserve - runs->hot_free;
	unsigned want = missing < RUNS_CHUNK ? (unsigned)missing : RUNS_CHUNK;
	struct run run;
	int r;

	if (!take_from_list(runs, RUNS_COLD, want, 16, &run) &&
	    !(open_chunk(runs) && take_from_list(runs, RUNS_COLD, want, 1, &run)) &&
	    !take_from_list(runs, RUNS_COLD, want, 1, &run))
		return -ENOSPC;
	runs->in_hand += run.pages;
	pthread_mutex_unlock(&runs->lock);
	r = populate_run(runs, run.page, run.pages);
	pthread_mutex_lock(&runs->lock);
	runs->in_hand -= run.pages;
	put_back(runs, run.page, run.pages, r ? 0 : bits_below(run.pages));
	return r;
}

static int trim_piece(struct runs *runs)
{
	uint64_t excess = runs->hot_free - runs->reserve;
	unsigned want = excess < RUNS_CHUNK ? (unsigned)excess / runs->group * runs->group : RUNS_CHUNK;
	struct run run;
	int r;

	if (!want || !take_from_list(runs, trim_list(runs), want, 1, &run))
		return -ENOSPC;
	runs->in_hand += run.pages;
	pthread_mutex_unlock(&runs->lock);
	r = segment_release(runs->seg, runs->offset + (uint64_t)run.page * SEGMENT_PAGE,
			    (uint64_t)run.pages * SEGMENT_PAGE);
	pthread_mutex_lock(&runs->lock);
	runs->in_hand -= run.pages;
	put_back(runs, run.page, run.pages, r ? bits_below(run.pages) : 0);
	return r;
}

static struct timespec deadline(unsigned timeout_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return until;
}

bool runs_upkeep(struct runs *runs, enum runs_work work, int *error)
{
	bool more;

	*error = 0;
	pthread_mutex_lock(&runs->lock);
	if (wants(runs, work))
		*error = work == RUNS_REFILL ? refill_piece(runs) : trim_piece(runs);
	more = !*error && wants(runs, work);
	pthread_mutex_unlock(&runs->lock);
	return more;
}

bool runs_wants(struct runs *runs, enum runs_work work)
{
	bool wanted;

	pthread_mutex_lock(&runs->lock);
	wanted = wants(runs, work);
	pthread_mutex_unlock(&runs->lock);
	return wanted;
}

bool runs_pause(struct runs *runs, unsigned timeout_ms)
{
	struct timespec until = deadline(timeout_ms);
	bool stopping;

	pthread_mutex_lock(&runs->lock);
	while (!runs->stopping)
		if (pthread_cond_timedwait(&runs->stopped, &runs->lock, &until) == ETIMEDOUT)
			break;
	stopping = runs->stopping;
	pthread_mutex_unlock(&runs->lock);
	return !stopping;
}

void runs_start(struct runs *runs)
{
	pthread_mutex_lock(&runs->lock);
	runs->has_worker = true;
	runs->stopping = false;
	pthread_mutex_unlock(&runs->lock);
}

void runs_stop(struct runs *runs)
{
	pthread_mutex_lock(&runs->lock);
	runs->has_worker = false;
	runs->stopping = true;
	for (enum runs_work work = 0; work < RUNS_WORKS; work++)
		pthread_cond_broadcast(&runs->wake[work]);
	pthread_cond_broadcast(&runs->stopped);
	pthread_mutex_unlock(&runs->lock);
}

bool runs_wait(struct runs *runs, enum runs_work work, unsigned timeout_ms)
{
	struct timespec until = deadline(timeout_ms);
	bool stopping;

	pthread_mutex_lock(&runs->lock);
	while (!runs->stopping && !wants(runs, work))
		if (pthread_cond_timedwait(&runs->wake[work], &runs->lock, &until) == ETIMEDOUT)
			break;
	stopping = runs->stopping;
	pthread_mutex_unlock(&runs->lock);
	return !stopping;
}

/* ------------------------------------------------------------------ taking and giving */

/* Populate a run that was taken cold. The caller needs it now: this is the wait the reserve is there to avoid. */
static int heat(struct runs *runs, struct run *run, unsigned want)
{
	int r = populate_run(runs, run->page, run->pages);

	if (r) {
		runs_give(runs, run);
		return r;
	}
	run->hot = bits_below(run->pages);
	if (run->pages > want) {
		pthread_mutex_lock(&runs->lock);
		give_surplus(runs, run, want);
		pthread_mutex_unlock(&runs->lock);
	}
	return 0;
}

/* Under the lock. */
static uint64_t resident(const struct runs *runs)
{
	return atomic_load_explicit(&runs->used, memory_order_relaxed) +
	       atomic_load_explicit(&runs->tails, memory_order_relaxed) +
	       atomic_load_explicit(&runs->heating, memory_order_relaxed) + runs->hot_free;
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
		return take_from_list(runs, RUNS_HOT, want, least, run);
	return take_from_list(runs, RUNS_COLD, want, want, run) ||
	       (open_chunk(runs) && take_from_list(runs, RUNS_COLD, want, least, run)) ||
	       take_from_list(runs, RUNS_HOT, want, least, run) || take_from_list(runs, RUNS_COLD, want, least, run);
}

int runs_take(struct runs *runs, unsigned want, unsigned least, struct run *run)
{
	bool found, has_reserve, heats;
	unsigned taken;
	int r;

	pthread_mutex_lock(&runs->lock);
	has_reserve = runs->reserve != 0;
	/* With a reserve, a shorter run that is ready beats a longer one that has to be waited for. */
	found = take_from_list(runs, RUNS_HOT, want, has_reserve ? least : want, run);
	if (!found) {
		if (has_reserve)
			atomic_fetch_add_explicit(&runs->misses, 1, memory_order_relaxed);
		found = take_second_best(runs, want, least, run);
	}
	heats = found && has_reserve && !run->hot;
	if (heats)
		atomic_fetch_add_explicit(&runs->heating, run->pages, memory_order_relaxed);
	if (found && !heats)
		give_surplus(runs, run, want);
	wake_workers(runs);
	pthread_mutex_unlock(&runs->lock);
	if (!found)
		return -ENOSPC;
	if (!heats)
		return 0;
	taken = run->pages;
	r = heat(runs, run, want);
	atomic_fetch_sub_explicit(&runs->heating, taken, memory_order_relaxed);
	return r;
}

void runs_give(struct runs *runs, const struct run *run)
{
	bool trim;

	pthread_mutex_lock(&runs->lock);
	put_back(runs, run->page, run->pages, run->hot);
	trim = wants_trim(runs) && !runs->has_worker;
	wake_workers(runs);
	/* No worker: whoever frees pays, in calls of a chunk at most. */
	while (trim && wants_trim(runs) && trim_piece(runs) == 0)
		;
	pthread_mutex_unlock(&runs->lock);
}

int runs_charge(struct runs *runs, unsigned pages)
{
	uint64_t limit = atomic_load_explicit(&runs->limit, memory_order_relaxed);
	unsigned fail_every = atomic_load_explicit(&runs->fail_every, memory_order_relaxed);
	uint64_t used = atomic_load_explicit(&runs->used, memory_order_relaxed), max;

	if (fail_every && (atomic_fetch_add_explicit(&runs->fail_count, 1, memory_order_relaxed) + 1) % fail_every == 0)
		return -ENOSPC;
	do {
		if (limit && used + pages > limit)
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak_explicit(&runs->used, &used, used + pages, memory_order_relaxed,
							memory_order_relaxed));
	used += pages;
	max = atomic_load_explicit(&runs->used_max, memory_order_relaxed);
	while (used > max && !atomic_compare_exchange_weak_explicit(&runs->used_max, &max, used, memory_order_relaxed,
								    memory_order_relaxed))
		;
	return 0;
}

bool runs_has_room(struct runs *runs, unsigned pages)
{
	uint64_t limit = atomic_load_explicit(&runs->limit, memory_order_relaxed);

	return !limit || atomic_load_explicit(&runs->used, memory_order_relaxed) + pages <= limit;
}

void runs_uncharge(struct runs *runs, unsigned pages)
{
	atomic_fetch_sub_explicit(&runs->used, pages, memory_order_relaxed);
}

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
	memset(runs->head, 0xff, sizeof runs->head);
	pthread_mutex_init(&runs->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	for (enum runs_work work = 0; work < RUNS_WORKS; work++)
		pthread_cond_init(&runs->wake[work], &attr);
	pthread_cond_init(&runs->stopped, &attr);
	pthread_condattr_destroy(&attr);
	runs->chunks = segment_private_map(runs->chunks_total * sizeof *runs->chunks);
	return runs->chunks ? 0 : -ENOMEM;
}

void runs_destroy(struct runs *runs)
{
	if (!runs->chunks)
		return;
	segment_private_unmap(runs->chunks, runs->chunks_total * sizeof *runs->chunks);
	runs->chunks = NULL;
	for (enum runs_work work = 0; work < RUNS_WORKS; work++)
		pthread_cond_destroy(&runs->wake[work]);
	pthread_cond_destroy(&runs->stopped);
	pthread_mutex_destroy(&runs->lock);
}

/* ------------------------------------------------------------------ rebuilding */

/*
 * Pages of a former life may be in memory anywhere: a reserve, or what was freed a moment before the process died. The
 * system says how many pages the segment has in memory, so that looking for them ends with the last one.
 */
static int count_unseen(struct runs *runs)
{
	uint64_t all = segment_pages(runs->seg);
	int r = 0;

	runs->unseen = UINT64_MAX;
	if (all == UINT64_MAX)
		return 0;
	if (runs->outside == UINT64_MAX)
		r = segment_count_resident(runs->seg, 0, runs->offset, &runs->outside);
	runs->unseen = runs->outside < all ? all - runs->outside : 0;
	return r;
}

int runs_rebuild_begin(struct runs *runs, uint32_t highest_page)
{
	uint32_t floor = highest_page == RUNS_NONE ? 0 : highest_page / RUNS_CHUNK + 1;
	uint64_t hot[LOOK_CHUNKS];
	unsigned quiet = 0;
	int r = count_unseen(runs);

	while (!r && (runs->look < floor || (is_looking(runs) && quiet < QUIET_CHUNKS))) {
		uint32_t first = runs->look, left = (first < floor ? floor : runs->chunks_total) - first;
		unsigned n = left < LOOK_CHUNKS ? left : LOOK_CHUNKS;

		r = look_at_chunks(runs, first, n, hot);
		for (unsigned i = 0; i < n && !r; i++) {
			unsigned found = (unsigned)__builtin_popcountll(hot[i]);

			quiet = found ? 0 : quiet + 1;
			runs->unseen -= found < runs->unseen ? found : runs->unseen;
			if (found || first + i < floor)
				set_open(runs, first + i, hot[i]);
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
	pthread_mutex_unlock(&runs->lock);
	if (!more)
		return false;
	left = runs->chunks_total - first;
	left = left < LOOK_CHUNKS ? left : LOOK_CHUNKS;
	r = look_at_chunks(runs, first, left, hot);
	pthread_mutex_lock(&runs->lock);
	/* A chunk that was opened meanwhile was looked at by who opened it. */
	for (unsigned i = 0; i < left && !r; i++)
		if (hot[i] && !runs->chunks[first + i].open)
			adopt_chunk(runs, first + i, hot[i]);
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
	uint64_t mask = mask_of(first, pages);

	*hot = (chunk->hot & mask) >> first;
	chunk->free &= ~mask;
	chunk->hot &= ~mask;
}

void runs_rebuild_finish(struct runs *runs)
{
	for (uint32_t i = 0; i < runs->end; i++) {
		if (!runs->chunks[i].open)
			continue;
		runs->hot_free += (unsigned)__builtin_popcountll(runs->chunks[i].hot);
		relist(runs, i);
	}
}

/* ------------------------------------------------------------------ figures and checks */

int runs_populate_descriptors(struct runs *runs, uint64_t most)
{
	uint64_t bytes = runs->chunks_total * sizeof *runs->chunks;

	return segment_private_populate(runs->chunks, bytes < most ? bytes : most);
}

uint64_t runs_descriptor_bytes(struct runs *runs)
{
	uint64_t bytes;

	pthread_mutex_lock(&runs->lock);
	bytes = runs->opened * sizeof(struct chunk);
	pthread_mutex_unlock(&runs->lock);
	return bytes;
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
	uint64_t pages;

	pthread_mutex_lock(&runs->lock);
	pages = runs->hot_free;
	pthread_mutex_unlock(&runs->lock);
	return pages;
}

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
	if (chunk->hot != hot_by_group(runs, index))
		return "free pages of one system page are hot and cold, or cold beside pages in use";
	for (enum runs_list list = 0; list < lists_of(runs); list++)
		if (chunk->longest[list] != longest_run(list_bits(runs, index, list)))
			return "a chunk is on the list of another run length";
	if (in_use && (chunk->free & in_use[index]))
		return "a page of a zspage is free at the same time";
	return NULL;
}

static const char *check_lists(const struct runs *runs)
{
	for (enum runs_list list = 0; list < lists_of(runs); list++) {
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

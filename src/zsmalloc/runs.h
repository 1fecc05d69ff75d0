/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs of pages: where zspages come from and go back to.
 *
 * The pool's address space is cut into chunks of 64 pages. A run is 1 to 64 pages inside one chunk.
 * Free pages are hot (populated, ready to be written without a fault) or cold.
 */
#ifndef ZS_RUNS_H
#define ZS_RUNS_H

#include "segment/segment.h"
#include "zsmalloc/figure.h"
#include "zsmalloc/magazine.h"

#include <pthread.h>
#include <stdatomic.h>

#define RUNS_CHUNK 64u
#define RUNS_NONE  UINT32_MAX

_Static_assert(RUNS_CHUNK *SEGMENT_PAGE % SEGMENT_MAX_SYSTEM_PAGE == 0, "no system page lies in two chunks");

/* RUNS_WHOLE: hot pages that can be given back, since their whole system page is free. */
enum runs_list { RUNS_HOT, RUNS_COLD, RUNS_WHOLE, RUNS_LISTS };

/* What is done in the background. */
enum runs_work {
	RUNS_REFILL, /* populate: the reserve is short */
	RUNS_TRIM,   /* give back: there is much more than the reserve */
	RUNS_WORKS
};

struct chunk;

struct runs {
	struct segment *seg;
	uint64_t offset; /* of the pool in the segment */
	uint32_t pages;  /* of the pool */
	uint32_t chunks_total;
	unsigned group;   /* pages that one system page holds: 1 to 16 */
	uint64_t outside; /* pages of the segment in memory before the pool; UINT64_MAX: not counted yet */
	struct magazines magazines;

	/* Guards all down to the next comment; the innermost lock of the allocator. Apart from what is only read. */
	_Alignas(64) pthread_mutex_t lock;
	pthread_cond_t wake[RUNS_WORKS]; /* this work is to be done */
	bool has_worker;                 /* who waits for it */
	bool stopping;
	pthread_cond_t stopped; /* `stopping` was set */
	struct chunk *chunks;
	uint32_t frontier; /* the next chunk to be opened, or one below it */
	uint32_t end;      /* one past the last of them */
	uint32_t look;     /* the first chunk in which pages of a former process were not looked for yet */
	uint64_t unseen;   /* pages in memory that are still to be found there, at most */
	bool counted;      /* the system has said how many; otherwise `unseen` is a bound without a meaning */
	uint32_t expected; /* from this chunk on none are to be found, says the hint; chunks_total: there is none */
	uint64_t *hint;    /* for the next process: pages below the highest open chunk's end. Or NULL */
	uint32_t head[RUNS_LISTS][RUNS_CHUNK + 1]; /* by longest run */
	uint64_t nonempty[RUNS_LISTS];             /* bit n - 1: head[n] has a chunk */
	uint64_t reserve;                          /* hot free pages that the background thread keeps ready */
	_Atomic uint64_t own_limit;                /* as it was set; 0: none */
	unsigned lent;                             /* pages above it that may be in use for now */
	/* Figures: see figure.h. */
	_Atomic uint64_t opened;   /* chunks that are open: the others are whole, cold, and on no list */
	_Atomic uint64_t hot_free; /* pages free and hot */
	_Atomic uint64_t in_hand;  /* pages being populated or released */

	/* Pages touched by zspages, taken singly or in magazines, and their limit. Any thread, no lock. */
	_Alignas(64) _Atomic uint64_t used;
	_Atomic uint64_t used_max; /* of those that are not in magazines */
	_Atomic uint64_t limit;    /* 0: none. With what is lent */
	_Atomic uint64_t cap;      /* of pages in memory, in use or not; 0: none */
	_Atomic uint64_t heating;  /* being populated for requests that take them */
	_Atomic uint64_t misses;   /* times the reserve was empty when it was needed */
	_Atomic uint64_t tails;    /* pages hot in zspages but not touched yet */
	/* For tests: every n-th charge fails; 0: none does. */
	_Atomic unsigned fail_every, fail_count;
};

/* A run that was taken. */
struct run {
	uint32_t page;
	uint32_t pages;
	uint64_t hot; /* bit n: page n of the run is populated */
};

int runs_init(struct runs *runs, struct segment *seg, uint64_t offset, uint32_t pages);
void runs_destroy(struct runs *runs);

/*
 * Take a run of `want` pages, or a shorter one of at least `least`. With a reserve, the run is populated, which may
 * wait for the system. Beyond the cap only pages are taken that are populated already. -ENOSPC: there are no such
 * pages. -ENOMEM: the system has no memory.
 */
int runs_take(struct runs *runs, unsigned want, unsigned least, struct run *run);
/* Give a run back; run->hot says which pages are populated. */
void runs_give(struct runs *runs, const struct run *run);
/* Take up to `most` single hot pages, if there are any. Returns how many. */
unsigned runs_take_hot(struct runs *runs, unsigned most, uint32_t *pages);
/* Give single hot pages back. */
void runs_give_hot(struct runs *runs, const uint32_t *pages, unsigned n);
/* Give surplus pages back to the system, if there is no background thread that does it. To be called without a lock. */
void runs_settle(struct runs *runs);

/* The most pages that may be in use; 0: no limit. What is taken above it stays until it is given back. */
void runs_set_limit(struct runs *runs, uint64_t pages);
uint64_t runs_limit(struct runs *runs);
/*
 * Let so many pages more than the limit be in use, until this is called again; 0 at first. For work that holds so many itself, and gives them
 * back later: others find what they would find without it. runs_limit() is without them.
 */
void runs_lend(struct runs *runs, unsigned pages);
/* The most pages that may be in memory, in use or not; 0: no limit. Those that are there stay. */
void runs_set_cap(struct runs *runs, uint64_t pages);
/* Hot free pages that the background keeps ready. */
void runs_set_reserve(struct runs *runs, uint64_t pages);
bool runs_has_reserve(struct runs *runs);

/*
 * Count `pages` more in use: -ENOSPC, and nothing counted, if that exceeds the limit. The magazines are emptied before
 * that is said.
 */
int runs_charge(struct runs *runs, unsigned pages);
/* The same, up to `beyond` pages above the limit. */
int runs_charge_beyond(struct runs *runs, unsigned pages, unsigned beyond);
/* The same without a look into the magazines, and without noting used_max. */
int runs_charge_quickly(struct runs *runs, unsigned pages);
/* Would runs_charge_beyond() succeed now? */
bool runs_has_room(struct runs *runs, unsigned pages, unsigned beyond);
void runs_uncharge(struct runs *runs, unsigned pages);
/* Pages in use, without those in magazines. */
uint64_t runs_used(const struct runs *runs);
/*
 * The most pages in use since the beginning, or since runs_reset_used_max(). If several threads take single pages, this
 * can miss as many pages as their magazines hold.
 */
uint64_t runs_used_max(struct runs *runs);
void runs_reset_used_max(struct runs *runs);
/* Bring used_max up to date. */
void runs_note_used(struct runs *runs);

/* Have the first `most` bytes of descriptors in memory, so that no first touch happens under the lock. */
int runs_populate_descriptors(struct runs *runs, uint64_t most);

/*
 * Do one piece of `work`, at most a chunk. True if there is more to do. Otherwise *error is 0, or the negative errno
 * with which the system has refused.
 */
bool runs_upkeep(struct runs *runs, enum runs_work work, int *error);
/* True if there is some of this work to do. */
bool runs_wants(struct runs *runs, enum runs_work work);
/*
 * Wait until there is some of this work to do, at most `timeout_ms`. False once runs_stop() was called. For one
 * background thread for each kind of work.
 */
bool runs_wait(struct runs *runs, enum runs_work work, unsigned timeout_ms);
/* Wait for `timeout_ms`, also if there is work to do. False as soon as runs_stop() was called. */
bool runs_pause(struct runs *runs, unsigned timeout_ms);
void runs_start(struct runs *runs);
void runs_stop(struct runs *runs);

/*
 * Before rebuilding, a caller that knows tells how many pages of the segment before the pool are in memory. Otherwise
 * they are counted.
 */
void runs_set_outside(struct runs *runs, uint64_t pages);
/*
 * Before runs_rebuild_begin(): the hint of the former process. Pages from the start of the pool up to which it may have
 * taken memory; 0: it left no hint.
 */
void runs_expect(struct runs *runs, uint64_t pages);
/*
 * Leave such a hint for the next process: *frontier is raised before memory is taken beyond it. NULL: leave none from
 * now on.
 */
void runs_keep_frontier(struct runs *runs, uint64_t *frontier);

/*
 * Rebuilding, on one thread: begin, after which all pages are free; mark each run that is in use, whose pages in memory
 * *hot then has; finish. `highest_page`: the last page where a zspage starts, or RUNS_NONE.
 */
int runs_rebuild_begin(struct runs *runs, uint32_t highest_page);
void runs_rebuild_mark(struct runs *runs, uint32_t page, unsigned pages, uint64_t *hot);
void runs_rebuild_finish(struct runs *runs);
/*
 * After rebuilding: look at the next 16 MiB for pages that a former process has left in memory. They become free hot
 * pages. True: there may be more. For one thread at a time; other calls may be in flight.
 */
bool runs_look(struct runs *runs);

/* Of the descriptors in use, and what is in memory of all. */
uint64_t runs_descriptor_bytes(struct runs *runs);
uint64_t runs_descriptors_resident(const struct runs *runs);
uint64_t runs_hot_free(struct runs *runs);
/* Pages being populated or released now. */
uint64_t runs_moving(struct runs *runs);
/* Pages in memory: in use, in zspages and not touched yet, free. */
uint64_t runs_resident(struct runs *runs);

/* Verify the lists and counts; `in_use` (one bit per page, may be NULL) is what the caller holds. NULL or a reason. */
const char *runs_check(struct runs *runs, const uint64_t *in_use);

/* The lowest n bits, for n up to 64. */
static inline uint64_t bits_below(unsigned n)
{
	return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

static inline uint8_t *runs_address(const struct runs *runs, uint32_t page)
{
	return runs->seg->base + runs->offset + (uint64_t)page * SEGMENT_PAGE;
}

#endif

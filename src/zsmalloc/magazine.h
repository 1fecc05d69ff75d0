/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Magazines: single hot pages that threads keep at hand. With a magazine, a block that is stored raw takes its page,
 * and gives it back, without the lock that all threads share. Source of the idea and the word: Bonwick and Adams,
 * "Magazines and Vmem", 2001.
 *
 * Pages in a magazine count as in use (`used` of struct runs), so that a thread can take one without a look at the
 * limit. Figures leave them out. Nothing in the segment names them: after a restart they are free pages. They go back
 * to the runs when a limit is near, when pages are missing elsewhere, at the end of a compaction, and once a second.
 *
 * All functions may be called from any thread, except those that make and destroy.
 */
#ifndef ZS_MAGAZINE_H
#define ZS_MAGAZINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MAGAZINE_PAGES 16u
/* So many at a time come from the runs, and go back to them. */
#define MAGAZINE_BATCH 8u

struct runs;

struct magazine {
	/*
	 * Guards all below; the atomic ones may be read without it. Two lines: processors fetch a line's neighbour
	 * along.
	 */
	_Alignas(128) pthread_mutex_t lock;
	_Atomic uint32_t count;
	_Atomic uint32_t low;  /* used_max has seen a count as low as this; MAGAZINE_PAGES + 1: of none */
	_Atomic int64_t taken; /* pages taken less pages given back: only the sum over all magazines says something */
	uint32_t page[MAGAZINE_PAGES];
};

struct magazines {
	struct magazine *all;
	unsigned n;
};

/* -ENOMEM: there was no memory for them. */
int magazines_init(struct magazines *magazines);
/* Harmless on a zeroed struct. */
void magazines_destroy(struct magazines *magazines);

/*
 * Take one page, hot if there is one, and count it as in use: from the thread's own magazine, or from the runs, up to `beyond` pages
 * above the limit. -ENOSPC, -ENOMEM: as runs_charge_beyond() and runs_take(). May populate, or empty the magazines.
 */
int magazine_take(struct runs *runs, unsigned beyond, uint32_t *page);
/* Give back a page that magazine_take() gave, which is hot now. */
void magazine_give(struct runs *runs, uint32_t page);
/* Give all pages in magazines back to the runs. No system call. */
void magazines_drain(struct runs *runs);
/*
 * Hold all magazines: no page goes into one or comes out, and none is on its way. For who has found too few pages and
 * is to know for certain, and for checks. The holder may use the runs, and no other function of this file but the next.
 */
void magazines_hold(struct magazines *magazines);
void magazines_drain_held(struct runs *runs);
void magazines_release(struct magazines *magazines);
/* While rebuilding: a page is in use that a former process took. */
void magazine_note_taken(struct magazines *magazines);

/* Pages in all magazines. */
uint64_t magazines_count(const struct magazines *magazines);
/* Pages taken and not given back. */
uint64_t magazines_taken(const struct magazines *magazines);
/* used_max is to look again at the next page that is given back: to the thread's own magazine, or to any. */
void magazine_forget_low(struct magazines *magazines);
void magazines_forget_lows(struct magazines *magazines);

#endif

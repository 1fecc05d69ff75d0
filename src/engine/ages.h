/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ages: how long ago each block was read or written last. One byte for each block, in the segment, or in process memory
 * if the segment has no such part.
 *
 *     7      6                    0
 *   +------+-----------------------+
 *   | idle | step                  |     0 after every access: not idle, step 0
 *   +------+-----------------------+
 *
 * Time is counted in seconds, and only while a server runs and the machine is awake: otherwise nobody can read or write
 * a block. Each second a sweep lets blocks go on to the next step. The first 12 steps last a second each, the next 6
 * two seconds, the next 6 four, and so on:
 *
 *   step         0 to 11   12 to 17   18 to 23   24 to 29   ...   120 to 125   126, 127
 *   a step       1 s       2 s        4 s        8 s              6 days       12 days
 *   age          0 to 12   12 to 24   24 to 48   48 to 96         36 to 73     73 days and more
 *
 * A step that lasts n seconds ends in a second whose number n divides. So all blocks that go on in one second have a step
 * below one bound, and a sweep looks at 8 blocks at a time.
 *
 * An access stores 0, and only if the byte is not 0: blocks in steady use make no cache line dirty. A sweep changes 8
 * bytes with a compare-and-exchange, so no access gets lost: an access after the load makes the exchange fail, and the
 * sweep looks again.
 *
 * No access touches memory that is not there. The bytes are in pages of 4096, and a bit says of each page that it is in
 * memory; what has no page has no age, and counts as just used. A background thread brings pages into memory where the
 * table has some, when the system has memory to spare.
 *
 * Locks: `lock` guards which pages there are, and all sweeps. No access takes it. A page of bytes is given back only
 * while all its blocks are empty, and an access is noted only for a block that is not, under the block's stripe.
 */
#ifndef AGES_H
#define AGES_H

#include "segment/segment.h"
#include "segment/table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define AGES_STEPS 128u
#define AGES_IDLE  0x80u

/* What a sweep does. */
struct ages_sweep {
	uint64_t block;         /* the next one to be looked at */
	unsigned steps;         /* blocks of these lowest steps go on */
	bool by_one;            /* each of them by one step */
	uint8_t to[AGES_STEPS]; /* otherwise, where those of each step go */
};

struct ages {
	uint8_t *bytes;            /* one for each block */
	_Atomic uint64_t *present; /* a bit for each SEGMENT_PAGE of the bytes */
	uint64_t n;                /* blocks */
	struct segment *seg;       /* in which the bytes are; NULL: in process memory */
	uint64_t *seconds;         /* that were counted: in the segment, or `own` */
	uint64_t own;
	_Atomic uint64_t pages; /* in memory */
	pthread_mutex_t lock;
	struct ages_sweep sweep;
};

/*
 * Ages for n blocks: in the segment, from `offset` on, with the seconds at *seconds; or in process memory if seg is
 * NULL. `kept`: there are ages already. No page counts as being in memory yet. -ENOMEM.
 */
int ages_open(struct ages *ages, struct segment *seg, uint64_t offset, uint64_t n, uint64_t *seconds, bool kept);
/* Harmless on a zeroed struct. */
void ages_close(struct ages *ages);
/* Bytes of process memory: which pages there are, and the ages themselves if they are not in the segment. */
uint64_t ages_private_resident(const struct ages *ages);
/* Find what a former process left in memory. Before the first access. */
int ages_find_pages(struct ages *ages);

static inline bool ages_has(const struct ages *ages, uint64_t block)
{
	uint64_t page = block / SEGMENT_PAGE;

	return atomic_load_explicit(&ages->present[page / 64], memory_order_relaxed) >> (page % 64) & 1;
}

/* The block is read or written. Its stripe is held, and it is not empty. */
static inline void ages_touch(struct ages *ages, uint64_t block)
{
	if (ages_has(ages, block) && __atomic_load_n(&ages->bytes[block], __ATOMIC_RELAXED))
		__atomic_store_n(&ages->bytes[block], 0, __ATOMIC_RELAXED);
}

/* Prefetch what ages_touch() needs. */
static inline void ages_prefetch(const struct ages *ages, uint64_t block)
{
	__builtin_prefetch(&ages->bytes[block]);
}

/* ------------------------------------------------------------------ pages */

/*
 * The first page of bytes in [page, pages) that is not in memory, while the table has words of its blocks; `pages` if
 * there is none. Pages: ages_pages().
 */
uint64_t ages_next_missing(const struct ages *ages, const struct table *table, uint64_t page);
uint64_t ages_pages(const struct ages *ages);
/* Bring `n` pages of bytes into memory. May wait for the system. 0 or a negative errno. */
int ages_add_pages(struct ages *ages, uint64_t page, uint64_t n);
/* Give back the pages all of whose blocks are in [first, end). Preconditions: these blocks are empty, and stay so. */
void ages_release(struct ages *ages, uint64_t first, uint64_t end);
/* Bytes of memory that ages take. */
uint64_t ages_bytes(const struct ages *ages);

/* ------------------------------------------------------------------ time */

/* Seconds for which ages were kept: no age can be higher. */
uint64_t ages_since(const struct ages *ages);
/* Begin a sweep: so many seconds have passed since the last one began. For one thread at a time, with ages_sweep(). */
void ages_pass(struct ages *ages, uint64_t seconds);
/* A bounded piece of the sweep; false: it was the last one. */
bool ages_sweep(struct ages *ages, const struct table *table);

/* ------------------------------------------------------------------ what is known of a block */

/* The least age of a block of this step, in seconds. */
uint64_t ages_least(unsigned step);
/* The age of a block, at least, in seconds. False: nothing is known of the block. */
bool ages_look(struct ages *ages, uint64_t block, uint64_t *seconds, bool *idle);
/*
 * The same, with the lock, or by somebody whom it does not hurt if a page that was just given back comes back into
 * memory.
 */
bool ages_look_held(const struct ages *ages, uint64_t block, uint64_t *seconds, bool *idle);
/* Mark a block as idle if its age is at least `seconds`. False: it was not, or is idle already. With the lock. */
bool ages_mark(struct ages *ages, uint64_t block, uint64_t seconds);
static inline bool ages_is_idle(const struct ages *ages, uint64_t block)
{
	return ages_has(ages, block) && __atomic_load_n(&ages->bytes[block], __ATOMIC_RELAXED) & AGES_IDLE;
}

#endif

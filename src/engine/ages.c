/* SPDX-License-Identifier: BSD-3-Clause */
/* Ages of blocks. See ages.h. */
#include "engine/ages.h"

#include <errno.h>
#include <string.h>

#define STEP_BITS  0x7fu
#define FIRST      12u /* steps of a second */
#define ROW        6u  /* steps of one length after them */
#define ALL(byte)  ((byte)*UINT64_C(0x0101010101010101))
#define PIECE      (UINT64_C(64) << 10) /* blocks of a piece of a sweep: some 30 us */
#define MOST       (UINT64_C(1) << 40)  /* seconds that can have been counted: 30,000 years. More is damage */
#define WORD_BYTES sizeof(uint64_t)

_Static_assert(SEGMENT_PAGE % TABLE_PAGE_WORDS == 0, "a page of the table has the bytes of its blocks in one page");

/* ------------------------------------------------------------------ life */

static uint64_t bitmap_bytes(const struct ages *ages)
{
	return (ages_pages(ages) + 63) / 64 * sizeof(uint64_t);
}

int ages_open(struct ages *ages, struct segment *seg, uint64_t offset, uint64_t n, uint64_t *seconds, bool kept)
{
	*ages = (struct ages){.seg = seg, .n = n};
	pthread_mutex_init(&ages->lock, NULL);
	ages->sweep.block = n;
	ages->bytes = seg ? seg->base + offset : segment_private_map((size_t)n);
	ages->present = segment_private_map((size_t)bitmap_bytes(ages));
	ages->seconds = seg ? seconds : &ages->own;
	if (!kept || ages_since(ages) > MOST)
		*ages->seconds = 0;
	return ages->bytes && ages->present ? 0 : -ENOMEM;
}

void ages_close(struct ages *ages)
{
	if (!ages->n)
		return;
	if (!ages->seg)
		segment_private_unmap(ages->bytes, (size_t)ages->n);
	segment_private_unmap(ages->present, (size_t)bitmap_bytes(ages));
	pthread_mutex_destroy(&ages->lock);
	*ages = (struct ages){0};
}

uint64_t ages_private_resident(const struct ages *ages)
{
	uint64_t bytes = segment_private_resident(ages->present, (size_t)bitmap_bytes(ages));

	return ages->seg ? bytes : bytes + segment_private_resident(ages->bytes, (size_t)ages->n);
}

/* ------------------------------------------------------------------ pages */

uint64_t ages_pages(const struct ages *ages)
{
	return (ages->n + SEGMENT_PAGE - 1) / SEGMENT_PAGE;
}

uint64_t ages_bytes(const struct ages *ages)
{
	return atomic_load_explicit(&ages->pages, memory_order_relaxed) * SEGMENT_PAGE + bitmap_bytes(ages);
}

static bool has_page(const struct ages *ages, uint64_t page)
{
	return ages_has(ages, page * SEGMENT_PAGE);
}

static void set_page(struct ages *ages, uint64_t page, bool present)
{
	uint64_t bit = UINT64_C(1) << (page % 64);

	if (has_page(ages, page) == present)
		return;
	if (present)
		atomic_fetch_or(&ages->present[page / 64], bit);
	else
		atomic_fetch_and(&ages->present[page / 64], ~bit);
	atomic_fetch_add(&ages->pages, present ? 1 : UINT64_MAX);
}

int ages_find_pages(struct ages *ages)
{
	unsigned char resident[1024];
	uint64_t pages = ages_pages(ages);
	int r = segment_private_populate(ages->present, (size_t)bitmap_bytes(ages));

	for (uint64_t page = 0; ages->seg && page < pages && !r; page += sizeof resident) {
		uint64_t n = pages - page < sizeof resident ? pages - page : sizeof resident;

		r = segment_resident(ages->seg, (uint64_t)(ages->bytes - ages->seg->base) + page * SEGMENT_PAGE,
				     n * SEGMENT_PAGE, resident);
		for (uint64_t i = 0; i < n && !r; i++)
			set_page(ages, page + i, resident[i] & 1);
	}
	return r;
}

uint64_t ages_next_missing(const struct ages *ages, const struct table *table, uint64_t page)
{
	uint64_t block = page * SEGMENT_PAGE;

	while ((block = table_next_written(table, block, ages->n)) < ages->n && ages_has(ages, block))
		block = (block / SEGMENT_PAGE + 1) * SEGMENT_PAGE;
	return block < ages->n ? block / SEGMENT_PAGE : ages_pages(ages);
}

int ages_add_pages(struct ages *ages, uint64_t page, uint64_t n)
{
	int r;

	/* With the lock, so that no page is given back between the two steps. */
	pthread_mutex_lock(&ages->lock);
	r = segment_private_populate(ages->bytes + page * SEGMENT_PAGE, (size_t)(n * SEGMENT_PAGE));
	for (uint64_t i = page; i < page + n && !r; i++) {
		/* What an earlier time has left there is not the age of what was written since. */
		if (!has_page(ages, i))
			memset(ages->bytes + i * SEGMENT_PAGE, 0, SEGMENT_PAGE);
		set_page(ages, i, true);
	}
	pthread_mutex_unlock(&ages->lock);
	return r;
}

void ages_release(struct ages *ages, uint64_t first, uint64_t end)
{
	uint64_t page = (first + SEGMENT_PAGE - 1) / SEGMENT_PAGE, last = end / SEGMENT_PAGE;

	if (end == ages->n)
		last = ages_pages(ages);
	if (page >= last)
		return;
	pthread_mutex_lock(&ages->lock);
	for (uint64_t i = page; i < last; i++)
		set_page(ages, i, false);
	/* In process memory they stay, and are used again if the device grows. */
	if (ages->seg)
		(void)segment_release(ages->seg, (uint64_t)(ages->bytes - ages->seg->base) + page * SEGMENT_PAGE,
				      (last - page) * SEGMENT_PAGE);
	pthread_mutex_unlock(&ages->lock);
}

/* ------------------------------------------------------------------ time */

/* How long a step lasts, in seconds. */
static uint64_t length(unsigned step)
{
	return step < FIRST ? 1 : UINT64_C(1) << (step / ROW - 1);
}

/*
 * A block comes to a row of longer steps in the middle of such a step, and so stays in the first one for half of its
 * length at least. In the second before its first sweep a block may have got any age up to a second.
 */
uint64_t ages_least(unsigned step)
{
	unsigned row = step / ROW, place = step % ROW;

	if (step <= FIRST - 1)
		return step ? step - 1 : 0;
	return place ? (uint64_t)(ROW - 1 + place) << (row - 1) : (uint64_t)(2 * ROW - 1) << (row - 2);
}

uint64_t ages_since(const struct ages *ages)
{
	return __atomic_load_n(ages->seconds, __ATOMIC_RELAXED);
}

/* Where a block goes whose step it was in second `from`, when it is second `to`. */
static unsigned step_after(unsigned step, uint64_t from, uint64_t to)
{
	/* It was used at some time since the last sweep, however long that is. */
	if (step == 0)
		return 1;
	while (step < AGES_STEPS - 1) {
		from = (from / length(step) + 1) * length(step);
		if (from > to)
			break;
		step++;
	}
	return step;
}

void ages_pass(struct ages *ages, uint64_t seconds)
{
	struct ages_sweep *sweep = &ages->sweep;
	uint64_t from = ages_since(ages);

	sweep->steps = 0;
	sweep->by_one = true;
	for (unsigned step = 0; step < AGES_STEPS && seconds; step++) {
		sweep->to[step] = (uint8_t)step_after(step, from, from + seconds);
		sweep->by_one &= sweep->to[step] <= step + 1;
		if (sweep->to[step] != step)
			sweep->steps = step + 1;
	}
	sweep->block = seconds ? 0 : ages->n;
	__atomic_store_n(ages->seconds, from + seconds, __ATOMIC_RELAXED);
}

/* The high bit of each byte whose step is below the bound. */
static uint64_t below(uint64_t bytes, unsigned steps)
{
	return ~((bytes & ALL(STEP_BITS)) + ALL(0x80u - steps)) & ALL(0x80u);
}

static uint64_t advance(const struct ages_sweep *sweep, uint64_t bytes)
{
	uint64_t which = below(bytes, sweep->steps), after = bytes;

	if (sweep->by_one)
		return bytes + (which >> 7);
	for (; which; which &= which - 1) {
		unsigned shift = (unsigned)__builtin_ctzll(which) / 8 * 8;
		unsigned step = (unsigned)(bytes >> shift) & STEP_BITS;

		after += (uint64_t)(sweep->to[step] - step) << shift;
	}
	return after;
}

/* Blocks from `block` on, all in one page of the table. */
static void sweep_blocks(struct ages *ages, uint64_t block, uint64_t end)
{
	for (; block < end; block += WORD_BYTES) {
		uint64_t *at = (uint64_t *)(ages->bytes + block), bytes = __atomic_load_n(at, __ATOMIC_RELAXED), after;

		do
			after = advance(&ages->sweep, bytes);
		while (after != bytes &&
		       !__atomic_compare_exchange_n(at, &bytes, after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	}
}

bool ages_sweep(struct ages *ages, const struct table *table)
{
	uint64_t end = ages->sweep.block + PIECE, block = ages->sweep.block;

	end = end < ages->n ? end : ages->n;
	pthread_mutex_lock(&ages->lock);
	while ((block = table_next_written(table, block, end)) < end) {
		uint64_t next = (block / TABLE_PAGE_WORDS + 1) * TABLE_PAGE_WORDS;

		if (ages_has(ages, block))
			sweep_blocks(ages, block, next < ages->n ? next : ages->n);
		block = next;
	}
	/* Nothing was ever written up to the next page of the table. */
	ages->sweep.block = table_next_written(table, end, ages->n);
	pthread_mutex_unlock(&ages->lock);
	return ages->sweep.block < ages->n;
}

/* ------------------------------------------------------------------ what is known of a block */

bool ages_look_held(const struct ages *ages, uint64_t block, uint64_t *seconds, bool *idle)
{
	uint8_t byte;

	if (!ages_has(ages, block))
		return false;
	byte = __atomic_load_n(&ages->bytes[block], __ATOMIC_RELAXED);
	*seconds = ages_least(byte & STEP_BITS);
	*idle = byte & AGES_IDLE;
	return true;
}

bool ages_look(struct ages *ages, uint64_t block, uint64_t *seconds, bool *idle)
{
	bool known;

	pthread_mutex_lock(&ages->lock);
	known = ages_look_held(ages, block, seconds, idle);
	pthread_mutex_unlock(&ages->lock);
	return known;
}

bool ages_mark(struct ages *ages, uint64_t block, uint64_t seconds)
{
	uint8_t *at = &ages->bytes[block], byte;

	if (!ages_has(ages, block))
		return false;
	byte = __atomic_load_n(at, __ATOMIC_RELAXED);
	do
		if (byte & AGES_IDLE || ages_least(byte & STEP_BITS) < seconds)
			return false;
	while (!__atomic_compare_exchange_n(at, &byte, byte | AGES_IDLE, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

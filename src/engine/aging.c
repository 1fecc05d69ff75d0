/* SPDX-License-Identifier: BSD-3-Clause */
/* Keeping ages, and what users ask of them. See aging.h. */
#include "engine/aging.h"

#include "engine/sector.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

/* So many blocks are looked at in one piece, between which sweeps and others may go on. */
#define PIECE TABLE_PAGE_WORDS

/* ------------------------------------------------------------------ keeping */

static uint64_t now_seconds(void)
{
	struct timespec now;

	/* Stands still while the machine sleeps, when nobody can read or write a block either. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

int aging_open(struct zsblk *dev)
{
	const struct super_layout *layout = &dev->layout;
	bool in_segment = layout->ages_offset;

	return ages_open(&dev->ages, in_segment ? &dev->seg : NULL, layout->ages_offset, layout->max_blocks,
			 super_ages_seconds(&dev->seg, layout), layout->features.compatible & SUPER_HAS_AGES);
}

int aging_start(struct zsblk *dev)
{
	int r = ages_find_pages(&dev->ages);

	if (dev->layout.ages_offset && !(dev->layout.features.compatible & SUPER_HAS_AGES))
		super_begin_ages(&dev->seg, &dev->layout);
	dev->aged_at = now_seconds();
	return r;
}

void aging_close(struct zsblk *dev)
{
	ages_close(&dev->ages);
}

/*
 * Bring pages into memory for the blocks that have been written since. A device with a reserve has most of them from
 * the start.
 */
static void add_missing(struct zsblk *dev, struct spare *spare)
{
	bool realtime = spare_is_realtime(sched_getscheduler(0));
	struct ages *ages = &dev->ages;
	uint64_t page = 0;

	while ((page = ages_next_missing(ages, &dev->table, page)) < ages_pages(ages)) {
		/* Ages can wait for memory. */
		if (!spare_memory_for(spare, realtime) || ages_add_pages(ages, page, 1))
			return;
		page++;
	}
}

void aging_pass(struct zsblk *dev, uint64_t seconds)
{
	add_missing(dev, &dev->worker_spare);
	ages_pass(&dev->ages, seconds);
	/* Threads with requests may be waiting for this CPU: see thread.h. */
	while (ages_sweep(&dev->ages, &dev->table))
		sched_yield();
}

void aging_keep(struct zsblk *dev)
{
	uint64_t now = now_seconds(), passed = now - dev->aged_at;

	dev->aged_at = now;
	if (passed)
		aging_pass(dev, passed);
}

static uint64_t piece_end(uint64_t block, uint64_t end)
{
	uint64_t next = (block / PIECE + 1) * PIECE;

	return next < end ? next : end;
}

/* ------------------------------------------------------------------ marking */

/* Returns how many blocks of [block, end) were marked. */
static uint64_t mark_piece(struct zsblk *dev, uint64_t block, uint64_t end, uint64_t seconds)
{
	uint64_t marked = 0;

	pthread_mutex_lock(&dev->ages.lock);
	for (; block < end; block++)
		marked += sector_has_data(table_load(&dev->table, block)) && ages_mark(&dev->ages, block, seconds);
	pthread_mutex_unlock(&dev->ages.lock);
	return marked;
}

int zsblk_mark_idle(struct zsblk *dev, uint64_t older_than_s, uint64_t *marked)
{
	uint64_t end = zsblk_size(dev) / BLOCK, block = 0;

	*marked = 0;
	pthread_mutex_lock(&dev->aging_lock);
	add_missing(dev, &dev->aging_spare);
	pthread_mutex_unlock(&dev->aging_lock);
	while ((block = table_next_written(&dev->table, block, end)) < end) {
		uint64_t next = piece_end(block, end);

		*marked += mark_piece(dev, block, next, older_than_s);
		block = next;
	}
	return 0;
}

/* ------------------------------------------------------------------ figures */

uint64_t zsblk_ages_since(const struct zsblk *dev)
{
	return ages_since(&dev->ages);
}

/* The last range that begins at this age or before it. */
static struct zsblk_age_range *range_of(struct zsblk_age_range *ranges, unsigned n, uint64_t seconds)
{
	while (n > 1 && ranges[n - 1].from_s > seconds)
		n--;
	return &ranges[n - 1];
}

/* Of a block in a group: its share. What is in the backing store takes no memory. */
static uint64_t block_bytes(const struct zsblk *dev, uint64_t word)
{
	struct zsblk_block found;

	return !sector_is_backed(word) && sector_describe(dev, word, &found) ? found.size : 0;
}

static void count_age(struct zsblk *dev, uint64_t block, uint64_t word, struct zsblk_age_range *ranges, unsigned n)
{
	struct zsblk_age_range *range;
	uint64_t seconds = 0;
	bool idle = false;

	ages_look_held(&dev->ages, block, &seconds, &idle);
	range = range_of(ranges, n, seconds);
	range->blocks++;
	range->idle += idle;
	range->bytes += block_bytes(dev, word);
}

static void count_piece(struct zsblk *dev, uint64_t block, uint64_t end, struct zsblk_age_range *ranges, unsigned n)
{
	pthread_mutex_lock(&dev->ages.lock);
	for (; block < end; block++) {
		uint64_t word = table_load(&dev->table, block);

		if (word)
			count_age(dev, block, word, ranges, n);
	}
	pthread_mutex_unlock(&dev->ages.lock);
}

int zsblk_ages(struct zsblk *dev, struct zsblk_age_range *ranges, unsigned n)
{
	uint64_t end = zsblk_size(dev) / BLOCK, block = 0;

	if (!n)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		if (i ? ranges[i].from_s <= ranges[i - 1].from_s : ranges[i].from_s != 0)
			return -EINVAL;
		ranges[i] = (struct zsblk_age_range){.from_s = ranges[i].from_s};
	}
	while ((block = table_next_written(&dev->table, block, end)) < end) {
		uint64_t next = piece_end(block, end);

		count_piece(dev, block, next, ranges, n);
		block = next;
	}
	return 0;
}

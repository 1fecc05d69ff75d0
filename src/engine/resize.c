/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The size of a device that is in use.
 *
 *   blocks 0 ................ blocks ................ max_blocks
 *          | the device       | all words are 0       |
 *
 * From the start, the table has a word for each of max_blocks, and the pool has addresses for so many blocks. All of it
 * is sparse. So growing and shrinking move no data: one number in the superblock changes, in one store (I5).
 *
 * Growing: the number in the superblock first, then those that requests compare with. A block that was acknowledged
 * lies below the number in the superblock at any time.
 *
 * Two numbers are in process memory. Requests are checked against `size`, which zsblk_size() returns. No word is
 * published at `end` or behind. The two differ only while a shrinking is tried:
 *
 *   1 no block behind the new end holds anything, or it is refused;
 *   2 `end` is the new one;
 *   3 each stripe is taken once. A request that publishes a word looks at `end` under the stripe of its block
 *     (resize_hold_block()), so from now on nothing is published behind the new end;
 *   4 no block there holds anything, or `end` is the old one again and it is refused;
 *   5 the number in the superblock, then `size`; the table behind the new end is given back.
 *
 * Between 2 and 5 the device still has its old size for all requests. A read behind the new end finds zeroes. A write
 * there waits for resize_lock before it publishes. Then it succeeds if the shrinking was refused, and fails otherwise.
 *
 * If the process is killed before 5, the device has its old size, and nothing behind the new end, as before.
 */
#include "engine/engine.h"

#include "segment/super_open.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

bool resize_has_range(const struct zsblk *dev, uint64_t offset, uint64_t len)
{
	uint64_t size = atomic_load_explicit(&dev->size, memory_order_relaxed);

	return offset <= size && len <= size - offset;
}

/* Waits until no shrinking is being tried. */
static bool is_behind(struct zsblk *dev, uint64_t block)
{
	bool behind;

	pthread_mutex_lock(&dev->resize_lock);
	behind = block >= atomic_load_explicit(&dev->end, memory_order_relaxed);
	pthread_mutex_unlock(&dev->resize_lock);
	return behind;
}

bool resize_hold_block(struct zsblk *dev, uint64_t block)
{
	do {
		stripe_lock(dev, block);
		if (block < atomic_load_explicit(&dev->end, memory_order_relaxed))
			return true;
		stripe_unlock(dev, block);
	} while (!is_behind(dev, block));
	return false;
}

/* The first block in [first, end) that holds anything, or end. */
static uint64_t first_used(struct zsblk *dev, uint64_t first, uint64_t end)
{
	while ((first = table_next_written(&dev->table, first, end)) < end && !table_load(&dev->table, first))
		first++;
	return first;
}

static int refuse_used(uint64_t size, uint64_t used, struct zsblk_why *why)
{
	return why_fail(why, -ENOTEMPTY,
			"size=%" PRIu64 " would cut off data: there is some at byte %" PRIu64
			"; discard what lies behind the new end first",
			size, used * BLOCK);
}

static int shrink(struct zsblk *dev, uint64_t blocks, struct zsblk_why *why)
{
	uint64_t old = dev->layout.blocks, used = first_used(dev, blocks, old);

	if (used < old)
		return refuse_used(blocks * BLOCK, used, why);
	atomic_store(&dev->end, blocks);
	stripes_pass(&dev->stripes);
	used = first_used(dev, blocks, old);
	if (used < old) {
		atomic_store(&dev->end, old);
		return refuse_used(blocks * BLOCK, used, why);
	}
	super_set_blocks(&dev->seg, &dev->layout, blocks);
	atomic_store(&dev->size, blocks * BLOCK);
	/* Up to the last block there can be: what follows may be entries. */
	table_release(&dev->table, &dev->seg, blocks, dev->layout.max_blocks);
	ages_release(&dev->ages, blocks, dev->layout.max_blocks);
	return 0;
}

static int grow(struct zsblk *dev, uint64_t blocks, struct zsblk_why *why)
{
	int r = upkeep_populate_table(dev, blocks, zsblk_reserve(dev));

	if (r == -EINTR)
		return why_fail(why, r, "told to stop while memory for the table of size=%" PRIu64 " was filled",
				blocks * BLOCK);
	if (r)
		return why_fail(why, r,
				"the system has no memory to spare for the table of size=%" PRIu64
				": %s; free some memory, and try again",
				blocks * BLOCK, strerror(-r));
	super_set_blocks(&dev->seg, &dev->layout, blocks);
	atomic_store(&dev->end, blocks);
	atomic_store(&dev->size, blocks * BLOCK);
	return 0;
}

static int check_size(const struct zsblk *dev, uint64_t size, struct zsblk_why *why)
{
	uint64_t most = dev->layout.max_blocks * BLOCK;

	if (size == 0 || size % BLOCK)
		return why_fail(why, -EINVAL, "size=%" PRIu64 " is not a multiple of %u, or 0", size, BLOCK);
	if (size > most)
		return why_fail(why, -EINVAL,
				"size=%" PRIu64 " is too large; this device was made for at most %" PRIu64, size, most);
	return 0;
}

int zsblk_resize(struct zsblk *dev, uint64_t size, struct zsblk_why *why)
{
	uint64_t blocks = size / BLOCK;
	int r = check_size(dev, size, why);

	if (r)
		return r;
	pthread_mutex_lock(&dev->change_lock);
	pthread_mutex_lock(&dev->resize_lock);
	if (blocks < dev->layout.blocks)
		r = shrink(dev, blocks, why);
	else if (blocks > dev->layout.blocks)
		r = grow(dev, blocks, why);
	/* What format 1 had no place for. */
	engine_keep_frontier(dev);
	pthread_mutex_unlock(&dev->resize_lock);
	pthread_mutex_unlock(&dev->change_lock);
	return r;
}

uint64_t zsblk_size(const struct zsblk *dev)
{
	return atomic_load(&dev->size);
}

uint64_t zsblk_max_size(const struct zsblk *dev)
{
	return dev->layout.max_blocks * BLOCK;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All memory that a device and its process take, in one place.
 *
 *   the segment      superblock | map | table | ages | pool: used (objects ...), free, kept, tails | the rest
 *   our own          descriptors | contexts | stripes | aging
 *   of the process   the rest of its private memory | its files
 *
 * Pages of the pool are counted where they are taken and given back, and table, map and ages by asking the system which
 * of their pages are in memory. What the system says of the segment and the process as a whole is taken last, and what
 * is found under no other name is the rest. So the parts always add up to the whole, and a part that was miscounted
 * shows as a rest. Nothing here takes longer than a moment under a lock that requests take.
 */
#include "engine/backing.h"
#include "engine/groups.h"

#include "process/self.h"

#include <errno.h>

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Bytes in memory of the part of the segment from `offset` up to `end`. */
static int resident_bytes(const struct zsblk *dev, uint64_t offset, uint64_t end, uint64_t *bytes)
{
	uint64_t pages = 0;
	int r = end > offset ? segment_count_resident(&dev->seg, offset, end - offset, &pages) : 0;

	*bytes = pages * BLOCK;
	return r;
}

static uint64_t page_ceil(uint64_t bytes)
{
	return (bytes + BLOCK - 1) / BLOCK * BLOCK;
}

/* What lies before the pool. */
static int measure_tables(const struct zsblk *dev, struct zsblk_memory *memory)
{
	const struct super_layout *layout = &dev->layout;
	uint64_t map_end = layout->map_offset + page_ceil(table_map_bytes(layout->table_words));
	uint64_t table_end = layout->table_offset + page_ceil(layout->table_words * sizeof(uint64_t));
	uint64_t ages = layout->ages_offset ? layout->ages_offset : table_end;
	uint64_t ages_end = layout->ages_offset ? ages + page_ceil(layout->table_words) : table_end;
	uint64_t before, pages, behind;
	int r = resident_bytes(dev, 0, layout->map_offset, &before);

	if (!r)
		r = resident_bytes(dev, layout->map_offset, map_end, &memory->map);
	if (!r)
		r = table_count_resident(&dev->table, &dev->seg, &pages);
	if (!r)
		r = resident_bytes(dev, ages, ages_end, &memory->ages);
	if (!r)
		r = resident_bytes(dev, ages_end, layout->pool_offset, &behind);
	if (r)
		return r;
	memory->table = pages * BLOCK;
	memory->superblock = before + behind;
	return 0;
}

/* The pool. Counters are read one after another, so a part may for a moment seem to be larger than the whole. */
static void measure_pool(struct zsblk *dev, struct zsblk_memory *memory)
{
	struct zs_core_stats pool;
	struct counters sum;
	uint64_t left;

	contexts_sum(dev, &sum);
	zs_core_stats(dev->core, &pool);
	left = pool.pages_used * BLOCK;
	memory->headers = pool.header_bytes < left ? pool.header_bytes : left;
	left -= memory->headers;
	pool.slot_bytes = pool.slot_bytes < left ? pool.slot_bytes : left;
	memory->free_slots = left - pool.slot_bytes;
	memory->objects = sum.compr_bytes < pool.slot_bytes ? sum.compr_bytes : pool.slot_bytes;
	memory->rounding = pool.slot_bytes - memory->objects;
	memory->free_pages = pool.pages_free * BLOCK;
	memory->magazines = pool.pages_kept * BLOCK;
	memory->tails = pool.pages_tails * BLOCK;
	memory->other = pool.pages_moving * BLOCK;
}

/* The sum of the parts of the segment. */
static uint64_t parts_of_segment(const struct zsblk_memory *memory)
{
	return memory->objects + memory->rounding + memory->free_slots + memory->headers + memory->tails +
	       memory->magazines + memory->free_pages + memory->table + memory->map + memory->ages +
	       memory->superblock + memory->other;
}

static void add_up_segment(const struct zsblk *dev, struct zsblk_memory *memory)
{
	uint64_t told = segment_pages(&dev->seg);

	memory->segment = parts_of_segment(memory);
	if (told == UINT64_MAX || told * BLOCK <= memory->segment)
		return;
	memory->other += told * BLOCK - memory->segment;
	memory->segment = told * BLOCK;
}

uint64_t footprint_contexts(struct zsblk *dev)
{
	const struct contexts *contexts = &dev->contexts;
	uint64_t bytes;

	if (pthread_mutex_trylock(&dev->change_lock) != 0)
		return atomic_load_explicit(&dev->contexts_seen, memory_order_relaxed);
	bytes = segment_private_resident(contexts->all, contexts->bytes) + groups_private_resident(dev) +
		backing_private_resident(dev);
	for (size_t i = 0; i < 2; i++)
		bytes += segment_private_resident(contexts->encoders[i].mem, contexts->encoders[i].bytes);
	bytes += codecs_bytes(dev);
	atomic_store_explicit(&dev->contexts_seen, bytes, memory_order_relaxed);
	pthread_mutex_unlock(&dev->change_lock);
	return bytes;
}

static int measure_process(struct zsblk *dev, struct zsblk_memory *memory)
{
	uint64_t ours = memory->descriptors + memory->contexts + memory->stripes + memory->aging;
	struct self_memory self;
	int r = self_memory(&self);

	if (r)
		return r;
	if (dev->seg.kind == SEGMENT_ANON) {
		ours += memory->segment;
		self.file += self.shared;
	}
	memory->process = less(self.anon + self.swapped, ours);
	memory->files = self.file;
	memory->page_tables = self.page_tables;
	return 0;
}

int zsblk_get_memory(struct zsblk *dev, struct zsblk_memory *memory)
{
	int r;

	*memory = (struct zsblk_memory){0};
	measure_pool(dev, memory);
	r = measure_tables(dev, memory);
	if (r)
		return r;
	add_up_segment(dev, memory);
	memory->descriptors = runs_descriptors_resident(dev->runs);
	memory->contexts = footprint_contexts(dev);
	memory->stripes = segment_private_resident(dev->stripes.all, dev->stripes.n * sizeof *dev->stripes.all);
	memory->aging = ages_private_resident(&dev->ages);
	r = measure_process(dev, memory);
	memory->total = memory->segment + memory->descriptors + memory->contexts + memory->stripes + memory->aging +
			memory->process + memory->files;
	return r;
}

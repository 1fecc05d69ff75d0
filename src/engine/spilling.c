/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks that nobody uses go to the backing store.
 *
 *   look for blocks --> mark, copy   | spill_put(), spill_flush() | replace each word that still has its mark, free the object
 *                       '-- stripe -'                             '-- stripe ------------------------------'
 *
 * Invariants
 *   1 a word is replaced only after the flush has returned 0: whatever the store does, a block is in memory until then;
 *   2 a write, a discard or a move in between wins, and what was stored is dropped (rework.h);
 *   3 between two steps no word has a mark, and nothing waits for a flush.
 *
 * Locks: recompress_lock is held during a step, I/O included. So nothing else works on objects meanwhile, and a check waits; for the
 * deadline of the store at most. No request takes this lock.
 */
#include "engine/backing_parts.h"
#include "engine/rework.h"

#include <errno.h>
#include <inttypes.h>

/* A step looks at so many words at most, and stores so many blocks. */
#define LOOK  16384u
#define BATCH 256u

struct spilling_block {
	uint64_t block;
	uint64_t word; /* with the mark */
	uint64_t place;
};

struct zsblk_spilling {
	struct rework work;
	struct zsblk *dev;
	struct zsblk_spill_what what;
	struct zsblk_spill_figures figures;
	uint64_t block, end; /* the next one to be looked at; the end of the range, or UINT64_MAX */
	struct spilling_block found[BATCH];
	unsigned n;
	int error; /* of the store: nothing more is put */
};

/* ------------------------------------------------------------------ life */

static int check(const struct zsblk *dev, const struct zsblk_spill_what *what, struct zsblk_why *why)
{
	uint64_t blocks = zsblk_size(dev) / BLOCK;

	if (what->first > blocks || what->blocks > blocks - what->first)
		return why_fail(why, -EINVAL,
				"first=%" PRIu64 " blocks=%" PRIu64 " is not in the device, which has %" PRIu64
				" blocks",
				what->first, what->blocks, blocks);
	if (!dev->backing)
		return why_fail(why, -ENODEV, "this device has no backing store");
	return 0;
}

int zsblk_spill_begin(struct zsblk *dev, const struct zsblk_spill_what *what, struct zsblk_spilling **result,
		      struct zsblk_why *why)
{
	struct zsblk_spilling *job;
	int r;

	*result = NULL;
	pthread_mutex_lock(&dev->change_lock);
	r = check(dev, what, why);
	if (!r)
		r = engine_may_begin(dev, why);
	job = r ? NULL : segment_private_map(sizeof *job);
	if (!r && (!job || upkeep_populate_private(dev, job, sizeof *job)))
		r = why_fail(why, -ENOMEM, "no memory to write blocks to the backing store");
	if (!r) {
		job->dev = dev;
		job->what = *what;
		job->block = what->first;
		job->end = what->blocks ? what->first + what->blocks : UINT64_MAX;
		pthread_mutex_lock(&dev->recompress_lock);
		dev->spilling = job;
		pthread_mutex_unlock(&dev->recompress_lock);
	}
	pthread_mutex_unlock(&dev->change_lock);
	if (r) {
		segment_private_unmap(job, sizeof *job);
		return r;
	}
	*result = job;
	return 0;
}

void zsblk_spill_end(struct zsblk_spilling *job)
{
	if (!job)
		return;
	pthread_mutex_lock(&job->dev->recompress_lock);
	job->dev->spilling = NULL;
	pthread_mutex_unlock(&job->dev->recompress_lock);
	segment_private_unmap(job, sizeof *job);
}

/* ------------------------------------------------------------------ one block */

static bool is_wanted(const struct zsblk_spilling *job, uint64_t block, uint64_t word)
{
	uint64_t seconds = 0;
	bool is_idle = false;

	if (!sector_is_single(word) || word_is_marked(word) || (job->what.huge && sector_object_bytes(word) != BLOCK))
		return false;
	ages_look(&job->dev->ages, block, &seconds, &is_idle);
	return seconds >= job->what.older_than_s && (is_idle || !job->what.idle);
}

static void let_go(struct zsblk_spilling *job, const struct spilling_block *found)
{
	job->work.block = found->block;
	job->work.word = found->word;
	rework_give_up(job->dev, &job->work, false);
}

/* Put one block into the next write. False: the batch is to be written first, or nothing more can be put. */
static bool put(struct zsblk_spilling *job, uint64_t block, uint64_t word)
{
	struct spilling_block *found = &job->found[job->n];
	struct backing *backing = job->dev->backing;
	uint32_t number = (uint32_t)block;
	struct spill_object object = {.numbers = &number, .count = 1, .bytes = job->work.bytes};
	int r;

	if (!rework_begin(job->dev, &job->work, block, word))
		return true;
	found->block = block;
	found->word = job->work.word;
	object.size = sector_object_bytes(word);
	r = backing->spill->put(backing->store, &object, &found->place);
	if (!r) {
		job->n++;
		return true;
	}
	let_go(job, found);
	if (r != -ENOBUFS)
		job->error = r;
	return false;
}

/* What the block becomes. Returns whether nothing has happened to it. */
static bool publish(struct zsblk_spilling *job, const struct spilling_block *found)
{
	struct word_object object = word_object(found->word);
	struct word_backed backed = {.place = found->place, .size = object.size, .codec = object.codec};
	struct zsblk *dev = job->dev;
	uint64_t word = word_make_backed(&backed);
	bool done;

	stripe_lock(dev, found->block);
	done = !backing_is_awaited(dev, found->block) &&
	       sector_replace(dev, &dev->spilled, found->block, found->word, word);
	stripe_unlock(dev, found->block);
	if (!done)
		let_go(job, found);
	sector_drop(dev, done ? found->word : word);
	return done;
}

static void write_batch(struct zsblk_spilling *job)
{
	struct backing *backing = job->dev->backing;
	int r = job->n ? backing->spill->flush(backing->store) : 0;

	for (unsigned i = 0; i < job->n; i++) {
		struct spilling_block *found = &job->found[i];

		if (r) {
			let_go(job, found);
			job->figures.failed++;
		} else if (publish(job, found)) {
			job->figures.blocks++;
			job->figures.bytes += word_object(found->word).size;
			atomic_fetch_add_explicit(&backing->writes, 1, memory_order_relaxed);
		}
	}
	job->n = 0;
	if (r)
		job->error = r;
}

/* ------------------------------------------------------------------ steps */

static bool is_at_end(const struct zsblk_spilling *job, uint64_t end)
{
	return job->error || job->block >= end ||
	       (job->what.max_blocks && job->figures.blocks + job->n >= job->what.max_blocks);
}

static void fill_batch(struct zsblk_spilling *job, uint64_t end)
{
	const struct table *table = &job->dev->table;

	for (unsigned i = 0; i < LOOK && job->n < BATCH && !is_at_end(job, end); i++) {
		uint64_t word;

		job->block = table_next_written(table, job->block, end);
		if (job->block >= end)
			return;
		word = table_load(table, job->block);
		if (is_wanted(job, job->block, word) && !put(job, job->block, word))
			return;
		job->block++;
	}
}

/* The device may have become smaller since the job began, also than where it began. */
static uint64_t end_of_range(const struct zsblk_spilling *job)
{
	uint64_t end = zsblk_size(job->dev) / BLOCK;

	end = end < job->end ? end : job->end;
	return end > job->what.first ? end : job->what.first;
}

int zsblk_spill_step(struct zsblk_spilling *job, struct zsblk_spill_figures *figures, bool *more)
{
	struct zsblk *dev = job->dev;
	uint64_t end;
	int r;

	pthread_mutex_lock(&dev->recompress_lock);
	end = end_of_range(job);
	fill_batch(job, end);
	write_batch(job);
	*more = !is_at_end(job, end);
	job->figures.done = (job->block < end ? job->block : end) - job->what.first;
	job->figures.total = end - job->what.first;
	*figures = job->figures;
	r = job->error;
	pthread_mutex_unlock(&dev->recompress_lock);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading blocks whose objects are in the backing store, and bringing them back. See backing.h. */
#include "engine/backing_parts.h"

#include "engine/sector.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* A block that was used within so many seconds before it is read comes back to memory. */
#define USED_AGAIN_S 60u
/* One of so many pages of the limit. */
#define LEFT_FOR_WRITES 16u
#define NS_PER_S        UINT64_C(1000000000)

/* ------------------------------------------------------------------ places to wait */

int backing_reads_open(struct backing *backing)
{
	uint8_t *buffer = (uint8_t *)(backing + 1);
	pthread_condattr_t monotonic;

	pthread_mutex_init(&backing->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&backing->freed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (unsigned i = 0; i < BACKING_WAITS; i++, buffer += BLOCK) {
		backing->waits[i].buffer = buffer;
		pthread_cond_init(&backing->waits[i].ended, NULL);
	}
	return 0;
}

void backing_reads_close(struct backing *backing)
{
	for (unsigned i = 0; i < BACKING_WAITS; i++)
		pthread_cond_destroy(&backing->waits[i].ended);
	pthread_cond_destroy(&backing->freed);
	pthread_mutex_destroy(&backing->lock);
}

static struct backing_wait *free_wait(struct backing *backing)
{
	for (unsigned i = 0; i < BACKING_WAITS; i++)
		if (!backing->waits[i].is_busy)
			return &backing->waits[i];
	return NULL;
}

unsigned backing_waiting(struct backing *backing)
{
	unsigned waiting;

	pthread_mutex_lock(&backing->lock);
	waiting = backing->queued;
	for (unsigned i = 0; i < BACKING_WAITS; i++)
		waiting += backing->waits[i].is_busy;
	pthread_mutex_unlock(&backing->lock);
	return waiting;
}

bool backing_is_awaited(struct zsblk *dev, uint64_t block)
{
	struct backing *backing = dev->backing;
	bool found = false;

	pthread_mutex_lock(&backing->lock);
	for (unsigned i = 0; i < BACKING_WAITS; i++)
		found |= backing->waits[i].is_busy && backing->waits[i].block == block;
	pthread_mutex_unlock(&backing->lock);
	return found;
}

static void give_back(struct backing *backing, struct backing_wait *wait)
{
	pthread_mutex_lock(&backing->lock);
	wait->is_busy = false;
	/* All of them: one that finds its block changed meanwhile has no use for the place. */
	pthread_cond_broadcast(&backing->freed);
	pthread_mutex_unlock(&backing->lock);
}

/* By a thread of the store. */
static void end_of_read(struct spill_read *read, int error, size_t bytes)
{
	struct backing_wait *wait = (struct backing_wait *)((uint8_t *)read - offsetof(struct backing_wait, read));
	struct backing *backing = read->opaque;

	pthread_mutex_lock(&backing->lock);
	wait->error = error;
	wait->bytes = bytes;
	wait->is_over = true;
	pthread_cond_signal(&wait->ended);
	pthread_mutex_unlock(&backing->lock);
}

/* Begin to read. NULL: all places are taken. Held: the place in the word is live. */
static struct backing_wait *begin(struct backing *backing, const struct backing_patience *patience, uint64_t block,
				  uint64_t word)
{
	struct word_backed backed = word_backed(word);
	struct backing_wait *wait;

	pthread_mutex_lock(&backing->lock);
	wait = free_wait(backing);
	if (wait) {
		wait->is_busy = true;
		wait->is_over = false;
		wait->block = block;
	}
	pthread_mutex_unlock(&backing->lock);
	if (!wait)
		return NULL;
	wait->read = (struct spill_read){
		.place = backed.place,
		.bytes = backed.size,
		.number = (uint32_t)block,
		.until_ns = patience->until_ns,
		.buffer = wait->buffer,
		.done = end_of_read,
		.opaque = backing,
	};
	if (backing->spill->get(backing->store, &wait->read)) {
		wait->error = -EIO;
		wait->is_over = true;
	}
	return wait;
}

static void wait_for(struct backing *backing, struct backing_wait *wait)
{
	pthread_mutex_lock(&backing->lock);
	while (!wait->is_over)
		pthread_cond_wait(&wait->ended, &backing->lock);
	pthread_mutex_unlock(&backing->lock);
}

/* False: the time of the request is over. */
static bool wait_for_place(struct backing *backing, const struct backing_patience *patience)
{
	const struct timespec until = {
		.tv_sec = (time_t)(patience->until_ns / NS_PER_S),
		.tv_nsec = (long)(patience->until_ns % NS_PER_S),
	};
	bool is_over = false;

	pthread_mutex_lock(&backing->lock);
	backing->queued++;
	while (!free_wait(backing) && !is_over)
		is_over = pthread_cond_timedwait(&backing->freed, &backing->lock, &until) == ETIMEDOUT;
	is_over = !free_wait(backing);
	backing->queued--;
	pthread_mutex_unlock(&backing->lock);
	return !is_over;
}

/* False: it is over. */
static bool has_patience(const struct backing *backing, struct backing_patience *patience)
{
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	if (!patience->until_ns)
		patience->until_ns = now_ns + backing->deadline_ns;
	return now_ns < patience->until_ns;
}

/* ------------------------------------------------------------------ one block */

static bool is_still(struct zsblk *dev, uint64_t block, uint64_t word)
{
	bool still;

	stripe_lock(dev, block);
	still = table_load(&dev->table, block) == word;
	stripe_unlock(dev, block);
	return still;
}

static int fail(struct backing *backing)
{
	if (backing)
		atomic_fetch_add_explicit(&backing->read_errors, 1, memory_order_relaxed);
	return -EIO;
}

/*
 * Get the object of a block into the buffer of *result, which is the caller's until give_back(). Called with the stripe held; releases
 * it. 1: look at the block again. With an error or 1 there is no *result.
 */
static int fetch(struct zsblk *dev, struct context **ctx, struct backing_patience *patience, uint64_t block,
		 uint64_t word, struct backing_wait **result)
{
	struct backing *backing = dev->backing;
	bool may_wait = backing && has_patience(backing, patience), still;
	struct backing_wait *wait = may_wait ? begin(backing, patience, block, word) : NULL;

	stripe_unlock(dev, block);
	if (!may_wait)
		return fail(backing);
	context_put(&dev->contexts, *ctx);
	if (wait)
		wait_for(backing, wait);
	else
		may_wait = wait_for_place(backing, patience);
	*ctx = context_get(&dev->contexts);
	if (!wait)
		return may_wait ? 1 : fail(backing);
	atomic_fetch_add_explicit(&backing->reads, 1, memory_order_relaxed);
	if (!wait->error && wait->bytes == word_backed(word).size) {
		*result = wait;
		return 0;
	}
	/* The place of a block that was written meanwhile, or moved in the store, may be anything. */
	still = is_still(dev, block, word);
	give_back(backing, wait);
	if (!still)
		return 1;
	return fail(backing);
}

/* Store the object in memory as it is. -ENOSPC: there is no room. The block is not changed if it has another word by now. */
static int bring_back(struct zsblk *dev, struct context *ctx, uint64_t word, const struct backing_wait *wait)
{
	struct word_backed backed = word_backed(word);
	uint64_t block = wait->block, now;
	bool done;
	int r = sector_store_bytes(dev, block, WORD_OBJECT, backed.codec, wait->buffer, backed.size, 0, &now);

	if (r)
		return r;
	stripe_lock(dev, block);
	done = table_load(&dev->table, block) == word;
	if (done)
		sector_publish(dev, ctx, block, now);
	stripe_unlock(dev, block);
	if (done)
		atomic_fetch_add_explicit(&dev->backing->returned, 1, memory_order_relaxed);
	sector_drop(dev, done ? word : now);
	return 0;
}

static bool is_used_lately(const struct zsblk *dev, uint64_t block)
{
	uint64_t seconds = 0;
	bool idle;

	return ages_look_held(&dev->ages, block, &seconds, &idle) && seconds < USED_AGAIN_S;
}

/*
 * What is left near the limit is for writes, which fail without it. Reads can do without: the block stays where it is, as it also does
 * where there is no room at all.
 */
static bool has_room(const struct zsblk *dev)
{
	uint64_t limit = runs_limit(dev->runs);

	return !limit || runs_used(dev->runs) < limit - limit / LEFT_FOR_WRITES;
}

int backing_read(struct zsblk *dev, struct context **ctx, struct backing_patience *patience, uint64_t block,
		 uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	bool lately = is_used_lately(dev, block);
	struct backing_wait *wait;
	uint8_t *whole;
	int r;

	ages_touch(&dev->ages, block);
	r = fetch(dev, ctx, patience, block, word, &wait);
	if (r)
		return r;
	whole = len == BLOCK ? out : (*ctx)->block;
	r = sector_expand(*ctx, word, wait->buffer, whole);
	if (!r && len < BLOCK)
		memcpy(out, whole + from, len);
	if (!r && lately && has_room(dev))
		(void)bring_back(dev, *ctx, word, wait);
	give_back(dev->backing, wait);
	return r;
}

int backing_bring_back(struct zsblk *dev, struct context **ctx, struct backing_patience *patience, uint64_t block,
		       uint64_t word)
{
	struct backing_wait *wait;
	int r = fetch(dev, ctx, patience, block, word, &wait);

	if (r)
		return r;
	r = bring_back(dev, *ctx, word, wait);
	give_back(dev->backing, wait);
	return r;
}

const char *backing_check(struct zsblk *dev, struct context **ctx, uint64_t block, uint64_t word)
{
	struct backing_patience patience = {0};
	struct backing_wait *wait;
	int r = fetch(dev, ctx, &patience, block, word, &wait);

	if (r)
		return r == 1 ? NULL : "the backing store did not give its object in time, or gave another one";
	r = sector_expand(*ctx, word, wait->buffer, (*ctx)->block);
	give_back(dev->backing, wait);
	return r ? "its object in the backing store cannot be decompressed" : NULL;
}

void backing_drop(struct zsblk *dev, uint64_t word)
{
	struct word_backed backed = word_backed(word);
	struct backing *backing = dev->backing;

	/* Without a store, before the start: what is live is told to the store when it is opened. */
	if (backing)
		backing->spill->drop(backing->store, backed.place, backed.size);
}

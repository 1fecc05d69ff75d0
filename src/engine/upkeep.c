/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes on beside the requests: the background thread, and compaction. */
#include "engine/engine.h"

#include "engine/thread.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

/* ------------------------------------------------------------------ compaction */

/* The owner's side of moving an object: see zs_move_fn. */
static bool move_block(void *opaque, uint32_t owner, struct zs_loc from)
{
	struct zsblk *dev = opaque;
	struct word_object object;
	struct zs_loc to, now;
	bool moved = false;
	uint64_t word;

	pthread_mutex_lock(stripe_of(dev, owner));
	word = table_load(&dev->table, owner);
	if (word_has_object(word)) {
		object = word_object(word);
		now = loc_of(dev, &object);
		moved = now.page == from.page && now.slot == from.slot &&
			now.class_index == from.class_index &&
			zs_core_move_to(dev->core, owner, from, &to) == 0;
	}
	if (moved) {
		memcpy(zs_core_address(dev->core, to), zs_core_address(dev->core, from), object.size);
		object.page = to.page;
		object.slot = to.slot;
		table_store(&dev->table, owner, word_make_object(word_type(word), &object));
	}
	pthread_mutex_unlock(stripe_of(dev, owner));
	if (moved)
		zs_core_free(dev->core, from);
	return moved;
}

uint64_t zsblk_compact_step(struct zsblk *dev, bool *more)
{
	uint64_t freed;

	pthread_mutex_lock(&dev->compact_lock);
	freed = zs_core_compact_step(dev->core, &dev->compact_cursor, move_block, dev, more);
	if (!*more)
		dev->compact_cursor = 0;
	pthread_mutex_unlock(&dev->compact_lock);
	return freed;
}

uint64_t zsblk_compact(struct zsblk *dev)
{
	unsigned cursor = 0;
	uint64_t freed = 0;
	bool more = true;

	while (more)
		freed += zs_core_compact_step(dev->core, &cursor, move_block, dev, &more);
	return freed;
}

/* ------------------------------------------------------------------ the background thread */

#define SHORT_MS 10	     /* between two looks whether there is memory again */
#define LONG_MS 1000	     /* between two looks whether to compact */
#define RESERVE_WAIT_MS 3000 /* for the first fill, without any progress */

static void pause_ms(long ms)
{
	struct timespec time = {.tv_nsec = ms * 1000000};

	nanosleep(&time, NULL);
}

/*
 * Compaction by itself. Discards leave zspages partly empty; on a swap device soon most of them.
 * When more than a quarter of the pool could be freed, and at least a few megabytes, move objects
 * until less than an eighth could. Where memory is short, in the system or below the limit, it is worth
 * four times the work for the same gain. zram waits for memory pressure to compact at all; user space hears of
 * it too late for that.
 */
#define COMPACT_LEAST_PAGES 1024u /* 4 MiB */
#define SHORT_FACTOR 4u
#define NEAR_LIMIT 16u /* the last 16th */

static bool memory_is_short(struct zsblk *dev, const struct zs_core_stats *pool)
{
	uint64_t limit = zs_core_limit(dev->core);

	return (limit && pool->pages_used >= limit - limit / NEAR_LIMIT) ||
	       !spare_memory_for(&dev->worker_spare, false);
}

static bool worth_compacting(struct zsblk *dev, bool begun)
{
	uint64_t freeable = zs_core_freeable(dev->core), least = COMPACT_LEAST_PAGES, share = begun ? 8 : 4;
	struct zs_core_stats pool;

	if (freeable < COMPACT_LEAST_PAGES / SHORT_FACTOR)
		return false;
	zs_core_stats(dev->core, &pool);
	if (memory_is_short(dev, &pool)) {
		least /= SHORT_FACTOR;
		share *= SHORT_FACTOR;
	}
	return freeable >= least && freeable > pool.pages_used / share;
}

/* A piece of refilling; true: call again. *error: the system has no memory now. */
static bool refill_piece(struct zsblk *dev, int *error)
{
	/* Not to wait for it in the kernel: see spare.h. */
	if (zs_core_wants(dev->core, RUNS_REFILL) && !spare_memory(&dev->spare)) {
		*error = -EAGAIN;
		return false;
	}
	return zs_core_upkeep(dev->core, RUNS_REFILL, error);
}

int reserve_fill(struct zsblk *dev, bool wait)
{
	unsigned waits = 0;
	int error;

	for (;;) {
		if (is_interrupted(dev))
			return -EINTR;
		if (refill_piece(dev, &error)) {
			waits = 0;
			continue;
		}
		if (error != -EAGAIN)
			return error == -ENOSPC ? 0 : error;
		/* The system makes room while we wait, if it can. */
		if (!wait || waits++ == RESERVE_WAIT_MS / SHORT_MS)
			return -ENOMEM;
		pause_ms(SHORT_MS);
	}
}

static void *refill(void *opaque)
{
	struct zsblk *dev = opaque;
	int error;

	while (zs_core_worker_wait(dev->core, RUNS_REFILL, LONG_MS)) {
		while (refill_piece(dev, &error))
			;
		/* Ask for memory again, but leave the system alone for a moment. */
		if (error)
			pause_ms(SHORT_MS);
	}
	return NULL;
}

/* Give back what is too much; false when the thread is to end. */
static bool trim(struct zsblk *dev, unsigned timeout_ms)
{
	int error;

	if (!zs_core_worker_wait(dev->core, RUNS_TRIM, timeout_ms))
		return false;
	while (zs_core_upkeep(dev->core, RUNS_TRIM, &error))
		;
	if (error)
		pause_ms(SHORT_MS);
	return true;
}

/* One round over all classes, a zspage at a time; what becomes free goes back in between. */
static bool compact_round(struct zsblk *dev)
{
	unsigned cursor = 0;
	bool more = true;

	while (more) {
		if (!trim(dev, 0))
			return false;
		zs_core_compact_step(dev->core, &cursor, move_block, dev, &more);
		/* In a real-time class nobody else would come to it. */
		sched_yield();
	}
	return true;
}

static void *work(void *opaque)
{
	struct zsblk *dev = opaque;
	bool begun = false;
	time_t looked = 0;

	while (trim(dev, LONG_MS)) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec == looked)
			continue;
		looked = now.tv_sec;
		begun = worth_compacting(dev, begun);
		if (begun && !compact_round(dev))
			break;
	}
	return NULL;
}

/* ------------------------------------------------------------------ life of the threads */

/* Two threads, since requests may come to wait for one of them, and the other has long work to do. */
int workers_start(struct zsblk *dev)
{
	int r;

	zs_core_worker_start(dev->core);
	r = thread_start_background(&dev->worker, "zsblk-worker", work, dev);
	if (r) {
		zs_core_worker_stop(dev->core);
		return r;
	}
	dev->has_worker = true;
	if (!dev->reserve)
		return 0;
	r = thread_start_background(&dev->refill, "zsblk-refill", refill, dev);
	dev->has_refill = r == 0;
	if (r)
		workers_stop(dev);
	return r;
}

void workers_stop(struct zsblk *dev)
{
	if (!dev->has_worker)
		return;
	zs_core_worker_stop(dev->core);
	if (dev->has_refill)
		pthread_join(dev->refill, NULL);
	pthread_join(dev->worker, NULL);
	dev->has_worker = dev->has_refill = false;
}

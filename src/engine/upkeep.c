/* SPDX-License-Identifier: BSD-3-Clause */
/* Work beside the requests: the two background threads, and compaction. */
#include "engine/aging.h"
#include "engine/sector.h"
#include "process/thread.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

/* ------------------------------------------------------------------ compaction */

uint64_t upkeep_compact_step(struct zsblk *dev, struct progress *progress, bool *more)
{
	uint64_t freed;

	if (progress->settling)
		return zs_core_settle_step(dev->core, &progress->cursor, &sector_settler, dev, more);
	freed = zs_core_compact_step(dev->core, &progress->cursor, sector_move, dev, more);
	if (!*more) {
		*progress = (struct progress){.settling = true};
		*more = true;
	}
	return freed;
}

uint64_t zsblk_compact_step(struct zsblk *dev, bool *more)
{
	uint64_t freed;

	pthread_mutex_lock(&dev->compact_lock);
	freed = upkeep_compact_step(dev, &dev->compact_progress, more);
	if (!*more)
		dev->compact_progress = (struct progress){0};
	pthread_mutex_unlock(&dev->compact_lock);
	return freed;
}

uint64_t zsblk_compact(struct zsblk *dev)
{
	struct progress progress = {0};
	uint64_t freed = 0;
	bool more = true;

	while (more)
		freed += upkeep_compact_step(dev, &progress, &more);
	return freed;
}

/* ------------------------------------------------------------------ when to compact */

#define SHORT_MS        10   /* between two looks whether there is memory again */
#define LONG_MS         1000 /* between two looks whether to compact */
#define RESERVE_WAIT_MS 3000 /* for memory that is filled while somebody waits, without any progress */

static void pause_ms(long ms)
{
	struct timespec time = {.tv_nsec = ms * 1000000};

	nanosleep(&time, NULL);
}

/*
 * When to compact without being asked. Discards leave zspages partly empty; on a swap device soon most of them are.
 * Compaction begins when more than a quarter of the pool could be freed, and at least COMPACT_LEAST_PAGES. It ends when
 * less than an eighth could. Where memory is short, in the system or below the limit, a quarter of that gain is enough.
 * zram compacts only under memory pressure; user space hears of pressure too late for that.
 */
#define COMPACT_LEAST_PAGES 1024u /* 4 MiB */
#define SHORT_FACTOR        4u
#define NEAR_LIMIT          16u /* the last 16th */
#define IDLE_LOOKS          5u  /* LONG_MS apart */

static bool memory_is_short(struct zsblk *dev, const struct zs_core_stats *pool)
{
	uint64_t limit = runs_limit(dev->runs), cap = atomic_load(&dev->cap);

	return (cap && runs_resident(dev->runs) >= cap - cap / NEAR_LIMIT) ||
	       (limit && pool->pages_used >= limit - limit / NEAR_LIMIT) ||
	       (zsblk_reserve(dev) && !spare_memory_for(&dev->worker_spare, false));
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

/* ------------------------------------------------------------------ the reserve */

/* A piece of refilling; true: call again. *error: the system has no memory now. */
static bool refill_piece(struct zsblk *dev, int *error)
{
	bool wanted = runs_wants(dev->runs, RUNS_REFILL);

	/* Not to wait for it in the kernel: see spare.h. */
	if (wanted && !spare_memory(&dev->spare)) {
		*error = -EAGAIN;
		return false;
	}
	/* Nobody makes room below a limit of ours as quickly as the system does. */
	if (wanted && !spare_below_limits(&dev->spare)) {
		*error = -ENOMEM;
		return false;
	}
	return runs_upkeep(dev->runs, RUNS_REFILL, error);
}

int upkeep_fill_reserve(struct zsblk *dev, bool wait)
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

/* ------------------------------------------------------------------ the table */

#define POPULATE_PIECE (UINT64_C(512) << 10) /* what the system is asked for at once: spare.h */

/*
 * Has the system memory to spare for a piece? A device that starts is not to be refused below limits that cap_check()
 * found wide enough.
 */
static bool has_spare(struct zsblk *dev)
{
	if (!dev->has_worker)
		return spare_memory(&dev->spare);
	return spare_memory_for(&dev->change_spare, spare_is_realtime(sched_getscheduler(0)));
}

static int wait_for_spare(struct zsblk *dev)
{
	bool wait = dev->is_new || dev->has_worker;

	for (unsigned waits = 0; !has_spare(dev); waits++) {
		if (is_interrupted(dev))
			return -EINTR;
		if (!wait || waits == RESERVE_WAIT_MS / SHORT_MS)
			return -ENOMEM;
		pause_ms(SHORT_MS);
	}
	return 0;
}

/* What a server before us had in memory takes none. */
static bool is_in_memory(const struct zsblk *dev, const uint8_t *start, uint64_t len)
{
	uint64_t bytes = (len + SEGMENT_PAGE - 1) / SEGMENT_PAGE * SEGMENT_PAGE, pages;

	return segment_count_resident(&dev->seg, (uint64_t)(start - dev->seg.base), bytes, &pages) == 0 &&
	       pages == bytes / SEGMENT_PAGE;
}

/* Have a part of the segment in memory: the words, or their map. */
static int populate_part(struct zsblk *dev, void *part, uint64_t bytes)
{
	int r = 0;

	for (uint64_t at = 0; at < bytes && !r; at += POPULATE_PIECE) {
		uint8_t *start = (uint8_t *)part + at;
		uint64_t len = bytes - at < POPULATE_PIECE ? bytes - at : POPULATE_PIECE;

		r = is_interrupted(dev) ? -EINTR : is_in_memory(dev, start, len) ? 0 : wait_for_spare(dev);
		if (!r)
			r = segment_private_populate(start, len);
	}
	return r;
}

int upkeep_populate_private(struct zsblk *dev, void *mem, size_t bytes)
{
	int r = 0;

	for (size_t at = 0; at < bytes && !r; at += POPULATE_PIECE) {
		size_t len = bytes - at < POPULATE_PIECE ? bytes - at : POPULATE_PIECE;

		r = is_interrupted(dev) ? -EINTR : wait_for_spare(dev);
		if (!r)
			r = segment_private_populate((uint8_t *)mem + at, len);
	}
	return r;
}

/* Nobody waits for ages: those that find no memory now get some later (aging.c). */
static int populate_ages(struct zsblk *dev, uint64_t blocks)
{
	int r = populate_part(dev, dev->ages.bytes, blocks);

	if (!r)
		r = ages_add_pages(&dev->ages, 0, (blocks + SEGMENT_PAGE - 1) / SEGMENT_PAGE);
	return r == -EINTR ? r : 0;
}

int upkeep_populate_table(struct zsblk *dev, uint64_t blocks, uint64_t reserve)
{
	uint64_t table = blocks * sizeof *dev->table.words, wanted = cap_table_bytes(dev, reserve);
	void *settings = super_settings(&dev->seg, &dev->layout);
	int r;

	if (!wanted)
		return 0;
	r = runs_populate_descriptors(dev->runs, reserve);
	if (!r)
		r = populate_part(dev, dev->table.map, table_map_bytes(blocks));
	if (!r && settings)
		r = populate_part(dev, settings, SEGMENT_PAGE);
	table = table < wanted ? table : wanted;
	if (!r)
		r = populate_part(dev, dev->table.words, table);
	return r ? r : populate_ages(dev, table / sizeof *dev->table.words);
}

/* ------------------------------------------------------------------ the background threads */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * If the system refuses one kind of work, the thread pauses: SHORT_MS at first, then twice as long each time, up to
 * LONG_MS. The system may refuse for ever: before Linux 5.18 locked memory cannot be given back, and the pool's address
 * space can be used up.
 */
struct backoff {
	unsigned ms;    /* the last pause; 0: the last try went well */
	uint64_t until; /* not before this time, in ms */
};

static void backoff_note(struct backoff *backoff, int error)
{
	if (!error) {
		backoff->ms = 0;
		return;
	}
	/* -EAGAIN costs one look at the system's figures, and memory may be there the next moment. */
	backoff->ms = error == -EAGAIN || !backoff->ms ? SHORT_MS : 2 * backoff->ms;
	if (backoff->ms > LONG_MS)
		backoff->ms = LONG_MS;
	backoff->until = now_ms() + backoff->ms;
}

/*
 * Wait until there is work of this kind, at most `timeout_ms`. *may_try: no pause is in force. False when the thread
 * has to end.
 */
static bool worker_wait(struct zsblk *dev, enum runs_work work, const struct backoff *backoff, unsigned timeout_ms,
			bool *may_try)
{
	uint64_t now = now_ms();

	*may_try = true;
	if (!backoff->ms || now >= backoff->until)
		return runs_wait(dev->runs, work, timeout_ms);
	*may_try = backoff->until - now <= timeout_ms;
	return runs_pause(dev->runs, *may_try ? (unsigned)(backoff->until - now) : timeout_ms);
}

static void *refill(void *opaque)
{
	struct zsblk *dev = opaque;
	struct backoff backoff = {0};
	bool may_try;
	int error;

	while (worker_wait(dev, RUNS_REFILL, &backoff, LONG_MS, &may_try)) {
		cap_keep(dev, &dev->spare);
		/* Threads with requests may be waiting for this CPU: see thread.h. */
		while (refill_piece(dev, &error)) {
			cap_keep(dev, &dev->spare);
			sched_yield();
		}
		backoff_note(&backoff, error);
	}
	return NULL;
}

/* Threads are started by one that has the class and the flags that threads of the server have: see thread.h. */
static int start_refill(struct zsblk *dev)
{
	int r = thread_start_background(&dev->refill, "zsblk-refill", refill, dev);

	dev->has_refill = r == 0;
	return r;
}

/* Give surplus pages back to the system. False when the thread has to end. */
static bool trim(struct zsblk *dev, struct backoff *backoff, unsigned timeout_ms)
{
	bool may_try;
	int error;

	if (!worker_wait(dev, RUNS_TRIM, backoff, timeout_ms, &may_try))
		return false;
	if (!may_try)
		return true;
	while (runs_upkeep(dev->runs, RUNS_TRIM, &error))
		sched_yield();
	backoff_note(backoff, error);
	return true;
}

/* One round over all classes, a zspage at a time. Pages that become free go back to the system in between. */
static bool compact_round(struct zsblk *dev, struct backoff *backoff)
{
	struct progress progress = {0};
	bool more = true;

	while (more) {
		if (!trim(dev, backoff, 0))
			return false;
		upkeep_compact_step(dev, &progress, &more);
		aging_keep(dev);
		/* Without this, a thread of a real-time class would keep the CPU from the server's other threads. */
		sched_yield();
	}
	return true;
}

/*
 * A device at rest: in the last IDLE_LOOKS looks nothing was written, discarded, recompressed or put into groups. It is compacted once,
 * however little that gains: what is stored may stay for long.
 */
struct rest {
	uint64_t changes;
	unsigned looks;
	bool compacted;
};

static bool has_come_to_rest(struct zsblk *dev, struct rest *rest)
{
	struct counters sum;
	uint64_t changes;

	contexts_sum(dev, &sum);
	changes = sum.writes + sum.discards + sum.zeroes + sum.recompressed + sum.grouped + sum.regrouped;
	if (changes != rest->changes) {
		*rest = (struct rest){.changes = changes};
		return false;
	}
	if (rest->compacted || ++rest->looks < IDLE_LOOKS)
		return false;
	rest->compacted = true;
	return true;
}

static void *work(void *opaque)
{
	struct zsblk *dev = opaque;
	struct backoff backoff = {0};
	/* Until the first change, what a former server has left is not compacted again. */
	struct rest rest = {.compacted = true};
	bool begun = false;
	time_t looked = 0;

	/* Look for pages that a former server has left in memory, where the opening has not looked. */
	while (runs_look(dev->runs)) {
		if (!trim(dev, &backoff, 0))
			return NULL;
		sched_yield();
	}

	while (trim(dev, &backoff, LONG_MS)) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec == looked)
			continue;
		looked = now.tv_sec;
		aging_keep(dev);
		magazines_drain(dev->runs);
		entries_keep(dev);
		/* The reserve came later than this thread. */
		if (zsblk_reserve(dev) && !dev->has_refill)
			start_refill(dev);
		/*
		 * One thread only: a result must not be replaced by an earlier one. The refill thread does this, if
		 * there is one.
		 */
		if (!dev->has_refill)
			cap_keep(dev, &dev->worker_spare);
		begun = worth_compacting(dev, begun);
		if ((has_come_to_rest(dev, &rest) || begun) && !compact_round(dev, &backoff))
			break;
	}
	return NULL;
}

/* ------------------------------------------------------------------ life of the threads */

/* Two threads: requests may come to wait for the refill, and compaction takes long. */
int upkeep_start(struct zsblk *dev)
{
	int r;

	runs_start(dev->runs);
	/* First, since the worker starts one where there is none. */
	r = zsblk_reserve(dev) ? start_refill(dev) : 0;
	if (!r) {
		r = thread_start_background(&dev->worker, "zsblk-worker", work, dev);
		dev->has_worker = r == 0;
	}
	if (r)
		upkeep_stop(dev);
	return r;
}

void upkeep_stop(struct zsblk *dev)
{
	runs_stop(dev->runs);
	if (dev->has_worker)
		pthread_join(dev->worker, NULL);
	if (dev->has_refill)
		pthread_join(dev->refill, NULL);
	dev->has_worker = false;
	dev->has_refill = false;
}

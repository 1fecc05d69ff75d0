/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Background work: what is left of buckets that are mostly dead is moved together, and what is free is given back. See
 * spill.h and parts.h.
 *
 * A bucket is read whole, and gone through from its start. Each object is verified before anything in it is believed,
 * since its length says where the next one begins. The owner is asked which ones are live. These are put again, with
 * sequence numbers of their own, and written; then the owner changes its places. A process that is killed at any
 * moment leaves the old places valid, or the new ones, each with its object.
 *
 * If an object cannot be verified, or is older than its bucket, what follows cannot be found. Then the bucket stays as it is until all of its
 * objects were dropped.
 */
#include "spill/parts.h"

#include <errno.h>
#include <string.h>

#define MOVED_MOST     1024u /* objects of a step that are written at once */
#define DISCARD_MOST   64u   /* buckets that are discarded at once */
#define WORTH_CLEANING 4u    /* free buckets, below which cleaning begins; or an eighth of all */

struct spill_moved {
	uint32_t offset; /* of the old one, in its bucket */
	uint64_t to;
};

/* What a walk through a bucket knows. */
struct walk {
	struct spill_store *store;
	struct spill_bucket *bucket;
	uint64_t start; /* of the bucket, in the store */
	size_t got;     /* bytes of it that were read */
	unsigned moved; /* that wait for their flush */
	bool is_damaged;
};

/* The object at this offset, which was verified and decrypted before. */
static struct spill_found found_again(const struct walk *walk, uint32_t offset, uint32_t numbers[SPILL_NUMBERS_MOST])
{
	struct spill_found found;

	spill_object_look(walk->store->clean_buffer + offset, &found);
	for (unsigned i = 0; i < found.count; i++)
		numbers[i] = spill_found_number(&found, i);
	return found;
}

/* Write what was put, and let the owner change its places. */
static int finish_moved(struct walk *walk)
{
	struct spill_store *store = walk->store;
	int r = spill_flush(store);

	for (unsigned i = 0; i < walk->moved && !r; i++) {
		const struct spill_moved *moved = &store->moved[i];
		uint32_t numbers[SPILL_NUMBERS_MOST];
		struct spill_found found = found_again(walk, moved->offset, numbers);
		uint64_t from = (walk->start + moved->offset) / SPILL_UNIT;
		bool is_moved = store->owner.move(store->owner.opaque, numbers, found.count, from, moved->to);

		pthread_mutex_lock(&store->lock);
		spill_log_drop(store, is_moved ? from : moved->to, found.size);
		store->stats.moved_bytes += is_moved ? found.stored : 0;
		pthread_mutex_unlock(&store->lock);
	}
	walk->moved = 0;
	return r;
}

static int move_object(struct walk *walk, uint32_t offset)
{
	struct spill_store *store = walk->store;
	uint32_t numbers[SPILL_NUMBERS_MOST];
	struct spill_found found = found_again(walk, offset, numbers);
	struct spill_object object = {numbers, found.count, found.bytes, found.size};
	uint64_t to;
	int r;

	if (!store->owner.is_live(store->owner.opaque, numbers, found.count, found.size,
				  (walk->start + offset) / SPILL_UNIT))
		return 0;
	r = spill_log_put(store, &object, true, &to);
	if (r == -ENOBUFS || walk->moved == MOVED_MOST) {
		int flushed = finish_moved(walk);

		if (flushed)
			return flushed;
	}
	if (r == -ENOBUFS)
		r = spill_log_put(store, &object, true, &to);
	if (!r)
		store->moved[walk->moved++] = (struct spill_moved){offset, to};
	return r;
}

static bool has_live(const struct walk *walk)
{
	bool has;

	pthread_mutex_lock(&walk->store->lock);
	has = walk->bucket->live > 0;
	pthread_mutex_unlock(&walk->store->lock);
	return has;
}

/* Move what is live. A flush leaves zeroes up to the end of its last page. */
static int walk_through(struct walk *walk)
{
	struct spill_store *store = walk->store;
	uint32_t offset = 0;
	int r = 0;

	while (!r && offset + SPILL_OBJECT_HEAD <= walk->got && has_live(walk)) {
		struct spill_found found;

		if (spill_object_is_none(store->clean_buffer + offset)) {
			offset = (offset / SPILL_PAGE + 1) * SPILL_PAGE;
			continue;
		}
		/* One from before the bucket was opened is genuine, and old: moved, it would be taken for a new one. */
		if (spill_object_decode(&store->seal, (walk->start + offset) / SPILL_UNIT, store->clean_buffer + offset,
					walk->got - offset, &found) ||
		    found.sequence < walk->bucket->first_sequence) {
			walk->is_damaged = true;
			break;
		}
		r = move_object(walk, offset);
		offset += (uint32_t)found.stored;
	}
	if (!r)
		r = finish_moved(walk);
	return r;
}

static int clean(struct spill_store *store, struct spill_bucket *bucket)
{
	struct walk walk = {.store = store, .bucket = bucket};
	int r;

	walk.start = (uint64_t)spill_bucket_number(&store->buckets, bucket) * SPILL_BUCKET;
	r = spill_io_run(store, &store->clean_io, SPILL_IO_READ, walk.start, bucket->end, store->clean_buffer);
	if (!r) {
		walk.got = store->clean_io.got;
		r = walk_through(&walk);
	}
	pthread_mutex_lock(&store->lock);
	bucket->is_left = walk.is_damaged || (!r && bucket->live);
	store->stats.damaged += walk.is_damaged;
	store->stats.cleaned += !r && !bucket->live;
	spill_bucket_set(&store->buckets, bucket, SPILL_BUCKET_FULL);
	pthread_mutex_unlock(&store->lock);
	return r;
}

static void note_busy(struct spill_store *store, uint32_t first, uint32_t count)
{
	if (store->owner.busy)
		store->owner.busy(store->owner.opaque, SPILL_BUSY_DISCARDS, (struct spill_busy){first, count});
}

/* Give free buckets back. Some stores cannot do that, and are none the worse for it. */
static int discard(struct spill_store *store, struct spill_bucket *first, uint32_t count)
{
	uint64_t offset = (uint64_t)spill_bucket_number(&store->buckets, first) * SPILL_BUCKET;
	bool may_happen, can_not;
	int r;

	note_busy(store, spill_bucket_number(&store->buckets, first), count);
	r = spill_io_run(store, &store->clean_io, SPILL_IO_DISCARD, offset, (size_t)count * SPILL_BUCKET, NULL);
	can_not = r == -EOPNOTSUPP || r == -ENOTTY || r == -EINVAL;
	pthread_mutex_lock(&store->lock);
	may_happen = r && (store->clean_io.state != SPILL_IO_IDLE || store->clean_io.is_end_unknown);
	spill_buckets_discarded(&store->buckets, first, count, may_happen ? SPILL_BUCKET_LOST : SPILL_BUCKET_FREE,
				r && !can_not && !may_happen);
	if (can_not)
		store->can_discard = false;
	pthread_mutex_unlock(&store->lock);
	if (!may_happen)
		note_busy(store, 0, 0);
	return can_not ? 0 : r;
}

/* Cleaning moves what may be dropped soon anyway. So it waits until room is short or a quarter is dead. */
static struct spill_bucket *choose_to_clean(struct spill_store *store, bool is_short)
{
	const struct spill_buckets *buckets = &store->buckets;
	struct spill_bucket *bucket;

	if (!is_short && buckets->used_bytes - buckets->live_bytes < buckets->used_bytes / 4)
		return NULL;
	bucket = spill_bucket_worst(buckets);
	if (bucket)
		spill_bucket_set(&store->buckets, bucket, SPILL_BUCKET_BUSY);
	return bucket;
}

/* What is to be done next: to discard costs least, but where room is short, cleaning comes first. */
static struct spill_bucket *choose(struct spill_store *store, uint32_t *discards)
{
	struct spill_buckets *buckets = &store->buckets;
	uint32_t free = buckets->limit > buckets->used ? buckets->limit - buckets->used : 0;
	bool is_short = free <= WORTH_CLEANING || free <= buckets->limit / 8;
	struct spill_bucket *bucket = is_short ? choose_to_clean(store, true) : NULL;

	*discards = 0;
	if (!bucket && store->can_discard)
		bucket = spill_buckets_dirty(buckets, DISCARD_MOST, discards);
	return bucket || is_short ? bucket : choose_to_clean(store, false);
}

int spill_clean_step(struct spill_store *store, bool *more)
{
	struct spill_bucket *bucket;
	uint32_t discards = 0;
	int r;

	*more = false;
	if (store->pending)
		return -EINVAL;
	pthread_mutex_lock(&store->lock);
	if (!store->is_open || store->is_away || store->clean_io.state != SPILL_IO_IDLE ||
	    store->log_io.state != SPILL_IO_IDLE) {
		r = !store->is_open || store->is_away ? -ENOTCONN : -EBUSY;
		pthread_mutex_unlock(&store->lock);
		return r;
	}
	bucket = choose(store, &discards);
	pthread_mutex_unlock(&store->lock);
	if (!bucket)
		return 0;
	r = discards ? discard(store, bucket, discards) : clean(store, bucket);
	*more = !r;
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is put into a store: one bucket after the other is filled, from its start to its end. See spill.h and parts.h.
 *
 *  the open bucket, 1 MiB
 * +----------------------------+-----------------------------+------------------------+
 * | in the store               | in the buffer               |                        |
 * +----------------------------+-----------------------------+------------------------+
 * 0                            flushed                       position
 *
 * Invariants:
 *  1. `flushed` is a multiple of a page, and nothing before it is written again while the bucket is in use. So a write
 *     that fails or is torn damages no object that counts.
 *  2. A write is sent once. Where its end is not known (no answer in time, the connection was lost), it may still land
 *     at any time, so its bucket is lost to this process: what counts in it can be read, and nothing is written there.
 *  3. A sequence number is used for one object only, and only if the owner has noted a higher one before.
 *     Numbers of objects that were never written are used up as well.
 */
#include "spill/parts.h"

#include <errno.h>
#include <string.h>

/* Numbers that are noted as used at once. A process that is killed loses as many of 2^64. */
#define SEQUENCE_STEP (UINT64_C(1) << 16)

/* The open bucket gets no more objects. */
static void close_bucket(struct spill_store *store, enum spill_bucket_state state)
{
	struct spill_bucket *bucket = store->open;

	store->open = NULL;
	store->flushed = store->position = 0;
	pthread_mutex_lock(&store->lock);
	spill_bucket_set(&store->buckets, bucket, state);
	pthread_mutex_unlock(&store->lock);
}

static void note_busy(struct spill_store *store, uint32_t first, uint32_t count)
{
	if (store->owner.busy)
		store->owner.busy(store->owner.opaque, SPILL_BUSY_WRITES, (struct spill_busy){first, count});
}

void spill_log_close(struct spill_store *store)
{
	const struct spill_busy none = {0, 0};
	bool is_known;

	pthread_mutex_lock(&store->lock);
	is_known = store->is_open && store->is_started && store->log_io.state == SPILL_IO_IDLE &&
		   store->clean_io.state == SPILL_IO_IDLE;
	pthread_mutex_unlock(&store->lock);
	for (unsigned i = 0; i < SPILL_BUSY_KINDS && is_known && store->owner.busy; i++)
		store->owner.busy(store->owner.opaque, (enum spill_busy_kind)i, none);
}

static int open_bucket(struct spill_store *store, bool for_cleaning)
{
	pthread_mutex_lock(&store->lock);
	store->open = spill_bucket_take(&store->buckets, for_cleaning);
	if (store->open)
		store->open->first_sequence = store->sequence;
	pthread_mutex_unlock(&store->lock);
	store->flushed = store->position = 0;
	if (!store->open)
		return -ENOSPC;
	note_busy(store, spill_bucket_number(&store->buckets, store->open), 1);
	return 0;
}

/* A bucket that has room for so many bytes. */
static int make_room(struct spill_store *store, size_t stored, bool for_cleaning)
{
	if (store->open && store->position + stored <= SPILL_BUCKET)
		return 0;
	if (store->position > store->flushed)
		return -ENOBUFS;
	if (store->open)
		close_bucket(store, SPILL_BUCKET_FULL);
	return open_bucket(store, for_cleaning);
}

static int next_sequence(struct spill_store *store, uint64_t *sequence)
{
	if (store->sequence == store->raised) {
		uint64_t raised = store->sequence + SEQUENCE_STEP;
		int r = raised < store->sequence ? -EOVERFLOW
						 : store->owner.raise_sequence(store->owner.opaque, raised);

		if (r)
			return r;
		store->raised = raised;
	}
	*sequence = store->sequence++;
	return 0;
}

static int may_put(struct spill_store *store)
{
	int r;

	pthread_mutex_lock(&store->lock);
	r = !store->is_open ? -ENOTCONN : store->log_io.state != SPILL_IO_IDLE ? -EBUSY : 0;
	pthread_mutex_unlock(&store->lock);
	return r;
}

int spill_log_put(struct spill_store *store, const struct spill_object *object, bool for_cleaning, uint64_t *place)
{
	uint64_t at, sequence;
	size_t stored;
	int r;

	if (!store->is_started || object->count == 0 || object->count > SPILL_NUMBERS_MOST || object->size == 0 ||
	    object->size > SPILL_OBJECT_MOST)
		return -EINVAL;
	r = may_put(store);
	if (r)
		return r;
	stored = spill_object_bytes(object->size, object->count);
	r = make_room(store, stored, for_cleaning);
	if (!r)
		r = next_sequence(store, &sequence);
	if (r)
		return r;
	at = (uint64_t)spill_bucket_number(&store->buckets, store->open) * SPILL_BUCKET + store->position;
	*place = at / SPILL_UNIT;
	spill_object_encode(&store->seal, *place, sequence, object,
			    store->log_buffer + (store->position - store->flushed));
	store->position += (uint32_t)stored;
	pthread_mutex_lock(&store->lock);
	spill_bucket_add(&store->buckets, store->open, 1, spill_object_account(object->size));
	store->stats.puts += !for_cleaning;
	pthread_mutex_unlock(&store->lock);
	store->pending++;
	store->pending_account += spill_object_account(object->size);
	return 0;
}

int spill_put(struct spill_store *store, const struct spill_object *object, uint64_t *place)
{
	return spill_log_put(store, object, false, place);
}

/* ------------------------------------------------------------------ flush */

/* With the lock held: none of what was put since the last flush counts. */
static void forget_pending(struct spill_store *store)
{
	spill_bucket_subtract(&store->buckets, store->open, store->pending, store->pending_account);
	store->position = store->flushed;
}

/* With the lock held. */
static void note_written(struct spill_store *store, uint32_t end)
{
	spill_bucket_extend(&store->buckets, store->open, end);
	store->flushed = store->position = end;
	store->is_full = false;
	if (!store->is_away)
		spill_trouble(store, NULL);
}

/* With the lock held. True: the bucket must be left alone. */
static bool note_failed(struct spill_store *store, int error)
{
	bool may_happen = store->log_io.state != SPILL_IO_IDLE || store->log_io.is_end_unknown;

	forget_pending(store);
	store->is_full = error == -ENOSPC || error == -EDQUOT;
	if (!store->is_away)
		spill_trouble(store, "the last write failed: %s%s", strerror(-error),
			      may_happen ? "; it may still happen" : "");
	return may_happen;
}

int spill_flush(struct spill_store *store)
{
	uint32_t length = store->position - store->flushed, padded = (length + SPILL_PAGE - 1) & ~(SPILL_PAGE - 1);
	bool is_away, may_happen = false;
	uint64_t offset;
	int r;

	if (length == 0)
		return 0;
	pthread_mutex_lock(&store->lock);
	is_away = store->is_away;
	if (is_away)
		forget_pending(store);
	pthread_mutex_unlock(&store->lock);
	if (is_away) {
		store->pending = 0;
		store->pending_account = 0;
		return -ENOTCONN;
	}
	memset(store->log_buffer + length, 0, padded - length);
	offset = (uint64_t)spill_bucket_number(&store->buckets, store->open) * SPILL_BUCKET + store->flushed;
	r = spill_io_run(store, &store->log_io, SPILL_IO_WRITE, offset, padded, store->log_buffer);
	pthread_mutex_lock(&store->lock);
	if (r == 0)
		note_written(store, store->flushed + padded);
	else
		may_happen = note_failed(store, r);
	pthread_mutex_unlock(&store->lock);
	store->pending = 0;
	store->pending_account = 0;
	if (may_happen)
		close_bucket(store, SPILL_BUCKET_LOST);
	return r;
}

/* What is not there was never noted or put: the owner's words are damaged, and the account stays right. */
bool spill_log_drop(struct spill_store *store, uint64_t place, size_t bytes)
{
	size_t account = spill_object_account(bytes);
	struct spill_bucket *bucket = spill_bucket_of(&store->buckets, place, account);

	if (!bucket || bucket->live < account)
		return false;
	spill_bucket_subtract(&store->buckets, bucket, 1, account);
	return true;
}

void spill_drop(struct spill_store *store, uint64_t place, size_t bytes)
{
	pthread_mutex_lock(&store->lock);
	store->stats.drops += spill_log_drop(store, place, bytes);
	pthread_mutex_unlock(&store->lock);
}

int spill_set_limit(struct spill_store *store, uint64_t limit)
{
	uint32_t most = store->buckets.count;
	uint64_t wanted = limit ? limit / SPILL_BUCKET : most;

	if (limit && limit < SPILL_LEAST)
		return -EINVAL;
	pthread_mutex_lock(&store->lock);
	store->buckets.limit = wanted < most ? (uint32_t)wanted : most;
	pthread_mutex_unlock(&store->lock);
	return 0;
}

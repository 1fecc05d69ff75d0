/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads of objects. See spill.h and parts.h.
 *
 * A read goes into the buffer of a slot, and is verified and decrypted there. Only then does it come into the caller's
 * buffer. So a caller whose deadline is over has its buffer back at once, and a transfer that ends later, or never, has
 * a buffer of its own.
 *
 *    spill_get() ----> waiting ----> slot, queue ----> verified, copied ----> done
 *                         |              |
 *                         +-- deadline --+--> done, -ETIMEDOUT; the slot is free when its transfer ends
 *
 * From spill_get() to the end of the transfer the bucket counts the reader, and so is not used again (bucket.c).
 */
#include "spill/parts.h"

#include <errno.h>
#include <string.h>

static void read_ended(struct spill_store *store, struct spill_io *io);

void spill_read_init(struct spill_store *store)
{
	store->waiting_end = &store->waiting;
	for (unsigned i = store->depth; i-- > 0;) {
		struct spill_slot *slot = &store->slots[i];

		slot->io.buffer = store->memory + (size_t)i * SPILL_SLOT_BYTES;
		slot->io.ended = read_ended;
		slot->next_free = store->free_slots;
		store->free_slots = slot;
	}
}

static struct spill_bucket *bucket_of(const struct spill_store *store, const struct spill_read *read)
{
	return spill_bucket_of(&store->buckets, read->place, spill_object_account(read->bytes));
}

/* Reads end in another order than they began: a caller may have waited before. */
static uint64_t deadline_of(const struct spill_store *store, const struct spill_read *read)
{
	uint64_t latest = read->begun_ns + store->deadline_ns;

	return read->until_ns && read->until_ns < latest ? read->until_ns : latest;
}

static void let_go(struct spill_store *store, struct spill_bucket *bucket)
{
	bucket->readers--;
	spill_bucket_settle(&store->buckets, bucket);
}

/* Bytes of the store that the object may take, in whole pages; not beyond what was written to its bucket. */
static void set_range(const struct spill_store *store, struct spill_io *io, const struct spill_read *read)
{
	const struct spill_bucket *bucket = bucket_of(store, read);
	uint64_t start = read->place * SPILL_UNIT, bucket_start = start / SPILL_BUCKET * SPILL_BUCKET;
	uint64_t end = start + spill_object_bytes(read->bytes, SPILL_NUMBERS_MOST), most = bucket_start + bucket->end;

	io->kind = SPILL_IO_READ;
	io->offset = start / SPILL_PAGE * SPILL_PAGE;
	end = (end + SPILL_PAGE - 1) / SPILL_PAGE * SPILL_PAGE;
	io->length = (size_t)((end < most ? end : most) - io->offset);
}

void spill_read_send(struct spill_store *store)
{
	while (store->is_open && store->waiting && store->free_slots) {
		struct spill_slot *slot = store->free_slots;
		struct spill_read *read = store->waiting;

		store->waiting = read->next;
		if (!store->waiting)
			store->waiting_end = &store->waiting;
		store->free_slots = slot->next_free;
		slot->read = read;
		slot->io.deadline_ns = deadline_of(store, read);
		set_range(store, &slot->io, read);
		spill_queue_add(store, &slot->io);
	}
}

int spill_get(struct spill_store *store, struct spill_read *read)
{
	struct spill_bucket *bucket;

	if (read->bytes == 0 || read->bytes > SPILL_OBJECT_MOST)
		return -ERANGE;
	read->next = NULL;
	read->begun_ns = spill_now_ns();
	pthread_mutex_lock(&store->lock);
	bucket = bucket_of(store, read);
	if (!bucket || bucket->state == SPILL_BUCKET_FREE ||
	    read->place % (SPILL_BUCKET / SPILL_UNIT) * SPILL_UNIT >= bucket->end || store->is_cancelled) {
		bool is_cancelled = store->is_cancelled;

		pthread_mutex_unlock(&store->lock);
		return is_cancelled ? -ECANCELED : -ERANGE;
	}
	store->stats.gets++;
	bucket->readers++;
	*store->waiting_end = read;
	store->waiting_end = &read->next;
	spill_read_send(store);
	if (deadline_of(store, read) < store->clock_until_ns)
		pthread_cond_signal(&store->clock);
	pthread_mutex_unlock(&store->lock);
	return 0;
}

/* ------------------------------------------------------------------ their end */

static void note_latency(struct spill_store *store, uint64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned bucket = us ? 64u - (unsigned)__builtin_clzll(us) : 0;

	store->stats.latency[bucket < SPILL_LATENCIES ? bucket : SPILL_LATENCIES - 1]++;
}

/* What came is what the caller has asked for, and not something older that was at this place. */
static int verify(struct spill_store *store, const struct spill_read *read, const struct spill_io *io,
		  uint64_t first_sequence, struct spill_found *found)
{
	size_t skip = (size_t)(read->place * SPILL_UNIT - io->offset);
	int r = io->got < skip
			? -ENODATA
			: spill_object_decode(&store->seal, read->place, io->buffer + skip, io->got - skip, found);

	if (r)
		return r;
	if (found->sequence < first_sequence || found->size > read->bytes || !spill_found_has(found, read->number))
		return -EBADMSG;
	memcpy(read->buffer, found->bytes, found->size);
	return 0;
}

static void free_slot(struct spill_store *store, struct spill_slot *slot)
{
	slot->io.state = SPILL_IO_IDLE;
	slot->next_free = store->free_slots;
	store->free_slots = slot;
	spill_read_send(store);
}

static void read_ended(struct spill_store *store, struct spill_io *io)
{
	struct spill_slot *slot = (struct spill_slot *)io;
	uint64_t bucket_number = io->offset / SPILL_BUCKET, first_sequence;
	struct spill_bucket *bucket = &store->buckets.of[bucket_number];
	struct spill_found found = {0};
	struct spill_read *read;
	int error;

	pthread_mutex_lock(&store->lock);
	/* From here on nobody but us ends this read. */
	read = slot->read;
	slot->read = NULL;
	first_sequence = bucket->first_sequence;
	pthread_mutex_unlock(&store->lock);

	error = !read ? 0 : io->error ? io->error : verify(store, read, io, first_sequence, &found);

	pthread_mutex_lock(&store->lock);
	if (read) {
		note_latency(store, spill_now_ns() - read->begun_ns);
		if (error == -EBADMSG || error == -ENODATA)
			store->stats.damaged++;
	}
	let_go(store, bucket);
	free_slot(store, slot);
	pthread_mutex_unlock(&store->lock);
	if (read)
		read->done(read, error, found.size);
}

static void put_on(struct spill_read **list, struct spill_read *read)
{
	read->next = *list;
	*list = read;
}

/* The slot of a read that was queued only is free at once. */
static struct spill_read *give_up(struct spill_store *store, struct spill_slot *slot)
{
	struct spill_read *read = slot->read;

	slot->read = NULL;
	if (spill_queue_withdraw(store, &slot->io)) {
		let_go(store, bucket_of(store, read));
		slot->next_free = store->free_slots;
		store->free_slots = slot;
	}
	return read;
}

/* Those without a slot. */
static void expire_waiting(struct spill_store *store, uint64_t now_ns, struct spill_read **list, uint64_t *next_ns)
{
	struct spill_read **link = &store->waiting;

	while (*link) {
		struct spill_read *read = *link;
		uint64_t deadline_ns = deadline_of(store, read);

		if (!store->is_cancelled && deadline_ns > now_ns) {
			*next_ns = deadline_ns < *next_ns ? deadline_ns : *next_ns;
			link = &read->next;
			continue;
		}
		*link = read->next;
		let_go(store, bucket_of(store, read));
		put_on(list, read);
	}
	store->waiting_end = link;
}

struct spill_read *spill_read_expired(struct spill_store *store, uint64_t now_ns, uint64_t *next_ns)
{
	struct spill_read *list = NULL;

	*next_ns = UINT64_MAX;
	for (unsigned i = 0; i < store->depth; i++) {
		struct spill_slot *slot = &store->slots[i];

		if (!slot->read)
			continue;
		if (store->is_cancelled || slot->io.deadline_ns <= now_ns)
			put_on(&list, give_up(store, slot));
		else if (slot->io.deadline_ns < *next_ns)
			*next_ns = slot->io.deadline_ns;
	}
	expire_waiting(store, now_ns, &list, next_ns);
	if (list && !store->is_cancelled)
		for (struct spill_read *read = list; read; read = read->next)
			store->stats.timed_out++;
	spill_read_send(store);
	return list;
}

void spill_read_fail(struct spill_store *store, struct spill_read *list, int error)
{
	while (list) {
		struct spill_read *read = list;

		list = read->next;
		read->done(read, error, 0);
	}
}

void spill_cancel(struct spill_store *store)
{
	struct spill_read *list;
	uint64_t next_ns;

	pthread_mutex_lock(&store->lock);
	store->is_cancelled = true;
	list = spill_read_expired(store, 0, &next_ns);
	pthread_cond_broadcast(&store->ended);
	pthread_mutex_unlock(&store->lock);
	spill_read_fail(store, list, -ECANCELED);
}

/* ------------------------------------------------------------------ and waiting for it */

static void note_over(struct spill_read *read, int error, size_t bytes)
{
	struct spill_store *store = read->store;

	pthread_mutex_lock(&store->lock);
	read->error = error;
	read->got = bytes;
	read->is_over = true;
	pthread_cond_broadcast(&store->ended);
	pthread_mutex_unlock(&store->lock);
}

int spill_get_now(struct spill_store *store, struct spill_read *read, size_t *bytes)
{
	int r;

	read->done = note_over;
	read->store = store;
	read->is_over = false;
	r = spill_get(store, read);
	if (r)
		return r;
	pthread_mutex_lock(&store->lock);
	while (!read->is_over)
		pthread_cond_wait(&store->ended, &store->lock);
	pthread_mutex_unlock(&store->lock);
	*bytes = read->got;
	return read->error;
}

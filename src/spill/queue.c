/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transfers that were asked for, in the order in which they were. See parts.h.
 *
 *    IDLE --add--> QUEUED --take, by a backend--> SENT --end--> IDLE
 *                     |                             |
 *                     +--withdraw--> IDLE           +--again (a read, on a new connection)--> QUEUED
 */
#include "spill/parts.h"

#include <errno.h>

void spill_queue_init(struct spill_store *store)
{
	store->queue_end = &store->queue;
}

void spill_queue_add(struct spill_store *store, struct spill_io *io)
{
	io->next = NULL;
	io->state = SPILL_IO_QUEUED;
	*store->queue_end = io;
	store->queue_end = &io->next;
	store->backend->wake(store);
}

struct spill_io *spill_queue_take(struct spill_store *store)
{
	struct spill_io *io = store->queue;

	if (!io)
		return NULL;
	store->queue = io->next;
	if (!store->queue)
		store->queue_end = &store->queue;
	io->state = SPILL_IO_SENT;
	return io;
}

void spill_queue_again(struct spill_store *store, struct spill_io *io)
{
	io->state = SPILL_IO_QUEUED;
	io->next = store->queue;
	if (!store->queue)
		store->queue_end = &io->next;
	store->queue = io;
}

bool spill_queue_withdraw(struct spill_store *store, struct spill_io *io)
{
	if (io->state != SPILL_IO_QUEUED)
		return false;
	for (struct spill_io **link = &store->queue; *link; link = &(*link)->next)
		if (*link == io) {
			*link = io->next;
			if (!*link)
				store->queue_end = link;
			break;
		}
	io->state = SPILL_IO_IDLE;
	return true;
}

static void count(struct spill_store *store, const struct spill_io *io)
{
	if (io->error == 0 && io->kind == SPILL_IO_READ)
		store->stats.bytes_read += io->got;
	else if (io->error == 0 && io->kind == SPILL_IO_WRITE)
		store->stats.bytes_written += io->length;
	else if (io->error == 0)
		store->stats.discarded += io->length;
	else if (io->kind == SPILL_IO_READ)
		store->stats.read_errors++;
	else
		store->stats.write_errors++;
}

void spill_io_end(struct spill_store *store, struct spill_io *io, int error, size_t got, bool is_end_unknown)
{
	pthread_mutex_lock(&store->lock);
	io->error = error;
	io->got = got;
	io->is_end_unknown = is_end_unknown;
	count(store, io);
	if (io->ended) {
		pthread_mutex_unlock(&store->lock);
		io->ended(store, io);
		return;
	}
	io->state = SPILL_IO_IDLE;
	pthread_cond_broadcast(&store->ended);
	pthread_mutex_unlock(&store->lock);
}

/* With the lock held: nobody waits any more. */
static int give_up(struct spill_store *store, struct spill_io *io)
{
	if (spill_queue_withdraw(store, io))
		io->is_end_unknown = false;
	else
		store->backend->unstick(store);
	if (store->is_cancelled)
		return -ECANCELED;
	store->stats.timed_out++;
	return -ETIMEDOUT;
}

int spill_io_run(struct spill_store *store, struct spill_io *io, enum spill_io_kind kind, uint64_t offset,
		 size_t length, uint8_t *buffer)
{
	uint64_t deadline = spill_now_ns() + store->deadline_ns;
	int r;

	pthread_mutex_lock(&store->lock);
	*io = (struct spill_io){
		.kind = kind, .offset = offset, .length = length, .buffer = buffer, .is_end_unknown = true};
	spill_queue_add(store, io);
	while (io->state != SPILL_IO_IDLE && !store->is_cancelled &&
	       spill_cond_wait_until(&store->ended, &store->lock, deadline))
		;
	r = io->state == SPILL_IO_IDLE ? io->error : give_up(store, io);
	pthread_mutex_unlock(&store->lock);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time, and the thread that ends reads whose time is over. See parts.h.
 *
 * The thread is one of its own, since the threads that do I/O may be stuck in it. It ends the read, and not the
 * transfer: a transfer keeps its slot, with the buffer, until it has really ended.
 */
#include "process/thread.h"
#include "spill/parts.h"

#include <errno.h>
#include <time.h>

uint64_t spill_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void spill_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

bool spill_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(until_ns / 1000000000u),
		.tv_nsec = (long)(until_ns % 1000000000u),
	};

	return pthread_cond_timedwait(cond, lock, &until) == 0;
}

static void *run(void *opaque)
{
	struct spill_store *store = opaque;

	pthread_mutex_lock(&store->lock);
	while (!store->is_closing) {
		uint64_t next_ns;
		struct spill_read *expired = spill_read_expired(store, spill_now_ns(), &next_ns);

		store->clock_until_ns = next_ns;
		if (expired) {
			if (store->is_open)
				store->backend->unstick(store);
			pthread_mutex_unlock(&store->lock);
			spill_read_fail(store, expired, -ETIMEDOUT);
			pthread_mutex_lock(&store->lock);
		} else if (next_ns == UINT64_MAX) {
			pthread_cond_wait(&store->clock, &store->lock);
		} else {
			spill_cond_wait_until(&store->clock, &store->lock, next_ns);
		}
	}
	pthread_mutex_unlock(&store->lock);
	return NULL;
}

int spill_clock_start(struct spill_store *store)
{
	int r = thread_start_background(&store->clock_thread, "spill-clock", run, store);

	store->has_clock = r == 0;
	return r;
}

void spill_clock_stop(struct spill_store *store)
{
	if (!store->has_clock)
		return;
	pthread_mutex_lock(&store->lock);
	pthread_cond_signal(&store->clock);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->clock_thread, NULL);
	store->has_clock = false;
}

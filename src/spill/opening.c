/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a store, at once or in the background. See spill.h and parts.h.
 *
 *   spill_open() --> spill_note_live() ... --> spill_start() --> looked for ----> recognised: is_open
 *                                                                  ^    |
 *                                                                  +----+  not there, another store, in use: 100 ms to 5 s
 *
 * A device whose store is away goes on with what is in memory. The account of the store needs no store: it follows from
 * the places that were noted. So objects are dropped meanwhile, and reads wait for their deadline (read.c).
 *
 * Until `is_open` the thread here is the only one that uses the backend, the buffer of cleaning, and the addresses of
 * buckets. Whoever has the lock and sees `is_open` finds all of it as it will stay.
 */
#include "process/thread.h"
#include "spill/parts.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS UINT64_C(2000000000)
#define PAUSE_NS    UINT64_C(100000000)
#define PAUSE_MOST  UINT64_C(5000000000)

struct spill_opener {
	struct spill_store *store;
	struct spill_params params; /* without the key */
	char *location;
	bool has_tried; /* under the store's lock */
	pthread_t thread;
};

static int check_size(struct spill_store *store, const struct spill_params *params, struct spill_why *why)
{
	int r = 0;

	if (store->size < SPILL_LEAST) {
		spill_why_set(why, "%s has %llu bytes: a store has %u MiB at least", params->location,
			      (unsigned long long)store->size, SPILL_LEAST >> 20);
		return -ENOSPC;
	}
	pthread_mutex_lock(&store->lock);
	r = store->buckets.of ? spill_buckets_resize(&store->buckets, store->size)
			      : spill_buckets_init(&store->buckets, store->size);
	store->buckets.floor = params->floor;
	pthread_mutex_unlock(&store->lock);
	if (r == -ENOSPC)
		spill_why_set(why, "%s has %llu bytes, and objects lie behind them: it is smaller than it was",
			      params->location, (unsigned long long)store->size);
	if (!r && params->limit)
		r = spill_set_limit(store, params->limit);
	return r;
}

int spill_open_now(struct spill_store *store, struct spill_params *params, bool make, struct spill_why *why)
{
	int r = store->backend->open(store, params, make, why);

	if (!r)
		r = check_size(store, params, why);
	if (!r)
		r = spill_store_identify(store, params, make, why);
	if (r) {
		if (!why->text[0])
			spill_why_set(why, "%s: %s", params->location, strerror(-r));
		return r;
	}
	pthread_mutex_lock(&store->lock);
	store->is_open = true;
	if (store->is_started)
		spill_buckets_noted(&store->buckets, store->dirty_end);
	spill_trouble(store, NULL);
	spill_read_send(store);
	pthread_mutex_unlock(&store->lock);
	return 0;
}

/* ------------------------------------------------------------------ in the background */

/* With the lock held. False: nobody wants the store any more. */
static bool wait_for_start(struct spill_store *store)
{
	while (!store->is_started && !store->is_cancelled)
		pthread_cond_wait(&store->ended, &store->lock);
	return !store->is_cancelled;
}

static void note_tried(struct spill_opener *opener, const struct spill_why *why)
{
	struct spill_store *store = opener->store;

	opener->has_tried = true;
	pthread_cond_broadcast(&store->ended);
	if (!store->is_open)
		spill_trouble(store, "not found yet: %.180s", why->text);
}

static void *run(void *opaque)
{
	struct spill_opener *opener = opaque;
	struct spill_store *store = opener->store;
	uint64_t pause = PAUSE_NS;
	bool goes_on;

	pthread_mutex_lock(&store->lock);
	goes_on = wait_for_start(store);
	while (goes_on) {
		struct spill_why why = {""};
		uint64_t until;
		int r;

		pthread_mutex_unlock(&store->lock);
		r = spill_open_now(store, &opener->params, false, &why);
		if (r)
			store->backend->close(store, false);
		pthread_mutex_lock(&store->lock);
		note_tried(opener, &why);
		until = spill_now_ns() + pause;
		pause = pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST;
		while (r && !store->is_cancelled && spill_cond_wait_until(&store->ended, &store->lock, until))
			;
		goes_on = r && !store->is_cancelled;
	}
	pthread_mutex_unlock(&store->lock);
	return NULL;
}

int spill_open_behind(struct spill_store *store, const struct spill_params *params)
{
	struct spill_opener *opener = calloc(1, sizeof *opener);
	int r = opener ? spill_buckets_init(&store->buckets, params->capacity) : -ENOMEM;

	store->buckets.floor = params->floor;
	if (!r && params->limit)
		r = spill_set_limit(store, params->limit);
	if (!r) {
		opener->location = strdup(params->location);
		r = opener->location ? 0 : -ENOMEM;
	}
	if (!r) {
		opener->store = store;
		opener->params = *params;
		opener->params.location = opener->location;
		sodium_memzero(opener->params.key, sizeof opener->params.key);
		r = thread_start_background(&opener->thread, "spill-open", run, opener);
	}
	if (r) {
		free(opener ? opener->location : NULL);
		free(opener);
		return r;
	}
	store->opener = opener;
	return 0;
}

void spill_open_wait(struct spill_store *store)
{
	uint64_t until = spill_now_ns() + PATIENCE_NS;

	pthread_mutex_lock(&store->lock);
	pthread_cond_broadcast(&store->ended);
	while (store->opener && !store->opener->has_tried && spill_cond_wait_until(&store->ended, &store->lock, until))
		;
	if (store->opener && !store->opener->has_tried)
		spill_trouble(store, "not found yet: no answer from %.150s", store->opener->location);
	pthread_mutex_unlock(&store->lock);
}

void spill_open_stop(struct spill_store *store)
{
	if (!store->opener)
		return;
	pthread_join(store->opener->thread, NULL);
	free(store->opener->location);
	free(store->opener);
	store->opener = NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What a store tells of itself. See spill.h. */
#include "spill/parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void spill_why_set(struct spill_why *why, const char *format, ...)
{
	va_list args;

	if (!why)
		return;
	va_start(args, format);
	vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
}

void spill_trouble(struct spill_store *store, const char *format, ...)
{
	va_list args;

	store->trouble[0] = '\0';
	if (!format)
		return;
	va_start(args, format);
	vsnprintf(store->trouble, sizeof store->trouble, format, args);
	va_end(args);
}

void spill_reachable(struct spill_store *store, bool is_reachable)
{
	if (store->is_away == !is_reachable)
		return;
	store->is_away = !is_reachable;
	if (store->is_away)
		store->away_since_ns = spill_now_ns();
	else
		spill_trouble(store, NULL);
}

void spill_stats(struct spill_store *store, struct spill_stats *stats)
{
	const struct spill_buckets *buckets = &store->buckets;

	pthread_mutex_lock(&store->lock);
	*stats = store->stats;
	stats->capacity = (uint64_t)buckets->limit * SPILL_BUCKET;
	stats->buckets = buckets->count;
	stats->buckets_free = buckets->limit > buckets->used ? buckets->limit - buckets->used : 0;
	stats->buckets_lost = buckets->lost;
	stats->floor = spill_buckets_floor(buckets);
	stats->objects = buckets->objects;
	stats->live_bytes = buckets->live_bytes;
	stats->used_bytes = buckets->used_bytes;
	stats->object_bytes = buckets->live_bytes - buckets->objects * (spill_object_account(1) - SPILL_UNIT);
	stats->memory = store->memory_bytes + sizeof *store + store->depth * sizeof(struct spill_slot) +
			(uint64_t)buckets->top * sizeof buckets->of[0];
	pthread_mutex_unlock(&store->lock);
}

/* One that was not found yet has been away since it was looked for. */
static uint64_t away_ms(const struct spill_store *store)
{
	uint64_t since = store->is_open ? store->away_since_ns : store->begun_ns;

	return store->is_open && !store->is_away ? 0 : (spill_now_ns() - since) / 1000000u;
}

void spill_status(struct spill_store *store, struct spill_status *status)
{
	pthread_mutex_lock(&store->lock);
	*status = (struct spill_status){
		.kind = store->kind,
		.encrypted = store->seal.key != NULL,
		.direct = store->is_direct,
		.reachable = store->is_open && !store->is_away,
		.full = store->is_full,
		.stuck = store->log_io.state != SPILL_IO_IDLE,
		.away_ms = away_ms(store),
	};
	_Static_assert(sizeof status->text == sizeof store->trouble, "the text fits");
	memcpy(status->text, store->trouble, sizeof status->text);
	pthread_mutex_unlock(&store->lock);
}

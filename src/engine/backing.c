/* SPDX-License-Identifier: BSD-3-Clause */
/* What a backing store asks of its device, and figures. See backing.h. */
#include "engine/backing_parts.h"

#include "engine/sector.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ what the store asks */

/* Before the first object lies where the store has become larger, too. */
static int raise_sequence(void *opaque, uint64_t sequence)
{
	struct backing *backing = opaque;
	struct spill_stats stats;

	backing->spill->stats(backing->store, &stats);
	backing->record.capacity = stats.buckets * SPILL_BUCKET;
	backing->record.floor = stats.floor < backing->record.sequence ? stats.floor : backing->record.sequence;
	backing->record.sequence = sequence;
	backing_record_write(backing->dev, &backing->record);
	return 0;
}

/* The store that is about to be made is known by what stands here, if this process is killed before the device has it. */
static int note_made(void *opaque, const uint8_t *identity, const uint8_t *key)
{
	struct backing *backing = opaque;
	struct backing_record *record = &backing->record;

	memcpy(record->identity, identity, sizeof record->identity);
	memcpy(record->key, key, sizeof record->key);
	return backing_record_begin(backing->dev, record);
}

static void note_busy(void *opaque, enum spill_busy_kind kind, struct spill_busy busy)
{
	struct backing *backing = opaque;

	backing->record.busy[kind] = busy;
	backing_record_write(backing->dev, &backing->record);
}

static bool has_place(uint64_t word, uint64_t place)
{
	return sector_is_backed(word) && word_backed(word).place == place;
}

static bool is_live(void *opaque, const uint32_t *numbers, unsigned count, size_t size, uint64_t place)
{
	const struct zsblk *dev = ((struct backing *)opaque)->dev;
	uint64_t word;

	if (count != 1 || numbers[0] >= dev->layout.max_blocks)
		return false;
	word = table_load(&dev->table, numbers[0]);
	return has_place(word, place) && word_backed(word).size == size;
}

static bool move(void *opaque, const uint32_t *numbers, unsigned count, uint64_t from, uint64_t to)
{
	struct zsblk *dev = ((struct backing *)opaque)->dev;
	uint64_t word;
	bool is_ours;

	if (count != 1 || numbers[0] >= dev->layout.max_blocks)
		return false;
	stripe_lock(dev, numbers[0]);
	word = table_load(&dev->table, numbers[0]);
	is_ours = has_place(word, from);
	if (is_ours) {
		struct word_backed backed = word_backed(word);

		backed.place = to;
		table_store(&dev->table, numbers[0], word_make_backed(&backed));
	}
	stripe_unlock(dev, numbers[0]);
	return is_ours;
}

const struct spill_owner backing_owner = {
	.made = note_made,
	.raise_sequence = raise_sequence,
	.busy = note_busy,
	.is_live = is_live,
	.move = move,
};

uint64_t backing_blocks(struct zsblk *dev)
{
	struct counters sum;

	contexts_sum(dev, &sum);
	return sum.backed;
}

/* ------------------------------------------------------------------ figures */

uint64_t backing_private_resident(const struct zsblk *dev)
{
	struct spill_stats stats;

	if (!dev->backing)
		return 0;
	dev->backing->spill->stats(dev->backing->store, &stats);
	return stats.memory + dev->backing->bytes;
}

bool zsblk_spill_get_stats(struct zsblk *dev, struct zsblk_spill_stats *stats)
{
	struct backing *backing = dev->backing;
	struct spill_status status;
	struct spill_stats store;

	*stats = (struct zsblk_spill_stats){0};
	if (!backing)
		return false;
	backing->spill->stats(backing->store, &store);
	backing->spill->status(backing->store, &status);
	*stats = (struct zsblk_spill_stats){
		.bd_count = backing_blocks(dev),
		.bd_reads = atomic_load(&backing->reads),
		.bd_writes = atomic_load(&backing->writes),
		.returned = atomic_load(&backing->returned),
		.failed_reads = atomic_load(&backing->read_errors),
		.live_bytes = store.live_bytes,
		.used_bytes = store.used_bytes,
		.capacity = store.capacity,
		.waiting = backing_waiting(backing),
		.away_ms = status.away_ms,
		.is_reachable = status.reachable,
		.is_full = status.full,
		.is_encrypted = status.encrypted,
	};
	snprintf(stats->location, sizeof stats->location, "%s", backing->record.location);
	snprintf(stats->trouble, sizeof stats->trouble, "%s", status.text);
	return true;
}

int backing_check_account(struct zsblk *dev, struct zsblk_why *why)
{
	uint64_t objects = 0, bytes = 0, end = dev->layout.max_blocks;
	struct backing *backing = dev->backing;
	struct spill_stats stats;

	if (!backing)
		return 0;
	for (uint64_t block = 0; (block = table_next_written(&dev->table, block, end)) < end; block++) {
		uint64_t word = table_load(&dev->table, block);

		if (!sector_is_backed(word))
			continue;
		objects++;
		bytes += (word_backed(word).size + SPILL_UNIT - 1) / SPILL_UNIT * SPILL_UNIT;
	}
	backing->spill->stats(backing->store, &stats);
	if (stats.objects == objects && stats.object_bytes == bytes)
		return 0;
	return why_fail(why, -EUCLEAN,
			"the backing store counts %" PRIu64 " objects of %" PRIu64 " bytes; the table has %" PRIu64
			" of %" PRIu64,
			stats.objects, stats.object_bytes, objects, bytes);
}

int zsblk_spill_clean_step(struct zsblk *dev, bool *more)
{
	int r = 0;

	*more = false;
	pthread_mutex_lock(&dev->recompress_lock);
	if (dev->backing)
		r = dev->backing->spill->clean_step(dev->backing->store, more);
	pthread_mutex_unlock(&dev->recompress_lock);
	return r;
}

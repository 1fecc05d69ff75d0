/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a device's backing store: attach, record in the segment, what the store asks of its owner. See backing.h. */
#include "engine/backing_parts.h"

#include "engine/sector.h"
#include "segment/claim.h"
#include "segment/super_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ------------------------------------------------------------------ the record */

static bool has_record(const struct zsblk *dev)
{
	return dev->layout.features.incompatible & SUPER_HAS_BACKED;
}

/* 0; -EINVAL: it is damaged. */
static int read_record(struct zsblk *dev, struct backing_record *record, struct zsblk_why *why)
{
	const void *place = super_backing(&dev->seg, &dev->layout);

	if (!place || !super_record_read(place, SUPER_BACKING_COPY, record, sizeof *record) ||
	    memchr(record->location, 0, sizeof record->location) == NULL)
		return why_fail(why, -EINVAL, "the segment is damaged: its record of the backing store cannot be read");
	return 0;
}

/* The key is in the first page from now on: keep that out of core dumps. */
static int hide_first_page(struct zsblk *dev)
{
	return madvise(dev->seg.base, (size_t)sysconf(_SC_PAGESIZE), MADV_DONTDUMP) < 0 ? -errno : 0;
}

static void write_record(struct zsblk *dev, const struct backing_record *record)
{
	super_record_write(super_backing(&dev->seg, &dev->layout), SUPER_BACKING_COPY, record, sizeof *record);
}

/* With nothing in the store. The key goes with the record, from both copies. */
static void forget_record(struct zsblk *dev)
{
	const struct backing_record none = {0};

	super_set_incompatible(&dev->seg, &dev->layout, SUPER_HAS_BACKED, false);
	write_record(dev, &none);
	write_record(dev, &none);
}

/* ------------------------------------------------------------------ what the store asks */

static int raise_sequence(void *opaque, uint64_t sequence)
{
	struct backing *backing = opaque;

	backing->record.sequence = sequence;
	write_record(backing->dev, &backing->record);
	return 0;
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

/* ------------------------------------------------------------------ opening */

static uint64_t blocks_there(struct zsblk *dev)
{
	struct counters sum;

	contexts_sum(dev, &sum);
	return sum.backed;
}

static int note_all(struct backing *backing, struct zsblk_why *why)
{
	struct zsblk *dev = backing->dev;
	const struct table *table = &dev->table;
	uint64_t end = dev->layout.max_blocks;

	for (uint64_t block = 0; (block = table_next_written(table, block, end)) < end; block++) {
		uint64_t word = table_load(table, block);
		int r;

		if (!sector_is_backed(word))
			continue;
		r = backing->spill->note_live(backing->store, word_backed(word).place, word_backed(word).size);
		if (r)
			return why_fail(why, -EINVAL,
					"the segment is damaged: block %" PRIu64 " has the table word 0x%016" PRIx64
					", and %s has no such place",
					block, word, backing->record.location);
	}
	return 0;
}

static struct backing *new_backing(struct zsblk *dev)
{
	size_t bytes = sizeof(struct backing) + BACKING_WAITS * (size_t)BLOCK;
	struct backing *backing = segment_private_map(bytes);

	if (!backing)
		return NULL;
	backing->bytes = bytes;
	backing->dev = dev;
	if (dev->has_worker ? upkeep_populate_private(dev, backing, bytes) : segment_private_populate(backing, bytes)) {
		segment_private_unmap(backing, bytes);
		return NULL;
	}
	backing_reads_open(backing);
	return backing;
}

static void free_backing(struct backing *backing)
{
	size_t bytes = backing->bytes;

	backing_reads_close(backing);
	if (backing->store)
		backing->spill->close(backing->store);
	explicit_bzero(&backing->record, sizeof backing->record);
	segment_private_unmap(backing, bytes);
}

static void fill_params(struct backing *backing, const struct zsblk_spill_store *wanted, struct spill_params *params)
{
	struct backing_record *record = &backing->record;

	backing->spill->params_init(params);
	params->location = wanted->location;
	params->limit = wanted->limit;
	params->plain = wanted->plain;
	params->existing = wanted->existing;
	params->take_over = wanted->take_over;
	params->depth = BACKING_WAITS;
	if (wanted->deadline_ms)
		params->deadline_ms = wanted->deadline_ms;
	params->sequence = record->sequence;
	memcpy(params->identity, record->identity, sizeof params->identity);
	memcpy(params->key, record->key, sizeof params->key);
	params->owner = (struct spill_owner){backing, raise_sequence, is_live, move};
	params->device = wanted->device;
}

/* Open the store of the record, which may be somewhere else by now. */
static int open_known(struct backing *backing, const struct zsblk_spill_store *wanted, struct zsblk_why *why)
{
	struct spill_params params;
	struct spill_why reason;
	int r;

	fill_params(backing, wanted, &params);
	params.plain = backing->record.flags & BACKING_PLAIN;
	r = backing->spill->open(&params, &backing->store, &reason);
	explicit_bzero(&params, sizeof params);
	if (!r)
		return 0;
	return why_fail(why, r,
			"%" PRIu64
			" blocks of this device are in the backing store %s, which cannot be used: %.160s; make "
			"it reachable, and start again",
			blocks_there(backing->dev), backing->record.location, reason.text);
}

static int make_new(struct backing *backing, const struct zsblk_spill_store *wanted, struct zsblk_why *why)
{
	struct backing_record *record = &backing->record;
	struct spill_params params;
	struct spill_why reason;
	int r;

	memset(record, 0, sizeof *record);
	fill_params(backing, wanted, &params);
	r = backing->spill->make(&params, &backing->store, &reason);
	if (!r) {
		memcpy(record->identity, params.identity, sizeof record->identity);
		memcpy(record->key, params.key, sizeof record->key);
		record->flags = wanted->plain ? BACKING_PLAIN : 0;
	}
	explicit_bzero(&params, sizeof params);
	return r ? why_fail(why, r, "%s", reason.text) : 0;
}

/* A location that leads to this device, through its own server: then the first page of the store is its first block. */
static int refuse_itself(struct zsblk *dev, struct backing *backing, const struct zsblk_spill_store *wanted,
			 struct zsblk_why *why)
{
	uint8_t block[BLOCK];

	if (!dev->has_worker || zsblk_read(dev, block, sizeof block, 0) ||
	    !memmem(block, sizeof block, backing->record.identity, sizeof backing->record.identity))
		return 0;
	/* It was blank before. */
	backing->spill->close(backing->store);
	backing->store = NULL;
	(void)zsblk_discard(dev, sizeof block, 0);
	return why_fail(why, -ELOOP, "%s leads to this device itself", wanted->location);
}

static int open_or_make(struct zsblk *dev, struct backing *backing, const struct zsblk_spill_store *wanted,
			struct zsblk_why *why)
{
	int r = -ENOENT;

	if (has_record(dev)) {
		r = read_record(dev, &backing->record, why);
		if (!r)
			r = open_known(backing, wanted, why);
		/* Nothing is lost if there is none any more. */
		if (!r || blocks_there(dev))
			return r;
	}
	r = make_new(backing, wanted, why);
	return r ? r : refuse_itself(dev, backing, wanted, why);
}

/* With change_lock and recompress_lock, or before requests come. */
static int attach(struct zsblk *dev, const struct zsblk_spill_store *wanted, struct zsblk_why *why)
{
	const struct spill_functions *spill;
	struct backing *backing;
	int r = backing_load_library(&spill, why);

	if (r)
		return r;
	backing = new_backing(dev);
	if (!backing)
		return why_fail(why, -ENOMEM, "no memory for the backing store");
	backing->spill = spill;
	r = open_or_make(dev, backing, wanted, why);
	if (!r) {
		snprintf(backing->record.location, sizeof backing->record.location, "%s", wanted->location);
		backing->record.kind = (uint32_t)backing->spill->kind_of(wanted->location);
		backing->record.bytes = wanted->limit;
		r = note_all(backing, why);
	}
	if (!r) {
		r = hide_first_page(dev);
		if (r)
			why_fail(why, r, "the key of the backing store cannot be kept out of core dumps (madvise: %s)",
				 strerror(-r));
	}
	if (r) {
		free_backing(backing);
		return r;
	}
	super_carry_over(&dev->seg, &dev->layout);
	engine_keep_frontier(dev);
	write_record(dev, &backing->record);
	if (!has_record(dev))
		super_set_incompatible(&dev->seg, &dev->layout, SUPER_HAS_BACKED, true);
	backing->spill->start(backing->store);
	dev->backing = backing;
	return 0;
}

int zsblk_spill_attach(struct zsblk *dev, const struct zsblk_spill_store *wanted, struct zsblk_why *why)
{
	int r, holder;

	if (strlen(wanted->location) >= sizeof((struct backing_record *)NULL)->location)
		return why_fail(why, -ENAMETOOLONG,
				"the location of the backing store has %zu characters, and the segment has room for "
				"%zu; use a shorter path or URI",
				strlen(wanted->location), sizeof((struct backing_record *)NULL)->location - 1);
	/* Before the start the claim may be that of the process which has forked this one, and is ending. */
	r = claim_take(&dev->seg, true, &holder);
	if (r)
		return why_fail(why, r, "the segment is in use by process %d; stop that one first", holder);
	pthread_mutex_lock(&dev->change_lock);
	pthread_mutex_lock(&dev->resize_lock);
	pthread_mutex_lock(&dev->recompress_lock);
	if (dev->backing)
		r = why_fail(why, -EBUSY, "this device has a backing store already: %s", dev->backing->record.location);
	else
		r = attach(dev, wanted, why);
	pthread_mutex_unlock(&dev->recompress_lock);
	pthread_mutex_unlock(&dev->resize_lock);
	pthread_mutex_unlock(&dev->change_lock);
	return r;
}

int backing_start(struct zsblk *dev, struct zsblk_why *why)
{
	struct zsblk_spill_store known = {0};
	struct backing_record record;
	int r;

	if (dev->backing || !has_record(dev))
		return 0;
	if (!blocks_there(dev)) {
		forget_record(dev);
		return 0;
	}
	r = read_record(dev, &record, why);
	if (r)
		return r;
	known.location = record.location;
	known.limit = record.bytes;
	r = attach(dev, &known, why);
	explicit_bzero(&record, sizeof record);
	return r;
}

void backing_close(struct zsblk *dev)
{
	if (dev->backing)
		free_backing(dev->backing);
	dev->backing = NULL;
}

uint64_t backing_private_resident(const struct zsblk *dev)
{
	struct spill_stats stats;

	if (!dev->backing)
		return 0;
	dev->backing->spill->stats(dev->backing->store, &stats);
	return stats.memory + dev->backing->bytes;
}

/* ------------------------------------------------------------------ figures */

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
		.bd_count = blocks_there(dev),
		.bd_reads = atomic_load(&backing->reads),
		.bd_writes = atomic_load(&backing->writes),
		.returned = atomic_load(&backing->returned),
		.failed_reads = atomic_load(&backing->read_errors),
		.live_bytes = store.live_bytes,
		.used_bytes = store.used_bytes,
		.capacity = store.capacity,
		.is_reachable = status.reachable,
		.is_full = status.full,
		.is_encrypted = status.encrypted,
	};
	snprintf(stats->location, sizeof stats->location, "%s", backing->record.location);
	snprintf(stats->trouble, sizeof stats->trouble, "%s", status.text);
	return true;
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

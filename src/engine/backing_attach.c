/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device comes to its backing store. See backing.h.
 *
 *   zsblk_spill_attach() --> look for it, or make it | the store's figures, its record in the segment, requests find it
 *   zsblk_start()            '-- no lock, network --'  '-- change_lock, resize_lock, recompress_lock ----------------'
 *
 * is_attaching keeps a second one out meanwhile. A store that has blocks may be away: then its library looks for it.
 */
#include "engine/backing_parts.h"

#include "engine/sector.h"
#include "segment/claim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOCATION sizeof((struct backing_record *)NULL)->location

/* What was asked for. */
struct attachment {
	struct zsblk_spill_store wanted;
	char location[LOCATION];
};

/* ------------------------------------------------------------------ its memory */

static struct backing *new_backing(struct zsblk *dev)
{
	size_t bytes = sizeof(struct backing) + BACKING_WAITS * (size_t)BLOCK;
	struct backing *backing = segment_private_map(bytes);

	if (!backing)
		return NULL;
	backing->bytes = bytes;
	backing->dev = dev;
	/* A copy of the key, and what was read. */
	madvise(backing, bytes, MADV_DONTDUMP);
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

/* ------------------------------------------------------------------ the store */

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
	backing->deadline_ns = (uint64_t)params->deadline_ms * 1000000u;
	params->sequence = record->sequence;
	params->floor = record->floor;
	memcpy(params->busy, record->busy, sizeof params->busy);
	memcpy(params->identity, record->identity, sizeof params->identity);
	memcpy(params->key, record->key, sizeof params->key);
	params->owner = backing_owner;
	params->owner.opaque = backing;
	params->device = wanted->device;
}

/*
 * Open the store of the record. Where it was, it may be away. It may be somewhere else by now; then it has to be there, as the segment
 * is to say where it is.
 */
static int open_known(struct backing *backing, const struct attachment *attachment, struct zsblk_why *why)
{
	const struct backing_record *record = &backing->record;
	uint64_t blocks = backing_blocks(backing->dev);
	struct spill_params params;
	struct spill_why reason;
	int r;

	fill_params(backing, &attachment->wanted, &params);
	params.plain = record->flags & BACKING_PLAIN;
	if (strcmp(record->location, attachment->location) == 0) {
		params.kind = (int)record->kind;
		params.capacity = record->capacity;
		params.may_be_away = blocks && record->capacity;
	}
	r = backing->spill->open(&params, &backing->store, &reason);
	explicit_bzero(&params, sizeof params);
	if (!r)
		return 0;
	return why_fail(why, r,
			"%" PRIu64 " blocks of this device are in a backing store, which was %s, and cannot be used at "
			"%s: %.160s",
			blocks, record->location, attachment->location, reason.text);
}

static int make_new(struct backing *backing, const struct attachment *attachment, struct zsblk_why *why)
{
	const struct zsblk_spill_store *wanted = &attachment->wanted;
	struct backing_record *record = &backing->record;
	/* A process that was killed meanwhile has left it blank. */
	bool was_begun = record->flags & BACKING_BEING_MADE && strcmp(record->location, attachment->location) == 0;
	struct spill_params params;
	struct spill_why reason;
	int kind, r;

	memset(record, 0, sizeof *record);
	fill_params(backing, wanted, &params);
	params.existing |= was_begun;
	kind = backing->spill->kind_of(wanted->location);
	record->kind = kind < 0 ? 0 : (uint32_t)kind;
	record->flags = wanted->plain ? BACKING_PLAIN : 0;
	memcpy(record->location, attachment->location, sizeof record->location);
	r = backing->spill->make(&params, &backing->store, &reason);
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

static int open_or_make(struct zsblk *dev, struct backing *backing, const struct attachment *attachment,
			struct zsblk_why *why)
{
	int r = backing_record_read(dev, &backing->record, why);

	if (r == -EINVAL)
		return r;
	if (!r) {
		r = open_known(backing, attachment, why);
		/* Nothing is lost if there is none any more. */
		if (!r || backing_blocks(dev))
			return r;
	}
	r = make_new(backing, attachment, why);
	if (!r)
		r = refuse_itself(dev, backing, &attachment->wanted, why);
	if (r && backing->record.flags & BACKING_BEING_MADE)
		backing_record_forget(dev);
	return r;
}

/* ------------------------------------------------------------------ the device has it */

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

/* With the locks, or before requests come. */
static int install(struct zsblk *dev, struct backing *backing, const struct attachment *attachment,
		   struct zsblk_why *why)
{
	struct backing_record *record = &backing->record;
	struct spill_stats stats;
	int r, kind = strcmp(record->location, attachment->location) == 0
			      ? (int)record->kind
			      : backing->spill->kind_of(attachment->location);

	memcpy(record->location, attachment->location, sizeof record->location);
	record->kind = kind < 0 ? record->kind : (uint32_t)kind;
	record->flags &= ~BACKING_BEING_MADE;
	record->bytes = attachment->wanted.limit;
	record->device = attachment->wanted.device;
	record->deadline_ms = attachment->wanted.deadline_ms;
	backing->spill->stats(backing->store, &stats);
	record->capacity = stats.buckets * SPILL_BUCKET;
	r = note_all(backing, why);
	if (r)
		return r;
	r = backing_record_store(dev, record);
	if (r)
		return why_fail(why, r, "the key of the backing store cannot be kept out of core dumps (madvise: %s)",
				strerror(-r));
	backing->spill->start(backing->store);
	dev->backing = backing;
	return 0;
}

/* ------------------------------------------------------------------ attach */

/* A server that is started in another folder finds the same path. Links stay: those of /dev/disk go on naming the disk. */
static int make_absolute(struct attachment *attachment, struct zsblk_why *why)
{
	const char *location = attachment->wanted.location;
	char *folder = location[0] == '/' || strstr(location, "://") ? NULL : getcwd(NULL, 0);
	int length =
		snprintf(attachment->location, LOCATION, "%s%s%s", folder ? folder : "", folder ? "/" : "", location);

	free(folder);
	if ((size_t)length >= LOCATION)
		return why_fail(why, -ENAMETOOLONG,
				"the location of the backing store has %d characters, and the segment has room for "
				"%zu; use a shorter path or URI",
				length, LOCATION - 1);
	attachment->wanted.location = attachment->location;
	return 0;
}

/* Without locks: it may take as long as the network does. */
static int prepare(struct zsblk *dev, const struct attachment *attachment, struct backing **result,
		   struct zsblk_why *why)
{
	const struct spill_functions *spill;
	struct backing *backing;
	int r = backing_load_library(&spill, why);

	if (r)
		return r;
	pthread_mutex_lock(&dev->change_lock);
	backing = new_backing(dev);
	pthread_mutex_unlock(&dev->change_lock);
	if (!backing)
		return why_fail(why, -ENOMEM, "no memory for the backing store");
	backing->spill = spill;
	r = open_or_make(dev, backing, attachment, why);
	if (r)
		free_backing(backing);
	else
		*result = backing;
	return r;
}

static int be_the_only_one(struct zsblk *dev, struct zsblk_why *why)
{
	int r = 0;

	pthread_mutex_lock(&dev->change_lock);
	if (dev->backing)
		r = why_fail(why, -EBUSY, "this device has a backing store already: %s", dev->backing->record.location);
	else if (dev->is_attaching)
		r = why_fail(why, -EBUSY, "this device is about to have a backing store already");
	else
		dev->is_attaching = true;
	pthread_mutex_unlock(&dev->change_lock);
	return r;
}

static int attach(struct zsblk *dev, const struct attachment *attachment, struct zsblk_why *why)
{
	struct backing *backing = NULL;
	int r = be_the_only_one(dev, why);

	if (r)
		return r;
	r = prepare(dev, attachment, &backing, why);
	pthread_mutex_lock(&dev->change_lock);
	if (!r) {
		pthread_mutex_lock(&dev->resize_lock);
		pthread_mutex_lock(&dev->recompress_lock);
		r = install(dev, backing, attachment, why);
		pthread_mutex_unlock(&dev->recompress_lock);
		pthread_mutex_unlock(&dev->resize_lock);
	}
	dev->is_attaching = false;
	pthread_mutex_unlock(&dev->change_lock);
	if (r && backing)
		free_backing(backing);
	return r;
}

int zsblk_spill_attach(struct zsblk *dev, const struct zsblk_spill_store *wanted, struct zsblk_why *why)
{
	struct attachment attachment = {.wanted = *wanted};
	int holder, r = make_absolute(&attachment, why);

	if (r)
		return r;
	/* Before the start the claim may be that of the process which has forked this one, and is ending. */
	r = claim_take(&dev->seg, true, &holder);
	if (r)
		return why_fail(why, r, "the segment is in use by process %d; stop that one first", holder);
	return attach(dev, &attachment, why);
}

int backing_start(struct zsblk *dev, struct zsblk_why *why)
{
	struct attachment known;
	struct backing_record record;
	int r;

	if (dev->backing || !backing_record_counts(dev))
		return 0;
	if (!backing_blocks(dev)) {
		backing_record_set_aside(dev);
		return 0;
	}
	r = backing_record_read(dev, &record, why);
	if (r)
		return r;
	memcpy(known.location, record.location, sizeof known.location);
	known.wanted = (struct zsblk_spill_store){
		.location = known.location,
		.limit = record.bytes,
		.deadline_ms = record.deadline_ms,
		.device = (dev_t)record.device,
	};
	explicit_bzero(&record, sizeof record);
	return attach(dev, &known, why);
}

void backing_close(struct zsblk *dev)
{
	if (dev->backing)
		free_backing(dev->backing);
	dev->backing = NULL;
}

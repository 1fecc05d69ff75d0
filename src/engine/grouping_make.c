/* SPDX-License-Identifier: BSD-3-Clause */
/* Making one group of the blocks that were found. See grouping.c. */
#include "engine/grouping.h"

#include "engine/entries.h"

#include <errno.h>
#include <string.h>

/* ------------------------------------------------------------------ what was given up */

/* A hash of a word, and in the lowest bit whether the strongest algorithm was tried. Never 0. */
static uint16_t hash_of(uint64_t word)
{
	uint16_t hash = (uint16_t)((word_unmark(word) * UINT64_C(0x9e3779b97f4a7c15)) >> 49 << 1);

	return hash ? hash : 2;
}

static bool is_strong(const struct zsblk_grouping *job)
{
	return job->codec->id != CODEC_ZSTD;
}

bool grouping_was_given_up(const struct zsblk_grouping *job, uint64_t block, uint64_t word)
{
	uint16_t noted = job->dev->given_up ? job->dev->given_up[block] : 0;

	return (noted & ~1u) == hash_of(word) && (noted & 1 || !is_strong(job));
}

static void note_given_up(struct zsblk_grouping *job, const struct grouping_block *found)
{
	job->dev->given_up[found->block] = (uint16_t)(hash_of(found->word) | is_strong(job));
	job->figures.given_up++;
}

/* ------------------------------------------------------------------ one block of a group */

/* Mark the word of a block that is in a group, and count its entry. */
static bool mark_shared(struct zsblk *dev, struct grouping_block *found)
{
	bool begun;

	stripe_lock(dev, found->block);
	begun = table_load(&dev->table, found->block) == found->word;
	if (begun) {
		entries_pin(dev, word_shared(found->word).entry);
		found->word = word_mark(found->word);
		table_store(&dev->table, found->block, found->word);
	}
	stripe_unlock(dev, found->block);
	return begun;
}

/* Get the block from the group that it is in. What was decoded for the block before serves the next one, if it is in the same. */
static int expand_shared(struct zsblk_grouping *job, uint64_t word, uint8_t *block)
{
	struct word_shared shared = word_shared(word), all = shared;
	int r = 0;

	all.place = (uint8_t)(shared.n - 1);
	if (!job->old_done || job->old_entry != shared.entry) {
		job->old_done = 0;
		job->old_entry = shared.entry;
		r = groups_decode(job->dev, &job->decoder, &all, job->old, &job->old_done);
	}
	if (!r && shared.place >= job->old_done)
		r = -EIO;
	if (!r)
		memcpy(block, job->old + shared.place * (size_t)BLOCK, BLOCK);
	return r;
}

static void let_go(struct zsblk_grouping *job, struct grouping_block *found)
{
	job->work.block = found->block;
	job->work.word = found->word;
	if (found->is_begun)
		rework_give_up(job->dev, &job->work, false);
	found->word = word_unmark(found->word);
	found->is_begun = false;
}

/* Begin to work on a block, and decompress it. False: it has changed, or is damaged. */
static bool begin_block(struct zsblk_grouping *job, struct grouping_block *found, uint8_t *block)
{
	struct zsblk *dev = job->dev;
	int r;

	if (sector_is_shared(found->word)) {
		if (!mark_shared(dev, found))
			return false;
		found->is_begun = true;
		r = expand_shared(job, found->word, block);
		if (r) {
			let_go(job, found);
			entries_unpin(dev, word_shared(found->word).entry);
		}
	} else {
		if (!rework_begin(dev, &job->work, found->block, found->word))
			return false;
		found->word = job->work.word;
		found->is_begun = true;
		r = sector_expand(&job->ctx, found->word, job->work.bytes, block);
		if (r)
			let_go(job, found);
	}
	job->figures.failed += r != 0;
	return !r;
}

/* Begin to work on all of them. Those that have changed meanwhile are left out. */
static void begin_all(struct zsblk_grouping *job)
{
	unsigned n = 0;

	job->old_done = 0;
	for (unsigned i = 0; i < job->n; i++) {
		struct grouping_block found = job->found[i];

		found.is_begun = false;
		if (begin_block(job, &found, job->blocks + n * (size_t)BLOCK))
			job->found[n++] = found;
	}
	job->n = n;
}

/* Nothing is marked or counted any more. */
static void end_all(struct zsblk_grouping *job)
{
	for (unsigned i = 0; i < job->n; i++) {
		let_go(job, &job->found[i]);
		if (sector_is_shared(job->found[i].word))
			entries_unpin(job->dev, word_shared(job->found[i].word).entry);
	}
}

/* ------------------------------------------------------------------ what is gained */

/* How many of the blocks that were begun are in the group of an entry. */
static unsigned begun_of(const struct zsblk_grouping *job, uint32_t entry)
{
	unsigned n = 0;

	for (unsigned i = 0; i < job->n; i++)
		n += sector_is_shared(job->found[i].word) && word_shared(job->found[i].word).entry == entry;
	return n;
}

/*
 * The memory that a block gives back when it leaves its place. That of a group comes back when the last block leaves, and is divided
 * among those here; nothing, if others stay. Each that was begun counts twice: by its word, and by this job.
 */
static size_t memory_before(const struct zsblk_grouping *job, uint64_t word)
{
	const struct zsblk *dev = job->dev;
	unsigned codec, begun;
	uint32_t entry;

	if (!sector_is_shared(word))
		return sector_memory(dev, sector_loc(dev, word).class_index);
	entry = word_shared(word).entry;
	begun = begun_of(job, entry);
	if (entries_count(dev, entry) > 2 * begun)
		return 0;
	return entries_memory(dev, entries_look(dev, entry, &codec)) / begun;
}

static size_t all_memory_before(struct zsblk_grouping *job)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < job->n; i++)
		bytes += job->found[i].before = memory_before(job, job->found[i].word);
	return bytes;
}

/* ------------------------------------------------------------------ making one */

/* Replace the word of a block that was begun. Returns whether nothing has happened to the block. */
static bool finish_block(struct zsblk_grouping *job, struct grouping_block *found, uint64_t word)
{
	struct zsblk *dev = job->dev;
	bool was_shared = sector_is_shared(found->word), done;

	job->work.block = found->block;
	job->work.word = found->word;
	done = rework_finish(dev, &job->work, &dev->grouped, word);
	found->is_begun = false;
	if (done && was_shared)
		count(&dev->grouped.regrouped, 1);
	if (done && sector_is_shared(word))
		count(&dev->grouped.grouped, 1);
	return done;
}

/*
 * Name the group, of which this job holds the entry, in the words of its blocks. Returns how many have come into it, and in *before the
 * memory that these gave back.
 */
static unsigned publish(struct zsblk_grouping *job, uint32_t entry, size_t *before)
{
	struct zsblk *dev = job->dev;
	unsigned published = 0;

	for (unsigned i = 0; i < job->n; i++) {
		struct word_shared shared = {.entry = entry, .place = (uint8_t)i, .n = (uint8_t)job->n};

		entries_pin(dev, entry);
		if (!finish_block(job, &job->found[i], word_make_shared(&shared)))
			continue;
		published++;
		*before += job->found[i].before;
	}
	entries_unpin(dev, entry);
	return published;
}

/*
 * Writers can win so many of its blocks that a group takes more memory than these did: the sum becomes less, until the blocks that are left
 * come into another group.
 */
static void note_saved(struct zsblk_grouping *job, size_t before, size_t after)
{
	uint64_t sum = job->figures.bytes_saved + before;

	job->figures.bytes_saved = sum > after ? sum - after : 0;
}

/*
 * The group could not be stored. Returns whether that is final; otherwise it is tried again. Where the system has no memory for entries,
 * compaction gives it some back. If there is still no room after that, there is none for the groups that would follow either, and the job
 * ends.
 */
static bool note_no_room(struct zsblk_grouping *job, int error)
{
	/* No free entries were found yet. */
	if (error == -EAGAIN || room_make(&job->room, job->figures.groups, 1))
		return false;
	job->figures.failed += job->n;
	job->is_over = true;
	return true;
}

/* Store the group and name it. False: try again. */
static bool keep(struct zsblk_grouping *job, size_t size)
{
	unsigned published;
	size_t before = 0;
	uint32_t entry;
	int r = entries_make(job->dev, job->codec->id, job->bytes, size, room_begin(&job->room), &entry);

	if (r) {
		room_end(&job->room, 0);
		return note_no_room(job, r);
	}
	published = publish(job, entry, &before);
	room_end(&job->room, size);
	job->figures.blocks += published;
	/* Without a block there is no group any more. */
	job->figures.groups += published != 0;
	note_saved(job, before, published ? entries_memory(job->dev, size) : 0);
	return true;
}

/* Store a block of a group that is mostly gone by itself, if that takes less memory. */
static void take_apart(struct zsblk_grouping *job, unsigned i)
{
	struct grouping_block *found = &job->found[i];
	struct zsblk *dev = job->dev;
	size_t before = memory_before(job, found->word), after = 0;
	uint64_t word;

	if (!before || sector_store(dev, &job->ctx, found->block, job->blocks + i * (size_t)BLOCK, &word))
		return;
	if (sector_object_bytes(word))
		after = sector_memory(dev, sector_loc(dev, word).class_index);
	if (after >= before) {
		sector_drop(dev, word);
		note_given_up(job, found);
	} else if (finish_block(job, found, word)) {
		note_saved(job, before, after);
	}
}

/* As a group they take as much as they do. */
static void give_up(struct zsblk_grouping *job)
{
	for (unsigned i = 0; i < job->n; i++)
		if (sector_is_shared(job->found[i].word) && !job->is_anew)
			take_apart(job, i);
		else if (job->n > 1 && memory_before(job, job->found[i].word))
			note_given_up(job, &job->found[i]);
}

/* One block makes no group. It may be what is left of one, and be taken out, if that frees the group. */
static bool is_something_to_do(const struct zsblk_grouping *job)
{
	uint64_t word = job->found[0].word;

	return job->n > 1 ||
	       (job->n && sector_is_shared(word) && entries_count(job->dev, word_shared(word).entry) == 1);
}

/* May the next group be stored? False: the pool is compacted first, or the job is over. */
static bool has_room(struct zsblk_grouping *job)
{
	enum room_reserve reserve;

	if (room_is_due(&job->room, false) && room_make(&job->room, job->figures.groups, 1))
		return false;
	reserve = room_in_reserve(&job->room, job->figures.groups, GROUPING_BETWEEN);
	if (reserve == ROOM_RESERVE_NO) {
		job->figures.failed += job->n;
		job->is_over = true;
	}
	return reserve == ROOM_RESERVE_YES;
}

bool grouping_make(struct zsblk_grouping *job)
{
	size_t before, size = 0;
	bool done = true;

	if (!is_something_to_do(job))
		return true;
	if (!has_room(job))
		return job->is_over;
	begin_all(job);
	before = all_memory_before(job);
	if (job->n > 1 && before)
		size = group_compress(job->codec, job->cctx, job->level, job->blocks, job->n, job->bytes,
				      before < GROUP_BOUND ? before : GROUP_BOUND);
	if (size && entries_memory(job->dev, size) < before)
		done = keep(job, size);
	else
		give_up(job);
	end_all(job);
	return done;
}

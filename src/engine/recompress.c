/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recompression: blocks that are stored are compressed again, with an algorithm that gains more and takes longer.
 *
 *   table word --> mark, copy | decompress, compress | store the new object --> replace the word, if it still has the mark
 *   '-- under the stripe -----'                                                '-- under the stripe ----------------------'
 *
 * Invariants
 *   1 an object is replaced only by one of a smaller class, which is complete in the pool before its word is stored (I2);
 *   2 a write, a discard or a move in between wins, and the new object is freed (rework.h);
 *   3 a word with the bit "tried" names an object that does not get smaller by the algorithm and level that the segment's
 *     hint names, or by anything weaker: it was tried, or the object was made by that.
 *
 * One bit cannot say what was tried. So the hint says it for all blocks: before a stronger algorithm begins, the bits of
 * weaker ones are taken off, and then the hint is changed. If the process is killed in between, fewer bits are left, and
 * those that are left are right. A weaker algorithm than the hint's does not set the bit.
 *
 * At the limit the new object is stored all the same; room.h says how much memory the work holds at most.
 *
 * Locks: recompress_lock is held during a step. A check of the device takes it as well, so that no word has a mark then.
 */
#include "engine/recompress.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* A step looks at so many words at most, some 10 us, if none of them is to be tried. */
#define LOOK              4096u
#define DEFAULT_ALGORITHM "zstd"

/* ------------------------------------------------------------------ what was tried */

/* Algorithms and levels in the order of what they gain, as a rule. */
static int64_t strength(const struct codec *codec, int level)
{
	int gain = codec->level_is_speed ? -level : level == 0 && codec->level_min < 0 ? codec->level_default : level;

	return (int64_t)codec->id * INT32_MAX + gain;
}

/* The hint of the segment: an algorithm's identity and a level. */
static uint64_t hint_of(const struct encoder *encoder)
{
	return (uint64_t)encoder->codec->id << 32 | (uint32_t)encoder->level;
}

/* The strength of what the hint names; INT64_MIN: it names nothing. */
static int64_t strength_of(uint64_t hint)
{
	const struct codec *tried = hint >> 32 < CODEC_IDS ? codec_by_id((unsigned)(hint >> 32)) : NULL;

	return tried ? strength(tried, (int32_t)(uint32_t)hint) : INT64_MIN;
}

/* ------------------------------------------------------------------ life */

static int check(const struct zsblk_recompress *what, const char *algorithm, struct zsblk_why *why)
{
	if ((unsigned)what->type > ZSBLK_RECOMPRESS_HUGE_IDLE)
		return why_fail(why, -EINVAL, "type=%u is none of those that can be recompressed", what->type);
	if (what->threshold > BLOCK)
		return why_fail(why, -EINVAL, "threshold=%" PRIu64 " is more than a block has; use at most %u",
				what->threshold, BLOCK);
	return params_check_algorithm(algorithm, what->has_level, what->level, why);
}

/* All memory that steps need, populated and touched. With change_lock. */
static int prepare(struct zsblk *dev, struct zsblk_recompression *job, const struct codec *codec, int level)
{
	int r = upkeep_populate_private(dev, job, job->bytes);

	if (!r)
		r = context_make_decoders(&job->ctx, (uint8_t *)(job + 1));
	if (!r)
		r = encoder_map(&job->encoder, 1, codec, level);
	if (!r)
		r = upkeep_populate_private(dev, job->encoder.mem, job->encoder.bytes);
	if (!r)
		r = encoder_init(&job->encoder, 1);
	if (!r)
		encoder_warm_up(&job->encoder, 0, &job->ctx);
	return r;
}

static void release(struct zsblk_recompression *job)
{
	room_close(&job->room);
	encoder_free(&job->encoder);
	segment_private_unmap(job, job->bytes);
}

static int make(struct zsblk *dev, const struct codec *codec, int level, struct zsblk_recompression **result)
{
	size_t bytes = sizeof **result + context_decoder_bytes();
	struct zsblk_recompression *job = segment_private_map(bytes);
	int r;

	if (!job)
		return -ENOMEM;
	job->bytes = bytes;
	job->dev = dev;
	room_open(&job->room, dev);
	r = prepare(dev, job, codec, level);
	if (r)
		release(job);
	else
		*result = job;
	return r;
}

/* Format 1 has no place for marks, nor for the hint. */
static void carry_over(struct zsblk *dev)
{
	pthread_mutex_lock(&dev->resize_lock);
	super_carry_over(&dev->seg, &dev->layout);
	engine_keep_frontier(dev);
	pthread_mutex_unlock(&dev->resize_lock);
}

/* With `hint` as the segment's: is anything forgotten first, and may the bit be set? */
static void set_notes(struct zsblk_recompression *job, uint64_t hint)
{
	int64_t now = strength(job->encoder.codec, job->encoder.level), tried = strength_of(hint);

	job->forgets = now > tried;
	job->notes = now >= tried;
}

/* Make this one the device's. */
static void install(struct zsblk *dev, struct zsblk_recompression *job)
{
	pthread_mutex_lock(&dev->recompress_lock);
	dev->recompression = job;
	pthread_mutex_unlock(&dev->recompress_lock);
}

int zsblk_recompress_begin(struct zsblk *dev, const struct zsblk_recompress *what, struct zsblk_recompression **result,
			   struct zsblk_why *why)
{
	const char *algorithm = what->algorithm ? what->algorithm : DEFAULT_ALGORITHM;
	struct zsblk_recompression *job = NULL;
	const struct codec *codec;
	int r = check(what, algorithm, why), level;
	bool is_busy;

	*result = NULL;
	if (r)
		return r;
	codec = codec_by_name(algorithm);
	level = what->has_level ? what->level : codec->level_default;
	pthread_mutex_lock(&dev->change_lock);
	r = engine_may_begin(dev, why);
	is_busy = r != 0;
	if (!r)
		r = make(dev, codec, level, &job);
	if (!r) {
		r = codecs_begin(dev, codec);
		if (r)
			release(job);
	}
	if (!r) {
		job->type = what->type;
		job->threshold = what->threshold;
		job->max_pages = what->max_pages;
		install(dev, job);
	}
	pthread_mutex_unlock(&dev->change_lock);
	if (r)
		return is_busy ? r : encoder_explain(r, algorithm, level, why);
	carry_over(dev);
	set_notes(job, *super_tried_with(&dev->seg, &dev->layout));
	*result = job;
	return 0;
}

void zsblk_recompress_end(struct zsblk_recompression *job)
{
	if (!job)
		return;
	pthread_mutex_lock(&job->dev->recompress_lock);
	room_give_back(&job->room);
	job->dev->recompression = NULL;
	pthread_mutex_unlock(&job->dev->recompress_lock);
	release(job);
}

/* ------------------------------------------------------------------ one block */

static bool is_wanted(const struct zsblk_recompression *job, uint64_t block, uint64_t word)
{
	bool idle = job->type == ZSBLK_RECOMPRESS_IDLE || job->type == ZSBLK_RECOMPRESS_HUGE_IDLE;
	bool huge = job->type == ZSBLK_RECOMPRESS_HUGE || job->type == ZSBLK_RECOMPRESS_HUGE_IDLE;
	uint64_t seconds;
	bool is_idle = false;

	if (!sector_is_single(word) || word_tried(word) || sector_object_bytes(word) < job->threshold ||
	    (huge && sector_object_bytes(word) != BLOCK))
		return false;
	if (idle)
		ages_look(&job->dev->ages, block, &seconds, &is_idle);
	return !idle || is_idle;
}

/* Store the compressed bytes in ctx.object instead of the object. False: the block is to be tried again. */
static bool keep(struct zsblk_recompression *job, unsigned size)
{
	struct zsblk *dev = job->dev;
	unsigned before = sector_object_bytes(job->work.word);
	uint64_t word;

	if (sector_store_smaller(dev, job->work.block, job->work.word, job->encoder.codec->id, job->ctx.object, size,
				 room_begin(&job->room), &word)) {
		room_end(&job->room, 0);
		rework_give_up(dev, &job->work, false);
		if (room_make(&job->room, job->figures.recompressed, 1)) {
			job->figures.tried--;
			return false;
		}
		job->figures.failed++;
		return true;
	}
	if (rework_finish(dev, &job->work, &dev->recompressed, job->notes ? word_note_tried(word) : word)) {
		job->figures.recompressed++;
		job->figures.bytes_saved += before - size;
		count(&dev->recompressed.recompressed, 1);
		count(&dev->recompressed.recompress_saved, before - size);
	}
	room_end(&job->room, size);
	return true;
}

/* False: the block is to be tried again. */
static bool rework_block(struct zsblk_recompression *job, uint64_t word)
{
	const struct encoder *encoder = &job->encoder;
	struct zsblk *dev = job->dev;
	unsigned most = sector_smaller(dev, word);
	size_t size = 0;

	if (!rework_begin(dev, &job->work, job->block, word))
		return true;
	job->figures.tried++;
	/* What comes next, and what has to be freed, comes into the cache meanwhile. */
	if (job->block + 1 < dev->table.n)
		sector_prefetch_load(dev, job->block + 1);
	sector_prefetch_drop(dev, job->block);
	if (sector_expand(&job->ctx, word, job->work.bytes, job->ctx.block)) {
		rework_give_up(dev, &job->work, false);
		job->figures.failed++;
		return true;
	}
	if (most)
		size = encoder->codec->compress(encoder_cctx(encoder, 0), encoder->level, job->ctx.block, BLOCK,
						job->ctx.object, most);
	if (size)
		return keep(job, (unsigned)size);
	rework_give_up(dev, &job->work, job->notes);
	return true;
}

/* The same, if that may take of the reserve. */
static bool try_block(struct zsblk_recompression *job, uint64_t word)
{
	enum room_reserve reserve;

	if (room_is_due(&job->room, false) && room_make(&job->room, job->figures.recompressed, 1))
		return false;
	reserve = room_in_reserve(&job->room, job->figures.recompressed, RECOMPRESS_BETWEEN);
	if (reserve == ROOM_RESERVE_NO) {
		job->figures.tried++;
		job->figures.failed++;
	}
	return reserve == ROOM_RESERVE_YES ? rework_block(job, word) : reserve == ROOM_RESERVE_NO;
}

/* ------------------------------------------------------------------ steps */

static bool is_tried(uint64_t word)
{
	return sector_is_single(word) && word_tried(word);
}

/* Forget what weaker algorithms have tried. */
static void forget(struct zsblk_recompression *job, uint64_t end)
{
	struct zsblk *dev = job->dev;

	for (unsigned i = 0; i < LOOK && job->block < end; i++, job->block++) {
		job->block = table_next_written(&dev->table, job->block, end);
		if (job->block < end && is_tried(table_load(&dev->table, job->block)))
			sector_forget_tried(dev, job->block);
	}
	if (job->block < end)
		return;
	__atomic_store_n(super_tried_with(&dev->seg, &dev->layout), hint_of(&job->encoder), __ATOMIC_RELEASE);
	job->forgets = false;
	job->block = 0;
}

/* Try the next block that is to be recompressed, if there is one among the next LOOK words. */
static void try_next(struct zsblk_recompression *job, uint64_t end)
{
	struct zsblk *dev = job->dev;

	for (unsigned i = 0; i < LOOK && job->block < end; i++, job->block++) {
		uint64_t word;

		job->block = table_next_written(&dev->table, job->block, end);
		word = job->block < end ? table_load(&dev->table, job->block) : 0;
		if (!is_wanted(job, job->block, word))
			continue;
		job->block += try_block(job, word);
		return;
	}
}

int zsblk_recompress_step(struct zsblk_recompression *job, struct zsblk_recompress_figures *figures, bool *more)
{
	struct zsblk *dev = job->dev;
	uint64_t end;

	pthread_mutex_lock(&dev->recompress_lock);
	end = zsblk_size(dev) / BLOCK;
	if (job->forgets)
		forget(job, end);
	else if (job->room.is_made)
		room_step(&job->room);
	else
		try_next(job, end);
	*more = job->forgets || job->room.is_made ||
		(job->block < end && !(job->max_pages && job->figures.tried >= job->max_pages));
	/* What the last objects hold goes back before the job ends. */
	if (!*more && room_is_due(&job->room, true))
		*more = room_make(&job->room, job->figures.recompressed, 1);
	job->figures.done = job->forgets ? 0 : job->block < end ? job->block : end;
	job->figures.total = end;
	*figures = job->figures;
	pthread_mutex_unlock(&dev->recompress_lock);
	return 0;
}

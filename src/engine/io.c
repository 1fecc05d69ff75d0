/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests. What a table word means is sector.c's.
 *
 *   write: [same-filled?] -> compress -> allocate -> copy -> | publish | -> free the old object
 *   read:                                    | table word -> decompress from the pool |
 *                                            '---- under the block's stripe ----------'
 *
 * A stripe holds its blocks still: no other thread replaces their words, or moves or frees their objects. A whole block
 * is compressed and copied before its stripe is taken. A block that is written in part is read, changed and written
 * under its stripe, so that no whole-block write lands in between. A block in a group is read before that, with no stripe held.
 *
 * An object is complete in the pool before its word is stored (I2). A request that fails, fails before that, so the old
 * data stays. Only an object of 8 bytes is changed in place, by one store (sector_refill()).
 */
#include "engine/backing.h"
#include "engine/groups.h"
#include "engine/sector.h"

#include <errno.h>
#include <string.h>

/* After this many blocks a long discard puts its context back, so that other requests can have it. */
#define PIECE_BLOCKS 1024u

/*
 * Give a block another word, and free what its old word named. -EINVAL: the device now ends before the block; `word` is
 * freed.
 */
static int replace(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t word)
{
	uint64_t old;

	if (!resize_hold_block(dev, block)) {
		sector_drop(dev, word);
		return -EINVAL;
	}
	old = sector_publish(dev, ctx, block, word);
	if (word)
		ages_touch(&dev->ages, block);
	stripe_unlock(dev, block);
	sector_drop(dev, old);
	if (word)
		sector_prefetch_reuse(dev, old);
	return 0;
}

/* Read on where the object of a block is not in memory by itself. Called with the stripe held; releases it. */
static int read_elsewhere(struct zsblk *dev, struct context **ctx, struct backing_patience *patience, uint64_t block,
			  uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	return sector_is_backed(word) ? backing_read(dev, ctx, patience, block, word, from, len, out)
				      : groups_read(dev, *ctx, block, word, from, len, out);
}

/* 1: the block is another one now, so look again. */
static int read_once(struct zsblk *dev, struct context **ctx, struct backing_patience *patience, uint64_t block,
		     unsigned from, unsigned len, uint8_t *out)
{
	uint64_t word;
	int r;

	stripe_lock(dev, block);
	word = table_load(&dev->table, block);
	r = sector_load(dev, *ctx, word, from, len, out);
	if (__builtin_expect(r > 0, 0))
		return read_elsewhere(dev, ctx, patience, block, word, from, len, out);
	if (word)
		ages_touch(&dev->ages, block);
	stripe_unlock(dev, block);
	return r;
}

/* *ctx can be another one afterwards: whoever waits for the backing store holds none. */
static int read_block(struct zsblk *dev, struct context **ctx, struct backing_patience *patience, uint64_t block,
		      unsigned from, unsigned len, uint8_t *out)
{
	int r;

	do
		r = read_once(dev, ctx, patience, block, from, len, out);
	while (r > 0);
	return r;
}

/* ------------------------------------------------------------------ requests */

/* The piece of a request that lies in the block at `offset`. */
static unsigned piece_len(uint64_t offset, uint64_t len)
{
	unsigned room = BLOCK - (unsigned)(offset % BLOCK);

	return len < room ? (unsigned)len : room;
}

/*
 * Where reads follow each other in order, the next one's object arrives while this one's is decompressed. For a read at a random
 * place, and the first one in order, only its own object can be fetched, a moment before it is needed.
 */
static void prefetch_next(const struct zsblk *dev, uint64_t block)
{
	if (block + 1 < dev->table.n)
		sector_prefetch_load(dev, block + 1);
}

/* The time of a request begins before it waits for its context. */
static uint64_t request_begin(struct context *ctx, enum zsblk_latency_kind kind)
{
	uint64_t now = latency_begin(&ctx->latencies, kind);

	return now ? now - ctx->waited : 0;
}

int zsblk_read(struct zsblk *dev, void *buf, size_t len, uint64_t offset)
{
	struct backing_patience patience = {0};
	struct context *ctx;
	uint8_t *out = buf;
	size_t left = len;
	uint64_t began;
	bool in_order;
	int r = 0;

	if (!resize_has_range(dev, offset, len))
		return -EINVAL;
	ctx = context_get(&dev->contexts);
	began = request_begin(ctx, ZSBLK_LATENCY_READ);
	in_order = offset == ctx->read_end;
	ctx->read_end = offset + len;
	if (left && !in_order)
		sector_prefetch_load(dev, offset / BLOCK);
	while (left && !r) {
		unsigned n = piece_len(offset, left);

		if (in_order || left > n)
			prefetch_next(dev, offset / BLOCK);
		r = read_block(dev, &ctx, &patience, offset / BLOCK, (unsigned)(offset % BLOCK), n, out);
		out += n;
		offset += n;
		left -= n;
	}
	count(&ctx->count.reads, 1);
	if (r)
		count(&ctx->count.failed_reads, 1);
	else
		count(&ctx->count.read_bytes, len);
	if (!r)
		context_record(ctx, ZSBLK_EVENT_READ, offset - len, len);
	latency_end(&ctx->latencies, ZSBLK_LATENCY_READ, began);
	context_put(&dev->contexts, ctx);
	return r;
}

static int write_whole(struct zsblk *dev, struct context *ctx, uint64_t block, const void *data)
{
	uint64_t word;
	int r;

	if (sector_refill(dev, block, data))
		return 0;
	/* What has to be freed comes into the cache while the new object is compressed. */
	sector_prefetch_drop(dev, block);
	r = sector_store(dev, ctx, block, data, &word);
	return r ? r : replace(dev, ctx, block, word);
}

/*
 * Take the stripe of a block that is to be changed in part, as resize_hold_block() does. If the block is in a group, its bytes are in
 * ctx->block by then: they were read with no stripe held, and its entry is pinned, so the same word names the same bytes. *pinned is
 * the word of a group that the caller has to drop afterwards, or 0. A block that is in the backing store is back in memory by then, and
 * *ctx another one. -EINVAL: the device now ends before the block; -EIO: the group is damaged, or the store does not have the block;
 * -ENOSPC: there is no room to bring the block back. Then the stripe is not held.
 */
static int hold_whole(struct zsblk *dev, struct context **ctx, uint64_t block, uint64_t *pinned)
{
	struct backing_patience patience = {0};

	*pinned = 0;
	while (resize_hold_block(dev, block)) {
		uint64_t word = table_load(&dev->table, block), before = *pinned;
		bool cached;
		int r;

		if (sector_is_backed(word)) {
			r = backing_bring_back(dev, ctx, &patience, block, word);
			if (r < 0)
				return r;
			continue;
		}
		if (!sector_is_shared(word) || !entries_has(dev, word) || word_unmark(word) == before)
			return 0;
		*pinned = word_unmark(word);
		entries_pin(dev, word_shared(word).entry);
		stripe_unlock(dev, block);
		sector_drop(dev, before);
		count(&(*ctx)->count.cold_reads, 1);
		r = groups_fetch(dev, *ctx, word, 0, BLOCK, (*ctx)->block, &cached);
		if (r)
			return r;
	}
	return -EINVAL;
}

/*
 * Read a block that is held, change part of it and publish it. *old is to be dropped afterwards. A block that is in a group was
 * read already.
 */
static int change_held(struct zsblk *dev, struct context *ctx, uint64_t block, unsigned from, unsigned len,
		       const void *data, uint64_t *old)
{
	uint64_t now = table_load(&dev->table, block), word;
	int r = sector_load(dev, ctx, now, 0, BLOCK, ctx->block);

	if (r && r != SECTOR_COLD)
		return r;
	if (data)
		memcpy(ctx->block + from, data, len);
	else
		memset(ctx->block + from, 0, len);
	r = sector_store(dev, ctx, block, ctx->block, &word);
	if (r)
		return r;
	*old = sector_publish(dev, ctx, block, word);
	if (word)
		ages_touch(&dev->ages, block);
	return 0;
}

/* Change part of a block: to `data`, or to zeroes when that is NULL. */
static int write_part(struct zsblk *dev, struct context **ctx, uint64_t block, unsigned from, unsigned len,
		      const void *data)
{
	uint64_t old = 0, pinned;
	int r = hold_whole(dev, ctx, block, &pinned);

	if (!r) {
		if (data || table_load(&dev->table, block))
			r = change_held(dev, *ctx, block, from, len, data, &old);
		stripe_unlock(dev, block);
	}
	sector_drop(dev, old);
	sector_drop(dev, pinned);
	return r;
}

int zsblk_write(struct zsblk *dev, const void *buf, size_t len, uint64_t offset)
{
	struct context *ctx;
	const uint8_t *data = buf;
	size_t left = len;
	uint64_t began;
	int r = 0;

	if (!resize_has_range(dev, offset, len))
		return -EINVAL;
	ctx = context_get(&dev->contexts);
	began = request_begin(ctx, ZSBLK_LATENCY_WRITE);
	while (left && !r) {
		unsigned n = piece_len(offset, left);

		if (n == BLOCK)
			r = write_whole(dev, ctx, offset / BLOCK, data);
		else
			r = write_part(dev, &ctx, offset / BLOCK, (unsigned)(offset % BLOCK), n, data);
		data += n;
		offset += n;
		left -= n;
	}
	count(&ctx->count.writes, 1);
	if (r)
		count(&ctx->count.failed_writes, 1);
	else
		count(&ctx->count.write_bytes, len);
	if (!r)
		context_record(ctx, ZSBLK_EVENT_WRITE, offset - len, len);
	latency_end(&ctx->latencies, ZSBLK_LATENCY_WRITE, began);
	context_put(&dev->contexts, ctx);
	return r;
}

/* Free the blocks from `block` up to `end`, which is at most PIECE_BLOCKS further. */
static void clear_blocks(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t end)
{
	while ((block = table_next_written(&dev->table, block, end)) < end) {
		/* If the device now ends before the block, there is nothing to free. */
		if (table_load(&dev->table, block))
			(void)replace(dev, ctx, block, 0);
		block++;
	}
}

/* Free whole blocks, in pieces. Between two of them others may have the context. */
static void clear_whole(struct zsblk *dev, struct context **ctx, uint64_t block, uint64_t end)
{
	/* Where nothing was ever written there is nothing to do. */
	while ((block = table_next_written(&dev->table, block, end)) < end) {
		uint64_t piece = end - block < PIECE_BLOCKS ? end - block : PIECE_BLOCKS;

		clear_blocks(dev, *ctx, block, block + piece);
		block += piece;
		if (block < end) {
			context_put(&dev->contexts, *ctx);
			*ctx = context_get(&dev->contexts);
		}
	}
}

/* Zeroes into a part of one block. */
static int clear_part(struct zsblk *dev, struct context **ctx, uint64_t len, uint64_t offset)
{
	return write_part(dev, ctx, offset / BLOCK, (unsigned)(offset % BLOCK), (unsigned)len, NULL);
}

/*
 * Make a range read as zeroes. Whole blocks are freed first: writing the ends takes memory, which on a full device may
 * come from these blocks. An end that cannot be written keeps its old data, and its error is the result.
 */
static int clear(struct zsblk *dev, struct context **ctx, uint64_t len, uint64_t offset)
{
	uint64_t end = offset + len, first = (offset + BLOCK - 1) / BLOCK, last = end / BLOCK;
	int head = 0, tail = 0;

	if (!len)
		return 0;
	if (first > last)
		return clear_part(dev, ctx, len, offset);
	clear_whole(dev, ctx, first, last);
	if (offset % BLOCK)
		head = clear_part(dev, ctx, first * BLOCK - offset, offset);
	if (end % BLOCK)
		tail = clear_part(dev, ctx, end % BLOCK, last * BLOCK);
	return head ? head : tail;
}

static int clear_counted(struct zsblk *dev, uint64_t len, uint64_t offset, bool is_discard)
{
	struct context *ctx;
	uint64_t began;
	int r;

	if (!resize_has_range(dev, offset, len))
		return -EINVAL;
	ctx = context_get(&dev->contexts);
	began = request_begin(ctx, ZSBLK_LATENCY_DISCARD);
	r = clear(dev, &ctx, len, offset);
	count(is_discard ? &ctx->count.discards : &ctx->count.zeroes, 1);
	if (r)
		count(&ctx->count.failed_discards, 1);
	else if (is_discard)
		count(&ctx->count.discard_bytes, len);
	if (!r)
		context_record(ctx, is_discard ? ZSBLK_EVENT_DISCARD : ZSBLK_EVENT_ZEROES, offset, len);
	latency_end(&ctx->latencies, ZSBLK_LATENCY_DISCARD, began);
	context_put(&dev->contexts, ctx);
	return r;
}

int zsblk_discard(struct zsblk *dev, uint64_t len, uint64_t offset)
{
	return clear_counted(dev, len, offset, true);
}

int zsblk_write_zeroes(struct zsblk *dev, uint64_t len, uint64_t offset)
{
	return clear_counted(dev, len, offset, false);
}

int zsblk_flush(struct zsblk *dev)
{
	(void)dev;
	return 0;
}

bool zsblk_reset_step(struct zsblk *dev, uint64_t *block)
{
	uint64_t end = zsblk_size(dev) / BLOCK, first = table_next_written(&dev->table, *block, end), next;
	struct context *ctx;

	next = end - first < PIECE_BLOCKS ? end : first + PIECE_BLOCKS;
	if (first < end) {
		ctx = context_get(&dev->contexts);
		clear_blocks(dev, ctx, first, next);
		context_put(&dev->contexts, ctx);
	}
	*block = next;
	return next < end;
}

void zsblk_reset(struct zsblk *dev)
{
	uint64_t block = 0;

	while (zsblk_reset_step(dev, &block))
		;
	zsblk_reset_mem_used_max(dev);
}

/* The end of the stretch from `block` on that is all data, or all holes. */
static uint64_t stretch_end(const struct zsblk *dev, uint64_t block, uint64_t end, bool hole)
{
	while (block < end && !table_load(&dev->table, block) == hole) {
		block++;
		if (hole)
			block = table_next_written(&dev->table, block, end);
	}
	return block;
}

int zsblk_extents(struct zsblk *dev, uint64_t len, uint64_t offset, zsblk_extent_fn *extent, void *opaque)
{
	uint64_t end = offset + len, last;
	int r = 0;

	if (!resize_has_range(dev, offset, len))
		return -EINVAL;
	last = (end + BLOCK - 1) / BLOCK;
	while (offset < end && !r) {
		bool hole = !table_load(&dev->table, offset / BLOCK);
		uint64_t next = stretch_end(dev, offset / BLOCK, last, hole) * BLOCK;

		/* The first block's word may have changed since; then the stretch is empty. Look again. */
		if (next <= offset)
			continue;
		if (next > end)
			next = end;
		r = extent(opaque, offset, next - offset, hole);
		offset = next;
	}
	return r;
}

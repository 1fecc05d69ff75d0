/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests.
 *
 *   write: [same-filled?] -> compress -> allocate -> copy -> | publish | -> free the old object
 *   read:                                    | table word -> decompress from the pool |
 *                                            '---- under the block's stripe ----------'
 *
 * A stripe holds its blocks still: nobody replaces, moves or frees their objects meanwhile. Whole
 * blocks are compressed and copied before it is taken. A block that is written in part is read,
 * changed and written under it, so that no whole-block write lands in between. Objects are complete
 * in the pool before their word is stored (I2), and whatever fails, fails before that: the old data
 * stays.
 */
#include "engine/engine.h"

#include "codec/fill.h"

#include <errno.h>
#include <string.h>

/* Between these many blocks a long discard gives its context to others. */
#define PIECE_BLOCKS 1024u
/* As many lines as are likely to be on their way at once. */
#define PREFETCH_BYTES (16u * 64)

static void unlock_stripe(pthread_mutex_t **lock)
{
	pthread_mutex_unlock(*lock);
}

/* Hold a block still to the end of the scope. */
#define HOLD(dev, block)                                                                                               \
	pthread_mutex_t *held __attribute__((cleanup(unlock_stripe))) = stripe_of(dev, block);                         \
	pthread_mutex_lock(held)

struct zs_loc loc_of(const struct zsblk *dev, const struct word_object *object)
{
	return (struct zs_loc){
		.page = object->page,
		.slot = object->slot,
		.class_index = (uint16_t)(zs_core_class_of(dev->core, object->size) + object->borrow),
	};
}

void count_word(struct counters *counters, uint64_t word, int sign)
{
	uint64_t one = (uint64_t)sign;
	unsigned size;

	if (word_type(word) == WORD_SAME32 || word_type(word) == WORD_SAME64)
		count(&counters->same, one);
	if (!word_has_object(word))
		return;
	size = word_object(word).size;
	count(&counters->compr_bytes, one * size);
	if (word_type(word) != WORD_OBJECT)
		return;
	count(&counters->objects, one);
	if (size == BLOCK)
		count(&counters->huge, one);
}

/* ------------------------------------------------------------------ storing */

/* Put bytes into the pool as an object of this block; *word names it. */
static int store_object(struct zsblk *dev, uint64_t block, enum word_type type, unsigned codec, const void *bytes,
			unsigned size, uint64_t *word)
{
	struct word_object object = {.size = (uint16_t)size, .codec = (uint8_t)codec};
	struct zs_loc loc;
	int r = zs_core_alloc(dev->core, size, (uint32_t)block, &loc);

	if (r)
		return -ENOSPC;
	memcpy(zs_core_address(dev->core, loc), bytes, size);
	object.page = loc.page;
	object.slot = loc.slot;
	object.borrow = (uint8_t)(loc.class_index - zs_core_class_of(dev->core, size));
	*word = word_make_object(type, &object);
	return 0;
}

static int store_same(struct zsblk *dev, uint64_t block, uint64_t pattern, uint64_t *word)
{
	*word = 0;
	if (!pattern)
		return 0;
	if (pattern >> 32 == (uint32_t)pattern) {
		*word = word_make_same32((uint32_t)pattern);
		return 0;
	}
	return store_object(dev, block, WORD_SAME64, CODEC_RAW, &pattern, sizeof pattern, word);
}

/* Store a block's bytes; *word is what its table entry is to become. Nothing is published yet. */
static int store_block(struct zsblk *dev, struct context *ctx, uint64_t block, const void *data, uint64_t *word)
{
	uint64_t pattern;
	size_t size;

	if (fill_detect(data, &pattern))
		return store_same(dev, block, pattern, word);
	size = dev->codec->compress(ctx->cctx, dev->level, data, BLOCK, ctx->object, dev->watermark);
	if (size)
		return store_object(dev, block, WORD_OBJECT, dev->codec->id, ctx->object, (unsigned)size, word);
	return store_object(dev, block, WORD_OBJECT, CODEC_RAW, data, BLOCK, word);
}

/* Replace a block's word, whose stripe is held; returns the old one, to be dropped. */
static uint64_t publish(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t word)
{
	uint64_t old = table_load(&dev->table, block);

	if (word || old)
		table_store(&dev->table, block, word);
	count_word(&ctx->count, old, -1);
	count_word(&ctx->count, word, 1);
	if (word_type(word) == WORD_OBJECT && word_object(word).codec == CODEC_RAW)
		count(&ctx->count.huge_since, 1);
	return old;
}

/* Free the object of a word that was replaced: no reader can be in it any more. */
static void drop(struct zsblk *dev, uint64_t word)
{
	if (word_has_object(word)) {
		struct word_object object = word_object(word);

		zs_core_free(dev->core, loc_of(dev, &object));
	}
}

static void replace(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t word)
{
	uint64_t old;

	{
		HOLD(dev, block);
		old = publish(dev, ctx, block, word);
	}
	drop(dev, old);
}

/* ------------------------------------------------------------------ loading */

/* Decompress an object whose block is held into `out`, a whole block. */
static int load_object(struct zsblk *dev, struct context *ctx, const struct word_object *object, void *out)
{
	const void *bytes = zs_core_address(dev->core, loc_of(dev, object));

	if (object->codec == CODEC_RAW) {
		memcpy(out, bytes, BLOCK);
		return 0;
	}
	return codec_by_id(object->codec)->decompress(ctx->dctx[object->codec], bytes, object->size, out, BLOCK);
}

/* `len` bytes of a block whose stripe is held, from its byte `from` on. */
static int load_part(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out)
{
	struct word_object object;
	uint64_t pattern;
	int r;

	switch (word_type(word)) {
	case WORD_EMPTY:
		memset(out, 0, len);
		return 0;
	case WORD_SAME32:
		fill_expand(out, len, from, word_pattern(word));
		return 0;
	case WORD_SAME64:
		object = word_object(word);
		memcpy(&pattern, zs_core_address(dev->core, loc_of(dev, &object)), sizeof pattern);
		fill_expand(out, len, from, pattern);
		return 0;
	case WORD_OBJECT:
		break;
	}
	object = word_object(word);
	if (len == BLOCK)
		return load_object(dev, ctx, &object, out);
	r = load_object(dev, ctx, &object, ctx->block);
	if (!r)
		memcpy(out, ctx->block + from, len);
	return r;
}

static int read_block(struct zsblk *dev, struct context *ctx, uint64_t block, unsigned from, unsigned len, uint8_t *out)
{
	HOLD(dev, block);
	return load_part(dev, ctx, table_load(&dev->table, block), from, len, out);
}

/*
 * Bring a block's object closer while something else is done. Only a hint: the word may change at
 * any time, and any address in the pool may be prefetched. Objects lie anywhere in the pool, and
 * without this the decompressor would wait for them line by line (a fifth of the time of an lz4
 * read).
 */
static void prefetch_block(struct zsblk *dev, uint64_t block)
{
	uint64_t word = table_load(&dev->table, block);

	if (word_type(word) == WORD_OBJECT) {
		struct word_object object = word_object(word);
		const char *at = zs_core_address(dev->core, loc_of(dev, &object));
		unsigned len = object.size < PREFETCH_BYTES ? object.size : PREFETCH_BYTES;

		for (unsigned i = 0; i < len; i += 64)
			__builtin_prefetch(at + i);
	}
}

/* ------------------------------------------------------------------ requests */

static bool in_range(const struct zsblk *dev, uint64_t offset, uint64_t len)
{
	return offset <= dev->size && len <= dev->size - offset;
}

/* The piece of a request that lies in the block at `offset`. */
static unsigned piece_len(uint64_t offset, uint64_t len)
{
	unsigned room = BLOCK - (unsigned)(offset % BLOCK);

	return len < room ? (unsigned)len : room;
}

int zsblk_read(struct zsblk *dev, void *buf, size_t len, uint64_t offset)
{
	struct context *ctx;
	uint8_t *out = buf;
	size_t left = len;
	int r = 0;

	if (!in_range(dev, offset, len))
		return -EINVAL;
	if (len)
		prefetch_block(dev, offset / BLOCK);
	ctx = context_get(&dev->contexts);
	while (left && !r) {
		unsigned n = piece_len(offset, left);

		if (left > BLOCK)
			prefetch_block(dev, offset / BLOCK + 1);
		r = read_block(dev, ctx, offset / BLOCK, (unsigned)(offset % BLOCK), n, out);
		out += n;
		offset += n;
		left -= n;
	}
	count(&ctx->count.reads, 1);
	if (r)
		count(&ctx->count.failed_reads, 1);
	else
		count(&ctx->count.read_bytes, len);
	context_put(&dev->contexts, ctx);
	return r;
}

/* The object that a write is going to replace: its bookkeeping arrives while the new one is compressed. */
static void prefetch_old(struct zsblk *dev, uint64_t block)
{
	uint64_t word = table_load(&dev->table, block);

	if (word_has_object(word)) {
		struct word_object object = word_object(word);

		zs_core_prefetch_free(dev->core, loc_of(dev, &object));
	}
}

static int write_whole(struct zsblk *dev, struct context *ctx, uint64_t block, const void *data)
{
	uint64_t word;
	int r;

	prefetch_old(dev, block);
	r = store_block(dev, ctx, block, data, &word);

	if (!r)
		replace(dev, ctx, block, word);
	return r;
}

/* Change part of a block: to `data`, or to zeroes when that is NULL. */
static int write_part(struct zsblk *dev, struct context *ctx, uint64_t block, unsigned from, unsigned len,
		      const void *data)
{
	uint64_t old, word;
	int r;

	{
		HOLD(dev, block);
		old = table_load(&dev->table, block);
		if (!old && !data)
			return 0;
		r = load_part(dev, ctx, old, 0, BLOCK, ctx->block);
		if (r)
			return r;
		if (data)
			memcpy(ctx->block + from, data, len);
		else
			memset(ctx->block + from, 0, len);
		r = store_block(dev, ctx, block, ctx->block, &word);
		if (r)
			return r;
		publish(dev, ctx, block, word);
	}
	drop(dev, old);
	return 0;
}

int zsblk_write(struct zsblk *dev, const void *buf, size_t len, uint64_t offset)
{
	struct context *ctx;
	const uint8_t *data = buf;
	size_t left = len;
	int r = 0;

	if (!in_range(dev, offset, len))
		return -EINVAL;
	ctx = context_get(&dev->contexts);
	while (left && !r) {
		unsigned n = piece_len(offset, left);

		if (n == BLOCK)
			r = write_whole(dev, ctx, offset / BLOCK, data);
		else
			r = write_part(dev, ctx, offset / BLOCK, (unsigned)(offset % BLOCK), n, data);
		data += n;
		offset += n;
		left -= n;
	}
	count(&ctx->count.writes, 1);
	if (r)
		count(&ctx->count.failed_writes, 1);
	else
		count(&ctx->count.write_bytes, len);
	context_put(&dev->contexts, ctx);
	return r;
}

/* Free the blocks from `block` up to `end`, which is at most PIECE_BLOCKS further. */
static void clear_blocks(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t end)
{
	while ((block = table_next_written(&dev->table, block, end)) < end) {
		if (table_load(&dev->table, block))
			replace(dev, ctx, block, 0);
		block++;
	}
}

/* Free whole blocks, in pieces that hold nothing in between. */
static void clear_whole(struct zsblk *dev, uint64_t block, uint64_t end)
{
	/* Where nothing was ever written there is nothing to do. */
	while ((block = table_next_written(&dev->table, block, end)) < end) {
		struct context *ctx = context_get(&dev->contexts);
		uint64_t piece = end - block < PIECE_BLOCKS ? end - block : PIECE_BLOCKS;

		clear_blocks(dev, ctx, block, block + piece);
		context_put(&dev->contexts, ctx);
		block += piece;
	}
}

/* Zeroes into a part of one block. */
static int clear_part(struct zsblk *dev, uint64_t len, uint64_t offset)
{
	struct context *ctx = context_get(&dev->contexts);
	int r = write_part(dev, ctx, offset / BLOCK, (unsigned)(offset % BLOCK), (unsigned)len, NULL);

	context_put(&dev->contexts, ctx);
	return r;
}

/*
 * Make a range read as zeroes. Whole blocks are freed first: writing the edges takes memory, and on a full device this
 * may be where it comes from. An edge that cannot be written keeps what it had, and is the error in the end.
 */
static int clear(struct zsblk *dev, uint64_t len, uint64_t offset)
{
	uint64_t end = offset + len, first = (offset + BLOCK - 1) / BLOCK, last = end / BLOCK;
	int head = 0, tail = 0;

	if (!len)
		return 0;
	if (first > last)
		return clear_part(dev, len, offset);
	clear_whole(dev, first, last);
	if (offset % BLOCK)
		head = clear_part(dev, first * BLOCK - offset, offset);
	if (end % BLOCK)
		tail = clear_part(dev, end % BLOCK, last * BLOCK);
	return head ? head : tail;
}

static int clear_counted(struct zsblk *dev, uint64_t len, uint64_t offset, bool is_discard)
{
	struct context *ctx;
	int r;

	if (!in_range(dev, offset, len))
		return -EINVAL;
	r = clear(dev, len, offset);
	ctx = context_get(&dev->contexts);
	count(is_discard ? &ctx->count.discards : &ctx->count.zeroes, 1);
	if (r)
		count(&ctx->count.failed_discards, 1);
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

	if (!in_range(dev, offset, len))
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

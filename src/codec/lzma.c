/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LZMA: the smallest one, for single blocks and for groups. An object is a MicroLZMA stream, as liblzma describes it
 * (lzma/container.h) and EROFS stores it: LZMA1 without headers, sizes and an end marker.
 *
 *   +------------------+------------------- - - --+
 *   | properties       | range coder              |     the first byte of every LZMA1 stream is 0; here it is
 *   | 1 byte, inverted |                          |     ~((pb * 5 + lp) * 9 + lc), so decoding needs no level
 *   +------------------+------------------- - - --+
 *
 * The library's decoder for it stops after any number of bytes. Its encoder looks ahead for the end of the room after each
 * symbol, which takes a third of the time. So the encoder is the one for LZMA1, which gives the same bytes.
 *
 * Properties, measured on captured pages: a word of memory has 4 or 8 bytes, so where a byte lies in its word tells more
 * about it than the byte before. lc 0, lp 2, pb 3 takes 0.4 % less than lc 1, lp 3, pb 3 in groups. Single blocks have
 * too few bytes to learn as much from: lc 0, lp 1, pb 3.
 *
 * Memory: the library takes it through an allocator, here from an arena in the context. Each call begins with an empty
 * arena, and a new coder. So a call leaves nothing behind, and what it takes is the same every time. The coder's tables
 * have to be cleared for each input anyway. All is taken when a call begins.
 */
#include "codec/group.h"

#include <assert.h>
#include <errno.h>
#include <lzma.h>
#include <stdalign.h>
#include <string.h>

/* The library's presets. Those above 6 differ from it in the size of their dictionary only. */
#define LEVEL_MAX 6

static_assert(CODEC_BLOCK >= LZMA_DICT_SIZE_MIN, "a dictionary covers a block, and no more");

/* Where the library has its memory from. Nothing is given back before the next call. */
struct arena {
	uint8_t *base;
	size_t bytes, used;
};

struct lzma_cctx {
	struct arena arena;
	lzma_allocator allocator;
	lzma_options_lzma options;
	alignas(64) uint8_t workspace[];
};

struct lzma_dctx {
	struct arena arena;
	lzma_allocator allocator;
	uint32_t dictionary;
	alignas(64) uint8_t workspace[];
};

/* ------------------------------------------------------------------ memory */

static void *arena_take(void *opaque, size_t count, size_t size)
{
	struct arena *arena = opaque;
	size_t bytes;
	void *mem = arena->base + arena->used;

	if (__builtin_mul_overflow(count, size, &bytes) || bytes > arena->bytes - arena->used)
		return NULL;
	bytes = (bytes + 63) / 64 * 64;
	arena->used = bytes < arena->bytes - arena->used ? arena->used + bytes : arena->bytes;
	return mem;
}

static void arena_give_back(void *opaque, void *mem)
{
}

/* A stream whose coder will lie in the context from its start on. */
static lzma_stream begin(struct arena *arena, const lzma_allocator *allocator, const void *src, size_t len, void *dst,
			 size_t room)
{
	arena->used = 0;
	return (lzma_stream){
		.next_in = src, .avail_in = len, .next_out = dst, .avail_out = room, .allocator = allocator};
}

/* ------------------------------------------------------------------ what a level stands for */

static lzma_options_lzma options_of(int level, uint32_t dictionary)
{
	lzma_options_lzma options;

	lzma_lzma_preset(&options, (uint32_t)level);
	options.dict_size = dictionary;
	options.lc = 0;
	options.lp = dictionary > CODEC_BLOCK ? 2 : 1;
	options.pb = 3;
	/* No end marker. */
	options.ext_flags = 0;
	lzma_set_ext_size(options, UINT64_MAX);
	return options;
}

static uint8_t properties_of(const lzma_options_lzma *options)
{
	return (uint8_t) ~((options->pb * 5 + options->lp) * 9 + options->lc);
}

/* The library's own estimate has room for what it takes besides the coder. */
static size_t cctx_size(int level, uint32_t dictionary)
{
	lzma_options_lzma options = options_of(level, dictionary);
	const lzma_filter filters[] = {{LZMA_FILTER_LZMA1, &options}, {LZMA_VLI_UNKNOWN, NULL}};

	return sizeof(struct lzma_cctx) + (size_t)lzma_raw_encoder_memusage(filters);
}

static size_t dctx_size(uint32_t dictionary)
{
	lzma_options_lzma options = options_of(0, dictionary);
	const lzma_filter filters[] = {{LZMA_FILTER_LZMA1, &options}, {LZMA_VLI_UNKNOWN, NULL}};

	return sizeof(struct lzma_dctx) + (size_t)lzma_raw_decoder_memusage(filters);
}

/* ------------------------------------------------------------------ coding */

/* `level` is the one the context was made for. */
static size_t lzma_compress(void *mem, int level, const void *src, size_t len, void *dst, size_t cap)
{
	struct lzma_cctx *cctx = mem;
	const lzma_filter filters[] = {{LZMA_FILTER_LZMA1EXT, &cctx->options}, {LZMA_VLI_UNKNOWN, NULL}};
	lzma_stream stream = begin(&cctx->arena, &cctx->allocator, src, len, dst, cap);

	if (!cap || lzma_raw_encoder(&stream, filters) != LZMA_OK || lzma_code(&stream, LZMA_FINISH) != LZMA_STREAM_END)
		return 0;
	*(uint8_t *)dst = properties_of(&cctx->options);
	return (size_t)stream.total_out;
}

/* Decode the first `least` bytes of the `out` that there are. */
static int decode(struct lzma_dctx *dctx, const void *src, size_t len, void *dst, size_t out, size_t least)
{
	lzma_stream stream = begin(&dctx->arena, &dctx->allocator, src, len, dst, least);

	if (!least || lzma_microlzma_decoder(&stream, len, least, least == out, dctx->dictionary) != LZMA_OK ||
	    lzma_code(&stream, LZMA_FINISH) != LZMA_STREAM_END || stream.total_out != least)
		return -EIO;
	return 0;
}

static int lzma_decompress(void *dctx, const void *src, size_t len, void *dst, size_t out)
{
	return out > CODEC_BLOCK ? -EIO : decode(dctx, src, len, dst, out, out);
}

static int lzma_group_decompress(void *dctx, const void *src, size_t len, void *dst, size_t out, size_t least)
{
	int r = decode(dctx, src, len, dst, out, least);

	return r ? r : (int)least;
}

/* ------------------------------------------------------------------ contexts */

static int cctx_init(void *mem, size_t size, int level, uint32_t dictionary)
{
	struct lzma_cctx *cctx = mem;
	uint8_t object[64];

	if (level < 0 || level > LEVEL_MAX || size < cctx_size(level, dictionary))
		return -EINVAL;
	/* Fault it in here rather than in a request. */
	memset(mem, 0, size);
	cctx->arena = (struct arena){.base = cctx->workspace, .bytes = size - sizeof(*cctx)};
	cctx->allocator = (lzma_allocator){.alloc = arena_take, .free = arena_give_back, .opaque = &cctx->arena};
	cctx->options = options_of(level, dictionary);
	/* Is there room for the coder of this version of the library? The first byte of an input takes all of it. */
	return lzma_compress(cctx, level, "zsblk", 5, object, sizeof(object)) ? 0 : -EINVAL;
}

static int dctx_init(void *mem, size_t size, uint32_t dictionary)
{
	struct lzma_dctx *dctx = mem;
	lzma_options_lzma options = options_of(0, dictionary);
	uint8_t object[64] = {properties_of(&options)}, byte;

	if (size < dctx_size(dictionary))
		return -EINVAL;
	memset(mem, 0, size);
	dctx->arena = (struct arena){.base = dctx->workspace, .bytes = size - sizeof(*dctx)};
	dctx->allocator = (lzma_allocator){.alloc = arena_take, .free = arena_give_back, .opaque = &dctx->arena};
	dctx->dictionary = dictionary;
	/* The same question. Zero bits are the byte 0. */
	return decode(dctx, object, sizeof(object), &byte, 2, 1) ? -EINVAL : 0;
}

static size_t lzma_cctx_size(int level)
{
	return cctx_size(level, CODEC_BLOCK);
}

static size_t lzma_dctx_size(void)
{
	return dctx_size(CODEC_BLOCK);
}

static int lzma_cctx_init(void *mem, size_t size, int level)
{
	return cctx_init(mem, size, level, CODEC_BLOCK);
}

static int lzma_dctx_init(void *mem, size_t size)
{
	return dctx_init(mem, size, CODEC_BLOCK);
}

static size_t lzma_group_cctx_size(int level)
{
	return cctx_size(level, GROUP_BYTES);
}

static size_t lzma_group_dctx_size(void)
{
	return dctx_size(GROUP_BYTES);
}

static int lzma_group_cctx_init(void *mem, size_t size, int level)
{
	return cctx_init(mem, size, level, GROUP_BYTES);
}

static int lzma_group_dctx_init(void *mem, size_t size)
{
	return dctx_init(mem, size, GROUP_BYTES);
}

static const struct group_ops lzma_group_ops = {
	.cctx_size = lzma_group_cctx_size,
	.dctx_size = lzma_group_dctx_size,
	.cctx_init = lzma_group_cctx_init,
	.dctx_init = lzma_group_dctx_init,
	.compress = lzma_compress,
	.decompress = lzma_group_decompress,
};

const struct codec codec_lzma = {
	.id = CODEC_LZMA,
	.name = "lzma",
	.summary = "for what is hardly ever read; level: 0 (fast) to 6 (best ratio)",
	.level_min = 0,
	.level_max = LEVEL_MAX,
	.level_default = 1,
	.version = lzma_version_string,
	.cctx_size = lzma_cctx_size,
	.dctx_size = lzma_dctx_size,
	.cctx_init = lzma_cctx_init,
	.dctx_init = lzma_dctx_init,
	.compress = lzma_compress,
	.decompress = lzma_decompress,
	.group = &lzma_group_ops,
};

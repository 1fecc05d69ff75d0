/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zstd: the small one that is still quick. An object is the body of one zstd block (RFC 8878, section 3.1.1.2). The frame around it would
 * be the same for all objects. So it is not stored, and put back for the decoder.
 *
 *   frame as the library writes it                     what is kept
 *   +--------+------------+--------+--------------+
 *   | magic  | descriptor | block  |  block body  |    the block body; its length says of which
 *   | 4 bytes| and window | header |              |    type the block was:
 *   |        | 2 bytes    | 3      |              |      1 byte         one byte, repeated
 *   +--------+------------+--------+--------------+      as the block   raw
 *                                                        otherwise      compressed
 *
 * This saves the nine bytes of a plain frame: about 0.7 % of the pool beyond what the library's magicless format saves.
 * It costs a copy of the object, some hundred bytes, in each direction. The library's block-level calls would save the
 * copy, but are deprecated; the calls used here are not.
 *
 * Contexts are static: they lie in the caller's memory and never allocate. The frame buffer has room for the worst
 * case. So the library never runs out of room, and a block gives the same bytes whatever the cap is.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include "codec/group.h"
#include "codec/zstd_params.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <zstd.h>

#define WINDOW_LOG   12 /* CODEC_BLOCK in bits: a window never needs to be longer than the block */
#define HEADER_SIZE  6u
#define BLOCK_HEADER 3u
#define BODY         (HEADER_SIZE + BLOCK_HEADER)

static_assert(1u << WINDOW_LOG == CODEC_BLOCK, "the window covers a block, and no more");

enum { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED, BLOCK_RESERVED };

/* Magic; descriptor: no content size, checksum or dictionary; window of 2^WINDOW_LOG bytes. */
static const uint8_t frame_header[HEADER_SIZE] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, (WINDOW_LOG - 10) << 3};

struct zstd_cctx {
	ZSTD_CCtx *ctx;
	uint8_t frame[BODY + ZSTD_COMPRESSBOUND(CODEC_BLOCK)];
	alignas(64) uint8_t workspace[];
};

struct zstd_dctx {
	ZSTD_DCtx *ctx;
	uint8_t frame[BODY + CODEC_BLOCK];
	alignas(64) uint8_t workspace[];
};

static size_t zstd_cctx_size(int level)
{
	return sizeof(struct zstd_cctx) + zstd_params_cctx_size(level, WINDOW_LOG);
}

static size_t zstd_dctx_size(void)
{
	return sizeof(struct zstd_dctx) + ZSTD_estimateDCtxSize();
}

static int zstd_cctx_init(void *mem, size_t size, int level)
{
	struct zstd_cctx *cctx = mem;

	if (level < ZSTD_PARAMS_LEVEL_MIN || level > ZSTD_PARAMS_LEVEL_MAX || size < zstd_cctx_size(level))
		return -EINVAL;
	/* Fault it in here rather than in a request. */
	memset(mem, 0, size);
	cctx->ctx = ZSTD_initStaticCCtx(cctx->workspace, size - sizeof(*cctx));
	return cctx->ctx ? zstd_params_set(cctx->ctx, level, WINDOW_LOG) : -EINVAL;
}

static int zstd_dctx_init(void *mem, size_t size)
{
	struct zstd_dctx *dctx = mem;

	if (size < zstd_dctx_size())
		return -EINVAL;
	memset(mem, 0, size);
	dctx->ctx = ZSTD_initStaticDCtx(dctx->workspace, size - sizeof(*dctx));
	if (!dctx->ctx)
		return -EINVAL;
	memcpy(dctx->frame, frame_header, sizeof(frame_header));
	return 0;
}

static uint32_t get_block_header(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

static void put_last_block_header(uint8_t *p, unsigned type, size_t size)
{
	uint32_t header = 1u | type << 1 | (uint32_t)size << 3;

	p[0] = (uint8_t)header;
	p[1] = (uint8_t)(header >> 8);
	p[2] = (uint8_t)(header >> 16);
}

/*
 * Bytes of the body of the only block in a frame. 0 if the frame has another form than the one that decompress puts
 * back; no version of the library writes one for a single block without a content size.
 */
static size_t body_size(const uint8_t *frame, size_t size, size_t len)
{
	if (size < BODY || memcmp(frame, frame_header, HEADER_SIZE - 1))
		return 0;

	uint32_t header = get_block_header(frame + HEADER_SIZE);
	unsigned type = header >> 1 & 3;
	size_t body = size - BODY;

	if (!(header & 1) || header >> 3 != (type == BLOCK_RLE ? len : body))
		return 0;
	if (type == BLOCK_COMPRESSED)
		return body > 1 && body < len ? body : 0;
	return body == (type == BLOCK_RLE ? 1 : len) ? body : 0;
}

/* `level` is the one the context was made for. */
static size_t zstd_compress(void *mem, int level, const void *src, size_t len, void *dst, size_t cap)
{
	struct zstd_cctx *cctx = mem;
	size_t size = ZSTD_compress2(cctx->ctx, cctx->frame, sizeof(cctx->frame), src, len);

	if (ZSTD_isError(size))
		return 0;
	size = body_size(cctx->frame, size, len);
	if (size > cap)
		return 0;
	memcpy(dst, cctx->frame + BODY, size);
	return size;
}

static int zstd_decompress(void *mem, const void *src, size_t len, void *dst, size_t out)
{
	struct zstd_dctx *dctx = mem;

	if (!len || len > out || out > CODEC_BLOCK)
		return -EIO;
	if (len == 1) {
		memset(dst, *(const uint8_t *)src, out);
		return 0;
	}
	if (len == out) {
		memcpy(dst, src, out);
		return 0;
	}
	put_last_block_header(dctx->frame + HEADER_SIZE, BLOCK_COMPRESSED, len);
	memcpy(dctx->frame + BODY, src, len);

	size_t size = ZSTD_decompressDCtx(dctx->ctx, dst, out, dctx->frame, BODY + len);

	return !ZSTD_isError(size) && size == out ? 0 : -EIO;
}

const struct codec codec_zstd = {
	.id = CODEC_ZSTD,
	.name = "zstd",
	.summary = "small; level: -100 (fastest) to 22 (best ratio), 0 means 3",
	.level_min = ZSTD_PARAMS_LEVEL_MIN,
	.level_max = ZSTD_PARAMS_LEVEL_MAX,
	.level_default = 3,
	.version = ZSTD_versionString,
	.cctx_size = zstd_cctx_size,
	.dctx_size = zstd_dctx_size,
	.cctx_init = zstd_cctx_init,
	.dctx_init = zstd_dctx_init,
	.compress = zstd_compress,
	.decompress = zstd_decompress,
	.group = &zstd_group_ops,
};

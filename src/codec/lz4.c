/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lz4: the fast one. An object is one raw lz4 block; the level is lz4's acceleration.
 *
 * Why LZ4_compress_fast_extState(): it clears its table of 16 KiB for every block, and is faster all the same than
 * streaming with LZ4_resetStream_fast(), which keeps the table but uses a slower kind of it. docs/codecs.md has the
 * figures. The library's "fastReset" variant also clears the table for blocks of 4 KiB and more, and the shared library
 * does not export it.
 */
#include "codec/codec.h"

#include <errno.h>
#include <lz4.h>

/*
 * The acceleration is the step, in bytes, at which the library first looks for matches. At 256 it looks 16 times in a
 * block; larger steps find next to nothing.
 */
#define LEVEL_MAX 256

static size_t lz4_cctx_size(int level)
{
	return (size_t)LZ4_sizeofState();
}

static size_t lz4_dctx_size(void)
{
	return 0;
}

static int lz4_cctx_init(void *mem, size_t size, int level)
{
	if (level < 1 || level > LEVEL_MAX)
		return -EINVAL;
	/* Touches every byte, so that no request has to fault the context in. */
	return LZ4_initStream(mem, size) ? 0 : -EINVAL;
}

static int lz4_dctx_init(void *mem, size_t size)
{
	return 0;
}

static size_t lz4_compress(void *cctx, int level, const void *src, size_t len, void *dst, size_t cap)
{
	int size = LZ4_compress_fast_extState(cctx, src, dst, (int)len, (int)cap, level);

	return size > 0 ? (size_t)size : 0;
}

/* lz4hc calls this too: the format is the same. */
static int lz4_decompress(void *dctx, const void *src, size_t len, void *dst, size_t out)
{
	int size = LZ4_decompress_safe(src, dst, (int)len, (int)out);

	return size >= 0 && (size_t)size == out ? 0 : -EIO;
}

const struct codec codec_lz4 = {
	.id = CODEC_LZ4,
	.name = "lz4",
	.summary = "fastest; level: acceleration, 1 (best ratio) to 256 (least work)",
	.level_min = 1,
	.level_max = LEVEL_MAX,
	.level_default = 1,
	.level_is_speed = true,
	.version = LZ4_versionString,
	.cctx_size = lz4_cctx_size,
	.dctx_size = lz4_dctx_size,
	.cctx_init = lz4_cctx_init,
	.dctx_init = lz4_dctx_init,
	.compress = lz4_compress,
	.decompress = lz4_decompress,
};

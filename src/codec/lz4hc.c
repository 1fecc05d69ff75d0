/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lz4hc: the format of lz4, with a longer search for matches. Objects are read as fast as those of lz4.
 *
 * Each block is a stream of its own, begun with LZ4_resetStreamHC_fast(), which leaves the tables of 256 KiB as they
 * are. LZ4_compress_HC_extStateHC() clears them for every block, and gives the same bytes at about five sixths of the
 * speed (docs/codecs.md).
 */
#include "codec/codec.h"

#include <errno.h>
#include <lz4.h>
#include <lz4hc.h>

/*
 * From level 10 on the library's optimal parser calls malloc() for every block. A device that is swap must not allocate
 * in a request.
 */
#define LEVEL_MAX 9

static size_t lz4hc_cctx_size(int level)
{
	return (size_t)LZ4_sizeofStateHC();
}

static size_t lz4hc_dctx_size(void)
{
	return 0;
}

static int lz4hc_cctx_init(void *mem, size_t size, int level)
{
	if (level < 1 || level > LEVEL_MAX)
		return -EINVAL;
	return LZ4_initStreamHC(mem, size) ? 0 : -EINVAL;
}

static int lz4hc_dctx_init(void *mem, size_t size)
{
	return 0;
}

static size_t lz4hc_compress(void *cctx, int level, const void *src, size_t len, void *dst, size_t cap)
{
	LZ4_resetStreamHC_fast(cctx, level);

	int size = LZ4_compress_HC_continue(cctx, src, dst, (int)len, (int)cap);

	return size > 0 ? (size_t)size : 0;
}

static int lz4hc_decompress(void *dctx, const void *src, size_t len, void *dst, size_t out)
{
	return codec_lz4.decompress(dctx, src, len, dst, out);
}

const struct codec codec_lz4hc = {
	.id = CODEC_LZ4HC,
	.name = "lz4hc",
	.summary = "slow to write, reads as fast as lz4; level: 1 (fast) to 9 (best ratio)",
	.level_min = 1,
	.level_max = LEVEL_MAX,
	.level_default = 9,
	.version = LZ4_versionString,
	.cctx_size = lz4hc_cctx_size,
	.dctx_size = lz4hc_dctx_size,
	.cctx_init = lz4hc_cctx_init,
	.dctx_init = lz4hc_dctx_init,
	.compress = lz4hc_compress,
	.decompress = lz4hc_decompress,
};

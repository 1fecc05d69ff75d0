/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zstd for groups: one frame in the library's magicless format, without content size, checksum and dictionary
 * identity. That is two bytes of header and one zstd block (RFC 8878), so all of a group is decoded at once: the library
 * gives out whole zstd blocks only. To end one after each half or quarter of the group was measured, and rejected: half a
 * group is decoded in 80 % of the time, since most of that goes into tables, and costs 0.3 % of the bytes; a quarter
 * takes 75 % of the time, and costs 1.3 %. Who reads one block of a group often reads the others next, and then has
 * them.
 *
 * The window is 64 KiB for every level, so the largest group is always within reach, and a decoder needs no memory for
 * more. Contexts are static, as in zstd.c. Group and blocks are read and written where they lie.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include "codec/group.h"
#include "codec/zstd_params.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <zstd.h>

#define WINDOW_LOG 16 /* GROUP_BYTES in bits */

static_assert(1u << WINDOW_LOG == GROUP_BYTES, "the window covers a group, and no more");

struct zstd_group_cctx {
	ZSTD_CCtx *ctx;
	alignas(64) uint8_t workspace[];
};

struct zstd_group_dctx {
	ZSTD_DCtx *ctx;
	alignas(64) uint8_t workspace[];
};

static size_t zstd_group_cctx_size(int level)
{
	return sizeof(struct zstd_group_cctx) + zstd_params_cctx_size(level, WINDOW_LOG);
}

static size_t zstd_group_dctx_size(void)
{
	return sizeof(struct zstd_group_dctx) + ZSTD_estimateDCtxSize();
}

static int zstd_group_cctx_init(void *mem, size_t size, int level)
{
	struct zstd_group_cctx *cctx = mem;

	/* Fault it in here rather than later. */
	memset(mem, 0, size);
	cctx->ctx = ZSTD_initStaticCCtx(cctx->workspace, size - sizeof(*cctx));
	if (!cctx->ctx || ZSTD_isError(ZSTD_CCtx_setParameter(cctx->ctx, ZSTD_c_format, ZSTD_f_zstd1_magicless)))
		return -EINVAL;
	return zstd_params_set(cctx->ctx, level, WINDOW_LOG);
}

static int zstd_group_dctx_init(void *mem, size_t size)
{
	struct zstd_group_dctx *dctx = mem;

	memset(mem, 0, size);
	dctx->ctx = ZSTD_initStaticDCtx(dctx->workspace, size - sizeof(*dctx));
	if (!dctx->ctx || ZSTD_isError(ZSTD_DCtx_setParameter(dctx->ctx, ZSTD_d_format, ZSTD_f_zstd1_magicless)))
		return -EINVAL;
	return 0;
}

/* `level` is the one the context was made for. */
static size_t zstd_group_compress(void *mem, int level, const void *src, size_t len, void *dst, size_t cap)
{
	struct zstd_group_cctx *cctx = mem;
	size_t size = ZSTD_compress2(cctx->ctx, dst, cap, src, len);

	return ZSTD_isError(size) ? 0 : size;
}

static int zstd_group_decompress(void *mem, const void *src, size_t len, void *dst, size_t out, size_t least)
{
	struct zstd_group_dctx *dctx = mem;
	size_t size = ZSTD_decompressDCtx(dctx->ctx, dst, out, src, len);

	return size == out ? (int)out : -EIO;
}

const struct group_ops zstd_group_ops = {
	.cctx_size = zstd_group_cctx_size,
	.dctx_size = zstd_group_dctx_size,
	.cctx_init = zstd_group_cctx_init,
	.dctx_init = zstd_group_dctx_init,
	.compress = zstd_group_compress,
	.decompress = zstd_group_decompress,
};

/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups: what all codecs have in common. The codecs themselves are in files of their own. */
#include "codec/group.h"

#include <assert.h>
#include <errno.h>

bool group_is_possible(const struct codec *codec)
{
	return codec->group;
}

size_t group_cctx_size(const struct codec *codec, int level)
{
	return codec->group->cctx_size(level);
}

size_t group_dctx_size(const struct codec *codec)
{
	return codec->group->dctx_size();
}

int group_cctx_init(const struct codec *codec, void *mem, size_t size, int level)
{
	if (level < codec->level_min || level > codec->level_max || size < group_cctx_size(codec, level))
		return -EINVAL;
	return codec->group->cctx_init(mem, size, level);
}

int group_dctx_init(const struct codec *codec, void *mem, size_t size)
{
	return size < group_dctx_size(codec) ? -EINVAL : codec->group->dctx_init(mem, size);
}

size_t group_compress(const struct codec *codec, void *cctx, int level, const void *blocks, unsigned n, void *dst,
		      size_t cap)
{
	assert(n >= 1 && n <= GROUP_BLOCKS);
	return codec->group->compress(cctx, level, blocks, (size_t)n * CODEC_BLOCK, dst, cap);
}

int group_decompress(const struct codec *codec, void *dctx, const void *src, size_t len, void *dst, unsigned n,
		     unsigned upto)
{
	size_t out = (size_t)n * CODEC_BLOCK, least = ((size_t)upto + 1) * CODEC_BLOCK;
	int done;

	if (!len || !n || n > GROUP_BLOCKS || upto >= n)
		return -EIO;
	done = codec->group->decompress(dctx, src, len, dst, out, least);
	return done < 0 ? done : done / (int)CODEC_BLOCK;
}

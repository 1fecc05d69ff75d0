/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Groups: up to GROUP_BLOCKS neighbouring blocks, compressed together. They take about four fifths of what the same
 * algorithm makes of the blocks one by one. A block that is read has others in front of it that are decoded as well.
 *
 * Contexts are as in codec.h: in memory that the caller lends, made before they are needed, one user at a time. They
 * are other contexts than those for single blocks. Nothing here allocates.
 */
#ifndef GROUP_H
#define GROUP_H

#include "codec/codec.h"

/* The most blocks of a group, and their bytes. */
#define GROUP_BLOCKS 16u
#define GROUP_BYTES  (GROUP_BLOCKS * CODEC_BLOCK)
/* The most bytes of a compressed group: a group that saves less than a block is not worth its entries. */
#define GROUP_BOUND (GROUP_BYTES - CODEC_BLOCK)

/* What a codec does with several blocks. Lengths and numbers are verified by the functions below. */
struct group_ops {
	size_t (*cctx_size)(int level);
	size_t (*dctx_size)(void);
	int (*cctx_init)(void *mem, size_t size, int level);
	int (*dctx_init)(void *mem, size_t size);
	/* As in codec.h, but for 1 to GROUP_BLOCKS blocks. */
	size_t (*compress)(void *cctx, int level, const void *src, size_t len, void *dst, size_t cap);
	/*
	 * Decode at least `least` bytes of the `out` that the group has, both whole blocks. Returns how many bytes are
	 * decoded, or -EIO.
	 */
	int (*decompress)(void *dctx, const void *src, size_t len, void *dst, size_t out, size_t least);
};

/* The operations of each codec that makes groups, for its own table. */
extern const struct group_ops zstd_group_ops;

/* False: this codec is for single blocks only, and must not be given to the functions below. */
bool group_is_possible(const struct codec *codec);

/* Bytes of a context, and to make one, as in codec.h. */
size_t group_cctx_size(const struct codec *codec, int level);
size_t group_dctx_size(const struct codec *codec);
int group_cctx_init(const struct codec *codec, void *mem, size_t size, int level);
int group_dctx_init(const struct codec *codec, void *mem, size_t size);

/*
 * Compress `n` blocks, 1 to GROUP_BLOCKS, with the level that the context was made for. Returns the bytes written, or
 * 0 if the result has more than `cap` bytes. Reads and writes nothing beyond.
 */
size_t group_compress(const struct codec *codec, void *cctx, int level, const void *blocks, unsigned n, void *dst,
		      size_t cap);
/*
 * Decode blocks 0 to `upto` of a group of `n` to `dst`, which has room for all `n`. Returns how many blocks are decoded,
 * from the first on: more than `upto`, if the codec cannot stop earlier. What lies behind them in `dst` is anything.
 * -EIO: the group is damaged. Damage behind the blocks that are decoded is not noticed. Never reads or writes out of
 * bounds, whatever the group's bytes are.
 */
int group_decompress(const struct codec *codec, void *dctx, const void *src, size_t len, void *dst, unsigned n,
		     unsigned upto);

#endif

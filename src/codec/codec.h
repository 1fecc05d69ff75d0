/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codecs: one file each, each with one const table of operations.
 *
 * A level's parameters are worked out once; contexts are made per thread before they are needed, in
 * memory the caller lends, so that no request ever allocates. All codecs here can decode objects of
 * any level.
 */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the largest input of a codec. */
#define CODEC_BLOCK 4096u

/* Identities are stored in every table word and in the superblock: never renumber them. */
enum codec_id {
	CODEC_RAW = 0, /* stored as it is; has no operations */
	CODEC_LZ4 = 1,
	CODEC_LZ4HC = 2,
	CODEC_ZSTD = 3,
	CODEC_IDS = 8, /* what three bits of a table word can say */
};

struct codec {
	enum codec_id id;
	const char *name;
	const char *summary; /* one line for people, with the meaning of the level */
	int level_min, level_max, level_default;

	/* Bytes one compression context needs at `level`, and one decompression context. May be 0. */
	size_t (*cctx_size)(int level);
	size_t (*dctx_size)(void);
	/* Make a context in `mem` (aligned to 64, of the size asked for). 0 or a negative errno. */
	int (*cctx_init)(void *mem, size_t size, int level);
	int (*dctx_init)(void *mem, size_t size);
	/*
	 * Compress one block of `len` bytes (at most CODEC_BLOCK) into at most `cap` bytes. Returns the bytes
	 * written, or 0 if they would be more than `cap`. Reads and writes nothing beyond.
	 */
	size_t (*compress)(void *cctx, int level, const void *src, size_t len, void *dst, size_t cap);
	/*
	 * Decompress an object of `len` bytes into exactly `out` bytes. 0, or -EIO if the object is
	 * damaged; never reads or writes out of bounds, whatever the object's bytes are.
	 */
	int (*decompress)(void *dctx, const void *src, size_t len, void *dst, size_t out);
};

extern const struct codec codec_lz4, codec_lz4hc, codec_zstd;

/* The codec with this identity or name; NULL for CODEC_RAW and unknown ones. */
const struct codec *codec_by_id(unsigned id);
const struct codec *codec_by_name(const char *name);
/* In the order users are shown them; NULL past the end. */
const struct codec *codec_at(unsigned index);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Codecs: one file each, each with one constant table of operations.
 *
 * The caller lends the memory of contexts, and makes them before they are needed, so that no request allocates. A
 * context has one user at a time. Decoding needs no level. Functions that return int give 0 or a negative errno; sizes
 * are bytes.
 */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest input of a codec, in bytes. */
#define CODEC_BLOCK 4096u

/* Identities are stored in every table word and in the superblock: never renumber them. */
enum codec_id {
	CODEC_RAW = 0, /* stored as it is; has no operations */
	CODEC_LZ4 = 1,
	CODEC_LZ4HC = 2,
	CODEC_ZSTD = 3,
	CODEC_LZMA = 4, /* from here on a segment needs the record of codecs: segment/super_codecs.h */
	CODEC_IDS = 8,  /* what three bits of a table word can say */
};

struct group_ops;

struct codec {
	enum codec_id id;
	const char *name;
	const char *summary;                     /* one line for people, with the meaning of the level */
	int level_min, level_max, level_default; /* with negative levels, 0 stands for the default */
	bool level_is_speed;                     /* a higher level gains less, and takes less time */
	const char *(*version)(void);            /* of the library that does the work, as it runs: "1.9.4" */

	/* Bytes of a compression context at `level`, and of a decompression context. May be 0. */
	size_t (*cctx_size)(int level);
	size_t (*dctx_size)(void);
	/* Make a context in `mem`, which is aligned to 64 bytes and has the size asked for. All of it is touched. */
	int (*cctx_init)(void *mem, size_t size, int level);
	int (*dctx_init)(void *mem, size_t size);
	/*
	 * Compress `len` bytes, at most CODEC_BLOCK, with the level that the context was made for. Returns the bytes
	 * written, or 0 if the result has more than `cap` bytes. Reads and writes nothing beyond.
	 */
	size_t (*compress)(void *cctx, int level, const void *src, size_t len, void *dst, size_t cap);
	/*
	 * Decompress an object of `len` bytes into exactly `out` bytes. -EIO: the object is damaged. Never reads or
	 * writes out of bounds, whatever the object's bytes are.
	 */
	int (*decompress)(void *dctx, const void *src, size_t len, void *dst, size_t out);
	/* The same for several blocks at once: group.h. NULL: this codec is for single blocks only. */
	const struct group_ops *group;
};

extern const struct codec codec_lz4, codec_lz4hc, codec_zstd;
/* In builds with liblzma: use codec_by_id(). */
extern const struct codec codec_lzma;

/* The codec with this identity, or this name. NULL for CODEC_RAW and for what is not known. */
const struct codec *codec_by_id(unsigned id);
const struct codec *codec_by_name(const char *name);
/* The codecs in the order in which users see them, the default first. NULL past the end. */
const struct codec *codec_at(unsigned index);

#endif

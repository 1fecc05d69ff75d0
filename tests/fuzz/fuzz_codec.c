/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects and groups that no codec made: decompressing them is an error or gives blocks, and touches nothing
 * beyond either. And blocks of any content: they come back.
 *
 * Input: a byte for the codec and the level, then the object.
 */
#include "fuzz/input.h"
#include "lib/base.h"

#include "codec/group.h"

#include <errno.h>

#define BLOCK 4096u
#define GUARD 64u

static void *context(const struct codec *codec, int level, bool decompress)
{
	static struct {
		void *mem;
		int level;
	} made[CODEC_IDS][2];
	void **mem = &made[codec->id][decompress].mem;
	size_t bytes = decompress ? codec->dctx_size() : codec->cctx_size(level);

	if (*mem && (decompress || made[codec->id][0].level == level))
		return *mem;
	free(*mem);
	*mem = aligned_alloc(64, (bytes + 64) / 64 * 64);
	made[codec->id][decompress].level = level;
	must(*mem);
	must((decompress ? codec->dctx_init(*mem, bytes) : codec->cctx_init(*mem, bytes, level)) == 0);
	return *mem;
}

/* Blocks of their own, so that sanitizers see what is read and written beyond them. */
static void decompress(const struct codec *codec, const uint8_t *bytes, size_t len)
{
	uint8_t *object = malloc(len ? len : 1), *out = malloc(BLOCK + GUARD);
	int r;

	memcpy(object, bytes, len);
	memset(out + BLOCK, 0x77, GUARD);
	r = codec->decompress(context(codec, 0, true), object, len, out, BLOCK);
	must(r == 0 || r == -EIO);
	for (unsigned i = 0; i < GUARD; i++)
		must(out[BLOCK + i] == 0x77);
	free(object);
	free(out);
}

static void there_and_back(const struct codec *codec, int level, const uint8_t *bytes, size_t len)
{
	uint8_t *block = calloc(1, BLOCK), *object = malloc(BLOCK), *out = malloc(BLOCK);
	size_t cap = BLOCK - len % 512, n;

	for (size_t at = 0; len && at < BLOCK; at += len)
		memcpy(block + at, bytes, len < BLOCK - at ? len : BLOCK - at);
	n = codec->compress(context(codec, level, false), level, block, BLOCK, object, cap);
	must(n <= cap);
	if (n) {
		must(codec->decompress(context(codec, level, true), object, n, out, BLOCK) == 0);
		must(memcmp(out, block, BLOCK) == 0);
	}
	free(block);
	free(object);
	free(out);
}

/* ------------------------------------------------------------------ groups */

static void *group_context(const struct codec *codec, bool decompress)
{
	static void *made[CODEC_IDS][2];
	void **mem = &made[codec->id][decompress];
	int level = codec->level_default;
	size_t bytes = decompress ? group_dctx_size(codec) : group_cctx_size(codec, level);

	if (*mem)
		return *mem;
	*mem = aligned_alloc(64, (bytes + 64) / 64 * 64);
	must(*mem);
	must((decompress ? group_dctx_init(codec, *mem, bytes) : group_cctx_init(codec, *mem, bytes, level)) == 0);
	return *mem;
}

/* The input's length says how many blocks there are, and which is wanted. */
static void decompress_group(const struct codec *codec, const uint8_t *bytes, size_t len)
{
	unsigned n = 1 + (unsigned)len % GROUP_BLOCKS, upto = (unsigned)(len / GROUP_BLOCKS) % n;
	uint8_t *group = malloc(len ? len : 1), *out = malloc(n * BLOCK);
	int done;

	memcpy(group, bytes, len);
	done = group_decompress(codec, group_context(codec, true), group, len, out, n, upto);
	must(done == -EIO || (done > (int)upto && done <= (int)n));
	free(group);
	free(out);
}

static void group_there_and_back(const struct codec *codec, const uint8_t *bytes, size_t len)
{
	unsigned n = 1 + (unsigned)len % 4;
	uint8_t *blocks = calloc(n, BLOCK), *group = malloc(n * BLOCK), *out = malloc(n * BLOCK);
	size_t size;

	for (size_t at = 0; len && at < n * BLOCK; at += len)
		memcpy(blocks + at, bytes, len < n * BLOCK - at ? len : n * BLOCK - at);
	size = group_compress(codec, group_context(codec, false), codec->level_default, blocks, n, group, n * BLOCK);
	if (size) {
		must(group_decompress(codec, group_context(codec, true), group, size, out, n, n - 1) == (int)n);
		must(memcmp(out, blocks, n * BLOCK) == 0);
	}
	free(blocks);
	free(group);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = {bytes, len};
	unsigned set_up = (unsigned)take(&input, 1);
	const struct codec *codec = codec_at(set_up % (3 + CODEC_HAS_LZMA));
	int level = codec->level_min + (int)(set_up / 4) % (codec->level_max - codec->level_min + 1);

	/* The highest levels take their time, and have nothing of their own. */
	level = level < 9 ? level : codec->level_default;
	decompress(codec, input.at, input.left < BLOCK ? input.left : BLOCK);
	there_and_back(codec, level, input.at, input.left);
	if (group_is_possible(codec)) {
		decompress_group(codec, input.at, input.left < GROUP_BYTES ? input.left : GROUP_BYTES);
		/* Takes far longer than the rest. */
		if (input.left % 8 == 0)
			group_there_and_back(codec, input.at, input.left);
	}
	return 0;
}

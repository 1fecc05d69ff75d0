/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups: each block comes back, alone and with those before it; limits hold, damage is told, nothing is allocated. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "codec/group.h"
#include "lib/allocations.h"
#include "lib/base.h"
#include "lib/shapes.h"

#define BLOCK SHAPE_BYTES
#define GUARD 64u

struct contexts {
	const struct codec *codec;
	int level;
	void *c, *d;
};

static struct contexts open_contexts(const struct codec *codec, int level)
{
	struct contexts ctx = {.codec = codec, .level = level};
	size_t csize = group_cctx_size(codec, level), dsize = group_dctx_size(codec);

	ctx.c = lend(csize);
	ctx.d = lend(dsize);
	assert_int_equal(group_cctx_init(codec, ctx.c, csize, level), 0);
	assert_int_equal(group_dctx_init(codec, ctx.d, dsize), 0);
	return ctx;
}

static void close_contexts(struct contexts *ctx)
{
	free(ctx->c);
	free(ctx->d);
}

/* Strong levels take most of the time, and what is ours does not depend on the level: short runs do less of the same there. */
static bool is_slow(const struct contexts *ctx)
{
	return test_env("ZSBLK_SHORT") && ctx->level > ctx->codec->level_default;
}

/* In short runs the default level and the two ends. */
static void for_each_level(void (*test)(struct contexts *ctx))
{
	static const int levels[] = {-100, -1, 0, 1, 3, 6, 9, 15, 22};

	for (unsigned i = 0; codec_at(i); i++) {
		const struct codec *codec = codec_at(i);

		for (size_t j = 0; j < COUNT_OF(levels) && group_is_possible(codec); j++) {
			int level = levels[j];

			if (level < codec->level_min || level > codec->level_max ||
			    (test_env("ZSBLK_SHORT") && level != codec->level_min && level != codec->level_default &&
			     level != codec->level_max))
				continue;

			struct contexts ctx = open_contexts(codec, level);

			test(&ctx);
			close_contexts(&ctx);
		}
	}
}

/* Neighbours: blocks of one shape, of all shapes in turn, or anything. */
static void make_blocks(uint8_t *blocks, unsigned n, unsigned kind)
{
	for (unsigned i = 0; i < n; i++)
		shapes[kind < SHAPES ? kind : kind == SHAPES ? i % SHAPES : shape_word() % SHAPES](blocks + i * BLOCK);
}

static void test_which_codecs(void **state)
{
	assert_false(group_is_possible(&codec_lz4));
	assert_false(group_is_possible(&codec_lz4hc));
	assert_true(group_is_possible(&codec_zstd));
	assert_int_equal(codec_by_id(CODEC_LZMA) && group_is_possible(codec_by_id(CODEC_LZMA)), CODEC_HAS_LZMA);
}

static void test_levels_out_of_range(void **state)
{
	for (unsigned i = 0; codec_at(i); i++) {
		const struct codec *codec = codec_at(i);

		if (!group_is_possible(codec))
			continue;

		size_t size = group_cctx_size(codec, codec->level_max);
		void *mem = lend(size);

		assert_int_equal(group_cctx_init(codec, mem, size, codec->level_min - 1), -EINVAL);
		assert_int_equal(group_cctx_init(codec, mem, size, codec->level_max + 1), -EINVAL);
		assert_int_equal(group_cctx_init(codec, mem, size - 1, codec->level_max), -EINVAL);
		assert_int_equal(group_dctx_init(codec, mem, group_dctx_size(codec) - 1), -EINVAL);
		free(mem);
	}
}

/* From and to buffers of exactly the right size, so that sanitizers see a byte too far. */
static int decompress(struct contexts *ctx, const uint8_t *group, size_t len, uint8_t *out, unsigned n, unsigned upto)
{
	uint8_t *src = malloc(len ? len : 1), *dst = malloc(n * BLOCK);
	int done;

	memcpy(src, group, len);
	done = group_decompress(ctx->codec, ctx->d, src, len, dst, n, upto);
	if (done > 0)
		memcpy(out, dst, (size_t)done * BLOCK);
	free(src);
	free(dst);
	if (done != -EIO)
		assert_in_range(done, upto + 1, n);
	return done;
}

static void check_round_trip(struct contexts *ctx, const uint8_t *blocks, unsigned n)
{
	uint8_t group[GROUP_BYTES + 4096], back[GROUP_BYTES];
	size_t size = group_compress(ctx->codec, ctx->c, ctx->level, blocks, n, group, sizeof group);

	assert_in_range(size, 1, sizeof group);
	for (unsigned upto = 0; upto < n; upto += 1 + n / 5) {
		int done = decompress(ctx, group, size, back, n, upto);

		assert_true(done > 0);
		assert_memory_equal(back, blocks, (size_t)done * BLOCK);
	}
	assert_int_equal(decompress(ctx, group, size, back, n, n - 1), n);
	assert_memory_equal(back, blocks, n * BLOCK);
}

static void round_trips(struct contexts *ctx)
{
	uint8_t blocks[GROUP_BYTES];

	for (unsigned n = 1; n <= GROUP_BLOCKS; n += is_slow(ctx) ? GROUP_BLOCKS - 1 : n < 4 ? 1 : 4) {
		for (unsigned kind = 0; kind < SHAPES + 4; kind++) {
			make_blocks(blocks, n, kind);
			check_round_trip(ctx, blocks, n);
		}
	}
}

static void test_round_trips(void **state)
{
	for_each_level(round_trips);
}

/* What a group is for: it takes less than its blocks one by one. */
static void gain(struct contexts *ctx)
{
	uint8_t blocks[GROUP_BYTES], group[GROUP_BOUND], object[2 * BLOCK];
	void *single = lend(ctx->codec->cctx_size(ctx->level));
	size_t size, sum = 0;

	assert_int_equal(ctx->codec->cctx_init(single, ctx->codec->cctx_size(ctx->level), ctx->level), 0);
	for (unsigned i = 0; i < GROUP_BLOCKS; i++) {
		shape_text(blocks + i * BLOCK);
		sum += ctx->codec->compress(single, ctx->level, blocks + i * BLOCK, BLOCK, object, sizeof object);
	}
	free(single);
	size = group_compress(ctx->codec, ctx->c, ctx->level, blocks, GROUP_BLOCKS, group, sizeof group);
	assert_in_range(size, 1, sum - 1);
}

static void test_gain(void **state)
{
	for_each_level(gain);
}

/* Nothing is written beyond the cap, whatever it is; and having failed leaves no trace. */
static void caps(struct contexts *ctx)
{
	uint8_t blocks[GROUP_BYTES], group[GROUP_BYTES], again[GROUP_BYTES + GUARD];

	for (unsigned kind = 0; kind < SHAPES + 1; kind++) {
		make_blocks(blocks, GROUP_BLOCKS, kind);

		size_t size = group_compress(ctx->codec, ctx->c, ctx->level, blocks, GROUP_BLOCKS, group, GROUP_BOUND);

		for (size_t cap = size ? size - 1 : GROUP_BOUND / 2; cap; cap /= is_slow(ctx) ? 60 : 3) {
			memset(again, 0x5a, sizeof again);
			assert_int_equal(
				group_compress(ctx->codec, ctx->c, ctx->level, blocks, GROUP_BLOCKS, again, cap), 0);
			for (size_t i = cap; i < sizeof again; i++)
				assert_int_equal(again[i], 0x5a);
		}
		assert_int_equal(
			group_compress(ctx->codec, ctx->c, ctx->level, blocks, GROUP_BLOCKS, again, GROUP_BOUND), size);
		assert_memory_equal(again, group, size);
	}
}

static void test_caps(void **state)
{
	for_each_level(caps);
}

static void test_incompressible(void **state)
{
	uint8_t blocks[GROUP_BYTES], group[GROUP_BOUND];

	for (unsigned i = 0; i < GROUP_BLOCKS; i++)
		shape_random(blocks + i * BLOCK);
	for (unsigned i = 0; codec_at(i); i++) {
		if (!group_is_possible(codec_at(i)))
			continue;

		struct contexts ctx = open_contexts(codec_at(i), codec_at(i)->level_default);

		assert_int_equal(group_compress(ctx.codec, ctx.c, ctx.level, blocks, GROUP_BLOCKS, group, sizeof group),
				 0);
		close_contexts(&ctx);
	}
}

static void test_numbers_that_cannot_be(void **state)
{
	static uint8_t group[64], out[GROUP_BYTES];

	for (unsigned i = 0; codec_at(i); i++) {
		if (!group_is_possible(codec_at(i)))
			continue;

		struct contexts ctx = open_contexts(codec_at(i), codec_at(i)->level_default);

		assert_int_equal(group_decompress(ctx.codec, ctx.d, group, 0, out, 1, 0), -EIO);
		assert_int_equal(group_decompress(ctx.codec, ctx.d, group, sizeof group, out, 0, 0), -EIO);
		assert_int_equal(group_decompress(ctx.codec, ctx.d, group, sizeof group, out, 1, 1), -EIO);
		assert_int_equal(group_decompress(ctx.codec, ctx.d, group, sizeof group, out, GROUP_BLOCKS + 1, 0),
				 -EIO);
		close_contexts(&ctx);
	}
}

static void damage(struct contexts *ctx)
{
	uint8_t blocks[GROUP_BYTES], group[GROUP_BYTES + 4096], bad[GROUP_BYTES + 4096], out[GROUP_BYTES];

	for (unsigned kind = 0; kind < SHAPES + 1; kind++) {
		make_blocks(blocks, GROUP_BLOCKS, kind);

		size_t size = group_compress(ctx->codec, ctx->c, ctx->level, blocks, GROUP_BLOCKS, group, sizeof group);

		/* All of it in fewer blocks than it has, or in more. */
		assert_int_equal(decompress(ctx, group, size, out, GROUP_BLOCKS - 1, GROUP_BLOCKS - 2), -EIO);
		for (unsigned turn = 0; turn < test_amount(200); turn++) {
			unsigned upto = (unsigned)(shape_word() % GROUP_BLOCKS);

			memcpy(bad, group, size);
			for (uint64_t flips = shape_word() % 4; flips != (uint64_t)-1; flips--)
				bad[shape_word() % size] ^= (uint8_t)(1u << shape_word() % 8);
			decompress(ctx, bad, size, out, GROUP_BLOCKS, upto);
			decompress(ctx, group, shape_word() % size, out, GROUP_BLOCKS, upto);
			assert_int_equal(decompress(ctx, group, size - 1, out, GROUP_BLOCKS, GROUP_BLOCKS - 1), -EIO);
		}
	}
	for (unsigned turn = 0; turn < test_amount(2000); turn++) {
		shape_random(bad);
		decompress(ctx, bad, shape_word() % BLOCK, out, GROUP_BLOCKS, 0);
	}
	/* And the context still works. */
	make_blocks(blocks, GROUP_BLOCKS, SHAPES);
	check_round_trip(ctx, blocks, GROUP_BLOCKS);
}

static void test_damage(void **state)
{
	for (unsigned i = 0; codec_at(i); i++) {
		if (!group_is_possible(codec_at(i)))
			continue;

		struct contexts ctx = open_contexts(codec_at(i), codec_at(i)->level_default);

		damage(&ctx);
		close_contexts(&ctx);
	}
}

static void no_allocation(struct contexts *ctx)
{
	uint8_t blocks[GROUP_BYTES], group[GROUP_BYTES], out[GROUP_BYTES];

	for (unsigned kind = 0; kind < SHAPES + 1; kind++) {
		make_blocks(blocks, GROUP_BLOCKS, kind);

		unsigned long before = allocations;

		for (unsigned turn = 0; turn < (is_slow(ctx) ? 1 : 3); turn++) {
			size_t size = group_compress(ctx->codec, ctx->c, ctx->level, blocks, GROUP_BLOCKS, group,
						     sizeof group);

			group_compress(ctx->codec, ctx->c, ctx->level, blocks, GROUP_BLOCKS, out, 16);
			group_decompress(ctx->codec, ctx->d, group, size, out, GROUP_BLOCKS, turn);
			group[size / 2] ^= 0xff;
			group_decompress(ctx->codec, ctx->d, group, size, out, GROUP_BLOCKS, GROUP_BLOCKS - 1);
		}
		if (allocations != before)
			fail_msg("%s level %d allocates", ctx->codec->name, ctx->level);
	}
}

static void test_no_allocation(void **state)
{
	/* cmocka's skip() reads as a failure in its TAP. */
	if (!allocations_are_counted()) {
		printf("# allocations cannot be counted here\n");
		return;
	}
	for_each_level(no_allocation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_codecs),
		cmocka_unit_test(test_levels_out_of_range),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_gain),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_incompressible),
		cmocka_unit_test(test_numbers_that_cannot_be),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_no_allocation),
	};

	return cmocka_run_group_tests_name("group_codec", tests, NULL, NULL);
}

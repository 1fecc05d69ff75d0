/* SPDX-License-Identifier: BSD-3-Clause */
/* Codecs: what goes in comes out, limits hold to the byte, damage is told, nothing is allocated. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "codec/codec.h"
#include "lib/allocations.h"
#include "lib/base.h"
#include "lib/shapes.h"

#define BLOCK SHAPE_BYTES
#define ROOM  8192u

/* ------------------------------------------------------------------ contexts */

struct contexts {
	const struct codec *codec;
	int level;
	void *c, *d;
};

static struct contexts open_contexts(const struct codec *codec, int level)
{
	struct contexts ctx = {.codec = codec, .level = level};

	ctx.c = lend(codec->cctx_size(level));
	ctx.d = lend(codec->dctx_size());
	assert_int_equal(codec->cctx_init(ctx.c, codec->cctx_size(level), level), 0);
	assert_int_equal(codec->dctx_init(ctx.d, codec->dctx_size()), 0);
	return ctx;
}

static void close_contexts(struct contexts *ctx)
{
	free(ctx->c);
	free(ctx->d);
}

static size_t compress(struct contexts *ctx, const void *src, size_t len, void *dst, size_t cap)
{
	return ctx->codec->compress(ctx->c, ctx->level, src, len, dst, cap);
}

static int decompress(struct contexts *ctx, const void *src, size_t len, void *dst, size_t out)
{
	return ctx->codec->decompress(ctx->d, src, len, dst, out);
}

/* In short runs the default level and the two ends. */
static bool is_wanted(const struct codec *codec, int level)
{
	return !test_env("ZSBLK_SHORT") || level == codec->level_default || level == codec->level_min ||
	       level == codec->level_max;
}

static void for_each_level(void (*test)(struct contexts *ctx))
{
	static const int levels[] = {-100, -20, -5, -1, 0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 19, 22, 100, 256};

	for (unsigned i = 0; codec_at(i); i++) {
		for (size_t j = 0; j < sizeof(levels) / sizeof(levels[0]); j++) {
			const struct codec *codec = codec_at(i);

			if (levels[j] < codec->level_min || levels[j] > codec->level_max ||
			    !is_wanted(codec, levels[j]))
				continue;

			struct contexts ctx = open_contexts(codec, levels[j]);

			test(&ctx);
			close_contexts(&ctx);
		}
	}
}

/* ------------------------------------------------------------------ tests */

static void test_lookup(void **state)
{
	assert_string_equal(codec_at(0)->name, "lz4");
	for (unsigned i = 0; codec_at(i); i++) {
		const struct codec *codec = codec_at(i);

		assert_ptr_equal(codec_by_name(codec->name), codec);
		assert_ptr_equal(codec_by_id(codec->id), codec);
		assert_true(codec->id != CODEC_RAW && codec->id < CODEC_IDS);
		assert_true(codec->level_min <= codec->level_default);
		assert_true(codec->level_default <= codec->level_max);
		/* Such as 1.9.4. */
		assert_true(codec->version()[0] >= '0' && codec->version()[0] <= '9');
		assert_non_null(strchr(codec->version(), '.'));
	}
	assert_null(codec_by_id(CODEC_RAW));
	assert_null(codec_by_id(CODEC_IDS));
	assert_null(codec_by_name("lzo"));
	assert_null(codec_by_name(""));
	assert_null(codec_at(CODEC_HAS_LZMA ? 4 : 3));
}

static void test_levels_out_of_range(void **state)
{
	for (unsigned i = 0; codec_at(i); i++) {
		const struct codec *codec = codec_at(i);
		size_t size = codec->cctx_size(codec->level_max);
		void *mem = lend(size);

		assert_int_equal(codec->cctx_init(mem, size, codec->level_min - 1), -EINVAL);
		assert_int_equal(codec->cctx_init(mem, size, codec->level_max + 1), -EINVAL);
		free(mem);
	}
}

static void check_round_trip(struct contexts *ctx, const uint8_t *src, size_t len)
{
	uint8_t object[ROOM], back[BLOCK + 16];
	size_t size = compress(ctx, src, len, object, sizeof(object));

	assert_in_range(size, 1, sizeof(object));
	memset(back, 0x77, sizeof(back));
	assert_int_equal(decompress(ctx, object, size, back, len), 0);
	assert_memory_equal(back, src, len);
	for (size_t i = len; i < sizeof(back); i++)
		assert_int_equal(back[i], 0x77);
}

static void round_trips(struct contexts *ctx)
{
	uint8_t src[BLOCK];

	for (int turn = 0; turn < 8; turn++) {
		for (size_t i = 0; i < SHAPES; i++) {
			shapes[i](src);
			check_round_trip(ctx, src, BLOCK);
		}
	}
}

static void test_round_trips(void **state)
{
	for_each_level(round_trips);
}

static void short_blocks(struct contexts *ctx)
{
	uint8_t src[BLOCK];

	for (size_t i = 0; i < SHAPES; i++) {
		shapes[i](src);
		for (size_t len = 1; len < BLOCK; len += 1 + len / 7)
			check_round_trip(ctx, src, len);
	}
}

static void test_short_blocks(void **state)
{
	for_each_level(short_blocks);
}

/* Thousands of blocks through one context, in no order: no block leaves a trace in the next one's object. */
static void reuse(struct contexts *ctx)
{
	struct contexts fresh = open_contexts(ctx->codec, ctx->level);
	uint8_t src[BLOCK], object[ROOM], first[SHAPES][ROOM], data[SHAPES][BLOCK];
	size_t size[SHAPES];
	unsigned turns = test_amount(ctx->codec == &codec_lz4 ? 20000 : 500);

	for (size_t i = 0; i < SHAPES; i++) {
		shapes[i](data[i]);
		size[i] = compress(&fresh, data[i], BLOCK, first[i], ROOM);
	}
	for (unsigned turn = 0; turn < turns; turn++) {
		size_t i = shape_word() % SHAPES;

		if (turn % 16 == 0) {
			shapes[i](src);
			check_round_trip(ctx, src, BLOCK);
			continue;
		}
		/* Failing for want of room must leave no trace either. */
		if (turn % 16 == 1)
			compress(ctx, data[i], BLOCK, object, size[i] / 2);
		assert_int_equal(compress(ctx, data[i], BLOCK, object, ROOM), size[i]);
		assert_memory_equal(object, first[i], size[i]);
	}
	close_contexts(&fresh);
}

static void test_reuse(void **state)
{
	for_each_level(reuse);
}

/* The cap holds to the byte: what fits exactly is stored, one byte less is refused, nothing is written beyond. */
static void caps(struct contexts *ctx)
{
	uint8_t src[BLOCK], object[ROOM], again[ROOM];

	for (size_t i = 0; i < SHAPES; i++) {
		shapes[i](src);

		size_t size = compress(ctx, src, BLOCK, object, sizeof(object));
		size_t tight[] = {size, size - 1, size / 2, 1, 0};

		for (size_t j = 0; j < sizeof(tight) / sizeof(tight[0]); j++) {
			size_t cap = tight[j];

			memset(again, 0x5a, sizeof(again));
			assert_int_equal(compress(ctx, src, BLOCK, again, cap), cap >= size ? size : 0);
			for (size_t k = cap; k < sizeof(again); k++)
				assert_int_equal(again[k], 0x5a);
		}
		assert_int_equal(compress(ctx, src, BLOCK, again, size), size);
		assert_memory_equal(again, object, size);
	}
}

static void test_caps(void **state)
{
	for_each_level(caps);
}

/* Decompress from and to buffers of exactly the right size, so that sanitizers see a byte too far. */
static int decompress_exact(struct contexts *ctx, const uint8_t *object, size_t size, size_t out)
{
	uint8_t *src = malloc(size ? size : 1), *dst = malloc(out ? out : 1);

	memcpy(src, object, size);

	int rc = decompress(ctx, src, size, dst, out);

	free(src);
	free(dst);
	assert_true(rc == 0 || rc == -EIO);
	return rc;
}

static void damage(struct contexts *ctx)
{
	uint8_t src[BLOCK], object[ROOM], bad[ROOM] = {0};

	for (size_t i = 0; i < SHAPES; i++) {
		shapes[i](src);

		size_t size = compress(ctx, src, BLOCK, object, sizeof(object));

		/*
		 * The size of what comes out is part of the contract. One byte is a whole zstd
		 * object, and one as long as its block is a raw one.
		 */
		for (size_t out = 0; out < BLOCK; out += 1 + out / 3) {
			if (size > 1 && out != size)
				assert_int_equal(decompress_exact(ctx, object, size, out), -EIO);
		}
		for (int turn = 0; turn < 300; turn++) {
			memcpy(bad, object, size);
			for (uint64_t flips = shape_word() % 4; flips != (uint64_t)-1; flips--)
				bad[shape_word() % size] ^= (uint8_t)(1u << shape_word() % 8);
			decompress_exact(ctx, bad, size, BLOCK);
			/* Shorter, longer. */
			decompress_exact(ctx, object, shape_word() % size, BLOCK);
			decompress_exact(ctx, bad, size + shape_word() % 16, BLOCK);
		}
	}
	for (int turn = 0; turn < 2000; turn++) {
		size_t size = shape_word() % BLOCK;

		shape_random(bad);
		decompress_exact(ctx, bad, size, BLOCK);
		decompress_exact(ctx, bad, shape_word() % 64, BLOCK);
	}
	/* And the context still works. */
	shape_text(src);
	check_round_trip(ctx, src, BLOCK);
}

static void test_damage(void **state)
{
	for (unsigned i = 0; codec_at(i); i++) {
		struct contexts ctx = open_contexts(codec_at(i), codec_at(i)->level_default);

		damage(&ctx);
		close_contexts(&ctx);
	}
}

/* An object of any level is read by any context of its codec, and lz4 and lz4hc read each other's. */
static void test_levels_are_not_needed_to_read(void **state)
{
	uint8_t src[BLOCK], object[ROOM], back[BLOCK];
	struct contexts lz4 = open_contexts(&codec_lz4, 5), hc = open_contexts(&codec_lz4hc, 9);

	shape_text(src);

	size_t size = compress(&hc, src, BLOCK, object, ROOM);

	assert_int_equal(decompress(&lz4, object, size, back, BLOCK), 0);
	assert_memory_equal(back, src, BLOCK);
	close_contexts(&hc);
	close_contexts(&lz4);

	struct contexts fast = open_contexts(&codec_zstd, -50), best = open_contexts(&codec_zstd, 22);

	size = compress(&best, src, BLOCK, object, ROOM);
	assert_int_equal(decompress(&fast, object, size, back, BLOCK), 0);
	assert_memory_equal(back, src, BLOCK);
	close_contexts(&best);
	close_contexts(&fast);
}

static void no_allocation(struct contexts *ctx)
{
	uint8_t src[BLOCK], object[ROOM], back[BLOCK];

	for (size_t i = 0; i < SHAPES; i++) {
		shapes[i](src);

		unsigned long before = allocations;
		size_t size = compress(ctx, src, BLOCK, object, sizeof(object));

		compress(ctx, src, BLOCK, object, 16);
		size = compress(ctx, src, BLOCK, object, sizeof(object));
		decompress(ctx, object, size, back, BLOCK);
		object[size / 2] ^= 0xff;
		decompress(ctx, object, size, back, BLOCK);
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
		cmocka_unit_test(test_lookup),        cmocka_unit_test(test_levels_out_of_range),
		cmocka_unit_test(test_round_trips),   cmocka_unit_test(test_short_blocks),
		cmocka_unit_test(test_reuse),         cmocka_unit_test(test_caps),
		cmocka_unit_test(test_damage),        cmocka_unit_test(test_levels_are_not_needed_to_read),
		cmocka_unit_test(test_no_allocation),
	};

	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}

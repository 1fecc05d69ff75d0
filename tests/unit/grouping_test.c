/* SPDX-License-Identifier: BSD-3-Clause */
/* Making groups: which blocks, what is gained, what wins, what is made anew or taken apart. */
#include "lib/grouping.h"
#include "lib/shm.h"

#include "segment/format.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 3000u

static int set_up(void **state)
{
	return fixture_open(BLOCKS);
}

static int tear_down(void **state)
{
	device_ok(dev);
	return fixture_close(state);
}

static struct zsblk_block look(uint64_t block)
{
	struct zsblk_block found;
	uint64_t next;

	assert_int_equal(zsblk_blocks(dev, block, &found, 1, &next), 1);
	assert_int_equal(found.block, block);
	return found;
}

static void test_one(void **state)
{
	struct zsblk_group_figures figures;
	struct zsblk_stats before, after;

	fill(16);
	before = device_stats(dev);
	figures = make_groups(any);
	after = device_stats(dev);
	assert_int_equal(figures.groups, 1);
	assert_int_equal(figures.blocks, 16);
	assert_int_equal(figures.done, BLOCKS);
	assert_int_equal(figures.total, BLOCKS);
	assert_int_equal(figures.given_up + figures.failed, 0);
	assert_int_equal(after.groups, 1);
	assert_int_equal(after.group_blocks, 16);
	assert_int_equal(after.blocks_stored, before.blocks_stored);
	assert_int_equal(after.orig_data_size, before.orig_data_size);
	assert_int_equal(after.compr_data_size, after.group_bytes);
	assert_true(after.compr_data_size < before.compr_data_size);
	assert_int_equal(look(3).state, ZSBLK_BLOCK_COLD);
	assert_string_equal(look(3).algorithm, "zstd");
	assert_int_equal(look(3).size, after.group_bytes / 16);
	compare(16);
	after = device_stats(dev);
	assert_int_equal(after.cold_reads, 16);
	assert_int_equal(after.cold_decodes, 1);
}

/* ------------------------------------------------------------------ which blocks */

static void test_range(void **state)
{
	fill(100);
	assert_int_equal(make_groups((struct zsblk_group_what){.first = 10, .blocks = 40}).blocks, 40);
	assert_int_equal(look(9).state, ZSBLK_BLOCK_COMPRESSED);
	assert_int_equal(look(10).state, ZSBLK_BLOCK_COLD);
	assert_int_equal(look(49).state, ZSBLK_BLOCK_COLD);
	assert_int_equal(look(50).state, ZSBLK_BLOCK_COMPRESSED);
	assert_int_equal(make_groups((struct zsblk_group_what){.max_groups = 2}).groups, 2);
	assert_int_equal(make_groups(any).groups, 2);
	assert_int_equal(make_groups(any).groups, 0);
	compare(100);
}

/* The device ends before the range by now. */
static void test_range_is_gone(void **state)
{
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	bool more = true;

	fill(32);
	job = begin(&(struct zsblk_group_what){.first = 1000});
	must(zsblk_resize(dev, AT(32), &why) == 0);
	for (unsigned steps = 0; more; steps++) {
		must(zsblk_group_step(job, &figures, &more) == 0);
		assert_int_equal(figures.done, 0);
		assert_int_equal(figures.total, 0);
		assert_true(steps < 10);
	}
	zsblk_group_end(job);
	compare(32);
}

/* Blocks far from each other are in different groups, and one alone is in none. */
static void test_span(void **state)
{
	for (unsigned i = 0; i < 8; i++)
		device_put(dev, i * 9, BLOCK_TEXT, i);
	device_put(dev, 1000, BLOCK_TEXT, 8);
	assert_int_equal(make_groups(any).groups, 1);
	assert_int_equal(device_stats(dev).group_blocks, 8);
	assert_int_equal(look(63).state, ZSBLK_BLOCK_COLD);
	assert_int_equal(look(1000).state, ZSBLK_BLOCK_COMPRESSED);
	device_put(dev, 72, BLOCK_TEXT, 9);
	device_put(dev, 1064, BLOCK_TEXT, 9);
	assert_int_equal(make_groups(any).groups, 0);
}

/* No block is younger than what was asked for, and none becomes younger. */
static void test_ages(void **state)
{
	uint64_t seconds, marked;
	bool idle;

	fill(32);
	must(ages_add_pages(&dev->ages, 0, 1) == 0);
	for (unsigned i = 0; i < 16; i++)
		dev->ages.bytes[i] = 30;
	must(zsblk_mark_idle(dev, 10, &marked) == 0);
	assert_int_equal(make_groups((struct zsblk_group_what){.older_than_s = ages_least(30) + 1}).groups, 0);
	assert_int_equal(make_groups((struct zsblk_group_what){.older_than_s = ages_least(30)}).blocks, 16);
	assert_int_equal(look(15).state, ZSBLK_BLOCK_COLD);
	assert_int_equal(look(16).state, ZSBLK_BLOCK_COMPRESSED);
	assert_true(ages_look(&dev->ages, 3, &seconds, &idle) && idle && seconds >= ages_least(30));
	/* Blocks in groups can be marked as others can. */
	assert_true(device_has(dev, 3, BLOCK_TEXT, 3));
	assert_true(ages_look(&dev->ages, 3, &seconds, &idle) && !idle && seconds == 0);
	must(zsblk_mark_idle(dev, 0, &marked) == 0);
	assert_int_equal(marked, 17);
}

/* What gains nothing stays as it is, and is not tried again until it changes. */
static void test_no_gain(void **state)
{
	struct zsblk_group_figures figures;

	for (unsigned i = 0; i < 32; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	for (unsigned i = 32; i < 64; i++)
		device_put(dev, i, i % 2 ? BLOCK_SAME64 : BLOCK_SAME32, i);
	figures = make_groups(any);
	assert_int_equal(figures.groups, 0);
	assert_int_equal(figures.given_up, 32);
	assert_int_equal(make_groups(any).given_up, 0);
	for (unsigned i = 0; i < 8; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	assert_int_equal(make_groups(any).blocks, 8);
	for (unsigned i = 0; i < 8; i++)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
	for (unsigned i = 8; i < 32; i++)
		assert_true(device_has(dev, i, BLOCK_NOISE, i));
}

/* What was written anew is tried anew: the notes on the blocks before are not taken for notes on these. */
static void test_no_gain_before(void **state)
{
	for (unsigned i = 0; i < 512; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	assert_int_equal(make_groups(any).given_up, 512);
	for (unsigned i = 0; i < 512; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	assert_int_equal(make_groups(any).blocks, 512);
}

/* Small blocks: the entry of a group can cost more than what they have in common. */
static void test_small_gain(void **state)
{
	struct zsblk_group_figures figures;
	unsigned groups = 0, rounds = 0;
	uint8_t data[BLOCK_BYTES] = {0};
	uint64_t random = 1;

	must(zsblk_set_algorithm(dev, "zstd", false, 0, &why) == 0);
	for (unsigned i = 1; i < 100; i++, rounds++) {
		for (unsigned block = 0; block < 2; block++) {
			memset(data, 0, sizeof data);
			for (unsigned n = 0; n < i; n++)
				data[n * 16] = (uint8_t)random_next(&random);
			must(zsblk_write(dev, data, BLOCK_BYTES, AT(block)) == 0);
		}
		figures = make_groups(any);
		groups += (unsigned)figures.groups;
		assert_true(figures.groups ? (int64_t)figures.bytes_saved > 0 : !figures.bytes_saved);
	}
	assert_true(groups && groups < rounds);
}

/* Counting ends where that was asked for, and does not need what the first job makes. */
static void test_count(void **state)
{
	assert_int_equal(count_groups(&any, UINT64_MAX), 0);
	fill(100);
	device_put(dev, 2000, BLOCK_TEXT, 1);
	device_put(dev, 2500, BLOCK_SAME64, 1);
	assert_int_equal(count_groups(&any, UINT64_MAX), 7);
	assert_int_equal(count_groups(&any, 3), 3);
	assert_int_equal(count_groups(&any, 0), 0);
	assert_int_equal(count_groups(&(struct zsblk_group_what){.first = 10, .blocks = 40}, 100), 3);
	assert_int_equal(count_groups(&(struct zsblk_group_what){.first = 2000}, 100), 0);
	assert_int_equal(count_groups(&(struct zsblk_group_what){.older_than_s = 3600}, 100), 0);
	assert_int_equal(device_stats(dev).groups, 0);
	assert_int_equal(make_groups(any).groups, 7);
}

/* ------------------------------------------------------------------ what happens to blocks in groups */

static void test_written(void **state)
{
	uint8_t data[3 * BLOCK_BYTES], want[BLOCK_BYTES];

	fill(16);
	make_groups(any);
	/* All of a block, a part of one, the middle of three. */
	device_put(dev, 0, BLOCK_NOISE, 7);
	memset(data, 'x', sizeof data);
	assert_int_equal(zsblk_write(dev, data, 100, AT(5) + 300), 0);
	assert_int_equal(zsblk_write(dev, data, 2 * BLOCK_BYTES, AT(9) + 2000), 0);
	assert_int_equal(zsblk_write_zeroes(dev, 50, AT(13)), 0);
	assert_int_equal(zsblk_discard(dev, BLOCK_BYTES, AT(14)), 0);
	assert_int_equal(device_stats(dev).group_blocks, 16 - 7);
	assert_true(device_has(dev, 0, BLOCK_NOISE, 7));
	for (unsigned i = 1; i < 16; i++) {
		uint8_t got[BLOCK_BYTES];

		block_make(want, i == 14 ? BLOCK_ZERO : BLOCK_TEXT, i);
		if (i == 5)
			memset(want + 300, 'x', 100);
		if (i == 9)
			memset(want + 2000, 'x', BLOCK_BYTES - 2000);
		if (i == 10)
			memset(want, 'x', BLOCK_BYTES);
		if (i == 11)
			memset(want, 'x', 2000);
		if (i == 13)
			memset(want, 0, 50);
		must(zsblk_read(dev, got, BLOCK_BYTES, AT(i)) == 0);
		assert_memory_equal(got, want, BLOCK_BYTES);
	}
	device_ok(dev);
}

/* Any bytes of any block, in any order. */
static void test_parts(void **state)
{
	static uint8_t want[16 * BLOCK_BYTES], got[16 * BLOCK_BYTES];
	uint64_t random = test_seed("parts");

	fill(16);
	for (unsigned i = 0; i < 16; i++)
		block_make(want + i * BLOCK_BYTES, BLOCK_TEXT, i);
	make_groups(any);
	for (unsigned i = 0; i < 500; i++) {
		uint64_t len = 1 + random_below(&random, 9000), at = random_below(&random, sizeof want - len);

		must(zsblk_read(dev, got, len, at) == 0);
		assert_memory_equal(got, want + at, len);
	}
	assert_int_equal(device_stats(dev).group_blocks, 16);
}

/* The last block that leaves frees the group; the segment says so when the work has ended. */
static void test_last_one_leaves(void **state)
{
	fill(32);
	make_groups(any);
	assert_int_equal(device_stats(dev).groups, 2);
	assert_true(dev->layout.features.incompatible & SUPER_HAS_SHARED);
	must(zsblk_discard(dev, 15 * BLOCK_BYTES, 0) == 0);
	assert_int_equal(device_stats(dev).groups, 2);
	must(zsblk_discard(dev, BLOCK_BYTES, AT(15)) == 0);
	assert_int_equal(device_stats(dev).groups, 1);
	zsblk_reset(dev);
	assert_int_equal(device_stats(dev).groups, 0);
	assert_int_equal(device_stats(dev).group_bytes, 0);
	assert_int_equal(device_stats(dev).mem_used_total, 0);
	make_groups(any);
	assert_int_equal(dev->layout.features.incompatible, 0);
	fill(16);
	assert_int_equal(make_groups(any).groups, 1);
}

/* ------------------------------------------------------------------ groups of groups */

static void test_left_over(void **state)
{
	fill(64);
	make_groups(any);
	assert_int_equal(device_stats(dev).groups, 4);
	/* 9 of 16 are left: nothing is to be done. */
	must(zsblk_discard(dev, 7 * BLOCK_BYTES, 0) == 0);
	assert_int_equal(make_groups(any).groups, 0);
	/* What is left of all four becomes one. */
	for (unsigned i = 0; i < 4; i++)
		must(zsblk_discard(dev, 12 * BLOCK_BYTES, AT(16 * i)) == 0);
	assert_int_equal(make_groups(any).blocks, 16);
	assert_int_equal(device_stats(dev).groups, 1);
	assert_int_equal(device_stats(dev).regrouped, 16);
	for (unsigned i = 0; i < 64; i++)
		if (i % 16 >= 12)
			assert_true(device_has(dev, i, BLOCK_TEXT, i));
}

/* A single block is what is left of a group: it becomes an object of its own. */
static void test_taken_apart(void **state)
{
	fill(16);
	make_groups(any);
	must(zsblk_discard(dev, 15 * BLOCK_BYTES, AT(1)) == 0);
	make_groups(any);
	assert_int_equal(device_stats(dev).groups, 0);
	assert_int_equal(device_stats(dev).regrouped, 1);
	assert_int_equal(look(0).state, ZSBLK_BLOCK_COMPRESSED);
	assert_true(device_has(dev, 0, BLOCK_TEXT, 0));
}

/* ------------------------------------------------------------------ the next server */

static void test_opened_again(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_stats before, after;

	zsblk_close(dev);
	params.memory = shm->memory;
	dev = device_open(&params);
	fill(320);
	make_groups(any);
	must(zsblk_discard(dev, 10 * BLOCK_BYTES, AT(20)) == 0);
	before = device_stats(dev);
	for (unsigned i = 0; i < 2; i++) {
		zsblk_close(dev);
		dev = device_open(&params);
		after = device_stats(dev);
		assert_int_equal(after.groups, before.groups);
		assert_int_equal(after.group_blocks, before.group_blocks);
		assert_int_equal(after.group_bytes, before.group_bytes);
		assert_int_equal(after.compr_data_size, before.compr_data_size);
		for (unsigned b = 0; b < 320; b++)
			assert_true(device_has(dev, b, b >= 20 && b < 30 ? BLOCK_ZERO : BLOCK_TEXT, b));
		device_ok(dev);
	}
	/* Without groups, it is as if there had been none. */
	zsblk_reset(dev);
	zsblk_close(dev);
	dev = device_open(&params);
	assert_int_equal(dev->layout.features.incompatible, 0);
	zsblk_close(dev);
	dev = device_open(&params);
	assert_null(dev->groups);
	zsblk_close(dev);
	params.memory = "anon";
	dev = device_open(&params);
	test_shm_remove(shm);
}

/* ------------------------------------------------------------------ beside others */

static void test_one_at_a_time(void **state)
{
	const struct zsblk_recompress all = {.type = ZSBLK_RECOMPRESS_ALL};
	struct zsblk_recompression *recompression;
	struct zsblk_grouping *job = begin(&any), *other;

	assert_int_equal(zsblk_group_begin(dev, &any, &other, &why), -EBUSY);
	assert_null(other);
	assert_int_equal(zsblk_recompress_begin(dev, &all, &recompression, &why), -EBUSY);
	zsblk_group_end(job);
	assert_int_equal(zsblk_recompress_begin(dev, &all, &recompression, &why), 0);
	assert_int_equal(zsblk_group_begin(dev, &any, &other, &why), -EBUSY);
	zsblk_recompress_end(recompression);
	zsblk_group_end(NULL);
}

static void test_refused(void **state)
{
	const struct {
		struct zsblk_group_what what;
		const char *text;
	} wrong[] = {
		{{.algorithm = "lz4"}, "lz4"},
		{{.algorithm = "none"}, "none"},
		{{.has_level = true, .level = 99}, "99"},
		{{.first = BLOCKS + 1}, "first=3001"},
		{{.first = 1, .blocks = BLOCKS}, "blocks=3000"},
		{{.blocks = UINT64_MAX}, "blocks"},
	};
	uint64_t max_blocks = dev->layout.max_blocks;
	struct zsblk_grouping *job;

	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		assert_int_equal(zsblk_group_begin(dev, &wrong[i].what, &job, &why), -EINVAL);
		assert_null(job);
		assert_non_null(strstr(why.text, wrong[i].text));
	}
	/* As in a segment of format 1. */
	dev->layout.max_blocks = dev->table.n;
	assert_int_equal(zsblk_group_begin(dev, &any, &job, &why), -ENOTSUP);
	dev->layout.max_blocks = max_blocks;
	assert_non_null(strstr(why.text, "no room for groups"));
	assert_null(dev->groups);
}

/* Stands for the codec of a job: blocks are written while they are compressed. */
static unsigned written;

static size_t write_and_compress(void *cctx, int level, const void *src, size_t len, void *dst, size_t cap)
{
	for (unsigned i = 0; i < written; i++)
		device_put(dev, i, BLOCK_TEXT, 1000 + i);
	return zstd_group_ops.compress(cctx, level, src, len, dst, cap);
}

/* What is counted as saved is what the blocks have given up that came into the group. */
static void test_writers_win(void **state)
{
	struct group_ops ops = zstd_group_ops;
	struct codec codec = *codec_by_id(CODEC_ZSTD);

	ops.compress = write_and_compress;
	codec.group = &ops;
	for (written = 1; written <= 16; written++) {
		struct zsblk_group_figures figures;
		struct zsblk_grouping *job;

		fill(16);
		job = begin(&any);
		job->codec = &codec;
		figures = finish(job);
		assert_int_equal(figures.blocks, 16 - written);
		assert_int_equal(figures.groups, written < 16);
		assert_int_equal(device_stats(dev).groups, written < 16);
		/* A block by itself took no more than 4096 bytes and 12 of the pool's. */
		assert_true(figures.bytes_saved <= figures.blocks * (BLOCK_BYTES + 12));
		assert_true(written < 15 || !figures.bytes_saved);
	}
}

/* A block without neighbours is not even looked into: each job would do that anew. */
static void test_single(void **state)
{
	uint64_t word;

	device_put(dev, 1000, BLOCK_TEXT, 1);
	word = table_load(&dev->table, 1000);
	memset(zs_core_address(dev->core, sector_loc(dev, word)), 0xff, sector_object_bytes(word));
	assert_int_equal(make_groups(any).failed, 0);
	/* Beside another one it is. */
	device_put(dev, 1001, BLOCK_TEXT, 2);
	assert_int_equal(make_groups(any).failed, 1);
	device_put(dev, 1000, BLOCK_TEXT, 1);
}

/* Readers and writers beside the making: what was written is there. */
static atomic_bool stop;

static void *write_and_read(void *opaque)
{
	uint64_t random = (uintptr_t)opaque, first = (uintptr_t)opaque % 3 * 100;
	unsigned tags[100] = {0};

	for (unsigned i = 0; i < 100; i++)
		device_put(dev, first + i, BLOCK_TEXT, 0);
	while (!atomic_load(&stop)) {
		unsigned i = (unsigned)random_below(&random, 100);

		if (random_below(&random, 4) == 0)
			device_put(dev, first + i, BLOCK_TEXT, tags[i] = (unsigned)random_below(&random, 1000));
		must(device_has(dev, first + i, BLOCK_TEXT, tags[i]));
	}
	return NULL;
}

static void test_beside_requests(void **state)
{
	uint64_t blocks = 0;
	pthread_t threads[3];

	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, write_and_read, (void *)(i + 3));
	for (unsigned i = 0; i < test_amount(40) || !blocks; i++) {
		(void)count_groups(&any, UINT64_MAX);
		blocks += finish(begin(&any)).blocks;
		if (i % 4 == 0)
			zsblk_compact(dev);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_one),         TEST(test_range),           TEST(test_span),
		TEST(test_ages),        TEST(test_no_gain),         TEST(test_no_gain_before),
		TEST(test_small_gain),  TEST(test_count),           TEST(test_written),
		TEST(test_parts),       TEST(test_last_one_leaves), TEST(test_left_over),
		TEST(test_taken_apart), TEST(test_opened_again),    TEST(test_one_at_a_time),
		TEST(test_refused),     TEST(test_range_is_gone),   TEST(test_writers_win),
		TEST(test_single),      TEST(test_beside_requests),
	};

	return cmocka_run_group_tests_name("grouping", tests, NULL, NULL);
}

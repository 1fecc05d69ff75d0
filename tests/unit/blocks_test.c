/* SPDX-License-Identifier: BSD-3-Clause */
/* How blocks are stored, as people are told: each kind, ranges, pages that were never written, and beside requests. */
#include "lib/device.h"
#include "lib/test.h"

#include "engine/sector.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 300000u

static struct zsblk *dev;
static struct zsblk_block blocks[64];
static uint64_t next;

static int set_up(void **state)
{
	dev = device_new(BLOCKS);
	return 0;
}

static int tear_down(void **state)
{
	zsblk_close(dev);
	return 0;
}

static const struct zsblk_block *look_at(uint64_t block)
{
	assert_int_equal(zsblk_blocks(dev, block, blocks, 1, &next), 1);
	assert_int_equal(blocks[0].block, block);
	assert_int_equal(next, block + 1);
	return &blocks[0];
}

static void test_each_kind(void **state)
{
	const struct zsblk_block *found;

	for (unsigned kind = 0; kind < BLOCK_KINDS; kind++)
		device_put(dev, 10 + kind, (enum block_kind)kind, 1);
	assert_int_equal(zsblk_blocks(dev, 0, blocks, 64, &next), BLOCK_KINDS - 1);
	assert_int_equal(next, BLOCKS);
	found = look_at(10 + BLOCK_SAME32);
	assert_int_equal(found->state, ZSBLK_BLOCK_SAME);
	assert_null(found->algorithm);
	assert_int_equal(found->size, 0);
	assert_int_equal(found->stored, 0);
	found = look_at(10 + BLOCK_SAME64);
	assert_int_equal(found->state, ZSBLK_BLOCK_SAME);
	assert_int_equal(found->size, 8);
	assert_true(found->stored >= 8);
	found = look_at(10 + BLOCK_NOISE);
	assert_int_equal(found->state, ZSBLK_BLOCK_RAW);
	assert_null(found->algorithm);
	assert_int_equal(found->size, BLOCK_BYTES);
	assert_int_equal(found->stored, BLOCK_BYTES);
	found = look_at(10 + BLOCK_TEXT);
	assert_int_equal(found->state, ZSBLK_BLOCK_COMPRESSED);
	assert_string_equal(found->algorithm, "lz4");
	assert_true(found->size > 1000 && found->size <= found->stored && found->stored < found->size + 64);
	assert_false(found->tried);
	assert_int_equal(zsblk_set_algorithm(dev, "zstd", false, 0, NULL), 0);
	device_put(dev, 10 + BLOCK_TEXT, BLOCK_TEXT, 1);
	assert_string_equal(look_at(10 + BLOCK_TEXT)->algorithm, "zstd");
}

static void test_tried(void **state)
{
	device_put(dev, 5, BLOCK_TEXT, 1);
	table_store(&dev->table, 5, table_load(&dev->table, 5) | UINT64_C(1) << WORD_TRIED_SHIFT);
	assert_true(look_at(5)->tried);
	/* A mark is nobody's business. */
	table_store(&dev->table, 5, word_mark(table_load(&dev->table, 5)));
	assert_true(look_at(5)->tried);
	assert_int_equal(look_at(5)->state, ZSBLK_BLOCK_COMPRESSED);
}

static void test_ranges(void **state)
{
	for (unsigned block = 100; block < 300; block += 2)
		device_put(dev, block, BLOCK_SAME32, block);
	device_put(dev, BLOCKS - 1, BLOCK_TEXT, 1);
	assert_int_equal(zsblk_blocks(dev, 0, blocks, 10, &next), 10);
	assert_int_equal(blocks[9].block, 118);
	assert_int_equal(next, 119);
	assert_int_equal(zsblk_blocks(dev, next, blocks, 64, &next), 64);
	assert_int_equal(blocks[0].block, 120);
	assert_int_equal(zsblk_blocks(dev, next, blocks, 64, &next), 27);
	assert_int_equal(blocks[26].block, BLOCKS - 1);
	assert_int_equal(next, BLOCKS);
	assert_int_equal(zsblk_blocks(dev, next, blocks, 64, &next), 0);
	assert_int_equal(next, BLOCKS);
	assert_int_equal(zsblk_blocks(dev, UINT64_MAX, blocks, 64, &next), 0);
	assert_int_equal(next, BLOCKS);
	assert_int_equal(zsblk_blocks(dev, 100, blocks, 0, &next), 0);
	assert_int_equal(next, 100);
}

/* Looking brings no page of the table into memory, and a call is bounded where many words are empty. */
static void test_bounded(void **state)
{
	uint64_t before = device_stats(dev).metadata_bytes;
	unsigned calls = 0;

	assert_int_equal(zsblk_blocks(dev, 0, blocks, 64, &next), 0);
	assert_int_equal(next, BLOCKS);
	assert_int_equal(device_stats(dev).metadata_bytes, before);
	for (unsigned block = 0; block < BLOCKS; block += TABLE_PAGE_WORDS)
		device_put(dev, block, BLOCK_SAME32, 1);
	must(zsblk_discard(dev, BLOCKS * (uint64_t)BLOCK_BYTES, 0) == 0);
	for (next = 0; next < BLOCKS; calls++)
		assert_int_equal(zsblk_blocks(dev, next, blocks, 64, &next), 0);
	assert_int_equal(calls, BLOCKS / 65536 + 1);
}

/* ------------------------------------------------------------------ beside requests */

static atomic_bool stop;

static void *write_any(void *opaque)
{
	uint64_t random = 1;

	while (!atomic_load(&stop))
		device_put(dev, random_below(&random, 100), (enum block_kind)random_below(&random, BLOCK_KINDS),
			   random_next(&random));
	return NULL;
}

static void test_beside_requests(void **state)
{
	pthread_t thread;

	pthread_create(&thread, NULL, write_any, NULL);
	for (unsigned i = 0; i < test_amount(20000); i++) {
		unsigned n = zsblk_blocks(dev, i % 100, blocks, 64, &next);

		for (unsigned at = 0; at < n; at++) {
			const struct zsblk_block *found = &blocks[at];

			must(found->block >= i % 100 && found->block < next);
			must(!at || found->block > blocks[at - 1].block);
			must(found->size <= found->stored && found->stored <= BLOCK_BYTES);
			must((found->state == ZSBLK_BLOCK_COMPRESSED) == (found->algorithm != NULL));
		}
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

/*
 * Who looks is no part of the way of a request, and may be of a lower priority: a block that it held still while others have the processor
 * would keep requests waiting. So it holds none. figures_test.c has the same of the allocator.
 */
static void test_holds_nothing(void **state)
{
	static struct zsblk_latency latency;
	struct zsblk_stats stats;

	if (RUNNING_UNDER_TSAN)
		SKIP_BECAUSE("ThreadSanitizer keeps account of 64 locks at most");
	for (unsigned kind = 0; kind < BLOCK_KINDS; kind++)
		device_put(dev, kind, (enum block_kind)kind, 1);
	for (size_t i = 0; i < dev->stripes.n; i++)
		pthread_mutex_lock(&dev->stripes.all[i].lock);
	assert_int_equal(zsblk_blocks(dev, 0, blocks, 64, &next), BLOCK_KINDS - 1);
	zsblk_get_stats(dev, &stats);
	zsblk_get_latency(dev, ZSBLK_LATENCY_WRITE, &latency);
	for (size_t i = 0; i < dev->stripes.n; i++)
		pthread_mutex_unlock(&dev->stripes.all[i].lock);
	assert_true(stats.blocks_stored > 0);
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_each_kind), WITH_DEVICE(test_tried),           WITH_DEVICE(test_ranges),
		WITH_DEVICE(test_bounded),   WITH_DEVICE(test_beside_requests), WITH_DEVICE(test_holds_nothing),
	};

	if (sizeof(void *) < 8) {
		puts("1..0 # SKIP the device takes more addresses than there are");
		return 0;
	}
	return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Recompression where there is little room: a full device, and a reserve that nobody refills. */
#include "lib/recompress.h"
#include "lib/zoneinfo.h"

#include "engine/recompress.h"

#include <inttypes.h>
#include <unistd.h>

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

/* Of many sizes. */
static void make_sizes(uint8_t *data, uint64_t block)
{
	make_nibbles(data, block);
	memset(data, 'x', block * 37 % 3500);
}

/* A device that is full gains as well, and takes writes again. */
static void test_full(void **state)
{
	uint8_t data[BLOCK_BYTES];
	uint64_t block, limit = 2 << 20, before;
	struct zsblk_recompress_figures figures;
	struct zsblk_recompression *job;
	bool more = true;

	zsblk_close(dev);
	params.mem_limit = limit;
	dev = device_open(&params);
	upkeep_stop(dev);
	for (block = 0; block < BLOCKS; block++) {
		make_sizes(data, block);
		if (zsblk_write(dev, data, BLOCK_BYTES, AT(block)))
			break;
	}
	assert_true(block > 500 && block < BLOCKS);
	before = device_stats(dev).mem_used_total;
	job = begin(&all);
	while (more) {
		must(zsblk_recompress_step(job, &figures, &more) == 0);
		assert_true(device_stats(dev).mem_used_total <= limit + ROOM_BEYOND * BLOCK_BYTES);
	}
	zsblk_recompress_end(job);
	zsblk_compact(dev);
	print_message("# full with %" PRIu64 " blocks: %" PRIu64 " tried, %" PRIu64 " recompressed, %" PRIu64
		      " failed; %" PRIu64 " bytes, then %" PRIu64 "\n",
		      block, figures.tried, figures.recompressed, figures.failed, before,
		      device_stats(dev).mem_used_total);
	assert_int_equal(figures.tried, block);
	assert_true(figures.recompressed > block * 9 / 10);
	assert_true(device_stats(dev).mem_used_total < before * 3 / 4);
	assert_int_equal(zsblk_write(dev, data, BLOCK_BYTES, AT(block)), 0);
	for (uint64_t i = 0; i < block; i++) {
		uint8_t got[BLOCK_BYTES];

		make_sizes(data, i);
		must(zsblk_read(dev, got, BLOCK_BYTES, AT(i)) == 0);
		assert_memory_equal(got, data, BLOCK_BYTES);
	}
}

/*
 * All pages that the limit allows have one block each, so that no class has room, and compaction finds nothing. The first new
 * object needs a page beyond the limit, and gives one back.
 */
static void test_full_of_raw_blocks(void **state)
{
	uint64_t block = 0, limit = 2 << 20;
	struct zsblk_recompress_figures figures;
	uint8_t data[BLOCK_BYTES];

	zsblk_close(dev);
	params.mem_limit = limit;
	dev = device_open(&params);
	make_nibbles(data, block);
	while (zsblk_write(dev, data, BLOCK_BYTES, AT(block)) == 0)
		make_nibbles(data, ++block);
	assert_int_equal(block * BLOCK_BYTES, limit);
	figures = recompress((struct zsblk_recompress){.type = ZSBLK_RECOMPRESS_HUGE});
	assert_int_equal(figures.recompressed, block);
	assert_int_equal(figures.failed, 0);
	assert_true(device_stats(dev).mem_used_total < limit * 3 / 4);
	for (uint64_t i = 0; i < block; i++)
		assert_true(has_nibbles(i));
}

/* A limit that was lowered below what is stored. */
static void test_above_limit(void **state)
{
	struct zsblk_recompress_figures figures;
	uint8_t data[BLOCK_BYTES];
	uint64_t before;

	upkeep_stop(dev);
	for (uint64_t block = 0; block < BLOCKS; block++) {
		make_sizes(data, block);
		must(zsblk_write(dev, data, BLOCK_BYTES, AT(block)) == 0);
	}
	before = device_stats(dev).mem_used_total;
	zsblk_set_mem_limit(dev, before / 4);
	figures = recompress(all);
	assert_true(figures.recompressed > BLOCKS * 9 / 10);
	assert_int_equal(figures.failed, 0);
	assert_true(device_stats(dev).mem_used_max <= before + ROOM_BEYOND * BLOCK_BYTES);
	zsblk_compact(dev);
	assert_true(device_stats(dev).mem_used_total < before * 3 / 4);
}

/* A device that has its reserve, and from now on no thread that refills it. */
static void open_with_reserve(uint64_t reserve, unsigned blocks)
{
	uint8_t data[BLOCK_BYTES];

	zsblk_close(dev);
	params.reserve = reserve;
	dev = device_open(&params);
	for (unsigned block = 0; block < blocks; block++) {
		make_sizes(data, block);
		must(zsblk_write(dev, data, BLOCK_BYTES, AT(block)) == 0);
	}
	for (unsigned i = 0; i < 60000 && runs_hot_free(dev->runs) * BLOCK_BYTES < reserve; i++)
		usleep(1000);
	upkeep_stop(dev);
}

/* The least of the reserve that is left while everything is recompressed. */
static uint64_t least_left(struct zsblk_recompress_figures *figures, unsigned free_pages)
{
	struct zsblk_recompression *job = begin(&all);
	uint64_t least = UINT64_MAX;
	bool more = true;

	zoneinfo_set_free(&job->room.spare, free_pages);
	while (more) {
		uint64_t left;

		must(zsblk_recompress_step(job, figures, &more) == 0);
		left = runs_hot_free(dev->runs) * BLOCK_BYTES;
		least = left < least ? left : least;
	}
	zsblk_recompress_end(job);
	return least;
}

/* Nobody refills the reserve while the system has no memory to spare: most of it stays for requests. */
static void test_leaves_reserve(void **state)
{
	const uint64_t reserve = 2 << 20;
	struct zsblk_recompress_figures figures;
	uint64_t least;

	open_with_reserve(reserve, BLOCKS);
	least = least_left(&figures, 0);
	print_message("# reserve %" PRIu64 ": %" PRIu64 " tried, %" PRIu64 " recompressed, %" PRIu64 " failed; %" PRIu64
		      " were left\n",
		      reserve, figures.tried, figures.recompressed, figures.failed, least);
	assert_true(least >= reserve / 4);
	assert_int_equal(figures.tried, BLOCKS);
	assert_int_equal(figures.failed, 0);
	assert_true(figures.recompressed > BLOCKS * 9 / 10);
}

/* Requests have used it up already: no block is tried, unless there is memory to spare. */
static void test_without_reserve(void **state)
{
	const uint64_t reserve = 2 << 20;
	struct zsblk_recompress_figures figures;

	open_with_reserve(reserve, 500);
	/* So that compaction finds no page. */
	zsblk_compact(dev);
	for (unsigned block = BLOCKS - 1; runs_hot_free(dev->runs) * BLOCK_BYTES >= reserve / 8; block--)
		device_put(dev, block, BLOCK_NOISE, block);
	least_left(&figures, 0);
	assert_int_equal(figures.recompressed, 0);
	assert_int_equal(figures.failed, figures.tried);
	assert_true(figures.tried > 500);
	least_left(&figures, 100000);
	assert_true(figures.recompressed > 400);
	assert_int_equal(figures.failed, 0);
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_full),           WITH_DEVICE(test_full_of_raw_blocks), WITH_DEVICE(test_above_limit),
		WITH_DEVICE(test_leaves_reserve), WITH_DEVICE(test_without_reserve),
	};

	return cmocka_run_group_tests_name("recompress_room", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Statistics in zram's terms, against ground truth. */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/sector.h"

#include <pthread.h>
#include <sched.h>

#define BLOCKS 2000u

static struct zsblk *dev;

static int set_up(void **state)
{
	dev = device_new(BLOCKS);
	return 0;
}

static int tear_down(void **state)
{
	device_ok(dev);
	zsblk_close(dev);
	return 0;
}

static void test_all_zero_at_first(void **state)
{
	struct zsblk_stats stats = device_stats(dev);

	stats.metadata_bytes = 0;
	assert_memory_equal(&stats, &(struct zsblk_stats){0}, sizeof stats);
}

/* What each kind of block adds. */
static void test_kinds(void **state)
{
	struct zsblk_stats stats;
	uint64_t small;

	device_put(dev, 0, BLOCK_ZERO, 1);
	stats = device_stats(dev);
	assert_int_equal(stats.orig_data_size, 0);
	assert_int_equal(stats.mem_used_total, 0);
	assert_int_equal(stats.same_pages, 0);

	device_put(dev, 1, BLOCK_SAME32, 1);
	stats = device_stats(dev);
	assert_int_equal(stats.orig_data_size, 4096);
	assert_int_equal(stats.compr_data_size, 0);
	assert_int_equal(stats.mem_used_total, 0);
	assert_int_equal(stats.same_pages, 1);
	assert_int_equal(stats.blocks_stored, 0);

	device_put(dev, 2, BLOCK_SAME64, 1);
	stats = device_stats(dev);
	assert_int_equal(stats.orig_data_size, 2 * 4096);
	assert_int_equal(stats.compr_data_size, 8);
	assert_int_equal(stats.same_pages, 2);
	/* The first of many: with the header of a whole zspage. */
	small = stats.mem_used_total;
	assert_in_range(small, 4096, 2 * 4096);

	device_put(dev, 3, BLOCK_NOISE, 1);
	stats = device_stats(dev);
	assert_int_equal(stats.orig_data_size, 3 * 4096);
	assert_int_equal(stats.compr_data_size, 8 + 4096);
	assert_int_equal(stats.huge_pages, 1);
	assert_int_equal(stats.huge_pages_since, 1);
	assert_int_equal(stats.mem_used_total, small + 4096);
	assert_int_equal(stats.blocks_stored, 1);

	device_put(dev, 3, BLOCK_NOISE, 2);
	device_put(dev, 3, BLOCK_TEXT, 2);
	stats = device_stats(dev);
	assert_int_equal(stats.huge_pages, 0);
	assert_int_equal(stats.huge_pages_since, 2);
	assert_int_equal(stats.blocks_stored, 1);
	assert_in_range(stats.compr_data_size, 8 + 1000, 8 + 2000);
}

/* Same-filled blocks cost next to nothing, however many there are. */
static void test_cost_of_same_filled_blocks(void **state)
{
	struct zsblk_stats stats;

	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, i % 2 ? BLOCK_SAME32 : BLOCK_ZERO, i);
	assert_int_equal(device_stats(dev).mem_used_total, 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_SAME64, i);
	stats = device_stats(dev);
	assert_int_equal(stats.compr_data_size, 8 * BLOCKS);
	assert_int_equal(stats.same_pages, BLOCKS);
	/* 16 bytes of class, four of back-reference, a bit; and pages at the end. */
	assert_true(stats.mem_used_total <= BLOCKS * 21 + 4 * 4096);
}

/*
 * What a look finds while others store and free: a block's end counted under one context, and its beginning not yet
 * under another.
 */
static void test_never_below_zero(void **state)
{
	struct counters *counters = &dev->contexts.all[1].count;
	struct zsblk_stats stats;

	device_put(dev, 0, BLOCK_TEXT, 1);
	count(&counters->objects, (uint64_t)-3);
	count(&counters->same, (uint64_t)-1);
	count(&counters->huge, (uint64_t)-1);
	count(&counters->compr_bytes, (uint64_t)-100000);
	stats = device_stats(dev);
	assert_int_equal(stats.blocks_stored, 0);
	assert_int_equal(stats.orig_data_size, 0);
	assert_int_equal(stats.same_pages, 0);
	assert_int_equal(stats.huge_pages, 0);
	assert_int_equal(stats.compr_data_size, 0);
	/* The check is not deceived. */
	assert_int_equal(zsblk_check(dev, NULL), -EUCLEAN);
	count(&counters->objects, 3);
	count(&counters->same, 1);
	count(&counters->huge, 1);
	count(&counters->compr_bytes, 100000);
	assert_int_equal(device_stats(dev).blocks_stored, 1);
}

/* From the table and the classes, whatever was done before. */
static void compare_with_table(void)
{
	struct zsblk_stats stats = device_stats(dev);
	uint64_t objects = 0, same = 0, huge = 0, bytes = 0, pages = 0;
	struct zs_class_stats class;

	for (uint64_t block = 0; block < BLOCKS; block++) {
		uint64_t word = table_load(&dev->table, block);

		if (word_type(word) == WORD_OBJECT || word_type(word) == WORD_SAME64)
			bytes += word_object(word).size;
		if (word_type(word) == WORD_OBJECT) {
			objects++;
			huge += word_object(word).codec == CODEC_RAW;
		} else if (word) {
			same++;
		}
	}
	for (unsigned i = 0; i < zsblk_class_count(dev); i++) {
		assert_int_equal(zsblk_class_stats(dev, i, &class), 0);
		pages += class.pages_used;
	}
	assert_int_equal(zsblk_class_stats(dev, zsblk_class_count(dev), &class), -ERANGE);
	assert_int_equal(stats.orig_data_size, (objects + same) * 4096);
	assert_int_equal(stats.compr_data_size, bytes);
	assert_int_equal(stats.same_pages, same);
	assert_int_equal(stats.huge_pages, huge);
	assert_int_equal(stats.blocks_stored, objects);
	assert_int_equal(stats.mem_used_total, pages * 4096);
	assert_true(stats.mem_used_max >= stats.mem_used_total);
	assert_true(stats.pool_bytes <= stats.mem_used_total && stats.pool_bytes >= bytes);
}

static void test_against_the_table(void **state)
{
	uint64_t random = test_seed("stats");
	unsigned steps = test_amount(20000);

	for (unsigned i = 0; i < steps; i++) {
		uint64_t block = random_below(&random, BLOCKS);

		if (random_below(&random, 4) == 0)
			assert_int_equal(zsblk_discard(dev, 5000, block / 2 * 4096 + 77), 0);
		else
			device_put(dev, block, random_below(&random, BLOCK_KINDS), i);
		if (i % 1000 == 0)
			compare_with_table();
	}
	compare_with_table();
	zsblk_compact(dev);
	compare_with_table();
	assert_int_equal(zsblk_discard(dev, BLOCKS * 4096, 0), 0);
	compare_with_table();
	assert_int_equal(device_stats(dev).mem_used_total, 0);
	assert_int_equal(device_stats(dev).compr_data_size, 0);
}

static void test_requests_are_counted(void **state)
{
	uint8_t data[3 * 4096];
	struct zsblk_stats stats;

	memset(data, 3, sizeof data);
	data[0] = 1;
	zsblk_write(dev, data, sizeof data, 100);
	zsblk_write(dev, data, 1, 0);
	zsblk_read(dev, data, 5000, 1);
	zsblk_discard(dev, 4096, 0);
	zsblk_discard(dev, 10, 5);
	zsblk_write_zeroes(dev, 4096, 0);
	stats = device_stats(dev);
	assert_int_equal(stats.writes, 2);
	assert_int_equal(stats.write_bytes, sizeof data + 1);
	assert_int_equal(stats.reads, 1);
	assert_int_equal(stats.read_bytes, 5000);
	assert_int_equal(stats.discards, 2);
	assert_int_equal(stats.discard_bytes, 4096 + 10);
	assert_int_equal(stats.zeroes, 1);
	assert_int_equal(stats.failed_reads + stats.failed_writes + stats.failed_discards, 0);
}

static void test_failures_are_counted(void **state)
{
	uint8_t data[4096];
	struct zsblk_stats stats;

	device_put(dev, 0, BLOCK_TEXT, 1);
	zsblk_set_mem_limit(dev, 4096);
	block_make(data, BLOCK_NOISE, 5);
	assert_int_equal(zsblk_write(dev, data, 4096, 4096), -ENOSPC);
	assert_int_equal(zsblk_write(dev, data, 4096, 4096), -ENOSPC);
	stats = device_stats(dev);
	assert_int_equal(stats.failed_writes, 2);
	assert_int_equal(stats.writes, 3);
	assert_int_equal(stats.write_bytes, 4096);
	assert_int_equal(stats.mem_limit, 4096);
}

/* A limit below what is stored: what is there can be read, changed in its room, and freed; and then there is room again. */
static void test_limit_below_what_is_stored(void **state)
{
	uint8_t data[4096];

	for (unsigned i = 0; i < 64; i++)
		device_put(dev, i, i % 2 ? BLOCK_NOISE : BLOCK_TEXT, i % 2);
	zsblk_set_mem_limit(dev, 64 * 1024);
	assert_true(device_stats(dev).mem_used_total > 64 * 1024);
	block_make(data, BLOCK_NOISE, 1);
	assert_int_equal(zsblk_write(dev, data, 4096, 64 * 4096), -ENOSPC);
	assert_int_equal(zsblk_write(dev, data, 4096, 1 * 4096), -ENOSPC);
	for (unsigned i = 0; i < 64; i++)
		assert_true(device_has(dev, i, i % 2 ? BLOCK_NOISE : BLOCK_TEXT, i % 2));
	/* These take no memory. */
	device_put(dev, 1, BLOCK_SAME32, 1);
	device_put(dev, 3, BLOCK_ZERO, 1);
	/* A place that was freed is used again, by objects that are no larger. */
	must(zsblk_discard(dev, 4096, 0) == 0);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 2; i < 64; i += 2)
			device_put(dev, i, BLOCK_TEXT, 0);
	must(zsblk_discard(dev, 60 * 4096, 4096) == 0);
	assert_true(device_stats(dev).mem_used_total < 64 * 1024);
	device_put(dev, 0, BLOCK_NOISE, 1);
	device_ok(dev);
}

static void test_highest_use(void **state)
{
	for (unsigned i = 0; i < 10; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	zsblk_discard(dev, 8 * 4096, 0);
	assert_int_equal(device_stats(dev).mem_used_max, 10 * 4096);
	zsblk_reset_mem_used_max(dev);
	assert_int_equal(device_stats(dev).mem_used_max, 2 * 4096);
}

static void test_compaction_is_counted(void **state)
{
	struct zsblk_stats before, after;
	uint64_t freed;

	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (i % 4)
			zsblk_discard(dev, 4096, i * 4096);
	before = device_stats(dev);
	freed = zsblk_compact(dev);
	after = device_stats(dev);
	assert_true(freed > 50);
	assert_int_equal(after.pages_compacted, freed);
	assert_int_equal(after.mem_used_total, before.mem_used_total - freed * 4096);
	assert_int_equal(after.compr_data_size, before.compr_data_size);
	for (unsigned i = 0; i < BLOCKS; i += 4)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
}

/* What the data needs is found again in a segment; what happened before is not. */
static void test_after_opening_again(void **state)
{
	struct zsblk_params params = device_params(BLOCKS);
	struct zsblk_stats before, after;
	uint64_t random = 4;

	params.memory = test_shm_new()->memory;
	zsblk_close(dev);
	dev = device_open(&params);
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, random_below(&random, BLOCK_KINDS), i);
	before = device_stats(dev);
	before.metadata_bytes -= ages_bytes(&dev->ages);
	zsblk_close(dev);
	dev = device_open(&params);
	after = device_stats(dev);
	compare_with_table();
	assert_int_equal(after.orig_data_size, before.orig_data_size);
	assert_int_equal(after.compr_data_size, before.compr_data_size);
	assert_int_equal(after.mem_used_total, before.mem_used_total);
	assert_int_equal(after.same_pages, before.same_pages);
	assert_int_equal(after.huge_pages, before.huge_pages);
	assert_int_equal(after.metadata_bytes - ages_bytes(&dev->ages), before.metadata_bytes);
	assert_int_equal(after.writes, 0);
}

static atomic_uint arrived;

/* Both at once, as nearly as can be. */
static void meet(unsigned n)
{
	atomic_fetch_add(&arrived, 1);
	for (unsigned turns = 1; atomic_load(&arrived) < 2 * n; turns++)
		if (turns % 1000 == 0)
			sched_yield();
}

#define ROUNDS test_amount(20000)

static void *change_limit(void *opaque)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		meet(2 * i + 1);
		zsblk_set_mem_limit(dev, 100 * 4096);
		meet(2 * i + 2);
	}
	return NULL;
}

/* Two who change the limit at once: the one that is told is the one that is kept. */
static void test_limits_at_once(void **state)
{
	unsigned other = 0;
	pthread_t thread;

	atomic_store(&arrived, 0);
	must(pthread_create(&thread, NULL, change_limit, NULL) == 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		meet(2 * i + 1);
		zsblk_set_mem_limit(dev, 200 * 4096);
		meet(2 * i + 2);
		other += runs_limit(zs_core_runs(zsblk_pool(dev))) != atomic_load(&dev->mem_limit);
	}
	pthread_join(thread, NULL);
	assert_int_equal(other, 0);
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_all_zero_at_first),          WITH_DEVICE(test_kinds),
		WITH_DEVICE(test_never_below_zero),           WITH_DEVICE(test_cost_of_same_filled_blocks),
		WITH_DEVICE(test_against_the_table),          WITH_DEVICE(test_requests_are_counted),
		WITH_DEVICE(test_failures_are_counted),       WITH_DEVICE(test_limits_at_once),
		WITH_DEVICE(test_limit_below_what_is_stored), WITH_DEVICE(test_highest_use),
		WITH_DEVICE(test_compaction_is_counted),      WITH_DEVICE(test_after_opening_again),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}

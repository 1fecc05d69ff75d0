/* SPDX-License-Identifier: BSD-3-Clause */
/* Ages of a device's blocks: what counts as an access, marking, the table of ages, and what stays for the next process. */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/aging.h"
#include "engine/sector.h"
#include "segment/format.h"

#define BLOCKS    10000u
#define AT(block) ((uint64_t)(block)*BLOCK_BYTES)

static struct zsblk *dev;
static struct zsblk_params params;

/* Time passes when the test says so: without the background threads. */
static void open_device(void)
{
	dev = device_open(&params);
	upkeep_stop(dev);
}

static int set_up(void **state)
{
	params = device_params(BLOCKS);
	open_device();
	return 0;
}

static int tear_down(void **state)
{
	device_ok(dev);
	zsblk_close(dev);
	return 0;
}

static void let_pass(uint64_t seconds)
{
	aging_pass(dev, seconds);
}

static uint64_t age_of(uint64_t block)
{
	uint64_t seconds;
	bool idle;

	assert_true(ages_look(&dev->ages, block, &seconds, &idle));
	return seconds;
}

static uint64_t mark(uint64_t older_than)
{
	uint64_t marked;

	assert_int_equal(zsblk_mark_idle(dev, older_than, &marked), 0);
	return marked;
}

static bool is_idle(uint64_t block)
{
	return ages_is_idle(&dev->ages, block);
}

/* What zsblk_blocks() says of a block. */
static void describe(uint64_t block, uint64_t age, bool idle)
{
	struct zsblk_block found;
	uint64_t next;

	assert_int_equal(zsblk_blocks(dev, block, &found, 1, &next), 1);
	assert_true(found.has_age && found.age_s >= age && found.idle == idle);
}

static void test_what_is_an_access(void **state)
{
	uint8_t block[BLOCK_BYTES];
	uint64_t old;

	for (unsigned i = 0; i < 8; i++)
		device_put(dev, i, i < 7 ? BLOCK_TEXT : BLOCK_SAME64, i);
	let_pass(2);
	let_pass(100);
	old = age_of(0);
	assert_true(old >= 80);
	/* Reads and writes, whole and in part, of each kind of block. */
	assert_true(device_has(dev, 0, BLOCK_TEXT, 0));
	must(zsblk_read(dev, block, 1, AT(1) + 5) == 0);
	device_put(dev, 2, BLOCK_NOISE, 2);
	must(zsblk_write(dev, block, 1, AT(3)) == 0);
	must(zsblk_write_zeroes(dev, 1, AT(4)) == 0);
	device_put(dev, 7, BLOCK_SAME64, 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(age_of(i), i == 5 || i == 6 ? old : 0);
	/* What is not one: to ask for extents, to compact, to check. */
	zsblk_compact(dev);
	device_ok(dev);
	assert_int_equal(age_of(5), old);
	/* A block that is written after it was discarded is new. */
	must(zsblk_discard(dev, BLOCK_BYTES, AT(6)) == 0);
	device_put(dev, 6, BLOCK_SAME32, 1);
	assert_int_equal(age_of(6), 0);
}

static void test_marks(void **state)
{
	uint8_t block[BLOCK_BYTES];

	for (unsigned i = 0; i < 600; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	device_put(dev, 600, BLOCK_SAME32, 1);
	device_put(dev, 601, BLOCK_SAME64, 1);
	device_put(dev, 602, BLOCK_ZERO, 0);
	device_put(dev, BLOCKS - 1, BLOCK_NOISE, 1);
	/* At once, without a sweep before; not what no other codec makes smaller. */
	assert_int_equal(mark(0), 601);
	assert_true(is_idle(0) && is_idle(BLOCKS - 1));
	assert_false(is_idle(600) || is_idle(601) || is_idle(602));
	assert_int_equal(mark(0), 0);
	must(zsblk_read(dev, block, 1, AT(3)) == 0);
	device_put(dev, 4, BLOCK_TEXT, 4);
	must(zsblk_write(dev, block, 1, AT(5)) == 0);
	for (unsigned i = 0; i < 600; i++)
		assert_true(is_idle(i) == (i < 3 || i > 5));
	zsblk_compact(dev);
	assert_true(is_idle(BLOCKS - 1));
	let_pass(1);
	let_pass(20);
	assert_int_equal(mark(40), 0);
	must(zsblk_read(dev, block, 1, AT(4)) == 0);
	assert_int_equal(mark(15), 2);
	assert_false(is_idle(4));
	assert_true(is_idle(3) && is_idle(5));
}

static void test_table_of_ages(void **state)
{
	struct zsblk_age_range ranges[] = {{.from_s = 0}, {.from_s = 10}, {.from_s = 100}, {.from_s = 86400}};
	struct zsblk_stats stats;
	uint64_t bytes = 0, blocks = 0;

	for (unsigned i = 0; i < 5000; i += 2)
		device_put(dev, i, (enum block_kind)(i / 2 % BLOCK_KINDS), i);
	let_pass(1);
	let_pass(200);
	for (unsigned i = 0; i < 300; i++)
		device_put(dev, 7000 + i, BLOCK_TEXT, i);
	let_pass(30);
	for (unsigned i = 0; i < 30; i++)
		device_put(dev, BLOCKS - 1 - i, BLOCK_NOISE, i);
	let_pass(1);
	let_pass(15);
	device_put(dev, 1, BLOCK_TEXT, 1);
	mark(100);
	describe(1, 0, false);
	describe(8, 176, true);
	assert_int_equal(zsblk_ages(dev, ranges, COUNT_OF(ranges)), 0);
	stats = device_stats(dev);
	for (unsigned i = 0; i < COUNT_OF(ranges); i++) {
		blocks += ranges[i].blocks;
		bytes += ranges[i].bytes;
	}
	assert_int_equal(blocks * BLOCK_BYTES, stats.orig_data_size);
	assert_int_equal(bytes, stats.compr_data_size);
	assert_int_equal(ranges[0].blocks, 1);
	assert_int_equal(ranges[1].blocks, 330);
	assert_int_equal(ranges[1].idle, 0);
	assert_int_equal(ranges[2].blocks, 2000);
	assert_int_equal(ranges[2].idle, 1000);
	assert_int_equal(ranges[3].blocks, 0);
	assert_int_equal(zsblk_ages_since(dev), 247);
	/* One range has all. */
	assert_int_equal(zsblk_ages(dev, ranges, 1), 0);
	assert_int_equal(ranges[0].blocks, blocks);
	/* Bounds that are none. */
	assert_int_equal(zsblk_ages(dev, ranges, 0), -EINVAL);
	ranges[0].from_s = 1;
	assert_int_equal(zsblk_ages(dev, ranges, 2), -EINVAL);
	ranges[0].from_s = 0;
	ranges[1].from_s = 0;
	assert_int_equal(zsblk_ages(dev, ranges, 2), -EINVAL);
}

/* What the next process finds in a shared segment. */
static void test_stay(void **state)
{
	uint64_t random = 3, ages[BLOCKS / 10];

	zsblk_close(dev);
	params.memory = test_shm_new()->memory;
	open_device();
	assert_int_equal(dev->layout.features.compatible, SUPER_HAS_AGES);
	assert_int_equal(zsblk_ages_since(dev), 0);
	for (unsigned i = 0; i < BLOCKS / 10; i++) {
		device_put(dev, i * 10, BLOCK_TEXT, i);
		if (i % 20 == 0)
			let_pass(1 + random_below(&random, 30));
	}
	mark(300);
	for (unsigned i = 0; i < BLOCKS / 10; i++)
		ages[i] = age_of(i * 10) << 1 | is_idle(i * 10);
	random = zsblk_ages_since(dev);
	zsblk_close(dev);
	open_device();
	assert_int_equal(zsblk_ages_since(dev), random);
	for (unsigned i = 0; i < BLOCKS / 10; i++)
		assert_int_equal(age_of(i * 10) << 1 | is_idle(i * 10), ages[i]);
	/* Time without a server does not count. */
	aging_keep(dev);
	assert_true(zsblk_ages_since(dev) <= random + 1);
	/* A number of seconds that cannot be. */
	super_of(&dev->seg)->state.ages_seconds = UINT64_MAX;
	zsblk_close(dev);
	open_device();
	assert_int_equal(zsblk_ages_since(dev), 0);
	let_pass(1);
	assert_int_equal(zsblk_ages_since(dev), 1);
}

/* A device that can have so many blocks, in a segment without the part for ages, as one of format 1 is. */
static void open_without_ages(uint64_t blocks)
{
	struct super_layout layout;

	zsblk_close(dev);
	params.memory = test_shm_new()->memory;
	params.max_size = AT(blocks);
	open_device();
	layout = dev->layout;
	layout.ages_offset = 0;
	layout.features.compatible = 0;
	super_of(&dev->seg)->magic_word = 0;
	super_format(&dev->seg, &layout);
	zsblk_close(dev);
	open_device();
}

/* Then ages are in process memory, and begin anew with each process. */
static void test_process_memory(void **state)
{
	open_without_ages(BLOCKS);
	assert_int_equal(dev->layout.ages_offset, 0);
	device_put(dev, 7, BLOCK_TEXT, 1);
	let_pass(1);
	let_pass(60);
	assert_true(age_of(7) >= 45);
	assert_int_equal(mark(45), 1);
	assert_true(device_has(dev, 7, BLOCK_TEXT, 1));
	assert_int_equal(age_of(7), 0);
	assert_int_equal(zsblk_ages_since(dev), 61);
	assert_int_equal(dev->layout.features.compatible, 0);
	zsblk_close(dev);
	open_device();
	assert_int_equal(zsblk_ages_since(dev), 0);
	let_pass(1);
	assert_int_equal(age_of(7), 0);
	assert_true(device_has(dev, 7, BLOCK_TEXT, 1));
}

/* In process memory pages stay when a device shrinks. What was written since it grew again is not as old as they say. */
static void test_page_comes_again(void **state)
{
	open_without_ages(3 * BLOCKS);
	must(zsblk_resize(dev, AT(3 * BLOCKS), NULL) == 0);
	device_put(dev, 3 * BLOCKS - 1, BLOCK_TEXT, 1);
	let_pass(1);
	let_pass(100);
	assert_true(age_of(3 * BLOCKS - 1) >= 80);
	must(zsblk_discard(dev, BLOCK_BYTES, AT(3 * BLOCKS - 1)) == 0);
	must(zsblk_resize(dev, AT(BLOCKS), NULL) == 0);
	must(zsblk_resize(dev, AT(3 * BLOCKS), NULL) == 0);
	device_put(dev, 3 * BLOCKS - 1, BLOCK_TEXT, 1);
	let_pass(1);
	assert_int_equal(age_of(3 * BLOCKS - 1), 0);
}

/* No request brings a page of ages into memory. With a reserve they are there from the start. */
static void test_memory(void **state)
{
	const uint64_t empty = ages_bytes(&dev->ages);
	uint64_t pages;

	for (unsigned i = 0; i < 100; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	must(segment_count_resident(&dev->seg, dev->layout.ages_offset, 3 * BLOCK_BYTES, &pages) == 0);
	assert_int_equal(pages, 0);
	let_pass(1);
	assert_int_equal(ages_bytes(&dev->ages), empty + BLOCK_BYTES);
	must(segment_count_resident(&dev->seg, dev->layout.ages_offset, 3 * BLOCK_BYTES, &pages) == 0);
	assert_true(pages >= 1);
	assert_true(device_stats(dev).metadata_bytes >= table_bytes(&dev->table) + ages_bytes(&dev->ages));
	zsblk_close(dev);
	params.reserve = 256 << 10;
	open_device();
	assert_int_equal(ages_bytes(&dev->ages), empty + 3 * BLOCK_BYTES);
}

/* The part behind a new end goes back to the system. */
static void test_resize(void **state)
{
	zsblk_close(dev);
	params.max_size = AT(3 * BLOCKS);
	open_device();
	must(zsblk_resize(dev, AT(3 * BLOCKS), NULL) == 0);
	device_put(dev, 3 * BLOCKS - 1, BLOCK_TEXT, 1);
	device_put(dev, 1, BLOCK_TEXT, 1);
	let_pass(1);
	let_pass(100);
	assert_int_equal(dev->ages.pages, 2);
	must(zsblk_discard(dev, BLOCK_BYTES, AT(3 * BLOCKS - 1)) == 0);
	must(zsblk_resize(dev, AT(BLOCKS), NULL) == 0);
	assert_int_equal(dev->ages.pages, 1);
	assert_true(age_of(1) >= 80);
	must(zsblk_resize(dev, AT(3 * BLOCKS), NULL) == 0);
	device_put(dev, 3 * BLOCKS - 1, BLOCK_TEXT, 1);
	let_pass(1);
	assert_int_equal(age_of(3 * BLOCKS - 1), 0);
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_what_is_an_access),
		WITH_DEVICE(test_marks),
		WITH_DEVICE(test_table_of_ages),
		WITH_DEVICE(test_stay),
		WITH_DEVICE(test_memory),
		WITH_DEVICE(test_process_memory),
		WITH_DEVICE(test_page_comes_again),
		WITH_DEVICE(test_resize),
	};

	return cmocka_run_group_tests_name("aging", tests, NULL, NULL);
}

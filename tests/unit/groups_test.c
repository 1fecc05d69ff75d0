/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading blocks that are in groups: the cache, entries that are used again, which blocks come out, damage. */
#include "lib/device.h"
#include "lib/test.h"

#include "engine/entries.h"
#include "engine/groups.h"
#include "engine/sector.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define BLOCKS    2000u
#define AT(block) ((uint64_t)(block)*BLOCK_BYTES)

static struct zsblk *dev;
static const char *algorithm; /* of groups; NULL: the usual one */

static int set_up(void **state)
{
	dev = device_new(BLOCKS);
	/* Ages of all blocks are kept from the start. */
	must(ages_add_pages(&dev->ages, 0, ages_pages(&dev->ages)) == 0);
	return 0;
}

static int tear_down(void **state)
{
	device_ok(dev);
	zsblk_close(dev);
	return 0;
}

static void make_groups(void)
{
	const struct zsblk_group_what any = {.algorithm = algorithm};
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	bool more = true;

	must(zsblk_group_begin(dev, &any, &job, NULL) == 0);
	while (more)
		must(zsblk_group_step(job, &figures, &more) == 0);
	zsblk_group_end(job);
}

/* So many groups of 16 blocks. */
static void fill(unsigned groups, unsigned tag)
{
	for (unsigned i = 0; i < groups * GROUP_BLOCKS; i++)
		device_put(dev, i, BLOCK_TEXT, tag + i);
	make_groups();
	assert_int_equal(device_stats(dev).groups, groups);
}

static void read_block(unsigned block)
{
	assert_true(device_has(dev, block, BLOCK_TEXT, block));
}

static uint32_t entry_of(uint64_t block)
{
	return word_shared(table_load(&dev->table, block)).entry;
}

/* A group that was read is found decoded, until others have taken its place. */
static void test_cache(void **state)
{
	fill(GROUPS_CACHED + 1, 0);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < GROUPS_CACHED; i++)
			read_block(i * GROUP_BLOCKS + GROUP_BLOCKS - 1 - round);
	assert_int_equal(device_stats(dev).cold_reads, 3 * GROUPS_CACHED);
	assert_int_equal(device_stats(dev).cold_decodes, GROUPS_CACHED);
	/* One more takes the place of the first one. */
	read_block(GROUPS_CACHED * GROUP_BLOCKS);
	read_block(GROUP_BLOCKS);
	assert_int_equal(device_stats(dev).cold_decodes, GROUPS_CACHED + 1);
	read_block(5);
	assert_int_equal(device_stats(dev).cold_decodes, GROUPS_CACHED + 2);
	assert_int_equal(device_stats(dev).group_blocks, (GROUPS_CACHED + 1) * GROUP_BLOCKS);
}

/* Blocks that lie behind the one for which a group was decoded. */
static void test_further(void **state)
{
	fill(1, 0);
	for (unsigned i = 0; i < GROUP_BLOCKS; i++)
		read_block(i);
	/* At most: up to the first one, and once more to the end. */
	assert_true(device_stats(dev).cold_decodes <= 2);
}

/* Another group in the same entry: what was decoded of the first one is not taken for it. */
static void test_entry_used_again(void **state)
{
	uint32_t first;

	fill(1, 0);
	first = entry_of(0);
	for (unsigned round = 1; round < 20; round++) {
		for (unsigned i = 0; i < GROUP_BLOCKS; i++)
			assert_true(device_has(dev, i, BLOCK_TEXT, 1000 * (round - 1) + i));
		fill(1, 1000 * round);
		/* Where many are free, others come first. */
		dev->entries.next = 0;
	}
	assert_int_equal(entry_of(0) - dev->entries.first, 0);
	assert_int_equal(first - dev->entries.first, 0);
}

/* A block that is read again within a minute comes out, if its group had to be decoded once more for it. */
static void test_comes_out(void **state)
{
	fill(1, 0);
	memset(dev->ages.bytes, 100, GROUP_BLOCKS);
	/* It was cold. */
	read_block(3);
	assert_int_equal(device_stats(dev).group_blocks, GROUP_BLOCKS);
	/* It is in the cache. */
	read_block(3);
	assert_int_equal(device_stats(dev).group_blocks, GROUP_BLOCKS);
	groups_forget(dev, entry_of(3));
	read_block(3);
	assert_int_equal(device_stats(dev).group_blocks, GROUP_BLOCKS - 1);
	assert_false(sector_is_shared(table_load(&dev->table, 3)));
	read_block(3);
	/* One that was read long ago stays, and one that was not read at all. */
	read_block(9);
	memset(dev->ages.bytes, 100, GROUP_BLOCKS);
	groups_forget(dev, entry_of(9));
	read_block(9);
	groups_forget(dev, entry_of(9));
	read_block(12);
	assert_int_equal(device_stats(dev).group_blocks, GROUP_BLOCKS - 1);
}

/* The same by a read of a part. */
static void test_comes_out_in_part(void **state)
{
	uint8_t want[BLOCK_BYTES], got[100];

	fill(1, 0);
	block_make(want, BLOCK_TEXT, 3);
	for (unsigned i = 0; i < 2; i++) {
		must(zsblk_read(dev, got, sizeof got, AT(3) + 900) == 0);
		assert_memory_equal(got, want + 900, sizeof got);
		groups_forget(dev, entry_of(4));
	}
	assert_int_equal(device_stats(dev).group_blocks, GROUP_BLOCKS - 1);
	read_block(3);
}

/* Without room it stays. */
static void test_does_not_come_out(void **state)
{
	fill(1, 0);
	read_block(3);
	zs_core_inject_failures(zsblk_pool(dev), 1);
	groups_forget(dev, entry_of(3));
	read_block(3);
	zs_core_inject_failures(zsblk_pool(dev), 0);
	assert_int_equal(device_stats(dev).group_blocks, GROUP_BLOCKS);
}

/* A check of everything leaves readers what they have cached. */
static void test_check_beside(void **state)
{
	struct zsblk_why why;
	uint64_t next;

	fill(3 * GROUPS_CACHED, 0);
	for (unsigned i = 0; i < GROUPS_CACHED; i++)
		read_block(i * GROUP_BLOCKS);
	assert_int_equal(zsblk_check_blocks(dev, 0, BLOCKS, &next, &why), 0);
	for (unsigned i = 0; i < GROUPS_CACHED; i++)
		read_block(i * GROUP_BLOCKS);
	assert_int_equal(device_stats(dev).cold_decodes, GROUPS_CACHED);
}

/* ------------------------------------------------------------------ damage */

static void damage(uint32_t entry)
{
	struct zs_loc loc = sector_loc(dev, table_load(&dev->table, entry));

	memset(zs_core_address(dev->core, loc), 0xff, 64);
}

/* Blocks of a damaged group cannot be read, nor changed in part; others can, and the check finds it. */
static void test_damaged_bytes(void **state)
{
	uint8_t data[BLOCK_BYTES];
	struct zsblk_why why;
	uint64_t next;

	fill(3, 0);
	assert_int_equal(zsblk_check_blocks(dev, 0, BLOCKS, &next, &why), 0);
	damage(entry_of(GROUP_BLOCKS));
	/* What is in the cache is not asked. */
	assert_int_equal(zsblk_check_blocks(dev, 0, BLOCKS, &next, &why), -EUCLEAN);
	assert_non_null(strstr(why.text, "block 16 "));
	groups_forget(dev, entry_of(GROUP_BLOCKS));
	assert_int_equal(zsblk_read(dev, data, BLOCK_BYTES, AT(GROUP_BLOCKS + 3)), -EIO);
	assert_int_equal(zsblk_read(dev, data, 10, AT(GROUP_BLOCKS + 3)), -EIO);
	assert_int_equal(zsblk_write(dev, data, 10, AT(GROUP_BLOCKS + 3)), -EIO);
	read_block(0);
	read_block(2 * GROUP_BLOCKS);
	for (unsigned i = 0; i < GROUP_BLOCKS; i++)
		device_put(dev, GROUP_BLOCKS + i, BLOCK_TEXT, GROUP_BLOCKS + i);
	assert_int_equal(device_stats(dev).groups, 2);
	assert_int_equal(zsblk_check_blocks(dev, 0, BLOCKS, &next, &why), 0);
}

/* Damage at the end of a group, of a codec that stops before it: the blocks in front of it can be read, whatever was read before. */
static void test_damaged_end(void **state)
{
	uint8_t data[BLOCK_BYTES];
	uint32_t last;

	if (!codec_by_name("lzma"))
		skip();
	algorithm = "lzma";
	fill(1, 0);
	algorithm = NULL;
	for (last = entry_of(0); word_type(table_load(&dev->table, last)) == WORD_LARGE; last++)
		;
	damage(last);
	read_block(0);
	read_block(1);
	assert_int_equal(zsblk_read(dev, data, BLOCK_BYTES, AT(GROUP_BLOCKS - 1)), -EIO);
	read_block(1);
	/* For the check at the end. */
	for (unsigned i = 0; i < GROUP_BLOCKS; i++)
		device_put(dev, i, BLOCK_TEXT, i);
}

/* Words that name what is not there. */
static void test_damaged_words(void **state)
{
	struct word_shared shared = {.entry = 7, .place = 1, .n = 16};
	uint32_t entries[] = {0, 7, UINT32_MAX, 0};
	uint8_t data[BLOCK_BYTES];
	struct zsblk_why why;

	for (unsigned with = 0; with < 2; with++) {
		for (size_t i = 0; i < COUNT_OF(entries); i++) {
			/* The last one is an entry that is free. */
			shared.entry = i == 3 ? (uint32_t)dev->layout.max_blocks + 60 : entries[i];
			table_store(&dev->table, 1, word_make_shared(&shared));
			assert_int_equal(zsblk_read(dev, data, BLOCK_BYTES, AT(1)), -EIO);
			assert_int_equal(zsblk_write(dev, data, 10, AT(1)), -EIO);
			assert_int_equal(zsblk_check(dev, &why), -EUCLEAN);
			table_store(&dev->table, 1, 0);
		}
		if (!with)
			fill(1, 0);
		/* The block is in no group now, and the group has it no more. */
		if (!with)
			must(zsblk_discard(dev, BLOCK_BYTES, AT(1)) == 0);
	}
}

/* ------------------------------------------------------------------ many readers */

static atomic_bool stop;

static void *read_all(void *opaque)
{
	uint64_t random = (uintptr_t)opaque;

	while (!atomic_load(&stop)) {
		unsigned block = (unsigned)random_below(&random, 40 * GROUP_BLOCKS);

		must(device_has(dev, block, BLOCK_TEXT, block));
	}
	return NULL;
}

static void test_readers(void **state)
{
	pthread_t threads[4];

	fill(40, 0);
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, read_all, (void *)(i + 1));
	/* Compaction moves pieces, and blocks that come out go in again. */
	for (unsigned i = 0; i < test_amount(40); i++) {
		zsblk_compact(dev);
		make_groups();
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static atomic_uint finished;

static void *read_one(void *opaque)
{
	read_block((unsigned)(uintptr_t)opaque);
	atomic_fetch_add(&finished, 1);
	return NULL;
}

/*
 * A reader that waits for the rest of a group gets it when those have finished who copy from its beginning. Those who come after it do not
 * keep it waiting.
 */
static void test_rest_of_group(void **state)
{
	struct groups *groups;
	struct groups_slot *slot;
	pthread_t late, early;
	bool waits = false;

	fill(1, 0);
	read_block(0);
	groups = dev->groups;
	slot = groups->slots;
	while (slot->entry != entry_of(0))
		slot++;
	atomic_store(&finished, 0);
	pthread_mutex_lock(&groups->lock);
	slot->done = 1;
	slot->users++;
	pthread_mutex_unlock(&groups->lock);
	pthread_create(&late, NULL, read_one, (void *)9);
	while (!waits) {
		usleep(1000);
		pthread_mutex_lock(&groups->lock);
		waits = slot->is_awaited;
		pthread_mutex_unlock(&groups->lock);
	}
	pthread_create(&early, NULL, read_one, NULL);
	usleep(20000);
	assert_int_equal(atomic_load(&finished), 0);
	pthread_mutex_lock(&groups->lock);
	slot->users--;
	pthread_cond_broadcast(&groups->changed);
	pthread_mutex_unlock(&groups->lock);
	pthread_join(late, NULL);
	pthread_join(early, NULL);
	assert_int_equal(slot->done, GROUP_BLOCKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_cache),         TEST(test_further),           TEST(test_entry_used_again),
		TEST(test_comes_out),     TEST(test_comes_out_in_part), TEST(test_does_not_come_out),
		TEST(test_damaged_bytes), TEST(test_damaged_end),       TEST(test_damaged_words),
		TEST(test_readers),       TEST(test_rest_of_group),     TEST(test_check_beside),
	};

	return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Making groups where there is little room: a full pool, a limit that was lowered, writers beside it, a reserve that nobody refills. */
#include "lib/emulator.h"
#include "lib/grouping.h"
#include "lib/zoneinfo.h"

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

/* A full device gains, and takes no more above its limit than it may. */
static void test_full(void **state)
{
	uint64_t n = 0, limit = 1 << 20, before;
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	uint8_t data[BLOCK_BYTES];
	bool more = true;

	zsblk_close(dev);
	params.mem_limit = limit;
	dev = device_open(&params);
	upkeep_stop(dev);
	for (block_make(data, BLOCK_TEXT, n); zsblk_write(dev, data, BLOCK_BYTES, AT(n)) == 0;)
		block_make(data, BLOCK_TEXT, ++n);
	before = device_stats(dev).mem_used_total;
	job = begin(&any);
	while (more) {
		must(zsblk_group_step(job, &figures, &more) == 0);
		assert_true(device_stats(dev).mem_used_total <= limit + ROOM_BEYOND * BLOCK_BYTES);
	}
	zsblk_group_end(job);
	assert_true(figures.blocks > n * 9 / 10);
	zsblk_compact(dev);
	assert_true(device_stats(dev).mem_used_total < before);
	for (unsigned i = 0; i < n; i++)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
}

/* A limit that was lowered below what is stored: the work that would bring the pool below it gains, and takes no more than it may. */
static void test_above_limit(void **state)
{
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	uint64_t before;
	bool more = true;

	upkeep_stop(dev);
	fill(BLOCKS);
	before = device_stats(dev).mem_used_total;
	zsblk_set_mem_limit(dev, before / 4);
	job = begin(&any);
	while (more) {
		must(zsblk_group_step(job, &figures, &more) == 0);
		assert_true(device_stats(dev).mem_used_total <= before + ROOM_BEYOND * BLOCK_BYTES);
	}
	zsblk_group_end(job);
	assert_int_equal(figures.blocks, BLOCKS);
	assert_int_equal(figures.failed, 0);
	zsblk_compact(dev);
	assert_true(device_stats(dev).mem_used_total < before);
	compare(BLOCKS);
}

/* The search for free entries takes several steps: no block is left out for that. */
static void test_search(void **state)
{
	struct zsblk_group_figures figures;

	fill(64);
	make_groups((struct zsblk_group_what){.blocks = 16});
	/* All entries but the first ones seem to be in use, as far as one search looks. */
	for (unsigned i = 100; i < dev->entries.n && i < 10000; i++)
		atomic_store(&dev->entries.refs[i], 1);
	dev->entries.next = 100;
	figures = make_groups(any);
	for (unsigned i = 100; i < dev->entries.n && i < 10000; i++)
		if (!table_load(&dev->table, dev->entries.first + i))
			atomic_store(&dev->entries.refs[i], 0);
	assert_int_equal(figures.blocks, 48);
	assert_int_equal(figures.failed, 0);
	compare(64);
}

/* The system has no memory for entries: nothing is compressed for nothing, and all goes on when there is some. */
static void test_no_memory_for_entries(void **state)
{
	struct zsblk_group_figures figures;
	struct spare spare = dev->group_spare;

	fill(320);
	dev->group_spare = (struct spare){0};
	spare_open(&dev->group_spare, NULL);
	zoneinfo_set_free(&dev->group_spare, 0);
	figures = make_groups(any);
	assert_int_equal(figures.groups, 0);
	assert_int_equal(figures.failed, 16);
	assert_true(figures.done < figures.total);
	spare_close(&dev->group_spare);
	dev->group_spare = spare;
	figures = make_groups(any);
	assert_int_equal(figures.blocks, 320);
	assert_int_equal(figures.failed, 0);
	compare(320);
}

/* Allocations fail: some blocks stay as they are. */
static void test_no_memory(void **state)
{
	fill(200);
	for (unsigned every = 1; every < 8; every++) {
		zs_core_inject_failures(zsblk_pool(dev), every);
		make_groups(any);
		for (unsigned i = 0; i < 20; i++)
			(void)zsblk_discard(dev, 100, AT(i * 10 + every));
		zs_core_inject_failures(zsblk_pool(dev), 0);
		for (unsigned i = 0; i < 200; i++)
			device_put(dev, i, BLOCK_TEXT, i);
		compare(200);
	}
}

/* What is stored takes no more than what the figures say. */
static void test_memory_saved(void **state)
{
	struct zsblk_group_figures figures;
	uint64_t before, after;

	fill(2000);
	zsblk_compact(dev);
	before = device_stats(dev).mem_used_total;
	figures = make_groups(any);
	zsblk_compact(dev);
	after = device_stats(dev).mem_used_total;
	assert_int_equal(figures.blocks, 2000);
	assert_true(before - after + 64 * BLOCK_BYTES > figures.bytes_saved);
	compare(2000);
}

/* So that neighbours lie in different zspages, and a group leaves holes in many. */
static void fill_scattered(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned block = (unsigned)((uint64_t)i * 1009 % n);

		device_put(dev, block, BLOCK_TEXT, block);
	}
}

/* So many blocks, and room for so many more. Returns the limit, in bytes. */
static uint64_t fill_near_limit(unsigned n, unsigned spare)
{
	uint64_t limit;

	upkeep_stop(dev);
	fill_scattered(n);
	limit = device_stats(dev).mem_used_total + spare * BLOCK_BYTES;
	zsblk_set_mem_limit(dev, limit);
	return limit;
}

/* Near the limit, writers find what they would find if no groups were made. */
static void test_writes_beside(void **state)
{
	const unsigned n = 2000, spare = 40;
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	uint8_t data[BLOCK_BYTES];
	unsigned writes = 0;
	bool more = true;
	uint64_t limit;

	limit = fill_near_limit(n, spare);
	job = begin(&(struct zsblk_group_what){.blocks = n});
	while (more) {
		must(zsblk_group_step(job, &figures, &more) == 0);
		block_make(data, BLOCK_NOISE, writes);
		if (figures.groups >= 2 && writes < spare)
			assert_int_equal(zsblk_write(dev, data, BLOCK_BYTES, AT(n + writes++)), 0);
		assert_true(device_stats(dev).mem_used_total <= limit + ROOM_BEYOND * BLOCK_BYTES);
	}
	zsblk_group_end(job);
	assert_int_equal(writes, spare);
	assert_int_equal(figures.failed, 0);
	assert_int_equal(runs_limit(dev->runs), limit / BLOCK_BYTES);
	assert_int_equal(atomic_load(&dev->runs->limit), limit / BLOCK_BYTES);
	assert_true(device_stats(dev).mem_used_total <= limit);
	for (unsigned i = 0; i < spare; i++)
		assert_true(device_has(dev, n + i, BLOCK_NOISE, i));
	compare(n);
}

/* A job that is cancelled when writers have taken what it lent: the pool is below its limit all the same. */
static void test_cancelled_beside_writes(void **state)
{
	const unsigned n = 2000, spare = 40;
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	uint8_t data[BLOCK_BYTES];
	unsigned writes = 0;
	bool more = true;
	uint64_t limit;

	limit = fill_near_limit(n, spare);
	job = begin(&(struct zsblk_group_what){.blocks = n});
	while (more && device_stats(dev).mem_used_total <= limit) {
		must(zsblk_group_step(job, &figures, &more) == 0);
		block_make(data, BLOCK_NOISE, writes);
		if (figures.groups >= 2 && zsblk_write(dev, data, BLOCK_BYTES, AT(n + writes)) == 0)
			writes++;
	}
	assert_true(more);
	zsblk_group_end(job);
	assert_true(device_stats(dev).mem_used_total <= limit);
	assert_int_equal(atomic_load(&dev->runs->limit), limit / BLOCK_BYTES);
	for (unsigned i = 0; i < writes; i++)
		assert_true(device_has(dev, n + i, BLOCK_NOISE, i));
	compare(n);
}

/* Without a limit, what is held comes back before more is taken. */
static void test_held(void **state)
{
	struct zsblk_grouping *job;
	struct zsblk_group_figures figures;
	uint64_t before, most = 0;
	bool more = true;

	upkeep_stop(dev);
	fill_scattered(BLOCKS);
	zsblk_compact(dev);
	before = device_stats(dev).mem_used_total;
	job = begin(&any);
	while (more) {
		uint64_t used;

		must(zsblk_group_step(job, &figures, &more) == 0);
		used = device_stats(dev).mem_used_total;
		most = used > most ? used : most;
	}
	zsblk_group_end(job);
	assert_int_equal(figures.blocks, BLOCKS);
	assert_true(most <= before + (ROOM_HELD + ROOM_OBJECT) * BLOCK_BYTES);
	/* What the last ones have left has come back as well. */
	assert_true(device_stats(dev).mem_used_total < before - figures.bytes_saved / 2);
	compare(BLOCKS);
}

/* Nobody refills the reserve while the system has no memory to spare: most of it stays for requests. */
static void test_leaves_reserve(void **state)
{
	const uint64_t reserve = 1 << 20;
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	uint64_t least = UINT64_MAX;
	bool more = true;

	/* An emulator gives nothing back: the reserve is not filled again. */
	if (advice_is_ignored())
		skip();
	zsblk_close(dev);
	params.reserve = reserve;
	dev = device_open(&params);
	fill_scattered(BLOCKS);
	for (unsigned i = 0; i < 60000 && runs_hot_free(dev->runs) * BLOCK_BYTES < reserve; i++)
		usleep(1000);
	upkeep_stop(dev);
	job = begin(&any);
	zoneinfo_set_free(&job->room.spare, 0);
	while (more) {
		uint64_t left;

		must(zsblk_group_step(job, &figures, &more) == 0);
		left = runs_hot_free(dev->runs) * BLOCK_BYTES;
		least = left < least ? left : least;
	}
	zsblk_group_end(job);
	print_message("# reserve %" PRIu64 ": %" PRIu64 " groups, %" PRIu64 " failed; %" PRIu64 " were left\n", reserve,
		      figures.groups, figures.failed, least);
	assert_true(least >= reserve / 4 - ROOM_OBJECT * BLOCK_BYTES);
	assert_true(figures.blocks > BLOCKS * 9 / 10);
	compare(BLOCKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_full),          TEST(test_above_limit),
		TEST(test_search),        TEST(test_no_memory_for_entries),
		TEST(test_no_memory),     TEST(test_memory_saved),
		TEST(test_writes_beside), TEST(test_cancelled_beside_writes),
		TEST(test_held),          TEST(test_leaves_reserve),
	};

	return cmocka_run_group_tests_name("grouping_room", tests, NULL, NULL);
}

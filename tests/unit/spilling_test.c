/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks in the backing store: there and back, what gives a place back, what is refused, and a store that fails. */
#include "lib/spilling.h"

#include "engine/backing_parts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#define MIB (UINT64_C(1) << 20)

/* ------------------------------------------------------------------ there and back */

static void test_there_and_back(void **state)
{
	uint64_t before;

	attach();
	fill(0);
	before = device_stats(dev).compr_data_size;
	assert_int_equal(spill_all(), 0);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	assert_int_equal(stats_now().bd_writes, WITH_OBJECT);
	/* What is left are blocks of one repeated word. */
	assert_true(device_stats(dev).compr_data_size < before / 10);
	assert_int_equal(device_stats(dev).blocks_stored, 0);
	assert_int_equal(look(BLOCK_NOISE).state, ZSBLK_BLOCK_SPILLED);
	assert_null(look(BLOCK_NOISE).algorithm);
	assert_string_equal(look(BLOCK_TEXT).algorithm, "lz4");
	assert_true(stats_now().used_bytes * 100 <= before * 105 + 100 * MIB);
	device_ok(dev);
	grow_old();
	verify(0);
	assert_int_equal(stats_now().bd_reads, WITH_OBJECT);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	/* They were read a moment ago: now they come back. */
	verify(0);
	assert_int_equal(stats_now().bd_count, 0);
	assert_int_equal(stats_now().returned, WITH_OBJECT);
	assert_int_equal(stats_now().live_bytes, 0);
	device_ok(dev);
	verify(0);
	assert_int_equal(stats_now().bd_reads, 2 * WITH_OBJECT);
}

static void test_parts(void **state)
{
	uint8_t want[BLOCK_BYTES], got[BLOCK_BYTES];

	begin();
	block_make(want, BLOCK_TEXT, BLOCK_TEXT);
	must(zsblk_read(dev, got, 100, BLOCK_TEXT * BLOCK_BYTES + 950) == 0);
	assert_memory_equal(got, want + 950, 100);
	assert_int_equal(look(BLOCK_TEXT).state, ZSBLK_BLOCK_SPILLED);
	memset(want + 10, 7, 100);
	must(zsblk_write(dev, want + 10, 100, BLOCK_TEXT * BLOCK_BYTES + 10) == 0);
	assert_int_equal(look(BLOCK_TEXT).state, ZSBLK_BLOCK_COMPRESSED);
	must(zsblk_read(dev, got, BLOCK_BYTES, BLOCK_TEXT * BLOCK_BYTES) == 0);
	assert_memory_equal(got, want, BLOCK_BYTES);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT - 1);
	must(zsblk_write_zeroes(dev, 5, BLOCK_NOISE * BLOCK_BYTES) == 0);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT - 2);
}

/* What is written or discarded gives its place back. */
static void test_places_come_back(void **state)
{
	begin();
	for (unsigned i = 0; i < BLOCKS / 2; i++)
		device_put(dev, i, kind_of(i), 5000 + i);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT / 2);
	device_ok(dev);
	for (unsigned i = 0; i < BLOCKS / 2; i++)
		assert_true(device_has(dev, i, kind_of(i), 5000 + i));
	must(zsblk_discard(dev, BLOCKS * BLOCK_BYTES, 0) == 0);
	assert_int_equal(stats_now().bd_count, 0);
	assert_int_equal(stats_now().live_bytes, 0);
}

static void test_which_blocks(void **state)
{
	struct zsblk_spill_what what = {.huge = true};
	struct zsblk_spill_figures figures;

	attach();
	fill(0);
	assert_int_equal(spill(&what, &figures), 0);
	assert_int_equal(figures.blocks, WITH_OBJECT / 2);
	assert_int_equal(figures.done, BLOCKS);
	what = (struct zsblk_spill_what){.older_than_s = 3600};
	assert_int_equal(spill(&what, &figures), 0);
	assert_int_equal(figures.blocks, 0);
	what = (struct zsblk_spill_what){.first = 100, .blocks = 50, .max_blocks = 4};
	assert_int_equal(spill(&what, &figures), 0);
	assert_int_equal(figures.blocks, 4);
	assert_int_equal(figures.total, 50);
	what = (struct zsblk_spill_what){.first = BLOCKS, .blocks = 1};
	assert_int_equal(zsblk_spill_begin(dev, &what, &(struct zsblk_spilling *){NULL}, &why), -EINVAL);
}

/* ------------------------------------------------------------------ what is refused */

static void test_refused(void **state)
{
	char location[300] = "nbds://";
	struct zsblk *other;
	struct zsblk_params others = device_params(BLOCKS);

	memset(location + 7, 'a', 249);
	store.location = location;
	assert_int_equal(zsblk_spill_attach(dev, &store, &why), -ENAMETOOLONG);
	store.location = "http://there";
	assert_int_equal(zsblk_spill_attach(dev, &store, &why), -EINVAL);
	store.location = path;
	attach();
	assert_int_equal(zsblk_spill_attach(dev, &store, &why), -EBUSY);
	other = device_open(&others);
	assert_int_equal(zsblk_spill_attach(other, &store, &why), -EBUSY);
	zsblk_close(dev);
	dev = NULL;
	/* A store of somebody else, who does not use it now. */
	assert_int_equal(zsblk_spill_attach(other, &store, &why), -EEXIST);
	zsblk_close(other);
}

/* As a location does that leads to the device's own server: what is written to the store is in the device. */
static int make_in_itself(struct spill_params *made, struct spill_store **at, struct spill_why *reason)
{
	int fd, r = library->make(made, at, reason);
	uint8_t page[BLOCK_BYTES];

	must(r == 0 && (fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
	must(pread(fd, page, sizeof page, 0) == sizeof page && close(fd) == 0);
	must(zsblk_write(dev, page, sizeof page, 0) == 0);
	return 0;
}

static void test_on_itself(void **state)
{
	struct spill_functions itself = *library;

	itself.make = make_in_itself;
	backing_use_library(&itself);
	assert_int_equal(zsblk_spill_attach(dev, &store, &why), -ELOOP);
	backing_use_library(library);
	assert_non_null(strstr(why.text, "leads to this device itself"));
	/* It was blank before. */
	assert_true(device_has(dev, 0, BLOCK_ZERO, 0));
	assert_false(zsblk_spill_get_stats(dev, &(struct zsblk_spill_stats){0}));
}

static void test_needs_a_store(void **state)
{
	const struct zsblk_spill_what all = {0};
	struct zsblk_spilling *job, *second;
	struct zsblk_grouping *grouping;

	assert_int_equal(zsblk_spill_begin(dev, &all, &job, &why), -ENODEV);
	attach();
	must(zsblk_spill_begin(dev, &all, &job, &why) == 0);
	assert_int_equal(zsblk_spill_begin(dev, &all, &second, &why), -EBUSY);
	assert_int_equal(zsblk_group_begin(dev, &(struct zsblk_group_what){0}, &grouping, &why), -EBUSY);
	zsblk_spill_end(job);
	must(zsblk_group_begin(dev, &(struct zsblk_group_what){0}, &grouping, &why) == 0);
	assert_int_equal(zsblk_spill_begin(dev, &all, &job, &why), -EBUSY);
	zsblk_group_end(grouping);
}

/* ------------------------------------------------------------------ a store that fails */

static void test_full(void **state)
{
	bool more = true;

	store.limit = 4 * MIB;
	attach();
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	assert_int_equal(spill_all(), -ENOSPC);
	assert_in_range(stats_now().bd_count, 100, BLOCKS - 100);
	device_ok(dev);
	grow_old();
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_true(device_has(dev, i, BLOCK_NOISE, i));
	must(zsblk_discard(dev, BLOCKS / 2 * BLOCK_BYTES, 0) == 0);
	while (more)
		must(zsblk_spill_clean_step(dev, &more) == 0);
	/* There is room again. */
	(void)spill_all();
	assert_true(sector_is_backed(table_load(&dev->table, BLOCKS / 2)));
	device_ok(dev);
	for (unsigned i = BLOCKS / 2; i < BLOCKS; i++)
		assert_true(device_has(dev, i, BLOCK_NOISE, i));
}

static void test_damaged(void **state)
{
	uint64_t word, next;
	uint8_t got[BLOCK_BYTES], byte;
	off_t at;
	int fd;

	begin();
	word = table_load(&dev->table, BLOCK_NOISE);
	at = (off_t)(word_backed(word).place * 16 + 60);
	fd = open(path, O_RDWR | O_CLOEXEC);
	must(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	/* Encrypted, a byte may have any value. */
	byte ^= 0xff;
	must(pwrite(fd, &byte, 1, at) == 1 && close(fd) == 0);
	assert_int_equal(zsblk_read(dev, got, BLOCK_BYTES, BLOCK_NOISE * BLOCK_BYTES), -EIO);
	assert_int_equal(zsblk_write(dev, got, 5, BLOCK_NOISE * BLOCK_BYTES), -EIO);
	assert_int_equal(stats_now().failed_reads, 2);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	/* A check of blocks reads what is in the store, too. */
	assert_int_equal(zsblk_check_blocks(dev, 0, BLOCKS, &next, &why), -EUCLEAN);
	assert_int_equal(next, BLOCK_NOISE + 1);
	assert_non_null(strstr(why.text, "backing store"));
	assert_int_equal(zsblk_check_blocks(dev, next, BLOCKS, &next, &why), 0);
	/* This one only, and until it is written. */
	device_put(dev, BLOCK_NOISE, BLOCK_NOISE, BLOCK_NOISE);
	verify(0);
}

/* The store's account is compared with the table. */
static void test_account(void **state)
{
	struct word_backed backed;
	uint64_t places;

	begin();
	backed = word_backed(table_load(&dev->table, BLOCK_NOISE));
	dev->backing->spill->drop(dev->backing->store, backed.place, backed.size);
	assert_int_equal(zsblk_check(dev, &why), -EUCLEAN);
	assert_true(sscanf(why.text, "the backing store counts %" SCNu64, &places) == 1 && places == WITH_OBJECT - 1);
	device_put(dev, BLOCK_NOISE, BLOCK_ZERO, 0);
	zsblk_close(dev);
	dev = NULL;
}

static void test_no_room_in_memory(void **state)
{
	begin();
	/* What is there takes the limit. */
	zsblk_set_mem_limit(dev, 1);
	verify(0);
	verify(0);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	assert_int_equal(zsblk_write(dev, "?", 1, BLOCK_NOISE * BLOCK_BYTES), -ENOSPC);
	zsblk_set_mem_limit(dev, 0);
	verify(0);
}

/* Near the limit, blocks that are read stay where they are: what room is left is for writes. */
static void test_little_room_in_memory(void **state)
{
	begin();
	zsblk_set_mem_limit(dev, 800 * 1024);
	verify(0);
	verify(0);
	/* Some came back, and most did not. */
	assert_in_range(stats_now().returned, 10, WITH_OBJECT - 100);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(zsblk_write(dev, "?", 1, (BLOCK_NOISE + i * BLOCK_KINDS) * BLOCK_BYTES), 0);
	zsblk_set_mem_limit(dev, 0);
}

/* ------------------------------------------------------------------ requests meanwhile */

static _Atomic bool is_over;

static void *use(void *opaque)
{
	unsigned first = (unsigned)(uintptr_t)opaque * (BLOCKS / 3), tags[BLOCKS / 3];
	uint64_t random = first + 1;

	for (unsigned i = 0; i < BLOCKS / 3; i++)
		tags[i] = first + i;
	while (!is_over) {
		unsigned i = (unsigned)random_below(&random, BLOCKS / 3);

		if (random_below(&random, 3) == 0)
			device_put(dev, first + i, kind_of(first + i), ++tags[i] + 100000);
		else
			must(device_has(dev, first + i, kind_of(first + i), tags[i] + 100000));
	}
	return NULL;
}

static void test_range_is_gone(void **state)
{
	const struct zsblk_spill_what tail = {.first = 1000};
	struct zsblk_spill_figures figures;
	struct zsblk_spilling *job;
	bool more = true;

	attach();
	device_put(dev, 0, BLOCK_TEXT, 1);
	must(zsblk_spill_begin(dev, &tail, &job, &why) == 0);
	must(zsblk_resize(dev, 500 * BLOCK_BYTES, &why) == 0);
	for (unsigned steps = 0; more; steps++) {
		must(zsblk_spill_step(job, &figures, &more) == 0);
		assert_int_equal(figures.done, 0);
		assert_int_equal(figures.total, 0);
		assert_true(steps < 10);
	}
	zsblk_spill_end(job);
}

static void test_requests_meanwhile(void **state)
{
	unsigned rounds = test_env("ZSBLK_SHORT") ? 20 : 100;
	pthread_t thread[3];
	bool more;

	store.limit = 8 * MIB;
	attach();
	fill(100000);
	is_over = false;
	for (uintptr_t i = 0; i < 3; i++)
		must(pthread_create(&thread[i], NULL, use, (void *)i) == 0);
	for (unsigned i = 0; i < rounds; i++) {
		int r = spill_all();

		must(r == 0 || r == -ENOSPC);
		r = zsblk_spill_clean_step(dev, &more);
		must(r == 0 || r == -ENOSPC);
		grow_old();
	}
	is_over = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPILLING_TEST(test_there_and_back),
		SPILLING_TEST(test_parts),
		SPILLING_TEST(test_places_come_back),
		SPILLING_TEST(test_which_blocks),
		SPILLING_TEST(test_refused),
		SPILLING_TEST(test_on_itself),
		SPILLING_TEST(test_needs_a_store),
		SPILLING_TEST(test_full),
		SPILLING_TEST(test_damaged),
		SPILLING_TEST(test_account),
		SPILLING_TEST(test_no_room_in_memory),
		SPILLING_TEST(test_little_room_in_memory),
		SPILLING_TEST(test_requests_meanwhile),
		SPILLING_TEST(test_range_is_gone),
	};

	use_module();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

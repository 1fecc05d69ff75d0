/* SPDX-License-Identifier: BSD-3-Clause */
/* A device that is full, or whose memory cannot be had: what fails, what goes on, and that it recovers. */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/engine.h"

#define BLOCKS 2000u

static struct zsblk *dev;
static uint8_t data[BLOCK_BYTES];

static int open_with(uint64_t limit, uint64_t reserve, bool shared)
{
	struct zsblk_params params = device_params(BLOCKS);

	params.mem_limit = limit;
	params.reserve = reserve;
	if (shared)
		params.memory = test_shm_new()->memory;
	dev = device_open(&params);
	return 0;
}

static int plain(void **state)
{
	return open_with(0, 0, false);
}

static int limited(void **state)
{
	return open_with(1 << 20, 0, false);
}

static int limited_shared(void **state)
{
	return open_with(1 << 20, 256 << 10, true);
}

static int reserved(void **state)
{
	return open_with(0, 1 << 20, false);
}

static int close_it(void **state)
{
	zs_core_inject_failures(dev->core, 0);
	device_ok(dev);
	zsblk_close(dev);
	return 0;
}

static int try_put(uint64_t block, enum block_kind kind, uint64_t tag)
{
	block_make(data, kind, tag);
	return zsblk_write(dev, data, BLOCK_BYTES, block * BLOCK_BYTES);
}

static unsigned fill_up(enum block_kind kind)
{
	unsigned n = 0;

	while (n < BLOCKS && try_put(n, kind, n) == 0)
		n++;
	return n;
}

/* Fill, find it full, free some, and use just that again: as often as one likes. */
static void test_full_and_recovered(void **state)
{
	for (unsigned kind = BLOCK_NOISE; kind <= BLOCK_TEXT; kind++) {
		unsigned n = fill_up(kind);

		assert_in_range(n, 256, kind == BLOCK_NOISE ? 256 : 1000);
		for (unsigned round = 0; round < 5; round++) {
			assert_int_equal(try_put(n, BLOCK_NOISE, n), -ENOSPC);
			assert_true(device_stats(dev).mem_used_total <= 1 << 20);
			for (unsigned i = round; i < n; i += 7)
				assert_int_equal(zsblk_discard(dev, BLOCK_BYTES, i * BLOCK_BYTES), 0);
			for (unsigned i = round; i < n; i += 7)
				assert_int_equal(try_put(i, kind, i), 0);
			for (unsigned i = 0; i < n; i++)
				assert_true(device_has(dev, i, kind, i));
			device_ok(dev);
		}
		assert_int_equal(zsblk_discard(dev, BLOCKS * BLOCK_BYTES, 0), 0);
		assert_int_equal(device_stats(dev).mem_used_total, 0);
	}
}

/* What goes on when nothing can be stored: reading, freeing, and what needs no memory. */
static void test_what_works_when_full(void **state)
{
	struct zsblk_stats before;
	unsigned n;

	zsblk_set_mem_limit(dev, 1 << 20);
	n = fill_up(BLOCK_NOISE);
	before = device_stats(dev);
	for (unsigned i = 0; i < n; i++)
		assert_true(device_has(dev, i, BLOCK_NOISE, i));
	device_put(dev, n + 1, BLOCK_ZERO, 0);
	device_put(dev, n + 2, BLOCK_SAME32, 2);
	assert_int_equal(zsblk_write_zeroes(dev, 4096, (n + 3) * 4096), 0);
	assert_int_equal(zsblk_flush(dev), 0);
	/* Replacing by less: the new object is stored before the old one is freed, and there is no room. */
	assert_int_equal(try_put(0, BLOCK_TEXT, 1), -ENOSPC);
	assert_true(device_has(dev, 0, BLOCK_NOISE, 0));
	/* Part of a block cleared: the rest must be stored anew. */
	assert_int_equal(zsblk_discard(dev, 100, 5 * 4096 + 3), -ENOSPC);
	assert_true(device_has(dev, 5, BLOCK_NOISE, 5));
	assert_int_equal(device_stats(dev).failed_discards, 1);
	/* A whole one is freed all the same, with ragged edges around it that were never written. */
	assert_int_equal(zsblk_discard(dev, 4096, 5 * 4096), 0);
	assert_int_equal(device_stats(dev).mem_used_total, before.mem_used_total - 4096);
	assert_int_equal(try_put(0, BLOCK_TEXT, 1), 0);
	zsblk_compact(dev);
	assert_true(device_has(dev, 0, BLOCK_TEXT, 1));
}

/* The limit lowered below what is in use: nothing is lost, and nothing more is stored until it fits. */
static void test_limit_lowered(void **state)
{
	for (unsigned i = 0; i < 500; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	zsblk_set_mem_limit(dev, 100 * 4096);
	assert_int_equal(try_put(600, BLOCK_NOISE, 1), -ENOSPC);
	for (unsigned i = 0; i < 500; i++)
		assert_true(device_has(dev, i, BLOCK_NOISE, i));
	assert_int_equal(zsblk_discard(dev, 400 * 4096, 0), 0);
	assert_int_equal(try_put(600, BLOCK_NOISE, 1), -ENOSPC);
	assert_int_equal(zsblk_discard(dev, 4096, 450 * 4096), 0);
	assert_int_equal(try_put(600, BLOCK_NOISE, 1), 0);
}

/* No page can be had at all: every request fails cleanly, and all is well afterwards. */
static void test_no_memory_at_all(void **state)
{
	for (unsigned i = 0; i < 100; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	zs_core_inject_failures(dev->core, 1);
	/* There is still some room in the pages that are there. */
	for (unsigned i = 0; i < 200; i++)
		assert_true(try_put(1000 + i, BLOCK_NOISE, i) == -ENOSPC);
	for (unsigned i = 0; i < 100; i++)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
	zsblk_compact(dev);
	device_ok(dev);
	assert_int_equal(zsblk_discard(dev, 50 * 4096, 0), 0);
	zs_core_inject_failures(dev->core, 0);
	for (unsigned i = 0; i < 200; i++)
		device_put(dev, 1000 + i, BLOCK_NOISE, i);
	device_ok(dev);
}

/* Populating fails: with a reserve, memory that is not certain is not used. */
static void test_populate_fails(void **state)
{
	unsigned n = 0;

	__atomic_store_n(&dev->seg.fail_every, 1u, __ATOMIC_RELAXED);
	/* The reserve is what there is. */
	while (n < BLOCKS && try_put(n, BLOCK_NOISE, n) == 0)
		n++;
	assert_int_equal(n, 256);
	assert_int_equal(try_put(n, BLOCK_NOISE, n), -ENOSPC);
	for (unsigned i = 0; i < n; i++)
		assert_true(device_has(dev, i, BLOCK_NOISE, i));
	__atomic_store_n(&dev->seg.fail_every, 0u, __ATOMIC_RELAXED);
	for (unsigned i = n; i < 2 * n; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	assert_true(device_stats(dev).reserve_misses > 0);
}

int main(void)
{
#define WITH(test, set_up) cmocka_unit_test_setup_teardown(test, set_up, close_it)
	const struct CMUnitTest tests[] = {
		WITH(test_full_and_recovered, limited),
		{"test_full_and_recovered (shared, with a reserve)", test_full_and_recovered, limited_shared, close_it,
		 NULL},
		WITH(test_what_works_when_full, plain),
		WITH(test_limit_lowered, plain),
		WITH(test_no_memory_at_all, plain),
		WITH(test_populate_fails, reserved),
	};

	return cmocka_run_group_tests_name("full", tests, NULL, NULL);
}

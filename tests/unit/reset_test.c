/* SPDX-License-Identifier: BSD-3-Clause */
/* All blocks of a device are freed: at once, in steps, and beside requests. */
#include "lib/device.h"
#include "lib/test.h"

#include "engine/engine.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 6000u

static struct zsblk *dev;

static int set_up(void **state)
{
	dev = device_new(BLOCKS);
	for (unsigned block = 0; block < BLOCKS; block++)
		device_put(dev, block, (enum block_kind)(block % BLOCK_KINDS), block);
	return 0;
}

static int tear_down(void **state)
{
	zsblk_close(dev);
	return 0;
}

static void test_all_is_freed(void **state)
{
	struct zsblk_stats before = device_stats(dev), after;

	zsblk_reset(dev);
	after = device_stats(dev);
	assert_true(before.mem_used_total > 0 && before.same_pages > 0 && before.huge_pages > 0);
	assert_int_equal(after.orig_data_size, 0);
	assert_int_equal(after.compr_data_size, 0);
	assert_int_equal(after.mem_used_total, 0);
	assert_int_equal(after.mem_used_max, 0);
	assert_int_equal(after.same_pages, 0);
	assert_int_equal(after.huge_pages, 0);
	/* It is no request, and what happened so far has happened. */
	assert_int_equal(after.discards, before.discards);
	assert_int_equal(after.writes, before.writes);
	assert_int_equal(after.huge_pages_since, before.huge_pages_since);
	for (unsigned block = 0; block < BLOCKS; block++)
		assert_true(device_has(dev, block, BLOCK_ZERO, 0));
	assert_int_equal(zsblk_size(dev), BLOCKS * BLOCK_BYTES);
	device_put(dev, 5, BLOCK_TEXT, 5);
	device_ok(dev);
	zsblk_reset(dev);
	zsblk_reset(dev);
	device_ok(dev);
}

static void test_steps_are_bounded(void **state)
{
	uint64_t block = 0, stored = device_stats(dev).orig_data_size;
	unsigned steps = 1;

	for (bool more = true; more; steps++) {
		uint64_t now;

		more = zsblk_reset_step(dev, &block);
		now = device_stats(dev).orig_data_size;
		assert_true(now < stored && stored - now <= 1024 * BLOCK_BYTES);
		assert_int_equal(more, now > 0);
		stored = now;
	}
	assert_true(steps > BLOCKS / 1024);
	assert_int_equal(block, BLOCKS);
	assert_false(zsblk_reset_step(dev, &block));
	block = UINT64_MAX;
	assert_false(zsblk_reset_step(dev, &block));
	device_ok(dev);
}

/* Where nothing was ever written there is nothing to do. */
static void test_empty(void **state)
{
	struct zsblk *empty;
	uint64_t block = 0;

	if (sizeof(void *) < 8)
		SKIP_BECAUSE("the device has 16 GiB of addresses");
	empty = device_new(1u << 22);
	assert_false(zsblk_reset_step(empty, &block));
	zsblk_close(empty);
}

/* ------------------------------------------------------------------ beside requests */

static atomic_bool stop;
static uint64_t tags[BLOCKS];

/* What was written is there, or was freed. */
static void *write_own(void *opaque)
{
	uint64_t first = (uintptr_t)opaque, random = first + 1;

	while (!atomic_load(&stop)) {
		uint64_t block = first + 3 * random_below(&random, BLOCKS / 3);

		must(device_has(dev, block, BLOCK_ZERO, 0) || device_has(dev, block, BLOCK_TEXT, tags[block]) ||
		     device_has(dev, block, BLOCK_ZERO, 0));
		tags[block] = random_next(&random);
		device_put(dev, block, BLOCK_TEXT, tags[block]);
		if (random_below(&random, 8) == 0)
			must(zsblk_discard(dev, BLOCK_BYTES, block * BLOCK_BYTES) == 0);
	}
	return NULL;
}

static void test_beside_requests(void **state)
{
	pthread_t threads[3];

	zsblk_reset(dev);
	for (uintptr_t i = 0; i < COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, write_own, (void *)i);
	for (unsigned i = 0; i < test_amount(200); i++) {
		zsblk_reset(dev);
		usleep(1000);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	device_ok(dev);
	zsblk_reset(dev);
	assert_int_equal(device_stats(dev).mem_used_total, 0);
	device_ok(dev);
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_all_is_freed),
		WITH_DEVICE(test_steps_are_bounded),
		WITH_DEVICE(test_empty),
		WITH_DEVICE(test_beside_requests),
	};

	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}

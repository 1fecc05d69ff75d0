/* SPDX-License-Identifier: BSD-3-Clause */
/* The reserve of a device in use: larger, smaller, none at all, below a limit, refused; and beside requests. */
#include "lib/emulator.h"
#include "lib/fixture.h"
#include "lib/test.h"
#include "lib/zoneinfo.h"

#include "engine/engine.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 20000u
#define MIB    (UINT64_C(1) << 20)

static int set_up(void **state)
{
	return fixture_open(BLOCKS);
}

static int set(uint64_t bytes)
{
	return zsblk_set_reserve(dev, bytes, &why);
}

/* It is filled and given back in the background; whoever waits a minute waits for a machine that does nothing else. */
static void wait_for(uint64_t least, uint64_t most)
{
	uint64_t reserved;

	for (unsigned i = 0; i < 6000; i++) {
		reserved = device_stats(dev).reserved_bytes;
		if (reserved >= least && reserved <= most)
			return;
		usleep(10000);
	}
	fail_msg("%" PRIu64 " bytes are reserved, and not %" PRIu64 " to %" PRIu64, reserved, least, most);
}

static void test_from_none_and_back(void **state)
{
	assert_int_equal(zsblk_reserve(dev), 0);
	assert_int_equal(set(8 * MIB), 0);
	assert_int_equal(zsblk_reserve(dev), 8 * MIB);
	wait_for(8 * MIB, 10 * MIB);
	/* Now it is there for requests, and is filled again. */
	for (unsigned block = 0; block < 500; block++)
		device_put(dev, block, BLOCK_NOISE, block);
	assert_int_equal(device_stats(dev).reserve_misses, 0);
	wait_for(8 * MIB, 10 * MIB);
	assert_int_equal(set(16 * MIB), 0);
	wait_for(16 * MIB, 20 * MIB);
	/* What is beyond, and the slack, goes back. */
	assert_int_equal(set(2 * MIB), 0);
	wait_for(2 * MIB, 4 * MIB);
	assert_int_equal(set(0), 0);
	assert_int_equal(zsblk_reserve(dev), 0);
	wait_for(0, 2 * MIB);
	assert_int_equal(set(1), 0);
	device_ok(dev);
}

static void test_refused(void **state)
{
	zsblk_set_mem_limit(dev, 4 * MIB);
	assert_int_equal(set(4 * MIB + 1), -EINVAL);
	assert_non_null(strstr(why.text, "reserve=4194305 is more than mem-limit=4194304"));
	assert_int_equal(zsblk_reserve(dev), 0);
	assert_int_equal(set(4 * MIB), 0);
	zsblk_set_mem_limit(dev, 0);
	assert_int_equal(set(UINT64_C(1) << 60), -ENOMEM);
	assert_non_null(strstr(why.text, "is more memory than there is"));
	assert_int_equal(zsblk_set_reserve(dev, UINT64_C(1) << 60, NULL), -ENOMEM);
	assert_int_equal(zsblk_reserve(dev), 4 * MIB);
}

/* A limit below the reserve cuts it down, and does not change what is asked for. */
static void test_below_a_limit(void **state)
{
	assert_int_equal(set(8 * MIB), 0);
	wait_for(8 * MIB, 10 * MIB);
	zsblk_set_mem_limit(dev, 2 * MIB);
	wait_for(2 * MIB, 4 * MIB);
	assert_int_equal(zsblk_reserve(dev), 8 * MIB);
	zsblk_set_mem_limit(dev, 0);
	wait_for(8 * MIB, 10 * MIB);
}

static void test_asks_for_memory(void **state)
{
	if (sizeof(void *) < 8)
		SKIP_BECAUSE("the second device has 16 GiB of addresses");
	assert_int_equal(set(1 * MIB), 0);
	zoneinfo_set_free(&dev->change_spare, 0);
	/* For more of the table than is in memory. */
	assert_int_equal(set(2 * MIB), 0);
	fixture_close(NULL);
	params.size = 4000000 * (uint64_t)BLOCK_BYTES;
	params.reserve = 1 * MIB;
	dev = device_open(&params);
	zoneinfo_set_free(&dev->change_spare, 0);
	assert_int_equal(set(2 * MIB), -ENOMEM);
	assert_non_null(strstr(why.text, "no memory to spare for the table"));
	assert_int_equal(zsblk_reserve(dev), 1 * MIB);
	zoneinfo_set_free(&dev->change_spare, 1000);
	assert_int_equal(set(2 * MIB), 0);
}

static bool interrupted(void)
{
	return true;
}

static void test_told_to_stop(void **state)
{
	dev->interrupted = interrupted;
	assert_int_equal(set(1 * MIB), -EINTR);
	assert_non_null(strstr(why.text, "told to stop"));
	assert_int_equal(zsblk_reserve(dev), 0);
}

/* The thread that fills it may be about to start. */
static void test_closed_at_once(void **state)
{
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(set(1 * MIB), 0);
		usleep(i * 60000 % 1100000);
		fixture_close(NULL);
		dev = device_open(&params);
	}
}

static atomic_bool stop;

static void *write_noise(void *opaque)
{
	uint64_t random = (uintptr_t)opaque;

	while (!atomic_load(&stop))
		device_put(dev, random_below(&random, 2000), BLOCK_NOISE, random_next(&random));
	return NULL;
}

static void test_beside_requests(void **state)
{
	pthread_t threads[2];

	for (uintptr_t i = 0; i < COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, write_noise, (void *)i);
	for (unsigned i = 0; i < test_amount(400); i++) {
		assert_int_equal(set(i % 7 * MIB), 0);
		zsblk_set_mem_limit(dev, i % 3 ? 0 : 64 * MIB);
		usleep(5000);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(set(3 * MIB), 0);
	wait_for(3 * MIB, 6 * MIB);
	device_ok(dev);
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_close)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_from_none_and_back), WITH_DEVICE(test_refused),      WITH_DEVICE(test_below_a_limit),
		WITH_DEVICE(test_asks_for_memory),    WITH_DEVICE(test_told_to_stop), WITH_DEVICE(test_closed_at_once),
		WITH_DEVICE(test_beside_requests),
	};

	if (advice_is_ignored()) {
		puts("1..0 # SKIP no reserve is populated or given back here");
		return 0;
	}
	return cmocka_run_group_tests_name("reserve", tests, NULL, NULL);
}

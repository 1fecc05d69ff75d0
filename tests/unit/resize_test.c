/* SPDX-License-Identifier: BSD-3-Clause */
/* The size of a device in use: grown, shrunk, refused; beside requests; and found again. The memory of its table. */
#include "lib/emulator.h"
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"
#include "lib/zoneinfo.h"

#include "engine/sector.h"

#include <pthread.h>
#include <stdatomic.h>

#define SMALL         500u
#define LARGE         4000u
#define BYTES(blocks) ((uint64_t)(blocks)*BLOCK_BYTES)

static struct zsblk *dev;
static struct zsblk_params params;
static struct zsblk_why why;

static int set_up(void **state)
{
	params = device_params(SMALL);
	params.max_size = BYTES(LARGE);
	dev = device_open(&params);
	return 0;
}

static int tear_down(void **state)
{
	zsblk_close(dev);
	return 0;
}

static int resize(unsigned blocks)
{
	why.text[0] = '\0';
	return zsblk_resize(dev, BYTES(blocks), &why);
}

static void test_grows_and_shrinks(void **state)
{
	uint8_t block[BLOCK_BYTES];

	assert_int_equal(zsblk_size(dev), BYTES(SMALL));
	assert_int_equal(zsblk_max_size(dev), BYTES(LARGE));
	device_put(dev, SMALL - 1, BLOCK_TEXT, 1);
	assert_int_equal(zsblk_write(dev, block, 1, BYTES(SMALL)), -EINVAL);
	assert_int_equal(resize(LARGE), 0);
	assert_int_equal(zsblk_size(dev), BYTES(LARGE));
	assert_true(device_has(dev, SMALL, BLOCK_ZERO, 0));
	device_put(dev, LARGE - 1, BLOCK_NOISE, 2);
	device_ok(dev);
	must(zsblk_discard(dev, BLOCK_BYTES, BYTES(LARGE - 1)) == 0);
	assert_int_equal(resize(SMALL), 0);
	assert_int_equal(zsblk_read(dev, block, 1, BYTES(SMALL)), -EINVAL);
	assert_int_equal(zsblk_discard(dev, 1, BYTES(SMALL)), -EINVAL);
	assert_true(device_has(dev, SMALL - 1, BLOCK_TEXT, 1));
	device_ok(dev);
	assert_int_equal(resize(SMALL), 0);
	assert_int_equal(resize(1), -ENOTEMPTY);
	must(zsblk_discard(dev, BYTES(SMALL), 0) == 0);
	assert_int_equal(resize(1), 0);
	device_put(dev, 0, BLOCK_TEXT, 3);
	device_ok(dev);
}

static void test_refused(void **state)
{
	assert_int_equal(resize(0), -EINVAL);
	assert_int_equal(zsblk_resize(dev, 4097, &why), -EINVAL);
	assert_non_null(strstr(why.text, "size=4097"));
	assert_int_equal(resize(LARGE + 1), -EINVAL);
	assert_non_null(strstr(why.text, "at most 16384000"));
	assert_int_equal(zsblk_resize(dev, UINT64_MAX / BLOCK_BYTES * BLOCK_BYTES, NULL), -EINVAL);
	device_put(dev, 321, BLOCK_SAME32, 1);
	assert_int_equal(resize(321), -ENOTEMPTY);
	assert_non_null(strstr(why.text, "byte 1314816"));
	assert_int_equal(zsblk_size(dev), BYTES(SMALL));
	assert_int_equal(resize(322), 0);
}

/* What lies behind the new end of the table goes back to the system. */
static void test_table_is_given_back(void **state)
{
	uint64_t before;

	assert_int_equal(resize(LARGE), 0);
	before = table_bytes(&dev->table);
	for (unsigned block = SMALL; block < LARGE; block++)
		device_put(dev, block, BLOCK_SAME32, block);
	must(zsblk_discard(dev, BYTES(LARGE - SMALL), BYTES(SMALL)) == 0);
	assert_true(table_bytes(&dev->table) >= before + (LARGE - 1024) * 8);
	assert_true(device_stats(dev).metadata_bytes >= table_bytes(&dev->table));
	assert_int_equal(resize(SMALL), 0);
	/* But the page with words of both parts, and the last one, which may have words of entries. */
	assert_int_equal(table_bytes(&dev->table), before + 2 * BLOCK_BYTES);
	assert_int_equal(resize(LARGE), 0);
	for (unsigned block = 0; block < LARGE; block++)
		assert_true(device_has(dev, block, BLOCK_ZERO, 0));
	device_ok(dev);
}

/* The page of the table with the last words of blocks may have words of entries as well (docs/format.md). */
static void test_entries_stay(void **state)
{
	must(LARGE % TABLE_PAGE_WORDS);
	assert_int_equal(resize(LARGE), 0);
	device_put(dev, LARGE - 1, BLOCK_SAME32, 1);
	must(zsblk_discard(dev, BLOCK_BYTES, BYTES(LARGE - 1)) == 0);
	table_store(&dev->table, LARGE, 1234);
	assert_int_equal(resize(SMALL), 0);
	assert_int_equal(table_load(&dev->table, LARGE), 1234);
	assert_true(table_load(&dev->table, LARGE - 1) == 0);
	table_store(&dev->table, LARGE, 0);
	device_ok(dev);
}

static void test_max_size_is_checked(void **state)
{
	struct zsblk_params other = params;

	for (unsigned i = 0; i < 3; i++) {
		other.max_size = i == 0 ? BYTES(SMALL - 1) : i == 1 ? BYTES(LARGE) + 1 : ZSBLK_MAX_SIZE + BLOCK_BYTES;
		assert_int_equal(zsblk_params_check(&other, &why), -EINVAL);
		assert_non_null(strstr(why.text, "max-size="));
	}
}

static void test_found_again(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_segment found;
	struct zsblk *other;

	tear_down(NULL);
	params.memory = shm->memory;
	dev = device_open(&params);
	device_put(dev, 7, BLOCK_TEXT, 1);
	assert_int_equal(resize(3000), 0);
	device_put(dev, 2999, BLOCK_TEXT, 2);
	zsblk_close(dev);
	assert_int_equal(zsblk_inspect(shm->memory, &found, &why), 0);
	assert_int_equal(found.size, BYTES(3000));
	assert_int_equal(found.max_size, BYTES(LARGE));
	/* Not what it has. */
	assert_int_equal(zsblk_open(&params, &other, &why), -EINVAL);
	assert_non_null(strstr(why.text, "size=12288000"));
	params.size = found.size;
	params.max_size = BYTES(LARGE + 1);
	assert_int_equal(zsblk_open(&params, &other, &why), -EINVAL);
	assert_non_null(strstr(why.text, "max-size=16384000"));
	params.max_size = 0;
	dev = device_open(&params);
	assert_true(device_has(dev, 7, BLOCK_TEXT, 1) && device_has(dev, 2999, BLOCK_TEXT, 2));
	assert_int_equal(resize(LARGE), 0);
	device_ok(dev);
}

/* ------------------------------------------------------------------ beside requests */

static atomic_bool stop;
static atomic_ulong written, beyond;

/* Writes at the very end, and takes it away again, as fast as it can: what was acknowledged is there. */
static void *write_the_tail(void *opaque)
{
	uint64_t random = (uint64_t)(uintptr_t)opaque, block = SMALL + (uint64_t)(uintptr_t)opaque;
	uint8_t data[BLOCK_BYTES], got[BLOCK_BYTES];

	while (!atomic_load(&stop)) {
		unsigned from = random_below(&random, 2) ? 0 : (unsigned)random_below(&random, BLOCK_BYTES - 1);
		int r;

		block_make(data, 1 + random_below(&random, BLOCK_KINDS - 1), random_next(&random));
		r = zsblk_write(dev, data + from, BLOCK_BYTES - from, BYTES(block) + from);
		if (r) {
			must(r == -EINVAL);
			atomic_fetch_add(&beyond, 1);
			continue;
		}
		/* As long as it is there nobody can cut it off. */
		must(zsblk_read(dev, got, BLOCK_BYTES, BYTES(block)) == 0);
		must(memcmp(got + from, data + from, BLOCK_BYTES - from) == 0);
		must(zsblk_discard(dev, BLOCK_BYTES, BYTES(block)) == 0);
		atomic_fetch_add(&written, 1);
	}
	return NULL;
}

static void test_beside_writers_of_the_tail(void **state)
{
	pthread_t threads[3];
	unsigned cut = 0, refused = 0, rounds = test_amount(6000);

	for (uintptr_t i = 0; i < COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, write_the_tail, (void *)(i + 1));
	for (unsigned i = 0; i < rounds || (!refused && i < 100 * rounds); i++) {
		int r = resize(SMALL);

		must(r == 0 || r == -ENOTEMPTY);
		cut += r == 0;
		refused += r != 0;
		must(resize(SMALL + 10 + i % 7) == 0);
		if (i % 16 == 0)
			sched_yield();
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	device_ok(dev);
	assert_true(cut > 0 && refused > 0);
	assert_true(atomic_load(&written) > 0);
}

/* ------------------------------------------------------------------ while a shrinking is tried */

#define HELD (LARGE - 1) /* a block of the tail, whose stripe is held: the trial waits for that */

static void *shrink(void *opaque)
{
	*(int *)opaque = resize(SMALL);
	return NULL;
}

static void *write_held_neighbour(void *opaque)
{
	uint8_t data[BLOCK_BYTES];

	block_make(data, BLOCK_TEXT, 9);
	*(int *)opaque = zsblk_write(dev, data, sizeof data, BYTES(HELD - 1));
	return NULL;
}

static void wait_for_trial(void)
{
	for (unsigned i = 0; i < 10000 && atomic_load(&dev->end) != SMALL; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&dev->end), SMALL);
}

/* Until it is decided, the device has its size, and what lies at its end can be read, looked at and discarded. */
static void expect_old_size(void)
{
	uint8_t block[BLOCK_BYTES];

	assert_int_equal(zsblk_size(dev), BYTES(LARGE));
	assert_int_equal(zsblk_read(dev, block, sizeof block, BYTES(HELD - 2)), 0);
	assert_int_equal(zsblk_discard(dev, BYTES(10), BYTES(HELD - 12)), 0);
	assert_int_equal(zsblk_write(dev, block, 1, BYTES(LARGE)), -EINVAL);
}

/* The shrinking is tried while somebody is about to publish a block there. `publish`: that one does; then it is refused. */
static void try_shrinking(bool publish)
{
	int shrunk = 1, answer = 1;
	pthread_t shrinker, writer;
	struct context *ctx;

	assert_int_equal(resize(LARGE), 0);
	stripe_lock(dev, HELD);
	pthread_create(&shrinker, NULL, shrink, &shrunk);
	wait_for_trial();
	expect_old_size();
	pthread_create(&writer, NULL, write_held_neighbour, &answer);
	usleep(20000);
	if (publish) {
		ctx = context_get(&dev->contexts);
		sector_publish(dev, ctx, HELD, word_make_same32(5));
		context_put(&dev->contexts, ctx);
	}
	stripe_unlock(dev, HELD);
	pthread_join(shrinker, NULL);
	pthread_join(writer, NULL);
	assert_int_equal(shrunk, publish ? -ENOTEMPTY : 0);
	/* It waited for the decision, and is one with it. */
	assert_int_equal(answer, publish ? 0 : -EINVAL);
	assert_int_equal(zsblk_size(dev), publish ? BYTES(LARGE) : BYTES(SMALL));
	device_ok(dev);
}

static void test_trial_is_not_seen(void **state)
{
	try_shrinking(true);
	assert_true(device_has(dev, HELD - 1, BLOCK_TEXT, 9));
	must(zsblk_discard(dev, BYTES(2), BYTES(HELD - 1)) == 0);
	try_shrinking(false);
}

/* ------------------------------------------------------------------ when memory is short */

static void with_reserve(void)
{
	tear_down(NULL);
	params.reserve = 1 << 20;
	params.max_size = BYTES(200000);
	dev = device_open(&params);
}

static void *free_memory_soon(void *opaque)
{
	usleep(300000);
	zoneinfo_set_free(&dev->change_spare, 1000);
	return NULL;
}

/* Whoever serves swap must not wait in the kernel for memory: growing asks first, waits a while, and gives up. */
static void test_growing_asks_for_memory(void **state)
{
	uint64_t before, after;
	pthread_t thread;

	if (advice_is_ignored())
		skip();
	with_reserve();
	zoneinfo_set_free(&dev->change_spare, 0);
	segment_count_resident(&dev->seg, dev->layout.table_offset, BYTES(390), &before);
	assert_int_equal(resize(199000), -ENOMEM);
	assert_non_null(strstr(why.text, "no memory to spare"));
	segment_count_resident(&dev->seg, dev->layout.table_offset, BYTES(390), &after);
	assert_int_equal(after, before);
	assert_int_equal(zsblk_size(dev), BYTES(SMALL));
	/* Shrinking takes none. */
	assert_int_equal(resize(SMALL / 2), 0);
	pthread_create(&thread, NULL, free_memory_soon, NULL);
	assert_int_equal(resize(199000), 0);
	pthread_join(thread, NULL);
	segment_count_resident(&dev->seg, dev->layout.table_offset, BYTES(256), &after);
	assert_int_equal(after, 256);
	/* What is in memory already is had without asking. */
	zoneinfo_set_free(&dev->change_spare, 0);
	assert_int_equal(resize(SMALL), 0);
	assert_int_equal(resize(SMALL + 10), 0);
	device_ok(dev);
}

/*
 * The next server of a device with data does not wait in the kernel for memory that only it can free: with none to spare it
 * starts with the part of the table that is in memory.
 */
static void test_start_asks_for_memory(void **state)
{
	const struct test_shm *shm = test_shm_new();
	uint64_t before, after;

	if (advice_is_ignored())
		skip();
	tear_down(NULL);
	params = device_params(200000);
	params.memory = shm->memory;
	dev = device_open(&params);
	device_put(dev, 7, BLOCK_TEXT, 7);
	zsblk_close(dev);
	params.reserve = 16 << 20;
	assert_int_equal(zsblk_open(&params, &dev, &why), 0);
	zoneinfo_set_free(&dev->spare, 0);
	segment_count_resident(&dev->seg, dev->layout.table_offset, BYTES(390), &before);
	assert_int_equal(zsblk_start(dev, &why), 0);
	segment_count_resident(&dev->seg, dev->layout.table_offset, BYTES(390), &after);
	assert_int_equal(after, before);
	assert_true(device_has(dev, 7, BLOCK_TEXT, 7));
	zsblk_close(dev);
	assert_int_equal(zsblk_open(&params, &dev, &why), 0);
	assert_int_equal(zsblk_start(dev, &why), 0);
	segment_count_resident(&dev->seg, dev->layout.table_offset, BYTES(390), &after);
	assert_int_equal(after, 390);
}

static bool interrupted(void)
{
	return true;
}

static void test_told_to_stop(void **state)
{
	with_reserve();
	dev->interrupted = interrupted;
	assert_int_equal(resize(LARGE), -EINTR);
	assert_non_null(strstr(why.text, "told to stop"));
	assert_null(strstr(why.text, "no memory"));
	assert_int_equal(zsblk_size(dev), BYTES(SMALL));
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_grows_and_shrinks),     WITH_DEVICE(test_refused),
		WITH_DEVICE(test_table_is_given_back),   WITH_DEVICE(test_max_size_is_checked),
		WITH_DEVICE(test_found_again),           WITH_DEVICE(test_beside_writers_of_the_tail),
		WITH_DEVICE(test_trial_is_not_seen),     WITH_DEVICE(test_growing_asks_for_memory),
		WITH_DEVICE(test_start_asks_for_memory), WITH_DEVICE(test_told_to_stop),
		WITH_DEVICE(test_entries_stay),
	};

	return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The algorithm of a device in use: changed, refused; beside requests that hold contexts; and its memory. */
#include "lib/fixture.h"
#include "lib/test.h"
#include "lib/zoneinfo.h"

#include "engine/sector.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 600u

static int set_up(void **state)
{
	return fixture_open(BLOCKS);
}

static int change(const char *algorithm, int level)
{
	return zsblk_set_algorithm(dev, algorithm, true, level, &why);
}

static unsigned codec_of(uint64_t block)
{
	return word_object(table_load(&dev->table, block)).codec;
}

static unsigned size_of(uint64_t block)
{
	return word_object(table_load(&dev->table, block)).size;
}

static void expect(const char *algorithm, int level)
{
	assert_string_equal(zsblk_algorithm_name(dev), algorithm);
	assert_int_equal(zsblk_level(dev), level);
}

static void test_new_blocks_and_old_ones(void **state)
{
	device_put(dev, 0, BLOCK_TEXT, 1);
	device_put(dev, 1, BLOCK_TEXT, 1);
	assert_int_equal(codec_of(0), CODEC_LZ4);
	assert_int_equal(zsblk_set_algorithm(dev, "zstd", false, 99, &why), 0);
	expect("zstd", 3);
	assert_int_equal(codec_of(0), CODEC_LZ4);
	device_put(dev, 1, BLOCK_TEXT, 1);
	assert_int_equal(codec_of(1), CODEC_ZSTD);
	assert_true(size_of(1) < size_of(0));
	assert_int_equal(change("lz4hc", 9), 0);
	device_put(dev, 2, BLOCK_TEXT, 2);
	assert_int_equal(codec_of(2), CODEC_LZ4HC);
	for (unsigned block = 0; block < 3; block++)
		assert_true(device_has(dev, block, BLOCK_TEXT, block == 2 ? 2 : 1));
	device_ok(dev);
}

static void test_level_alone(void **state)
{
	unsigned size;

	assert_int_equal(change("zstd", -50), 0);
	device_put(dev, 0, BLOCK_TEXT, 1);
	size = size_of(0);
	assert_int_equal(change(NULL, 19), 0);
	expect("zstd", 19);
	device_put(dev, 0, BLOCK_TEXT, 1);
	assert_true(size_of(0) < size);
	assert_true(device_has(dev, 0, BLOCK_TEXT, 1));
	/* Without a level it is the default again. */
	assert_int_equal(zsblk_set_algorithm(dev, NULL, false, 0, &why), 0);
	expect("zstd", 3);
	assert_int_equal(zsblk_set_algorithm(dev, NULL, false, 0, &why), 0);
	expect("zstd", 3);
}

static void test_refused(void **state)
{
	assert_int_equal(change("lzo", 1), -EINVAL);
	assert_non_null(strstr(why.text, "algorithm=lzo is not known; use one of lz4"));
	assert_int_equal(change("zstd", 23), -EINVAL);
	assert_non_null(strstr(why.text, "level=23 is out of range for zstd; use -100 to 22"));
	assert_int_equal(change(NULL, 257), -EINVAL);
	assert_non_null(strstr(why.text, "level=257 is out of range for lz4"));
	assert_int_equal(zsblk_set_algorithm(dev, "", false, 0, NULL), -EINVAL);
	expect("lz4", 1);
	device_put(dev, 0, BLOCK_TEXT, 1);
	assert_int_equal(codec_of(0), CODEC_LZ4);
}

static bool is_in_memory(void *mem, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page;
	unsigned char *vec = malloc(pages);
	bool all = true;

	must(vec && mincore(mem, bytes, vec) == 0);
	for (size_t i = 0; i < pages; i++)
		all &= vec[i] & 1;
	free(vec);
	return all;
}

/* Only one of the two encoders has memory afterwards, and that has all of it in memory. */
static void test_memory(void **state)
{
	for (unsigned i = 0; i < 6; i++) {
		const struct encoder *now, *other;

		assert_int_equal(change(i % 2 ? "lz4" : "zstd", 1 + (int)i), 0);
		now = atomic_load(&dev->contexts.encoder);
		other = &dev->contexts.encoders[now == &dev->contexts.encoders[0]];
		assert_null(other->mem);
		assert_non_null(now->mem);
		assert_int_equal(now->bytes, dev->contexts.n * now->each);
		assert_true(is_in_memory(now->mem, now->bytes));
	}
}

/* ------------------------------------------------------------------ a request that takes long */

static atomic_bool changed;

static void *change_to_zstd(void *opaque)
{
	must(change("zstd", 5) == 0);
	atomic_store(&changed, true);
	return NULL;
}

/* It ends with what it began with; requests beside it have the new algorithm, and the call waits for it. */
static void test_request_in_flight(void **state)
{
	struct context *ctx = context_get(&dev->contexts);
	const struct encoder *encoder = atomic_load(&ctx->encoder);
	uint8_t data[BLOCK_BYTES];
	pthread_t thread;
	uint64_t word;

	atomic_store(&changed, false);
	pthread_create(&thread, NULL, change_to_zstd, NULL);
	while (strcmp(zsblk_algorithm_name(dev), "zstd") != 0)
		usleep(1000);
	device_put(dev, 7, BLOCK_TEXT, 7);
	assert_int_equal(codec_of(7), CODEC_ZSTD);
	usleep(20000);
	assert_false(atomic_load(&changed));
	assert_ptr_equal(atomic_load(&ctx->encoder), encoder);
	block_make(data, BLOCK_TEXT, 8);
	assert_int_equal(sector_store(dev, ctx, 8, data, &word), 0);
	assert_int_equal(word_object(word).codec, CODEC_LZ4);
	sector_drop(dev, word);
	context_put(&dev->contexts, ctx);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&changed));
	device_ok(dev);
}

/* ------------------------------------------------------------------ beside requests */

#define WRITERS 6u /* more than contexts */

static atomic_bool stop;

static void *write_and_read(void *opaque)
{
	uint64_t part = BLOCKS / WRITERS, first = (uintptr_t)opaque * part, random = first + 1, tags[BLOCKS] = {0};
	uint8_t want[BLOCK_BYTES], got[BLOCK_BYTES];

	for (uint64_t at = 0; at < part; at++)
		device_put(dev, first + at, BLOCK_TEXT, tags[at]);
	while (!atomic_load(&stop)) {
		uint64_t at = random_below(&random, part);
		unsigned from = random_below(&random, 4) ? 0 : (unsigned)random_below(&random, BLOCK_BYTES);

		must(zsblk_read(dev, got, BLOCK_BYTES, (first + at) * BLOCK_BYTES) == 0);
		block_make(want, BLOCK_TEXT, tags[at]);
		must(memcmp(got, want, BLOCK_BYTES) == 0);
		tags[at] = random_next(&random);
		block_make(want, BLOCK_TEXT, tags[at]);
		/* A block in two parts: the second one is compressed under the stripe. */
		must(zsblk_write(dev, want + from, BLOCK_BYTES - from, (first + at) * BLOCK_BYTES + from) == 0);
		must(zsblk_write(dev, want, from, (first + at) * BLOCK_BYTES) == 0);
	}
	return NULL;
}

static void *change_often(void *opaque)
{
	uint64_t random = (uintptr_t)opaque;

	for (unsigned i = 0; i < test_amount(160); i++) {
		const struct zsblk_algorithm *algorithm = zsblk_algorithm((unsigned)random_below(&random, 3));
		unsigned levels = (unsigned)(algorithm->level_max - algorithm->level_min) + 1;
		int level = algorithm->level_min + (int)random_below(&random, levels);

		must(zsblk_set_algorithm(dev, random_below(&random, 4) ? algorithm->name : NULL,
					 random_below(&random, 4) > 1, level, NULL) != -ENOMEM);
		must(zsblk_algorithm_by_name(zsblk_algorithm_name(dev)) != NULL);
		zsblk_level(dev);
	}
	return NULL;
}

static void test_beside_requests(void **state)
{
	pthread_t writers[WRITERS], changers[2];

	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&writers[i], NULL, write_and_read, (void *)i);
	for (uintptr_t i = 0; i < COUNT_OF(changers); i++)
		pthread_create(&changers[i], NULL, change_often, (void *)(i + 1));
	for (unsigned i = 0; i < COUNT_OF(changers); i++)
		pthread_join(changers[i], NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	device_ok(dev);
}

/* ------------------------------------------------------------------ when memory is short */

static void with_reserve(void)
{
	fixture_close(NULL);
	params.reserve = 1 << 20;
	dev = device_open(&params);
}

/* Whoever serves swap must not wait in the kernel for memory: the call asks first, waits a while, and gives up. */
static void test_asks_for_memory(void **state)
{
	with_reserve();
	zoneinfo_set_free(&dev->change_spare, 0);
	assert_int_equal(change("zstd", 3), -ENOMEM);
	assert_non_null(strstr(why.text, "no memory to spare for the contexts of algorithm=zstd level=3"));
	expect("lz4", 1);
	assert_null(dev->contexts.encoders[1].mem);
	device_put(dev, 0, BLOCK_TEXT, 1);
	assert_int_equal(codec_of(0), CODEC_LZ4);
	zoneinfo_set_free(&dev->change_spare, 1000);
	assert_int_equal(change("zstd", 3), 0);
	expect("zstd", 3);
}

static bool interrupted(void)
{
	return true;
}

static void test_told_to_stop(void **state)
{
	dev->interrupted = interrupted;
	assert_int_equal(change("zstd", 3), -EINTR);
	assert_non_null(strstr(why.text, "told to stop"));
	expect("lz4", 1);
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_close)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_new_blocks_and_old_ones),
		WITH_DEVICE(test_level_alone),
		WITH_DEVICE(test_refused),
		WITH_DEVICE(test_memory),
		WITH_DEVICE(test_request_in_flight),
		WITH_DEVICE(test_beside_requests),
		WITH_DEVICE(test_asks_for_memory),
		WITH_DEVICE(test_told_to_stop),
	};

	return cmocka_run_group_tests_name("encoder", tests, NULL, NULL);
}

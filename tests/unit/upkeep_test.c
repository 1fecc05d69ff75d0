/* SPDX-License-Identifier: BSD-3-Clause */
/* Upkeep: the background thread, compaction in steps, and both beside requests. */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"
#include "lib/zoneinfo.h"

#include "engine/engine.h"
#include "zsmalloc/zspage.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define BLOCKS 4000u

static void make_holes(struct zsblk *dev)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_TEXT + (i % 7 == 0 ? BLOCK_NOISE - BLOCK_TEXT : 0), i);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (i % 5)
			must(zsblk_discard(dev, 4096, i * 4096) == 0);
}

static void all_there(struct zsblk *dev)
{
	for (unsigned i = 0; i < BLOCKS; i += 5)
		must(device_has(dev, i, i % 7 ? BLOCK_TEXT : BLOCK_NOISE, i));
}

static void test_steps(void **state)
{
	struct zsblk *dev = device_new(BLOCKS);
	uint64_t before, sum = 0;
	unsigned steps = 0;
	bool more = true;

	make_holes(dev);
	before = device_stats(dev).mem_used_total;
	while (more) {
		uint64_t freed = zsblk_compact_step(dev, &more);

		assert_true(freed <= ZS_MAX_CHAIN);
		assert_true(++steps < 10000);
		sum += freed;
	}
	assert_true(sum * 4096 > before / 2);
	assert_int_equal(device_stats(dev).mem_used_total, before - sum * 4096);
	assert_int_equal(device_stats(dev).pages_compacted, sum);
	/* The next round begins anew, and finds nothing. */
	assert_int_equal(zsblk_compact(dev), 0);
	device_ok(dev);
	all_there(dev);
	zsblk_close(dev);
}

/* Nobody asks for it: the background thread sees that most of the pool is holes. */
static void test_compacts_by_itself(void **state)
{
	const unsigned blocks = 24000;
	struct zsblk *dev = device_new(blocks);
	uint64_t before;

	for (unsigned i = 0; i < blocks; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	before = device_stats(dev).mem_used_total;
	for (unsigned i = 0; i < blocks; i++)
		if (i % 5)
			must(zsblk_discard(dev, 4096, i * 4096) == 0);
	/* It looks once a second; whoever waits a minute waits for a machine that does nothing else. */
	for (unsigned i = 0; i < 6000 && device_stats(dev).mem_used_total > before / 2; i++)
		usleep(10000);
	assert_true(device_stats(dev).mem_used_total <= before / 2);
	assert_true(device_stats(dev).pages_compacted > 0);
	for (unsigned i = 0; i < blocks; i += 5)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
	zsblk_close(dev);
}

/* Holes that are not worth it as long as there is memory are, once there is little left below the limit. */
static void test_compacts_sooner_near_the_limit(void **state)
{
	const unsigned blocks = 36000;
	struct zsblk *dev = device_new(blocks);
	uint64_t before, used;

	for (unsigned i = 0; i < blocks; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	for (unsigned i = 0; i < blocks; i++)
		if (i % 8 == 0)
			must(zsblk_discard(dev, 4096, i * 4096) == 0);
	before = device_stats(dev).pages_compacted;
	sleep(3);
	assert_int_equal(device_stats(dev).pages_compacted, before);
	used = device_stats(dev).mem_used_total;
	zsblk_set_mem_limit(dev, used + used / 32);
	for (unsigned i = 0; i < 6000 && device_stats(dev).pages_compacted == before; i++)
		usleep(10000);
	assert_true(device_stats(dev).pages_compacted > before);
	for (unsigned i = 1; i < blocks; i += 8)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
	zsblk_close(dev);
}

/* A full device keeps its last free slots for writers: a class that gains nothing is left alone. */
static void test_nothing_to_gain(void **state)
{
	struct zsblk *dev = device_new(BLOCKS);
	uint64_t used;

	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	zsblk_compact(dev);
	used = device_stats(dev).mem_used_total;
	zsblk_set_mem_limit(dev, used);
	for (unsigned i = 0; i < BLOCKS; i++) {
		uint8_t block[4096];

		must(zsblk_read(dev, block, sizeof block, i * 4096) == 0);
		must(zsblk_discard(dev, sizeof block, i * 4096) == 0);
		zsblk_compact(dev);
		must(zsblk_write(dev, block, sizeof block, i * 4096) == 0);
	}
	assert_true(device_stats(dev).mem_used_total <= used);
	device_ok(dev);
	zsblk_close(dev);
}

struct reader {
	struct zsblk *dev;
	atomic_bool *stop;
};

static void *keep_reading(void *opaque)
{
	struct reader *reader = opaque;

	while (!atomic_load(reader->stop))
		all_there(reader->dev);
	return NULL;
}

static void *keep_writing(void *opaque)
{
	struct reader *reader = opaque;
	uint64_t random = 1;

	while (!atomic_load(reader->stop)) {
		/* Blocks nobody reads: make holes, fill them. */
		uint64_t block = random_below(&random, BLOCKS / 5) * 5 + 1 + random_below(&random, 4);

		if (random_below(&random, 2))
			device_put(reader->dev, block, BLOCK_TEXT, block);
		else
			must(zsblk_discard(reader->dev, 4096, block * 4096) == 0);
	}
	return NULL;
}

static void test_beside_requests(void **state)
{
	struct zsblk_params params = device_params(BLOCKS);
	atomic_bool stop = false;
	struct reader reader = {.stop = &stop};
	pthread_t threads[3];

	params.reserve = 1 << 20;
	reader.dev = device_open(&params);
	make_holes(reader.dev);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, i ? keep_writing : keep_reading, &reader);
	for (unsigned i = 0; i < test_amount(40); i++) {
		zsblk_compact(reader.dev);
		usleep(1000);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	device_ok(reader.dev);
	all_there(reader.dev);
	zsblk_close(reader.dev);
}

/* Freed memory is given back in the background until no more than the slack is left. */
static void test_memory_is_given_back(void **state)
{
	struct zsblk *dev = device_new(BLOCKS);
	unsigned patience = 10000;

	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	assert_int_equal(zsblk_discard(dev, BLOCKS * 4096, 0), 0);
	assert_int_equal(device_stats(dev).mem_used_total, 0);
	while (device_stats(dev).reserved_bytes > 4 * 64 * 4096 && patience--)
		usleep(1000);
	assert_true(device_stats(dev).reserved_bytes <= 4 * 64 * 4096);
	device_ok(dev);
	zsblk_close(dev);
}

/* A device at rest takes no more memory than it must, however little there is to gain. */
static void test_compacts_at_rest(void **state)
{
	struct zsblk *dev = device_new(BLOCKS);
	unsigned patience = 20000;
	uint64_t before;

	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, i % 7 ? BLOCK_TEXT : BLOCK_NOISE, i);
	for (unsigned i = 1; i < BLOCKS; i += 5)
		must(zsblk_discard(dev, 4096, i * 4096) == 0);
	before = device_stats(dev).mem_used_total;
	while (device_stats(dev).mem_used_total == before && patience--)
		usleep(1000);
	assert_true(device_stats(dev).mem_used_total < before);
	assert_true(device_stats(dev).pages_compacted > 0);
	all_there(dev);
	device_ok(dev);
	zsblk_close(dev);
}

/* Wait until so many pages were freed by compaction, and a moment for what the round still has to do. */
static void wait_for_compaction(struct zsblk *dev, uint64_t pages)
{
	unsigned patience = 60000;

	while (device_stats(dev).pages_compacted < pages && patience--)
		usleep(1000);
	assert_true(device_stats(dev).pages_compacted >= pages);
	usleep(200000);
}

/* Recompression leaves holes as discards do, also on a device that was compacted at rest before. */
static void test_compacts_after_recompression(void **state)
{
	const struct zsblk_recompress idle = {.type = ZSBLK_RECOMPRESS_IDLE};
	struct zsblk *dev = device_new(BLOCKS);
	struct zsblk_recompress_figures figures;
	struct zsblk_recompression *job;
	uint64_t marked;
	bool more;

	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, i % 7 ? BLOCK_TEXT : BLOCK_NOISE, i);
	for (unsigned i = 1; i < BLOCKS; i += 5)
		must(zsblk_discard(dev, 4096, i * 4096) == 0);
	wait_for_compaction(dev, 1);
	must(zsblk_mark_idle(dev, 0, &marked) == 0);
	for (unsigned i = 0; i < BLOCKS; i += 10)
		assert_true(device_has(dev, i, i % 7 ? BLOCK_TEXT : BLOCK_NOISE, i));
	must(zsblk_recompress_begin(dev, &idle, &job, NULL) == 0);
	/* One that runs to its end compacts by itself. */
	do
		must(zsblk_recompress_step(job, &figures, &more) == 0);
	while (more && figures.recompressed < 200);
	assert_true(more);
	zsblk_recompress_end(job);
	wait_for_compaction(dev, device_stats(dev).pages_compacted + 1);
	all_there(dev);
	device_ok(dev);
	zsblk_close(dev);
}

static void test_reserve_is_refilled(void **state)
{
	struct zsblk_params params = device_params(BLOCKS);
	unsigned patience = 10000;
	struct zsblk *dev;

	params.reserve = 2 << 20;
	dev = device_open(&params);
	for (unsigned i = 0; i < 400; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	while (device_stats(dev).reserved_bytes < 2 << 20 && patience--)
		usleep(1000);
	assert_true(device_stats(dev).reserved_bytes >= 2 << 20);
	zsblk_close(dev);
}

/* ------------------------------------------------------------------ where the system does not do what it is asked */

static atomic_bool refuse_release;
static atomic_uint releases, yields;

/* In place of the C library's: a system that does not let go of memory. */
int madvise(void *start, size_t len, int advice)
{
	if (atomic_load(&refuse_release) && (advice == MADV_DONTNEED || advice == 24 /* MADV_DONTNEED_LOCKED */)) {
		atomic_fetch_add(&releases, 1);
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_madvise, start, len, advice);
}

int sched_yield(void)
{
	atomic_fetch_add(&yields, 1);
	return (int)syscall(SYS_sched_yield);
}

/* Where memory cannot be given back the system is not asked a hundred times a second; compaction goes on all the same. */
static void test_backs_off(void **state)
{
	struct zsblk *dev = device_new(BLOCKS);
	unsigned before;

	make_holes(dev);
	atomic_store(&refuse_release, true);
	atomic_store(&releases, 0);
	must(zsblk_discard(dev, BLOCKS * 4096, 0) == 0);
	for (unsigned i = 0; i < 10000 && !atomic_load(&releases); i++)
		usleep(1000);
	assert_true(atomic_load(&releases) > 0);
	sleep(3);
	/* 10, 20, 40 ms and so on up to a second, and two calls each time. */
	assert_in_range(atomic_load(&releases), 2, 40);
	atomic_store(&refuse_release, false);
	for (unsigned i = 0; i < 10000 && device_stats(dev).reserved_bytes > 4 * 64 * 4096; i++)
		usleep(1000);
	assert_true(device_stats(dev).reserved_bytes <= 4 * 64 * 4096);
	before = atomic_load(&releases);
	device_ok(dev);
	zsblk_close(dev);
	assert_int_equal(atomic_load(&releases), before);
}

/* While the system has no memory to spare, none is populated ahead; writes take what they need themselves. */
static void test_reserve_waits_for_memory(void **state)
{
	const uint64_t reserve = 2 << 20;
	struct zsblk_params params = device_params(BLOCKS);
	struct zsblk_why why = {""};
	unsigned patience = 10000;
	uint64_t misses;
	struct zsblk *dev;

	params.reserve = reserve;
	assert_int_equal(zsblk_open(&params, &dev, &why), 0);
	zoneinfo_set_free(&dev->spare, 0);
	assert_int_equal(zsblk_start(dev, &why), -ENOMEM);
	assert_non_null(strstr(why.text, "reserve=2097152"));
	assert_true(device_stats(dev).reserved_bytes < reserve);
	zoneinfo_set_free(&dev->spare, 1000);
	assert_int_equal(zsblk_start(dev, &why), 0);
	assert_true(device_stats(dev).reserved_bytes >= reserve);

	zoneinfo_set_free(&dev->spare, 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	misses = device_stats(dev).reserve_misses;
	assert_true(misses > 0);
	assert_true(device_stats(dev).reserved_bytes < reserve / 2);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_true(device_has(dev, i, BLOCK_NOISE, i));

	zoneinfo_set_free(&dev->spare, 1000);
	while (device_stats(dev).reserved_bytes < reserve && patience--)
		usleep(1000);
	assert_true(device_stats(dev).reserved_bytes >= reserve);
	device_ok(dev);
	zsblk_close(dev);
}

/* Long work lets other threads of the same class have the CPU: after each piece, 256 KiB at most. */
static void test_long_work_yields(void **state)
{
	const unsigned pieces = BLOCKS / 64;
	struct zsblk_params params = device_params(BLOCKS);
	struct zsblk *dev;
	unsigned before;

	params.reserve = BLOCKS / 2 * 4096;
	dev = device_open(&params);
	/* The system does not let go and has nothing to spare, so that all the work is there at once when it does. */
	atomic_store(&refuse_release, true);
	zoneinfo_set_free(&dev->spare, 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	before = atomic_load(&yields);
	zoneinfo_set_free(&dev->spare, 1000);
	for (unsigned i = 0; i < 10000 && device_stats(dev).reserved_bytes < params.reserve; i++)
		usleep(1000);
	assert_true(atomic_load(&yields) - before >= pieces / 4);
	must(zsblk_discard(dev, BLOCKS * 4096, 0) == 0);
	before = atomic_load(&yields);
	atomic_store(&refuse_release, false);
	for (unsigned i = 0; i < 10000 && device_stats(dev).reserved_bytes > 2 * params.reserve; i++)
		usleep(1000);
	assert_true(atomic_load(&yields) - before >= pieces / 4);
	zsblk_close(dev);
}

/* What a server that was killed left in memory far from all else is given back by the next one. */
static void test_leftovers_are_given_back(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(200000);
	const uint64_t most = 16 << 20, far = 150 << 20;
	struct zsblk *dev;
	struct runs *runs;
	uint64_t found;

	params.memory = shm->memory;
	params.reserve = 1 << 20;
	dev = device_open(&params);
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	zsblk_close(dev);

	/* The ordinary opening accounts for every page, and nobody looks for more. */
	assert_int_equal(zsblk_open(&params, &dev, NULL), 0);
	runs = &zsblk_pool(dev)->runs;
	assert_int_equal(runs->unseen, 0);
	assert_false(runs_look(runs));
	memset(dev->seg.base + runs->offset + far, 1, most);
	zsblk_close(dev);

	assert_int_equal(zsblk_open(&params, &dev, NULL), 0);
	runs = &zsblk_pool(dev)->runs;
	assert_int_equal(runs->unseen, most / SEGMENT_PAGE);
	assert_int_equal(zsblk_start(dev, NULL), 0);
	for (unsigned i = 0; i < 10000; i++) {
		must(segment_count_resident(&dev->seg, runs->offset + far, most, &found) == 0);
		if (!found)
			break;
		usleep(1000);
	}
	/* The reserve and its slack may lie there. */
	assert_true(found <= (3 << 20) / SEGMENT_PAGE);
	assert_true(device_stats(dev).reserved_bytes < 4 << 20);
	device_ok(dev);
	zsblk_close(dev);
}

/* A new device insists on its reserve, also when it was opened once before; one with data does not. */
static void test_reserve_of_a_new_segment(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(BLOCKS);
	struct zsblk_why why = {""};
	struct zsblk *dev;

	params.reserve = 2 << 20;
	params.memory = shm->memory;
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(zsblk_open(&params, &dev, &why), 0);
		zoneinfo_set_free(&dev->spare, 0);
		assert_int_equal(zsblk_start(dev, &why), round < 2 ? -ENOMEM : 0);
		if (round)
			device_put(dev, 0, BLOCK_TEXT, 1);
		zsblk_close(dev);
	}
}

static atomic_uint asked_to_stop;

static bool stop_at_the_tenth(void)
{
	return atomic_fetch_add(&asked_to_stop, 1) == 10;
}

/* Filling the reserve can be ended, and begun again. */
static void test_filling_is_interruptible(void **state)
{
	struct zsblk_params params = device_params(BLOCKS);
	struct zsblk_why why = {""};
	struct zsblk *dev;

	params.reserve = 8 << 20;
	params.interrupted = stop_at_the_tenth;
	assert_int_equal(zsblk_open(&params, &dev, &why), 0);
	assert_int_equal(zsblk_start(dev, &why), -EINTR);
	assert_non_null(strstr(why.text, "told to stop"));
	assert_in_range(device_stats(dev).reserved_bytes, 4096, (8 << 20) - 4096);
	assert_int_equal(zsblk_start(dev, &why), 0);
	assert_true(device_stats(dev).reserved_bytes >= 8 << 20);
	device_ok(dev);
	zsblk_close(dev);
}

/* More requests at once than there are contexts: they take turns. */
static void *one_after_another(void *opaque)
{
	struct zsblk *dev = opaque;
	static atomic_uint numbers;
	unsigned own = atomic_fetch_add(&numbers, 1) % 8;

	for (unsigned i = 0; i < 500; i++) {
		device_put(dev, own * 10 + i % 10, BLOCK_TEXT, i);
		must(device_has(dev, own * 10 + i % 10, BLOCK_TEXT, i));
	}
	return NULL;
}

static void test_few_contexts(void **state)
{
	struct zsblk_params params = device_params(BLOCKS);
	pthread_t threads[8];
	struct zsblk *dev;

	params.contexts = 1;
	dev = device_open(&params);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, one_after_another, dev);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(device_stats(dev).writes, 8 * 500);
	assert_int_equal(device_stats(dev).reads, 8 * 500);
	device_ok(dev);
	zsblk_close(dev);
}

/* mem_used_total is not above the limit even for a moment, whoever looks. */
static void *watch_the_limit(void *opaque)
{
	struct reader *reader = opaque;

	while (!atomic_load(reader->stop)) {
		struct zsblk_stats stats = device_stats(reader->dev);

		must(stats.mem_used_total <= stats.mem_limit);
	}
	return NULL;
}

static atomic_uint pressing;

static void *press_the_limit(void *opaque)
{
	struct reader *reader = opaque;
	uint64_t random = atomic_fetch_add(&pressing, 1);
	uint8_t data[4096];

	for (unsigned i = 0; i < 5000; i++) {
		uint64_t block = random_below(&random, 200);
		int r;

		block_make(data, BLOCK_NOISE, i);
		r = zsblk_write(reader->dev, data, 4096, block * 4096);
		must(r == 0 || r == -ENOSPC);
		if (r)
			must(zsblk_discard(reader->dev, 10 * 4096, block / 10 * 10 * 4096) == 0);
	}
	return NULL;
}

static void test_limit_under_pressure(void **state)
{
	struct zsblk_params params = device_params(BLOCKS);
	atomic_bool stop = false;
	struct reader reader = {.stop = &stop};
	pthread_t threads[3];

	params.mem_limit = 150 * 4096;
	reader.dev = device_open(&params);
	pthread_create(&threads[0], NULL, watch_the_limit, &reader);
	pthread_create(&threads[1], NULL, press_the_limit, &reader);
	pthread_create(&threads[2], NULL, press_the_limit, &reader);
	pthread_join(threads[1], NULL);
	pthread_join(threads[2], NULL);
	atomic_store(&stop, true);
	pthread_join(threads[0], NULL);
	assert_true(device_stats(reader.dev).mem_used_max <= params.mem_limit);
	assert_true(device_stats(reader.dev).failed_writes > 0);
	device_ok(reader.dev);
	zsblk_close(reader.dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_compacts_by_itself),
		cmocka_unit_test(test_compacts_sooner_near_the_limit),
		cmocka_unit_test(test_nothing_to_gain),
		cmocka_unit_test(test_beside_requests),
		cmocka_unit_test(test_compacts_at_rest),
		cmocka_unit_test(test_compacts_after_recompression),
		cmocka_unit_test(test_memory_is_given_back),
		cmocka_unit_test(test_reserve_is_refilled),
		cmocka_unit_test(test_reserve_waits_for_memory),
		cmocka_unit_test(test_backs_off),
		cmocka_unit_test(test_long_work_yields),
		cmocka_unit_test(test_reserve_of_a_new_segment),
		cmocka_unit_test(test_leftovers_are_given_back),
		cmocka_unit_test(test_filling_is_interruptible),
		cmocka_unit_test(test_few_contexts),
		cmocka_unit_test(test_limit_under_pressure),
	};

	return cmocka_run_group_tests_name("upkeep", tests, NULL, NULL);
}

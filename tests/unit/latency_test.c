/* SPDX-License-Identifier: BSD-3-Clause */
/* Latency histograms: buckets, percentiles, merging; which calls are timed; and those of a device. */
#include "lib/device.h"
#include "lib/test.h"

#include "engine/sector.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define KINDS ZSBLK_LATENCY_KINDS

static struct latencies latencies;

static int set_up(void **state)
{
	memset(&latencies, 0, sizeof latencies);
	latency_init(&latencies, 1);
	return 0;
}

static struct zsblk_latency collect(enum zsblk_latency_kind kind)
{
	struct zsblk_latency sum = {0};

	latency_add(&sum, &latencies, kind);
	return sum;
}

/* The bucket that a time is counted in. */
static unsigned bucket_of(uint64_t ns)
{
	struct zsblk_latency sum;
	unsigned found = 0;

	memset(&latencies.of[0], 0, sizeof latencies.of[0]);
	latency_note(&latencies, 0, ns);
	sum = collect(0);
	assert_int_equal(sum.count, 1);
	while (!sum.buckets[found])
		found++;
	return found;
}

/* ------------------------------------------------------------------ buckets */

static void test_ends(void **state)
{
	uint64_t before = 0;

	for (unsigned i = 0; i < ZSBLK_LATENCY_BUCKETS - 1; i++) {
		uint64_t end = zsblk_latency_bucket(i);

		assert_true(end > before);
		/* What is counted in the bucket takes before + 1 at least. */
		assert_true((end - before - 1) * 8 <= before + 1);
		assert_int_equal(bucket_of(before + 1), i);
		assert_int_equal(bucket_of(end), i);
		assert_int_equal(bucket_of(end + 1), i + 1);
		before = end;
	}
	assert_int_equal(before, UINT64_C(1) << 36);
	assert_true(zsblk_latency_bucket(ZSBLK_LATENCY_BUCKETS - 1) == UINT64_MAX);
	assert_true(zsblk_latency_bucket(UINT_MAX) == UINT64_MAX);
	assert_int_equal(bucket_of(0), 0);
	assert_int_equal(bucket_of(UINT64_MAX), ZSBLK_LATENCY_BUCKETS - 1);
}

static void test_powers_of_two_are_ends(void **state)
{
	for (unsigned power = 3; power <= 36; power++) {
		uint64_t end = UINT64_C(1) << power;

		assert_int_equal(zsblk_latency_bucket(bucket_of(end)), end);
		assert_int_equal(zsblk_latency_bucket(bucket_of(end - end / 4)), end - end / 4);
	}
}

static void test_names(void **state)
{
	for (enum zsblk_latency_kind kind = 0; kind < KINDS; kind++)
		assert_non_null(zsblk_latency_name(kind));
	assert_string_equal(zsblk_latency_name(ZSBLK_LATENCY_DECOMPRESS), "decompress");
	assert_null(zsblk_latency_name(KINDS));
}

/* ------------------------------------------------------------------ percentiles and merging */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Times of all magnitudes. */
static uint64_t some_time(uint64_t *random)
{
	uint64_t bits = random_next(random) % 36;

	return random_next(random) % (UINT64_C(2) << bits);
}

static void test_percentiles(void **state)
{
	static const double percents[] = {0, 0.1, 1, 25, 50, 90, 99, 99.9, 100};
	enum { N = 5000 };
	uint64_t times[N], random = 7, total = 0;
	struct zsblk_latency sum;

	for (unsigned i = 0; i < N; i++) {
		times[i] = some_time(&random);
		total += times[i];
		latency_note(&latencies, ZSBLK_LATENCY_WRITE, times[i]);
	}
	qsort(times, N, sizeof *times, compare);
	sum = collect(ZSBLK_LATENCY_WRITE);
	assert_int_equal(sum.count, N);
	assert_int_equal(sum.sum_ns, total);
	assert_int_equal(sum.max_ns, times[N - 1]);
	for (unsigned i = 0; i < sizeof percents / sizeof *percents; i++) {
		unsigned rank = (unsigned)(percents[i] * N / 100 + 0.999999);
		uint64_t exact = times[rank ? rank - 1 : 0], told = zsblk_latency_percentile(&sum, percents[i]);

		/* Buckets below 8 ns hold two times: 0 and 1. */
		assert_in_range(told, exact, exact + exact / 8 + 1);
	}
	assert_int_equal(zsblk_latency_percentile(&sum, 100), times[N - 1]);
	assert_int_equal(collect(ZSBLK_LATENCY_READ).count, 0);
}

static void test_percentile_of_nothing(void **state)
{
	struct zsblk_latency none = {0};

	assert_int_equal(zsblk_latency_percentile(&none, 50), 0);
	assert_int_equal(zsblk_latency_percentile(&none, 100), 0);
}

static void test_merge(void **state)
{
	struct zsblk_latency parts[2] = {{.sampled = 16}, {.sampled = 16}}, sum = {0}, whole = {0};
	struct latencies *both = test_calloc(1, sizeof *both);
	uint64_t random = 3;

	for (unsigned part = 0; part < 2; part++) {
		memset(&latencies, 0, sizeof latencies);
		for (unsigned i = 0; i < 1000; i++) {
			uint64_t ns = some_time(&random);

			latency_note(&latencies, 0, ns);
			latency_note(both, 0, ns);
		}
		latency_add(&parts[part], &latencies, 0);
		zsblk_latency_merge(&sum, &parts[part]);
	}
	whole.sampled = 16;
	latency_add(&whole, both, 0);
	assert_memory_equal(&sum, &whole, sizeof sum);
	test_free(both);
}

/* ------------------------------------------------------------------ which calls are timed */

static bool is_timed(enum zsblk_latency_kind kind)
{
	return latency_begin(&latencies, kind) != 0;
}

/*
 * Each of `period` kinds of blocks that follow each other is met as often as the others, and one call in 16 is timed in
 * all. The generator's numbers are the same in each run.
 */
static void check_share(unsigned period)
{
	enum { EACH = 20000 };
	unsigned timed[64] = {0}, expected = EACH / LATENCY_EVERY;

	for (unsigned i = 0; i < EACH * period; i++)
		timed[i % period] += is_timed(ZSBLK_LATENCY_READ);
	/* Five times the square root of what is expected. */
	for (unsigned i = 0; i < period; i++)
		assert_in_range(timed[i], expected - 180, expected + 180);
}

static void test_no_kind_of_block_is_preferred(void **state)
{
	static const unsigned periods[] = {1, 2, 3, 8, 15, 16, 17, 31, 32, 64};

	for (unsigned i = 0; i < sizeof periods / sizeof *periods; i++)
		check_share(periods[i]);
}

static void test_kinds_are_chosen_apart(void **state)
{
	unsigned reads = 0, both = 0;

	for (unsigned i = 0; i < 200000; i++) {
		bool read = is_timed(ZSBLK_LATENCY_READ), decompress = is_timed(ZSBLK_LATENCY_DECOMPRESS);

		reads += read;
		both += read && decompress;
	}
	/* A read whose codec is timed as well takes longer for that, so it must not be each of them. */
	assert_in_range(both, reads / LATENCY_EVERY / 2, 2 * reads / LATENCY_EVERY);
}

static void test_seeds(void **state)
{
	unsigned first[2 * LATENCY_EVERY] = {0};

	for (uint32_t seed = 0; seed < ZSBLK_MAX_CONTEXTS; seed++) {
		latency_init(&latencies, seed);
		assert_true(latencies.random != 0);
		assert_true(latencies.left[0] < 2 * LATENCY_EVERY - 1);
		first[latencies.left[0]]++;
	}
	for (unsigned i = 0; i < 2 * LATENCY_EVERY - 1; i++)
		assert_in_range(first[i], ZSBLK_MAX_CONTEXTS / 62, ZSBLK_MAX_CONTEXTS / 16);
	latency_init(&latencies, UINT32_MAX);
	assert_true(latencies.random != 0);
}

/* ------------------------------------------------------------------ of a device */

#define BLOCKS 64u

static struct zsblk *dev;
static uint64_t seen[KINDS];

static int set_up_device(void **state)
{
	memset(seen, 0, sizeof seen);
	dev = device_new(BLOCKS);
	return 0;
}

static int tear_down_device(void **state)
{
	device_ok(dev);
	zsblk_close(dev);
	return 0;
}

static struct zsblk_latency latency_of(enum zsblk_latency_kind kind)
{
	static struct zsblk_latency latency;

	zsblk_get_latency(dev, kind, &latency);
	return latency;
}

/* The next call of each kind is timed. */
static void time_next(void)
{
	for (unsigned i = 0; i < dev->contexts.n; i++)
		memset(dev->contexts.all[i].latencies.left, 0, sizeof latencies.left);
}

/* What was timed since the last call: read, write, discard, compress, decompress. */
static void expect_timed(const unsigned wanted[KINDS])
{
	for (enum zsblk_latency_kind kind = 0; kind < KINDS; kind++) {
		uint64_t count = latency_of(kind).count;

		assert_int_equal(count - seen[kind], wanted[kind]);
		seen[kind] = count;
	}
	time_next();
}

#define EXPECT(...) expect_timed((const unsigned[KINDS]){__VA_ARGS__})

static void test_what_is_timed(void **state)
{
	uint8_t data[2 * BLOCK_BYTES];

	time_next();
	EXPECT(0);
	device_put(dev, 0, BLOCK_TEXT, 1);
	EXPECT(0, 1, 0, 1, 0);
	device_has(dev, 0, BLOCK_TEXT, 1);
	EXPECT(1, 0, 0, 0, 1);
	/* It takes the codec to find out that a block does not compress. */
	device_put(dev, 1, BLOCK_NOISE, 1);
	EXPECT(0, 1, 0, 1, 0);
	device_has(dev, 1, BLOCK_NOISE, 1);
	EXPECT(1, 0, 0, 0, 0);
	device_put(dev, 2, BLOCK_SAME64, 1);
	EXPECT(0, 1, 0, 0, 0);
	device_has(dev, 2, BLOCK_SAME64, 1);
	EXPECT(1, 0, 0, 0, 0);
	/* A request is timed once, whatever its length. */
	must(zsblk_read(dev, data, 2 * BLOCK_BYTES, 0) == 0);
	EXPECT(1, 0, 0, 0, 1);
	/* A part: read, changed, written. */
	must(zsblk_write(dev, data, 1, 100) == 0);
	EXPECT(0, 1, 0, 1, 1);
	must(zsblk_discard(dev, BLOCK_BYTES, 0) == 0);
	EXPECT(0, 0, 1, 0, 0);
	must(zsblk_write_zeroes(dev, BLOCK_BYTES, BLOCK_BYTES) == 0);
	EXPECT(0, 0, 1, 0, 0);
	/* Beyond the end. */
	must(zsblk_read(dev, data, 1, BLOCKS * BLOCK_BYTES) == -EINVAL);
	EXPECT(0);
}

static void test_failed_requests_are_timed(void **state)
{
	uint8_t data[BLOCK_BYTES];

	time_next();
	device_put(dev, 0, BLOCK_NOISE, 1);
	EXPECT(0, 1, 0, 1, 0);
	/* One page, which is taken. */
	zsblk_set_mem_limit(dev, BLOCK_BYTES);
	block_make(data, BLOCK_NOISE, 2);
	must(zsblk_write(dev, data, BLOCK_BYTES, BLOCK_BYTES) == -ENOSPC);
	EXPECT(0, 1, 0, 1, 0);
}

static void *read_one(void *opaque)
{
	uint8_t data[BLOCK_BYTES];

	must(zsblk_read(dev, data, BLOCK_BYTES, 0) == 0);
	return NULL;
}

/* A request has to wait since others have all contexts: that is a part of its time. */
static void test_waiting_for_a_context(void **state)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	struct context *held[4];
	pthread_t thread;

	time_next();
	assert_int_equal(dev->contexts.n, 4);
	for (unsigned i = 0; i < 4; i++)
		held[i] = context_get(&dev->contexts);
	must(pthread_create(&thread, NULL, read_one, NULL) == 0);
	while (!atomic_load(&dev->contexts.waiting))
		sched_yield();
	nanosleep(&pause, NULL);
	for (unsigned i = 0; i < 4; i++)
		context_put(&dev->contexts, held[i]);
	pthread_join(thread, NULL);
	assert_int_equal(latency_of(ZSBLK_LATENCY_READ).count, 1);
	assert_true(latency_of(ZSBLK_LATENCY_READ).max_ns >= 20 * 1000 * 1000);
	/* The next one has not waited. */
	for (unsigned i = 0; i < 4; i++)
		held[i] = context_get(&dev->contexts);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(held[i]->waited, 0);
		context_put(&dev->contexts, held[i]);
	}
}

/* ------------------------------------------------------------------ many threads */

enum { THREADS = 4, REQUESTS = 4000 };

static void *read_and_write(void *opaque)
{
	uint64_t random = (uint64_t)(uintptr_t)opaque;
	uint8_t data[BLOCK_BYTES];

	for (unsigned i = 0; i < REQUESTS; i++) {
		uint64_t block = random_next(&random) % BLOCKS;

		if (i % 2)
			must(zsblk_read(dev, data, BLOCK_BYTES, block * BLOCK_BYTES) == 0);
		else
			device_put(dev, block, BLOCK_TEXT, i);
	}
	return NULL;
}

static void check_sums(const struct zsblk_latency *latency)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ZSBLK_LATENCY_BUCKETS; i++)
		sum += latency->buckets[i];
	assert_int_equal(sum, latency->count);
}

/* Somebody looks while requests are counted: a figure never goes down, and in the end none is missing. */
static void test_threads(void **state)
{
	struct zsblk_latency before = {0}, now;
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i], NULL, read_and_write, (void *)(i + 1)) == 0);
	do {
		now = latency_of(ZSBLK_LATENCY_WRITE);
		check_sums(&now);
		for (unsigned i = 0; i < ZSBLK_LATENCY_BUCKETS; i++)
			assert_true(now.buckets[i] >= before.buckets[i]);
		assert_true(now.sum_ns >= before.sum_ns && now.max_ns >= before.max_ns);
		before = now;
		sched_yield();
	} while (now.count < THREADS * REQUESTS / 2 / LATENCY_EVERY_WRITE / 2);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (enum zsblk_latency_kind kind = 0; kind < KINDS; kind++) {
		unsigned calls = kind == ZSBLK_LATENCY_DISCARD ? 0 : THREADS * REQUESTS / 2;
		unsigned every = kind == ZSBLK_LATENCY_WRITE ? LATENCY_EVERY_WRITE : LATENCY_EVERY;

		now = latency_of(kind);
		check_sums(&now);
		assert_int_equal(now.sampled, every);
		/* Blocks that were never written take no codec to be read. */
		assert_in_range(now.count, calls / every / 2, calls / every * 2);
		assert_true(now.count == 0 || (now.max_ns > 0 && now.sum_ns >= now.max_ns));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_ends, set_up),
		cmocka_unit_test_setup(test_powers_of_two_are_ends, set_up),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup(test_percentiles, set_up),
		cmocka_unit_test(test_percentile_of_nothing),
		cmocka_unit_test_setup(test_merge, set_up),
		cmocka_unit_test_setup(test_no_kind_of_block_is_preferred, set_up),
		cmocka_unit_test_setup(test_kinds_are_chosen_apart, set_up),
		cmocka_unit_test_setup(test_seeds, set_up),
		cmocka_unit_test_setup_teardown(test_what_is_timed, set_up_device, tear_down_device),
		cmocka_unit_test_setup_teardown(test_failed_requests_are_timed, set_up_device, tear_down_device),
		cmocka_unit_test_setup_teardown(test_waiting_for_a_context, set_up_device, tear_down_device),
		cmocka_unit_test_setup_teardown(test_threads, set_up_device, tear_down_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

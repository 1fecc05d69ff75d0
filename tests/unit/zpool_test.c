/* SPDX-License-Identifier: BSD-3-Clause */
/* The zpool view: one test body, both drivers. */
#include "lib/objects.h"
#include "lib/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

static const struct zpool_driver *driver;

static const char *const types[] = {"zsmalloc", "malloc"};

static int choose(void **state)
{
	void *pool;

	driver = zpool_driver(*state);
	must(driver);
	pool = driver->create("probe");
	must(pool);
	driver->destroy(pool);
	return 0;
}

static void test_table(void **state)
{
	assert_string_equal(driver->type, *state);
	assert_true(driver->create && driver->destroy && driver->malloc && driver->free);
	assert_true(driver->shrink && driver->map && driver->unmap && driver->total_size);
}

static void test_unknown_types(void **state)
{
	assert_null(zpool_driver("zbud"));
	assert_null(zpool_driver(""));
	assert_null(zpool_driver("malloc2"));
}

static void test_objects(void **state)
{
	void *pool = driver->create("both");
	uint64_t handles[ZS_MAX_OBJECT + 1], stored = 0;

	assert_non_null(pool);
	assert_int_equal(driver->total_size(pool), 0);
	for (unsigned size = 1; size <= ZS_MAX_OBJECT; size += 3) {
		assert_int_equal(driver->malloc(pool, size, &handles[size]), 0);
		assert_true(handles[size] != 0);
		object_fill(driver->map(pool, handles[size], ZS_MM_WO), size, size);
		driver->unmap(pool, handles[size]);
		stored += size;
	}
	assert_true(driver->total_size(pool) >= stored);
	for (unsigned size = 1; size <= ZS_MAX_OBJECT; size += 3) {
		assert_true(object_is(driver->map(pool, handles[size], ZS_MM_RO), size, size));
		driver->unmap(pool, handles[size]);
		driver->free(pool, handles[size]);
	}
	assert_int_equal(driver->total_size(pool), 0);
	driver->destroy(pool);
}

static void test_bad_sizes(void **state)
{
	void *pool = driver->create("sizes");
	uint64_t handle = 1;

	assert_int_equal(driver->malloc(pool, 0, &handle), -EINVAL);
	assert_int_equal(handle, 0);
	assert_int_equal(driver->malloc(pool, ZS_MAX_OBJECT + 1, &handle), -EMSGSIZE);
	assert_int_equal(handle, 0);
	driver->free(pool, 0);
	driver->destroy(pool);
}

/* Shrinking keeps every object; how much it gives depends on the driver. */
static void test_shrink(void **state)
{
	static uint64_t handles[4000];
	void *pool = driver->create("shrink");
	uint64_t before, after;
	unsigned reclaimed;
	int r;

	for (unsigned i = 0; i < COUNT_OF(handles); i++) {
		assert_int_equal(driver->malloc(pool, 1000, &handles[i]), 0);
		object_fill(driver->map(pool, handles[i], ZS_MM_WO), i, 1000);
		driver->unmap(pool, handles[i]);
	}
	for (unsigned i = 0; i < COUNT_OF(handles); i++)
		if (i % 4)
			driver->free(pool, handles[i]);
	before = driver->total_size(pool);
	r = driver->shrink(pool, 100, &reclaimed);
	after = driver->total_size(pool);
	if (r) {
		assert_int_equal(r, -EOPNOTSUPP);
		assert_int_equal(reclaimed, 0);
	} else {
		assert_true(reclaimed >= 100);
	}
	assert_int_equal(before - after, (uint64_t)reclaimed * 4096);
	for (unsigned i = 0; i < COUNT_OF(handles); i += 4) {
		assert_true(object_is(driver->map(pool, handles[i], ZS_MM_RO), i, 1000));
		driver->unmap(pool, handles[i]);
	}
	/* What is still alive goes with the pool. */
	driver->destroy(pool);
}

static void *use(void *pool)
{
	static atomic_uint users;
	uint64_t random = atomic_fetch_add(&users, 1), handles[64] = {0};

	for (unsigned i = 0; i < 5000; i++) {
		uint64_t *handle = &handles[random_below(&random, COUNT_OF(handles))];

		if (*handle) {
			must(object_is(driver->map(pool, *handle, ZS_MM_RO), *handle, 77));
			driver->unmap(pool, *handle);
			driver->free(pool, *handle);
			*handle = 0;
		} else {
			must(driver->malloc(pool, 77, handle) == 0);
			object_fill(driver->map(pool, *handle, ZS_MM_RW), *handle, 77);
			driver->unmap(pool, *handle);
		}
	}
	for (size_t i = 0; i < COUNT_OF(handles); i++)
		driver->free(pool, handles[i]);
	return NULL;
}

static void test_threads(void **state)
{
	void *pool = driver->create("threads");
	pthread_t threads[4];

	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, use, pool);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(driver->total_size(pool), 0);
	driver->destroy(pool);
}

/* Also the tables without a pool: destroying nothing is allowed. */
static void test_destroy_nothing(void **state)
{
	driver->destroy(NULL);
}

int main(void)
{
#define BOTH(test)                                                                                                     \
	{#test " (zsmalloc)", test, choose, NULL, (void *)(uintptr_t)types[0]},                                        \
	{                                                                                                              \
#test " (malloc)", test, choose, NULL, (void *)(uintptr_t)types[1]                                     \
	}
	const struct CMUnitTest tests[] = {
		BOTH(test_table),
		BOTH(test_objects),
		BOTH(test_bad_sizes),
		BOTH(test_shrink),
		BOTH(test_threads),
		BOTH(test_destroy_nothing),
		cmocka_unit_test(test_unknown_types),
	};

	return cmocka_run_group_tests_name("zpool", tests, NULL, NULL);
}

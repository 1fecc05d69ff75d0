/* SPDX-License-Identifier: BSD-3-Clause */
/* Plain pools: what zsmalloc.h promises of objects, handles and mappings. Misuse: pool_misuse_test.c. */
#include "lib/objects.h"
#include "lib/shm.h"
#include "lib/test.h"

#include <errno.h>
#include <pthread.h>

static struct zs_pool *pool;

static int set_up(void **state)
{
	/* Not the default, which is more than there is room for under valgrind. */
	const struct zs_params params = {.max_pages = 1u << 18};

	must(zs_create_pool("test", &params, &pool) == 0);
	return 0;
}

static int tear_down(void **state)
{
	pool_ok(pool);
	zs_destroy_pool(pool, NULL, NULL);
	return 0;
}

/* ------------------------------------------------------------------ life */

static void test_names(void **state)
{
	const struct zs_params small = {.max_pages = 1000};
	struct zs_pool *other;

	assert_string_equal(zs_pool_name(pool), "test");
	assert_int_equal(zs_create_pool("a name that is rather longer than there is room for", &small, &other), 0);
	assert_int_equal(strlen(zs_pool_name(other)), ZS_POOL_NAME_MAX - 1);
	assert_int_equal(zs_destroy_pool(other, NULL, NULL), 0);
	assert_int_equal(zs_destroy_pool(NULL, NULL, NULL), 0);
}

/* Without params; also without a place to tell leaks to. */
static void test_defaults(void **state)
{
	struct zs_pool *other;

	if (running_under_valgrind())
		return;
	assert_int_equal(zs_create_pool("defaults", NULL, &other), 0);
	assert_true(zs_malloc(other, 1) != 0);
	pool_ok(other);
	assert_int_equal(zs_destroy_pool(other, NULL, NULL), 1);
}

static void test_bad_params(void **state)
{
	const struct zs_params bad[] = {
		{.chain = ZS_MAX_CHAIN + 1},
		{.max_pages = (UINT64_C(1) << 30) + 1},
		{.max_pages = UINT64_MAX},
		{.memory = "disk"},
		{.memory = "shm:"},
		{.memory = "shm:0"},
		{.memory = "shm:x"},
		{.memory = "shm:id=-1"},
		{.memory = ""},
	};
	struct zs_pool *none;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		none = pool;
		assert_int_equal(zs_create_pool("bad", &bad[i], &none), -EINVAL);
		assert_null(none);
	}
}

static void test_bad_sizes(void **state)
{
	errno = 0;
	assert_int_equal(zs_malloc(pool, 0), 0);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(zs_malloc(pool, ZS_MAX_OBJECT + 1), 0);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(zs_malloc(pool, SIZE_MAX), 0);
	assert_int_equal(errno, EMSGSIZE);
	zs_free(pool, 0);
}

static void test_no_more_objects(void **state)
{
	static const unsigned counts[] = {1, 7, 16, 17, 100};

	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		const struct zs_params params = {.max_objects = counts[i], .max_pages = 1000};
		zs_handle handle = 0;
		struct zs_pool *small;

		assert_int_equal(zs_create_pool("small", &params, &small), 0);
		for (unsigned n = 0; n < counts[i]; n++) {
			handle = zs_malloc(small, 10);
			assert_true(handle != 0);
		}
		errno = 0;
		assert_int_equal(zs_malloc(small, 10), 0);
		assert_int_equal(errno, ENOMEM);
		zs_free(small, handle);
		assert_true(zs_malloc(small, 4096) != 0);
		pool_ok(small);
		assert_int_equal(zs_destroy_pool(small, NULL, NULL), counts[i]);
	}
}

/* The largest number of objects that can be asked for. */
static void test_most_objects(void **state)
{
	struct zs_params params = {.max_objects = (1u << 31) + 1, .max_pages = 1000};
	struct zs_pool *large;

	assert_int_equal(zs_create_pool("larger", &params, &large), -EINVAL);
	if (sizeof(void *) < 8)
		return;
	params.max_objects = 1u << 31;
	assert_int_equal(zs_create_pool("large", &params, &large), 0);
	assert_true(zs_malloc(large, 10) != 0);
	assert_int_equal(zs_destroy_pool(large, NULL, NULL), 1);
}

static void test_page_limit(void **state)
{
	static struct object all[2000];
	const struct zs_params params = {.page_limit = 50, .max_pages = 1000};
	struct zs_pool *small;
	unsigned n = 0;

	assert_int_equal(zs_create_pool("small", &params, &small), 0);
	while (object_make(small, &all[n], 700, n))
		n++;
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(zs_get_total_pages(small), 50);
	assert_int_equal(zs_get_total_bytes(small), 50 * 4096);
	assert_true(n > 50 * 4096 / 750);
	object_drop(small, &all[3]);
	assert_true(object_make(small, &all[3], 700, 3));
	for (unsigned i = 0; i < n; i++) {
		assert_true(object_intact(small, &all[i]));
		object_drop(small, &all[i]);
	}
	pool_ok(small);
	assert_int_equal(zs_destroy_pool(small, NULL, NULL), 0);
}

/* ------------------------------------------------------------------ objects */

static void test_every_size_keeps_its_bytes(void **state)
{
	static struct object all[ZS_MAX_OBJECT + 1];

	for (unsigned size = 1; size <= ZS_MAX_OBJECT; size++)
		assert_true(object_make(pool, &all[size], size, size));
	for (unsigned size = 1; size <= ZS_MAX_OBJECT; size++)
		assert_true(object_intact(pool, &all[size]));
	pool_ok(pool);
	for (unsigned size = 1; size <= ZS_MAX_OBJECT; size++)
		object_drop(pool, &all[size]);
	assert_int_equal(zs_get_total_pages(pool), 0);
}

static void test_map_modes(void **state)
{
	zs_handle handle = zs_malloc(pool, 1000);
	uint8_t *mem = zs_map_object(pool, handle, ZS_MM_WO);

	memset(mem, 7, 1000);
	zs_unmap_object(pool, handle);
	mem = zs_map_object(pool, handle, ZS_MM_RW);
	assert_int_equal(mem[999], 7);
	mem[500] = 8;
	zs_unmap_object(pool, handle);
	mem = zs_map_object(pool, handle, ZS_MM_RO);
	assert_int_equal(mem[0], 7);
	assert_int_equal(mem[500], 8);
	zs_unmap_object(pool, handle);
	zs_free(pool, handle);
}

static void test_thirty_readers(void **state)
{
	zs_handle handle = zs_malloc(pool, 100);
	void *first = NULL;

	for (unsigned i = 0; i < 30; i++) {
		void *mem = zs_map_object(pool, handle, ZS_MM_RO);

		assert_true(!first || mem == first);
		first = mem;
	}
	for (unsigned i = 0; i < 30; i++)
		zs_unmap_object(pool, handle);
	zs_map_object(pool, handle, ZS_MM_WO);
	zs_unmap_object(pool, handle);
	zs_free(pool, handle);
}

/* Many objects at a time, let go in another order. */
static void test_many_mapped_at_once(void **state)
{
	zs_handle handles[500];
	uint32_t *mem[500];

	for (unsigned i = 0; i < 500; i++) {
		handles[i] = zs_malloc(pool, 4 + i * 8);
		mem[i] = zs_map_object(pool, handles[i], ZS_MM_WO);
		*mem[i] = i;
	}
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(*mem[i * 7 % 500], i * 7 % 500);
		zs_unmap_object(pool, handles[i * 7 % 500]);
	}
	for (unsigned i = 0; i < 500; i++)
		zs_free(pool, handles[i]);
}

static void test_by_intent(void **state)
{
	uint8_t text[3000], lent[3000];
	zs_handle handle = zs_malloc(pool, sizeof text);
	const void *mem;

	object_fill(text, 1, sizeof text);
	zs_obj_write(pool, handle, text, sizeof text);
	mem = zs_obj_read_begin(pool, handle, sizeof text, lent);
	assert_memory_equal(mem, text, sizeof text);
	zs_obj_read_end(pool, handle, mem);
	/* The start only; the rest stays. */
	zs_obj_write(pool, handle, "start", 5);
	memcpy(text, "start", 5);
	mem = zs_obj_read_begin(pool, handle, 100, lent);
	assert_memory_equal(mem, text, 100);
	zs_obj_read_end(pool, handle, mem);
	mem = zs_obj_read_begin(pool, handle, sizeof text, NULL);
	assert_memory_equal(mem, text, sizeof text);
	zs_obj_read_end(pool, handle, mem);
	zs_free(pool, handle);
}

static void *unmap_it(void *opaque)
{
	zs_unmap_object(pool, *(zs_handle *)opaque);
	return NULL;
}

static void test_unmapped_by_another_thread(void **state)
{
	zs_handle handle = zs_malloc(pool, 64);
	pthread_t thread;

	zs_map_object(pool, handle, ZS_MM_RW);
	pthread_create(&thread, NULL, unmap_it, &handle);
	pthread_join(thread, NULL);
	zs_free(pool, handle);
}

/* ------------------------------------------------------------------ many threads */

struct worker {
	pthread_t thread;
	uint64_t random;
	unsigned steps;
	struct object objects[200];
};

static void *churn(void *opaque)
{
	struct worker *w = opaque;

	for (unsigned i = 0; i < w->steps; i++) {
		struct object *object = &w->objects[random_below(&w->random, COUNT_OF(w->objects))];

		if (!object->handle) {
			must(object_make(pool, object, object_size(&w->random), random_next(&w->random)));
			continue;
		}
		must(object_intact(pool, object));
		if (random_below(&w->random, 3))
			object_drop(pool, object);
	}
	for (size_t i = 0; i < COUNT_OF(w->objects); i++)
		object_drop(pool, &w->objects[i]);
	return NULL;
}

static void test_threads(void **state)
{
	static struct worker workers[4];
	uint64_t seed = test_seed("pool");

	for (size_t i = 0; i < COUNT_OF(workers); i++) {
		workers[i].random = random_next(&seed);
		workers[i].steps = test_amount(40000);
		pthread_create(&workers[i].thread, NULL, churn, &workers[i]);
	}
	for (size_t i = 0; i < COUNT_OF(workers); i++)
		pthread_join(workers[i].thread, NULL);
	assert_int_equal(zs_get_total_pages(pool), 0);
}

/* ------------------------------------------------------------------ leaks */

struct leaks {
	uint64_t objects;
	unsigned rows;
};

static void see_leak(void *opaque, const struct zs_leak *leak)
{
	struct leaks *leaks = opaque;

	must(leak->objects > 0 && leak->fullness < ZS_FULLNESS_GROUPS && leak->fullness != 0);
	must(leak->object_size > 0 && leak->object_size <= ZS_MAX_OBJECT);
	leaks->objects += leak->objects;
	leaks->rows++;
}

static void test_leaks_are_told(void **state)
{
	const struct zs_params small = {.max_pages = 1000};
	struct leaks leaks = {0};
	struct zs_pool *other;

	assert_int_equal(zs_create_pool("leaky", &small, &other), 0);
	/* Two classes, one of them huge, and one object that is freed. */
	for (unsigned i = 0; i < 5; i++)
		zs_malloc(other, 100);
	zs_free(other, zs_malloc(other, 2000));
	for (unsigned i = 0; i < 3; i++)
		zs_malloc(other, 4096);
	assert_int_equal(zs_destroy_pool(other, see_leak, &leaks), 8);
	assert_int_equal(leaks.objects, 8);
	assert_int_equal(leaks.rows, 2);
}

static void test_leaks_by_fullness(void **state)
{
	struct leaks leaks = {0};
	struct zs_class_stats stats;
	unsigned index = 0, n;

	assert_true(zs_malloc(pool, 1500) != 0);
	do
		assert_int_equal(zs_class_stats(pool, index++, &stats), 0);
	while (!stats.obj_used);
	/* One zspage full, one with a few objects. */
	for (n = 1; n < stats.objs_per_zspage + 3; n++)
		assert_true(zs_malloc(pool, 1500) != 0);
	assert_int_equal(zs_destroy_pool(pool, see_leak, &leaks), n);
	assert_int_equal(leaks.rows, 2);
	set_up(state);
}

int main(void)
{
#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_POOL(test_names),
		WITH_POOL(test_defaults),
		WITH_POOL(test_bad_params),
		WITH_POOL(test_bad_sizes),
		WITH_POOL(test_no_more_objects),
		WITH_POOL(test_most_objects),
		WITH_POOL(test_page_limit),
		WITH_POOL(test_every_size_keeps_its_bytes),
		WITH_POOL(test_map_modes),
		WITH_POOL(test_thirty_readers),
		WITH_POOL(test_many_mapped_at_once),
		WITH_POOL(test_by_intent),
		WITH_POOL(test_unmapped_by_another_thread),
		WITH_POOL(test_threads),
		WITH_POOL(test_leaks_are_told),
		WITH_POOL(test_leaks_by_fullness),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}

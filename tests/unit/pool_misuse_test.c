/* SPDX-License-Identifier: BSD-3-Clause */
/* Mistakes of the caller that debug builds end the program for. Each in a child of its own. */
#include "lib/objects.h"
#include "lib/test.h"

static zs_handle make(struct zs_pool **pool)
{
	const struct zs_params params = {.max_pages = 1000};

	must(zs_create_pool("misused", &params, pool) == 0);
	return zs_malloc(*pool, 100);
}

static void free_twice(void *opaque)
{
	struct zs_pool *pool;
	zs_handle handle = make(&pool);

	zs_free(pool, handle);
	zs_free(pool, handle);
}

static void free_mapped(void *opaque)
{
	struct zs_pool *pool;
	zs_handle handle = make(&pool);

	zs_map_object(pool, handle, ZS_MM_RO);
	zs_free(pool, handle);
}

static void map_freed(void *opaque)
{
	struct zs_pool *pool;
	zs_handle handle = make(&pool);

	zs_free(pool, handle);
	zs_map_object(pool, handle, ZS_MM_RO);
}

static void unmap_unmapped(void *opaque)
{
	struct zs_pool *pool;
	zs_handle handle = make(&pool);

	zs_map_object(pool, handle, ZS_MM_RO);
	zs_unmap_object(pool, handle);
	zs_unmap_object(pool, handle);
}

static void write_while_read(void *opaque)
{
	struct zs_pool *pool;
	zs_handle handle = make(&pool);

	zs_map_object(pool, handle, ZS_MM_RO);
	zs_map_object(pool, handle, ZS_MM_RW);
}

static void read_while_written(void *opaque)
{
	struct zs_pool *pool;
	zs_handle handle = make(&pool);

	zs_map_object(pool, handle, ZS_MM_WO);
	zs_map_object(pool, handle, ZS_MM_RO);
}

static void write_twice(void *opaque)
{
	struct zs_pool *pool;
	zs_handle handle = make(&pool);

	zs_map_object(pool, handle, ZS_MM_WO);
	zs_map_object(pool, handle, ZS_MM_WO);
}

static void too_many_readers(void *opaque)
{
	struct zs_pool *pool;
	zs_handle handle = make(&pool);

	for (unsigned i = 0; i < 31; i++)
		zs_map_object(pool, handle, ZS_MM_RO);
}

static void wild_handle(void *opaque)
{
	struct zs_pool *pool;

	make(&pool);
	zs_map_object(pool, UINT64_C(1) << 40, ZS_MM_RO);
}

static void map_nothing(void *opaque)
{
	struct zs_pool *pool;

	make(&pool);
	zs_map_object(pool, 0, ZS_MM_RO);
}

/* And the contrary: that a child ends well when nothing is wrong. */
static void no_mistake(void *opaque)
{
	struct zs_pool *pool;
	zs_handle handle = make(&pool);

	for (unsigned i = 0; i < 30; i++)
		zs_map_object(pool, handle, ZS_MM_RO);
	for (unsigned i = 0; i < 30; i++)
		zs_unmap_object(pool, handle);
	zs_free(pool, handle);
	zs_destroy_pool(pool, NULL, NULL);
}

static void test_mistakes_end_the_program(void **state)
{
	static void (*const mistakes[])(void *) = {
		free_twice,         free_mapped, map_freed,        unmap_unmapped, write_while_read,
		read_while_written, write_twice, too_many_readers, wild_handle,    map_nothing,
	};

#ifdef NDEBUG
	return;
#endif
	for (size_t i = 0; i < COUNT_OF(mistakes); i++)
		if (!test_aborts(mistakes[i], NULL))
			fail_msg("mistake %zu went unnoticed", i);
}

static void test_no_mistake(void **state)
{
	assert_int_equal(test_in_child(no_mistake, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes_end_the_program),
		cmocka_unit_test(test_no_mistake),
	};

	return cmocka_run_group_tests_name("pool_misuse", tests, NULL, NULL);
}

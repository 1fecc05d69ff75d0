/* SPDX-License-Identifier: BSD-3-Clause */
/* The core: where objects go, what they cost, and what happens when memory is short. */
#include "lib/core.h"
#include "lib/test.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#define POOL_PAGES 16384u

static int set_up(void **state)
{
	core_make(POOL_PAGES, ZS_DEFAULT_CHAIN);
	return 0;
}

static int tear_down(void **state)
{
	core_end();
	return 0;
}

static void test_create_refuses(void **state)
{
	struct zs_core *other = core;

	assert_int_equal(zs_core_create(&other, &seg, 0, 10, 0), -EINVAL);
	assert_null(other);
	assert_int_equal(zs_core_create(&other, &seg, 0, 10, ZS_MAX_CHAIN + 1), -EINVAL);
	assert_int_equal(zs_core_create(&other, &seg, 0, 0, 1), -EINVAL);
	assert_int_equal(zs_core_create(&other, &seg, 0, ZS_MAX_POOL_PAGES + 1, 1), -EINVAL);
	zs_core_destroy(NULL);
}

static void test_classes(void **state)
{
	for (unsigned size = 1; size <= ZS_MAX_OBJECT; size++) {
		unsigned class_index = zs_core_class_of(core, size);

		assert_true(zs_core_class_size(core, class_index) >= size);
		assert_true(!class_index || zs_core_class_size(core, class_index - 1) < size);
		assert_int_equal(zs_core_is_huge(core, class_index), size > zs_core_huge_watermark(core));
	}
	assert_int_equal(zs_core_class_of(core, 4096), zs_core_class_count(core) - 1);
}

/* Every size at once: all lie in the pool, aligned, and none touches another. */
static void test_every_size(void **state)
{
	for (unsigned size = 1; size <= ZS_MAX_OBJECT; size++) {
		assert_int_equal(owner_alloc(size, size), 0);
		assert_int_equal((uintptr_t)zs_core_address(core, owners[size].loc) % 8, 0);
		assert_true(owners[size].loc.slot < ZS_MAX_OBJS);
	}
	core_ok();
	for (unsigned size = 1; size <= ZS_MAX_OBJECT; size++) {
		uint8_t *at = zs_core_address(core, owners[size].loc);

		assert_true(at >= seg.base && at + size <= seg.base + seg.bytes);
		assert_true(owner_intact(size));
		owner_free(size);
	}
	core_ok();
	assert_int_equal(core_pages_used(), 0);
}

/* In every class but the smallest ones some objects lie across a page boundary. */
static void test_objects_cross_pages(void **state)
{
	unsigned classes = zs_core_class_count(core) - 1, crossing = 0;

	for (unsigned i = 0; i < classes; i++) {
		const struct class_geometry *geo = &core->class[i].geo;
		bool crosses = false;

		for (unsigned n = 0; n < geo->objects; n++)
			assert_int_equal(owner_alloc(n, geo->size), 0);
		for (unsigned n = 0; n < geo->objects; n++) {
			uint64_t at = (uint64_t)((uint8_t *)zs_core_address(core, owners[n].loc) - seg.base);

			crosses |= at / 4096 != (at + geo->size - 1) / 4096;
			assert_true(owner_intact(n));
		}
		crossing += crosses;
		for (unsigned n = 0; n < geo->objects; n++)
			owner_free(n);
	}
	assert_true(crossing > classes / 2);
}

static void test_huge_objects(void **state)
{
	for (unsigned n = 0; n < 100; n++) {
		assert_int_equal(owner_alloc(n, zs_core_huge_watermark(core) + 1 + n), 0);
		assert_int_equal((uintptr_t)zs_core_address(core, owners[n].loc) % 4096, 0);
		assert_int_equal(core_pages_used(), n + 1);
	}
	core_ok();
	for (unsigned n = 0; n < 100; n++) {
		assert_true(owner_intact(n));
		owner_free(n);
	}
	assert_int_equal(core_pages_used(), 0);
}

/* A zspage's pages are used one after the other, not all at once. */
static void test_pages_are_touched_when_needed(void **state)
{
	unsigned class_index = 0;
	const struct class_geometry *geo;

	while (core->class[class_index].geo.pages < ZS_DEFAULT_CHAIN / 2)
		class_index++;
	geo = &core->class[class_index].geo;
	for (unsigned n = 0; n < geo->objects; n++) {
		unsigned end = geo->first_object + (n + 1) * geo->size;

		assert_int_equal(owner_alloc(n, geo->size), 0);
		assert_int_equal(core_pages_used(), (end + 4095) / 4096);
		assert_int_equal(owners[n].loc.page, owners[0].loc.page);
	}
	assert_int_equal(owner_alloc(geo->objects, geo->size), 0);
	assert_int_not_equal(owners[geo->objects].loc.page, owners[0].loc.page);
	core_ok();
}

/* Of zspages with room the fullest takes the next object, lowest slot first. */
static void test_fullest_first(void **state)
{
	const unsigned size = 400;
	unsigned objects = core->class[zs_core_class_of(core, size)].geo.objects;
	uint32_t fullest;

	for (unsigned n = 0; n < 4 * objects; n++)
		assert_int_equal(owner_alloc(n, size), 0);
	/* Leave 20 %, 80 %, 50 % and all of the four. */
	for (unsigned n = 0; n < objects; n++) {
		if (n % 10 >= 2)
			owner_free(n);
		if (n % 10 >= 8)
			owner_free(objects + n);
		if (n % 10 >= 5)
			owner_free(2 * objects + n);
	}
	core_ok();
	fullest = owners[objects].loc.page;
	for (unsigned n = 0; n < objects; n++) {
		if (n % 10 < 8)
			continue;
		assert_int_equal(owner_alloc(objects + n, size), 0);
		assert_int_equal(owners[objects + n].loc.page, fullest);
		assert_int_equal(owners[objects + n].loc.slot, n);
	}
	assert_int_equal(owner_alloc(5, size), 0);
	assert_int_equal(owners[5].loc.page, owners[2 * objects].loc.page);
	core_ok();
}

/* Empty zspages go back, and their memory to the system. */
static void test_memory_returns(void **state)
{
	static unsigned char resident[POOL_PAGES];
	unsigned n, pages = 0;

	for (n = 0; n < 6000; n++)
		assert_int_equal(owner_alloc(n, 3000), 0);
	while (n-- > 0)
		owner_free(n);
	assert_int_equal(core_pages_used(), 0);
	assert_int_equal(segment_resident(&seg, 0, seg.bytes, resident), 0);
	for (n = 0; n < POOL_PAGES; n++)
		pages += resident[n] & 1;
	/* 6000 of these had been 4400 pages. */
	assert_true(pages <= 4 * RUNS_CHUNK);
	core_ok();
}

/* ------------------------------------------------------------------ when memory is short */

static void test_limit_is_exact(void **state)
{
	struct zs_core_stats stats;
	unsigned n = 0;

	runs_set_limit(zs_core_runs(core), 100);
	while (owner_alloc(n, 1000) == 0)
		n++;
	assert_int_equal(owner_alloc(n, 1000), -ENOSPC);
	assert_int_equal(core_pages_used(), 100);
	core_ok();
	/* All but the tail of the last zspage is used. */
	assert_true(n * 1000u >= 99 * 4096u * 95 / 100);
	assert_int_equal(owner_alloc(n, 4096), -ENOSPC);
	for (unsigned i = 0; i < n; i++)
		assert_true(owner_intact(i));
	owner_free(0);
	assert_int_equal(owner_alloc(0, 1000), 0);
	runs_set_limit(zs_core_runs(core), 0);
	assert_int_equal(owner_alloc(n, 1000), 0);
	zs_core_stats(core, &stats);
	assert_int_equal(stats.pages_used_max, core_pages_used());
	core_ok();
}

/* At the limit a failing allocation takes no pages and touches none. */
static void test_nothing_is_touched_at_the_limit(void **state)
{
	uint32_t frontier;
	uint64_t hot;

	assert_int_equal(owner_alloc(0, 1000), 0);
	runs_set_limit(zs_core_runs(core), core_pages_used());
	frontier = core->runs.frontier;
	hot = runs_hot_free(&core->runs);
	for (unsigned size = 2000; size <= 4096; size += 100)
		assert_int_equal(owner_alloc(1, size), -ENOSPC);
	assert_int_equal(core->runs.frontier, frontier);
	assert_int_equal(runs_hot_free(&core->runs), hot);
	core_ok();
}

static bool refuse;        /* and then we get no pages */
static unsigned meanwhile; /* owner of the object that somebody else allocates while we get our pages */

static bool has_no_memory;                  /* the system */
static unsigned asked, asked_with_magazine; /* how often it was asked; and while somebody had a magazine locked */

static void note_magazines(void)
{
	pthread_mutex_t *lock = &core->runs.magazines.all[0].lock;

	asked++;
	if (pthread_mutex_trylock(lock))
		asked_with_magazine++;
	else
		pthread_mutex_unlock(lock);
}

/* In place of the C library's: pages are populated by the one who needs them. */
int madvise(void *start, size_t len, int advice)
{
	unsigned owner = meanwhile;

	meanwhile = 0;
	if (has_no_memory) {
		note_magazines();
		errno = ENOMEM;
		return -1;
	}
	if (owner)
		must(owner_alloc(owner, 1000) == 0);
	if (owner && refuse) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_madvise, start, len, advice);
}

/* Two find no room in a class at the same time: one new zspage serves both. */
static void test_one_zspage_for_two(void **state)
{
	struct zs_class_stats stats;

	runs_set_reserve(zs_core_runs(core), 1);
	meanwhile = 1;
	assert_int_equal(owner_alloc(2, 1000), 0);
	assert_int_equal(meanwhile, 0);
	assert_true(owner_intact(1) && owner_intact(2));
	assert_int_equal(zs_core_class_stats(core, owners[1].loc.class_index, &stats), 0);
	assert_int_equal(stats.obj_used, 2);
	assert_int_equal(stats.obj_allocated, stats.objs_per_zspage);
	core_ok();
}

/* We get no pages, but somebody else got some while we asked: there is room. */
static void test_room_that_another_made(void **state)
{
	runs_set_reserve(zs_core_runs(core), 1);
	meanwhile = 1;
	refuse = true;
	assert_int_equal(owner_alloc(2, 1000), 0);
	refuse = false;
	assert_int_equal(meanwhile, 0);
	assert_true(owner_intact(1) && owner_intact(2));
	assert_int_equal(owners[1].loc.page, owners[2].loc.page);
	core_ok();
}

/* Who waits for the system's memory keeps no magazine from those that give pages back. */
static void test_waits_without_magazines(void **state)
{
	runs_set_reserve(zs_core_runs(core), 1);
	has_no_memory = true;
	assert_int_equal(owner_alloc(1, 1000), -ENOMEM);
	assert_int_equal(owner_alloc(2, 4096), -ENOMEM);
	has_no_memory = false;
	assert_true(asked > 0);
	assert_int_equal(asked_with_magazine, 0);
	assert_int_equal(owner_alloc(1, 1000), 0);
	assert_int_equal(owner_alloc(2, 4096), 0);
	core_ok();
}

/* At the limit, room in one of the next larger classes is used, and no further than that. */
static void test_borrows(void **state)
{
	unsigned natural = zs_core_class_of(core, 1000), size = zs_core_class_size(core, natural);
	unsigned n = 0, borrowed[ZS_BORROW + 2] = {0};

	for (unsigned up = 1; up <= ZS_BORROW + 1; up++)
		assert_int_equal(owner_alloc(up, zs_core_class_size(core, natural + up)), 0);
	runs_set_limit(zs_core_runs(core), core_pages_used());
	while (owner_alloc(100 + n, size) == 0) {
		unsigned up = owners[100 + n].loc.class_index - natural;

		assert_in_range(up, 1, ZS_BORROW);
		/* The next class first. */
		assert_true(up == ZS_BORROW || !borrowed[up + 1]);
		borrowed[up]++;
		n++;
	}
	assert_true(borrowed[1] && borrowed[ZS_BORROW]);
	core_ok();
	for (unsigned i = 0; i < n; i++) {
		assert_true(owner_intact(100 + i));
		owner_free(100 + i);
	}
	runs_set_limit(zs_core_runs(core), 0);
	assert_int_equal(owner_alloc(100, size), 0);
	assert_int_equal(owners[100].loc.class_index, natural);
	core_ok();
}

/* Only single pages are left: zspages of one page serve all sizes of which one object fits. */
static void test_short_zspages(void **state)
{
	unsigned n = 0, served = 0;

	while (owner_alloc(n, 4096) == 0)
		n++;
	assert_int_equal(n, POOL_PAGES);
	for (unsigned i = 0; i < n; i += 2)
		owner_free(i);
	for (unsigned i = 0; i < n; i += 2) {
		unsigned size = 40 + i % 2900;
		unsigned class_index = zs_core_class_of(core, size);
		bool fits = core->class[class_index].geo.first_object + zs_core_class_size(core, class_index) <= 4096;

		if (owner_alloc(i, size) == 0)
			served++;
		else
			assert_false(fits);
	}
	assert_true(served > n / 4);
	core_ok();
	for (unsigned i = 0; i < n; i++)
		if (owners[i].size)
			assert_true(owner_intact(i));
	for (unsigned i = 0; i < n; i++)
		if (owners[i].size)
			owner_free(i);
	assert_int_equal(core_pages_used(), 0);
	core_ok();
}

/* Every n-th page fails: an error, no harm, and the same request works the next time. */
static void test_every_nth_page_fails(void **state)
{
	for (unsigned every = 1; every <= 7; every++) {
		uint64_t random = every;
		unsigned failed = 0;

		zs_core_inject_failures(core, every);
		for (unsigned i = 0; i < 3000; i++) {
			uint32_t owner = (uint32_t)random_below(&random, 500);

			if (owners[owner].size)
				owner_free(owner);
			else if (owner_alloc(owner, object_size(&random)))
				failed++;
		}
		assert_true(failed > 0);
		core_ok();
		zs_core_inject_failures(core, 0);
		for (uint32_t owner = 0; owner < 500; owner++) {
			if (owners[owner].size) {
				assert_true(owner_intact(owner));
				owner_free(owner);
			}
		}
		core_ok();
		assert_int_equal(core_pages_used(), 0);
	}
}

static void test_any_order(void **state)
{
	uint64_t random = test_seed("core");
	unsigned steps = test_amount(200000);

	for (unsigned i = 0; i < steps; i++) {
		uint32_t owner = (uint32_t)random_below(&random, 3000);

		if (owners[owner].size) {
			assert_true(owner_intact(owner));
			owner_free(owner);
		} else {
			assert_int_equal(owner_alloc(owner, object_size(&random)), 0);
		}
		if (i % 8192 == 0)
			core_ok();
	}
	core_ok();
}

/* So many small ones that zspages have each of their slots in use: all are apart. Then holes, filled again. */
static void test_full_zspages(void **state)
{
	uint64_t random = 1;

	for (uint32_t i = 0; i < OWNERS; i++)
		assert_int_equal(owner_alloc(i, 1 + i % 48), 0);
	core_ok();
	for (uint32_t i = 0; i < OWNERS; i++)
		assert_true(owner_intact(i));
	for (uint32_t i = 0; i < OWNERS; i++)
		if (random_below(&random, 3) == 0) {
			owner_free(i);
			assert_int_equal(owner_alloc(i, 1 + i % 40), 0);
		}
	core_ok();
	for (uint32_t i = 0; i < OWNERS; i++)
		assert_true(owner_intact(i));
}

int main(void)
{
#define WITH_CORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_CORE(test_create_refuses),
		WITH_CORE(test_classes),
		WITH_CORE(test_every_size),
		WITH_CORE(test_full_zspages),
		WITH_CORE(test_objects_cross_pages),
		WITH_CORE(test_huge_objects),
		WITH_CORE(test_pages_are_touched_when_needed),
		WITH_CORE(test_fullest_first),
		WITH_CORE(test_memory_returns),
		WITH_CORE(test_limit_is_exact),
		WITH_CORE(test_nothing_is_touched_at_the_limit),
		WITH_CORE(test_one_zspage_for_two),
		WITH_CORE(test_waits_without_magazines),
		WITH_CORE(test_room_that_another_made),
		WITH_CORE(test_borrows),
		WITH_CORE(test_short_zspages),
		WITH_CORE(test_every_nth_page_fails),
		WITH_CORE(test_any_order),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}

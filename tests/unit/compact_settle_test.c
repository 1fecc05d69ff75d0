/* SPDX-License-Identifier: BSD-3-Clause */
/* Settling: what objects of nearly empty classes gain by moving to others; and what is free at the limit while objects move. */
#include "lib/core.h"
#include "lib/test.h"

#include "process/system_page.h"

#include "zsmalloc/core.h"

static bool move_always(void *opaque, uint32_t owner, struct zs_loc from)
{
	struct zs_loc to;

	(void)opaque;
	if (!owners[owner].size || memcmp(&owners[owner].loc, &from, sizeof from) ||
	    zs_core_move_to(core, owner, from, &to))
		return false;
	memcpy(zs_core_address(core, to), zs_core_address(core, from), owners[owner].size);
	owners[owner].loc = to;
	zs_core_free(core, from);
	return true;
}

static bool move_never(void *opaque, uint32_t owner, struct zs_loc from)
{
	return false;
}

static unsigned classes_above(uint32_t owner)
{
	return owners[owner].loc.class_index - zs_core_class_of(core, owners[owner].size);
}

static unsigned reach(void *opaque, uint32_t owner, struct zs_loc from)
{
	must(!memcmp(&owners[owner].loc, &from, sizeof from));
	return ZS_BORROW - classes_above(owner);
}

static unsigned reach_nothing(void *opaque, uint32_t owner, struct zs_loc from)
{
	return 0;
}

/* Returns pages freed. */
static uint64_t settle(zs_move_fn *move, unsigned (*how_far)(void *, uint32_t, struct zs_loc))
{
	const struct zs_settler settler = {.move = move, .reach = how_far};
	unsigned cursor = 0, steps = 0;
	uint64_t freed = 0;
	bool more = true;

	while (more) {
		freed += zs_core_settle_step(core, &cursor, &settler, NULL, &more);
		must(++steps <= ZS_MAX_CLASSES * (ZS_BORROW + 1));
	}
	core_ok();
	return freed;
}

static uint64_t touched_in(unsigned class_index)
{
	struct zs_class_stats stats;

	assert_int_equal(zs_core_class_stats(core, class_index, &stats), 0);
	return stats.pages_used;
}

static void make_many_classes(void)
{
	uint64_t random = 11;

	core_make(16384, ZS_DEFAULT_CHAIN);
	for (uint32_t i = 0; i < 20000; i++)
		assert_int_equal(owner_alloc(i, 16 + (unsigned)random_below(&random, 3500)), 0);
}

/* Some objects in each of many classes: what is in their last pages finds room in other classes' last pages. */
static void test_settles(void **state)
{
	uint64_t random = 12, before, freed;
	unsigned borrowed = 0;

	make_many_classes();
	before = core_pages_used();
	assert_int_equal(settle(move_never, reach), 0);
	assert_int_equal(settle(move_always, reach_nothing), 0);
	assert_int_equal(core_pages_used(), before);
	freed = settle(move_always, reach);
	assert_int_equal(core_pages_used(), before - freed);
	/* At least a page of four classes. */
	assert_true(freed > zs_core_class_count(core) / 4);
	for (uint32_t i = 0; i < 20000; i++) {
		assert_true(owner_intact(i));
		assert_true(classes_above(i) <= ZS_BORROW);
		borrowed += classes_above(i) > 0;
	}
	assert_in_range(borrowed, 1, 2000);
	/* Nothing is gained twice, and all can be used and freed as before. */
	assert_true(settle(move_always, reach) <= freed / 8);
	for (uint32_t i = 20000; i < 25000; i++)
		assert_int_equal(owner_alloc(i, 16 + (unsigned)random_below(&random, 3500)), 0);
	core_ok();
	for (uint32_t i = 0; i < 25000; i++)
		owner_free(i);
	core_ok();
	assert_int_equal(core_pages_used(), 0);
	core_end();
}

/* Returns the number of classes that have more pages after settling than before. */
static unsigned settle_and_count_grown(void)
{
	uint64_t before[ZS_MAX_CLASSES];
	unsigned grown = 0;

	for (unsigned i = 0; i < zs_core_class_count(core); i++)
		before[i] = touched_in(i);
	assert_true(settle(move_always, reach) > 0);
	for (unsigned i = 0; i < zs_core_class_count(core); i++)
		grown += touched_in(i) > before[i];
	return grown;
}

/*
 * A class that others join takes pages for them. Not with a reserve, unless the pages are populated: whoever moves an object holds its
 * block, and must not wait for memory. And not near a limit, where the pages are the writers'.
 */
static void test_settles_within_bounds(void **state)
{
	unsigned grown;

	make_many_classes();
	grown = settle_and_count_grown();
	assert_true(grown > 0);
	core_end();
	make_many_classes();
	runs_set_reserve(zs_core_runs(core), 1);
	/* A larger page of the system is populated as a whole, and with it the pages behind those in use. */
	assert_true(settle_and_count_grown() == 0 || system_page() > SEGMENT_PAGE);
	core_end();
	make_many_classes();
	runs_set_limit(zs_core_runs(core), core_pages_used());
	/* What settling frees makes room for the last classes only. */
	assert_true(settle_and_count_grown() < grown / 2);
	core_end();
}

/* The object is moved and freed, and another one of its size comes: the class has a last page again, and the others room. */
static bool move_and_overwrite(void *opaque, uint32_t owner, struct zs_loc from)
{
	unsigned size = owners[owner].size;

	if (!move_always(opaque, owner, from))
		return false;
	owner_free(owner);
	must(owner_alloc(owner, size) == 0);
	return true;
}

/* Writers that never stop do not keep settling in one class for ever: settle() counts the steps. */
static void test_settling_ends_beside_writers(void **state)
{
	core_make(16384, ZS_DEFAULT_CHAIN);
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(owner_alloc(i, 16 + i % 20 * 8), 0);
	assert_true(settle(move_and_overwrite, reach) > 0);
	for (uint32_t i = 0; i < 200; i++)
		assert_true(owner_intact(i));
	core_end();
}

/* ------------------------------------------------------------------ at the limit */

#define EXTRA 30000u /* the first owner of objects that come meanwhile */

struct extra {
	unsigned size, n;
	bool done;
};

/* As many as fit while nobody compacts; then they are gone again. */
static void alloc_extra(struct extra *extra)
{
	for (unsigned i = 0; i < extra->n; i++)
		assert_int_equal(owner_alloc(EXTRA + i, extra->size), 0);
	extra->done = true;
}

static void free_extra(struct extra *extra)
{
	for (unsigned i = 0; i < extra->n; i++)
		owner_free(EXTRA + i);
	extra->done = false;
}

static unsigned fit_at_limit(unsigned size)
{
	struct extra extra = {.size = size};

	runs_set_limit(zs_core_runs(core), core_pages_used());
	while (owner_alloc(EXTRA + extra.n, size) == 0)
		extra.n++;
	free_extra(&extra);
	return extra.n;
}

static bool move_after_extra(void *opaque, uint32_t owner, struct zs_loc from)
{
	struct extra *extra = opaque;

	if (!extra->done)
		alloc_extra(extra);
	return move_always(NULL, owner, from);
}

static unsigned reach_after_extra(void *opaque, uint32_t owner, struct zs_loc from)
{
	struct extra *extra = opaque;

	if (!extra->done)
		alloc_extra(extra);
	return reach(NULL, owner, from);
}

static void all_owners_intact(void)
{
	for (uint32_t i = 0; i < OWNERS; i++)
		assert_true(!owners[i].size || owner_intact(i));
	core_ok();
}

/* What is free in the zspage that compaction has is there for whoever finds nothing else. */
static void test_full_beside_compaction(void **state)
{
	struct extra extra = {.size = 1000};
	unsigned cursor = 0;
	bool more = true;

	core_make(16384, 1);
	for (uint32_t i = 0; i < 12; i++)
		assert_int_equal(owner_alloc(i, extra.size), 0);
	for (uint32_t i = 4; i < 12; i += 2)
		owner_free(i);
	extra.n = fit_at_limit(extra.size);
	assert_int_equal(extra.n, 4);
	while (more)
		zs_core_compact_step(core, &cursor, move_after_extra, &extra, &more);
	assert_true(extra.done);
	all_owners_intact();
	core_end();
}

static void test_full_beside_settling(void **state)
{
	const struct zs_settler settler = {.move = move_after_extra, .reach = reach_after_extra};
	struct extra extra = {.size = 1000};
	unsigned cursor = 0;
	bool more = true;

	core_make(16384, ZS_DEFAULT_CHAIN);
	for (uint32_t i = 0; i < 13; i++)
		assert_int_equal(owner_alloc(i, extra.size), 0);
	for (uint32_t i = 13; i < 20; i++)
		assert_int_equal(owner_alloc(i, extra.size + 2 * ZS_CLASS_STEP), 0);
	owner_free(12);
	extra.n = fit_at_limit(extra.size);
	assert_true(extra.n > 0);
	while (more)
		zs_core_settle_step(core, &cursor, &settler, &extra, &more);
	assert_true(extra.done);
	all_owners_intact();
	core_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settles),
		cmocka_unit_test(test_settles_within_bounds),
		cmocka_unit_test(test_settling_ends_beside_writers),
		cmocka_unit_test(test_full_beside_compaction),
		cmocka_unit_test(test_full_beside_settling),
	};

	return cmocka_run_group_tests_name("compact_settle", tests, NULL, NULL);
}

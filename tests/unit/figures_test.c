/* SPDX-License-Identifier: BSD-3-Clause */
/* The allocator's statistics against counts made by walking its zspages. */
#include "lib/core.h"
#include "lib/test.h"

#include <limits.h>
#include <pthread.h>
#include <unistd.h>

static int set_up(void **state)
{
	core_make(16384, 32);
	return 0;
}

static int tear_down(void **state)
{
	core_end();
	return 0;
}

struct truth {
	struct zs_class_stats class[ZS_MAX_CLASSES];
	bool seen[16384]; /* by first page of a zspage */
	uint64_t objects, headers;
};

/* From the owner's table and the zspages it leads to. */
static void count_owner(struct truth *truth, uint32_t owner)
{
	struct zs_loc loc = owners[owner].loc;
	struct zs_class_stats *class = &truth->class[loc.class_index];
	const struct zspage *z;

	class->obj_used++;
	truth->objects++;
	if (zs_core_is_huge(core, loc.class_index)) {
		class->obj_allocated++;
		class->pages_used++;
		class->zspages[ZS_INUSE_RATIO_100]++;
		return;
	}
	if (truth->seen[loc.page])
		return;
	truth->seen[loc.page] = true;
	z = zspage_at(core, loc.page);
	class->obj_allocated += z->capacity;
	class->pages_used += z->touched;
	class->zspages[zspage_fullness(z)]++;
	truth->headers += core->class[loc.class_index].geo.first_object;
}

static void compare_class(const struct truth *truth, unsigned index)
{
	const struct zs_class_stats *want = &truth->class[index];
	struct zs_class_stats got;
	uint64_t full = 0, empty = 0;

	assert_int_equal(zs_core_class_stats(core, index, &got), 0);
	assert_int_equal(got.index, index);
	assert_int_equal(got.size, zs_core_class_size(core, index));
	assert_int_equal(got.huge, zs_core_is_huge(core, index));
	assert_int_equal(got.obj_used, want->obj_used);
	assert_int_equal(got.obj_allocated, want->obj_allocated);
	assert_int_equal(got.pages_used, want->pages_used);
	for (unsigned group = 0; group < ZS_FULLNESS_GROUPS; group++)
		assert_int_equal(got.zspages[group], want->zspages[group]);
	for (unsigned group = ZS_INUSE_RATIO_10; group <= ZS_INUSE_RATIO_70; group++)
		empty += want->zspages[group];
	for (unsigned group = ZS_INUSE_RATIO_80; group <= ZS_INUSE_RATIO_99; group++)
		full += want->zspages[group];
	assert_int_equal(got.almost_full, got.huge ? 0 : full);
	assert_int_equal(got.almost_empty, got.huge ? 0 : empty);
	assert_true(got.freeable <= got.pages_used);
}

static void compare_all(void)
{
	static struct truth truth;
	struct zs_core_stats stats;
	uint64_t pages = 0;

	memset(&truth, 0, sizeof truth);
	for (uint32_t owner = 0; owner < OWNERS; owner++)
		if (owners[owner].size)
			count_owner(&truth, owner);
	for (unsigned i = 0; i < zs_core_class_count(core); i++) {
		compare_class(&truth, i);
		pages += truth.class[i].pages_used;
	}
	zs_core_stats(core, &stats);
	assert_int_equal(stats.objects, truth.objects);
	assert_int_equal(stats.pages_used, pages);
	assert_true(stats.pages_used_max >= pages);
	assert_int_equal(stats.header_bytes, truth.headers);
}

static void test_against_truth(void **state)
{
	uint64_t random = test_seed("figures");
	unsigned steps = test_amount(60000);

	compare_all();
	for (unsigned i = 0; i < steps; i++) {
		uint32_t owner = (uint32_t)random_below(&random, 4000);

		if (owners[owner].size)
			owner_free(owner);
		else
			assert_int_equal(owner_alloc(owner, object_size(&random)), 0);
		if (i % 4096 == 0)
			compare_all();
	}
	compare_all();
}

static void test_no_such_class(void **state)
{
	struct zs_class_stats stats;

	assert_int_equal(zs_core_class_stats(core, zs_core_class_count(core), &stats), -ERANGE);
	assert_int_equal(zs_core_class_stats(core, UINT_MAX, &stats), -ERANGE);
}

static void test_highest_use(void **state)
{
	struct zs_core_stats stats;

	for (unsigned n = 0; n < 10; n++)
		assert_int_equal(owner_alloc(n, 4096), 0);
	for (unsigned n = 0; n < 7; n++)
		owner_free(n);
	zs_core_stats(core, &stats);
	assert_int_equal(stats.pages_used, 3);
	assert_int_equal(stats.pages_used_max, 10);
	runs_reset_used_max(zs_core_runs(core));
	zs_core_stats(core, &stats);
	assert_int_equal(stats.pages_used_max, 3);
}

struct rows {
	uint64_t objects[ZS_MAX_CLASSES][ZS_FULLNESS_GROUPS];
};

static void note_leak(void *opaque, const struct zs_leak *leak)
{
	struct rows *rows = opaque;

	assert_int_equal(leak->object_size, zs_core_class_size(core, leak->class_index));
	assert_int_equal(rows->objects[leak->class_index][leak->fullness], 0);
	rows->objects[leak->class_index][leak->fullness] = leak->objects;
}

static void test_leaks_against_truth(void **state)
{
	static struct rows want, got;
	uint64_t random = 9;

	for (uint32_t owner = 0; owner < 6000; owner++)
		assert_int_equal(owner_alloc(owner, object_size(&random)), 0);
	for (uint32_t owner = 0; owner < 6000; owner++)
		if (random_below(&random, 3))
			owner_free(owner);
	for (uint32_t owner = 0; owner < 6000; owner++) {
		struct zs_loc loc = owners[owner].loc;

		if (!owners[owner].size)
			continue;
		want.objects[loc.class_index][zs_core_is_huge(core, loc.class_index)
						      ? ZS_INUSE_RATIO_100
						      : zspage_fullness(zspage_at(core, loc.page))]++;
	}
	assert_true(zs_core_leaks(core, note_leak, &got) > 1000);
	assert_memory_equal(&want, &got, sizeof want);
	assert_int_equal(zs_core_leaks(core, NULL, NULL), zs_core_leaks(core, note_leak, &(struct rows){0}));
}

static void test_freeable(void **state)
{
	struct zs_class_stats stats;
	unsigned index = zs_core_class_of(core, 1000), objects = core->class[index].geo.objects;

	for (unsigned n = 0; n < 2 * objects; n++)
		assert_int_equal(owner_alloc(n, 1000), 0);
	assert_int_equal(zs_core_class_stats(core, index, &stats), 0);
	assert_int_equal(stats.freeable, 0);
	/* Half of each: together they fill one. */
	for (unsigned n = 0; n < 2 * objects; n += 2)
		owner_free(n);
	assert_int_equal(zs_core_class_stats(core, index, &stats), 0);
	assert_int_equal(stats.freeable, stats.pages_per_zspage);
}

/*
 * Whoever tells of the allocator is no thread with requests, and may be preempted for long. No request waits for it: with all
 * locks taken by somebody else it goes on. Otherwise the signal ends the test.
 */
static void test_takes_no_lock(void **state)
{
	struct zs_class_stats class;
	struct zs_core_stats all;

	if (RUNNING_UNDER_TSAN)
		SKIP_BECAUSE("ThreadSanitizer cannot count the locks that one thread holds beyond 64");
	assert_int_equal(owner_alloc(0, 1000), 0);
	pthread_mutex_lock(&core->compaction);
	for (unsigned i = 0; i < core->classes; i++)
		pthread_mutex_lock(&core->class[i].lock);
	pthread_mutex_lock(&core->runs.lock);
	alarm(60);
	for (unsigned i = 0; i < core->classes; i++)
		assert_int_equal(zs_core_class_stats(core, i, &class), 0);
	zs_core_stats(core, &all);
	assert_int_equal(all.objects, 1);
	assert_true(zs_core_freeable(core) == 0);
	alarm(0);
	pthread_mutex_unlock(&core->runs.lock);
	for (unsigned i = 0; i < core->classes; i++)
		pthread_mutex_unlock(&core->class[i].lock);
	pthread_mutex_unlock(&core->compaction);
}

int main(void)
{
#define WITH_CORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_CORE(test_against_truth),       WITH_CORE(test_no_such_class), WITH_CORE(test_highest_use),
		WITH_CORE(test_leaks_against_truth), WITH_CORE(test_freeable),      WITH_CORE(test_takes_no_lock),
	};

	return cmocka_run_group_tests_name("figures", tests, NULL, NULL);
}

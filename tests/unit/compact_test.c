/* SPDX-License-Identifier: BSD-3-Clause */
/* Compaction: objects move, handles stay, pages come back; in steps, and beside everything else. */
#include "lib/core.h"
#include "lib/objects.h"
#include "lib/test.h"

#include "zsmalloc/core.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define OBJECTS 20000u

static struct zs_pool *pool;
static struct object objects[OBJECTS];

static int set_up(void **state)
{
	const struct zs_params params = {.max_pages = 1u << 16};

	memset(objects, 0, sizeof objects);
	must(zs_create_pool("compact", &params, &pool) == 0);
	return 0;
}

static int tear_down(void **state)
{
	pool_ok(pool);
	zs_destroy_pool(pool, NULL, NULL);
	return 0;
}

/* Objects of any size, of which all but each `keep`-th are freed. */
static void make_holes(uint64_t random, unsigned n, unsigned keep)
{
	for (unsigned i = 0; i < n; i++)
		assert_true(object_make(pool, &objects[i], object_size(&random), random_next(&random)));
	for (unsigned i = 0; i < n; i++)
		if (random_below(&random, keep))
			object_drop(pool, &objects[i]);
	pool_ok(pool);
}

static void all_intact(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (objects[i].handle)
			assert_true(object_intact(pool, &objects[i]));
}

static uint64_t freeable(void)
{
	struct zs_class_stats stats;
	uint64_t sum = 0;

	for (unsigned i = 0; zs_class_stats(pool, i, &stats) == 0; i++)
		sum += stats.freeable;
	return sum;
}

static void test_handles_survive(void **state)
{
	unsigned n = test_amount(OBJECTS);
	struct zs_pool_stats stats;
	uint64_t before, freed;

	n = n > OBJECTS ? OBJECTS : n;
	make_holes(test_seed("compact"), n, 5);
	before = zs_get_total_pages(pool);
	freed = zs_compact(pool);
	assert_int_equal(zs_get_total_pages(pool), before - freed);
	zs_pool_stats(pool, &stats);
	assert_int_equal(stats.pages_compacted, freed);
	/* Few objects in many classes leave less to gain. */
	assert_true(freed > (n < 10000 ? before / 32 : before / 4));
	pool_ok(pool);
	all_intact(n);
	/* Nothing is left to be gained, and doing it again does no harm. */
	assert_int_equal(zs_compact(pool), 0);
	all_intact(n);
}

/*
 * What the statistics call freeable is freed when nothing holds an object: all but a page here and
 * there, since a zspage that is still growing is not filled by compaction.
 */
static void test_frees_what_is_freeable(void **state)
{
	uint64_t want, freed;

	make_holes(1, 6000, 3);
	want = freeable();
	freed = zs_compact(pool);
	assert_in_range(freed, want - want / 50, want);
	assert_int_equal(freeable(), want - freed);
}

static void test_empty_pool(void **state)
{
	unsigned cursor = 0, steps = 0;
	bool more = true;

	assert_int_equal(zs_compact(pool), 0);
	while (more) {
		assert_int_equal(zs_compact_step(pool, &cursor, &more), 0);
		assert_true(++steps <= ZS_MAX_CLASSES);
	}
	assert_int_equal(steps, zs_class_count(pool) - 1);
}

/* A step gives back one zspage at most, and together they do what zs_compact() does. */
static void test_bounded_steps(void **state)
{
	unsigned cursor = 0, steps = 0;
	uint64_t want, sum = 0;
	bool more = true;

	make_holes(2, 6000, 4);
	want = freeable();
	while (more) {
		uint64_t freed = zs_compact_step(pool, &cursor, &more);

		assert_true(freed <= ZS_MAX_CHAIN);
		sum += freed;
		assert_true(++steps < 20000);
		if (steps % 64 == 0)
			pool_ok(pool);
	}
	assert_in_range(sum, want - want / 50, want);
	assert_int_equal(zs_compact(pool), 0);
	all_intact(6000);
}

static void test_mapped_objects_stay(void **state)
{
	static void *mapped[6000];
	unsigned n = 6000;

	make_holes(3, n, 3);
	for (unsigned i = 0; i < n; i += 7)
		if (objects[i].handle)
			mapped[i] = zs_map_object(pool, objects[i].handle, i % 2 ? ZS_MM_RO : ZS_MM_RW);
	zs_compact(pool);
	pool_ok(pool);
	for (unsigned i = 0; i < n; i += 7) {
		if (!objects[i].handle)
			continue;
		assert_true(object_is(mapped[i], objects[i].tag, objects[i].size));
		zs_unmap_object(pool, objects[i].handle);
		assert_ptr_equal(zs_map_object(pool, objects[i].handle, ZS_MM_RO), mapped[i]);
		zs_unmap_object(pool, objects[i].handle);
	}
	/* With nobody holding them there is more to gain. */
	assert_true(zs_compact(pool) > 0);
	all_intact(n);
}

/* Memory that compaction frees leaves the process. */
static uint64_t resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	must(f && fscanf(f, "%*u %lu", &pages) == 1);
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void test_resident_size_drops(void **state)
{
	uint64_t before, after, freed;

	/* Their shadows are resident, too. */
	if (RUNNING_UNDER_SANITIZER || running_under_valgrind())
		return;
	make_holes(4, OBJECTS, 4);
	before = resident_bytes();
	freed = zs_compact(pool) * 4096;
	after = resident_bytes();
	assert_true(freed > 8 << 20);
	/* All but the slack that is kept, and what other parts of the process took meanwhile. */
	assert_true(before - after + (1 << 20) + (1 << 19) > freed);
}

/* ------------------------------------------------------------------ beside writers, without threads */

static bool move_or_overwrite(void *opaque, uint32_t owner, struct zs_loc from)
{
	unsigned size = owners[owner].size;
	struct zs_loc to;

	(void)opaque;
	if (!size || memcmp(&owners[owner].loc, &from, sizeof from))
		return false;
	if (owner % 10 == 3) {
		/* A writer was first: the new object is somewhere else, and the old one is freed. */
		must(owner_alloc(owner, size) == 0);
		zs_core_free(core, from);
		return false;
	}
	if (zs_core_move_to(core, owner, from, &to))
		return false;
	memcpy(zs_core_address(core, to), zs_core_address(core, from), size);
	owners[owner].loc = to;
	zs_core_free(core, from);
	return true;
}

/* An object that is overwritten while its zspage is compacted is no reason to give the class up. */
static void test_overwritten_meanwhile(void **state)
{
	uint64_t random = 3, before;
	unsigned cursor = 0;
	bool more = true;

	core_make(16384, ZS_DEFAULT_CHAIN);
	for (uint32_t i = 0; i < 20000; i++)
		assert_int_equal(owner_alloc(i, 300), 0);
	for (uint32_t i = 0; i < 20000; i++)
		if (random_below(&random, 4))
			owner_free(i);
	before = zs_core_freeable(core);
	assert_true(before > 500);
	while (more)
		zs_core_compact_step(core, &cursor, move_or_overwrite, NULL, &more);
	assert_true(zs_core_freeable(core) < 64);
	core_ok();
	for (uint32_t i = 0; i < 20000; i++)
		assert_true(!owners[i].size || owner_intact(i));
	core_end();
}

static bool overwrite_always(void *opaque, uint32_t owner, struct zs_loc from)
{
	unsigned *asked = opaque, size = owners[owner].size;

	must(++*asked < 10000000);
	if (!size || memcmp(&owners[owner].loc, &from, sizeof from))
		return false;
	must(owner_alloc(owner, size) == 0);
	zs_core_free(core, from);
	/* And some other object is gone: there is always something to gain. */
	for (uint32_t i = 0; i < 20000; i++)
		if (owners[i].size && i != owner) {
			must(owner_alloc(20000 + *asked % 20000, size) == 0);
			owner_free(i);
			break;
		}
	return false;
}

/* Writers that never stop do not keep compaction for ever. */
static void test_ends_beside_writers(void **state)
{
	unsigned cursor = 0, asked = 0, steps = 0;
	bool more = true;

	core_make(16384, ZS_DEFAULT_CHAIN);
	for (uint32_t i = 0; i < 5000; i++)
		assert_int_equal(owner_alloc(i, 300), 0);
	for (uint32_t i = 0; i < 5000; i++)
		if (i % 4)
			owner_free(i);
	while (more) {
		zs_core_compact_step(core, &cursor, overwrite_always, &asked, &more);
		assert_true(++steps < 2 * ZS_MAX_CLASSES);
	}
	core_end();
}

/* ------------------------------------------------------------------ beside other threads */

static atomic_bool stop;

struct worker {
	pthread_t thread;
	uint64_t random;
	struct object own[300];
	unsigned steps;
};

static void use_object(struct worker *w, struct object *object)
{
	if (!object->handle) {
		must(object_make(pool, object, object_size(&w->random), random_next(&w->random)));
	} else if (random_below(&w->random, 3) == 0) {
		object_drop(pool, object);
	} else if (random_below(&w->random, 2)) {
		must(object_intact(pool, object));
	} else {
		object->tag = random_next(&w->random);
		object_fill(zs_map_object(pool, object->handle, ZS_MM_RW), object->tag, object->size);
		zs_unmap_object(pool, object->handle);
	}
}

static void *work(void *opaque)
{
	struct worker *w = opaque;

	for (unsigned i = 0; i < w->steps; i++)
		use_object(w, &w->own[random_below(&w->random, COUNT_OF(w->own))]);
	return NULL;
}

static void *compact(void *opaque)
{
	unsigned cursor = 0;
	bool more;

	while (!atomic_load(&stop)) {
		if (opaque) {
			zs_compact(pool);
		} else {
			zs_compact_step(pool, &cursor, &more);
			cursor = more ? cursor : 0;
		}
	}
	return NULL;
}

static void test_beside_other_threads(void **state)
{
	static struct worker workers[3];
	pthread_t compactors[2];
	uint64_t seed = test_seed("compact");

	atomic_store(&stop, false);
	memset(workers, 0, sizeof workers);
	for (size_t i = 0; i < 2; i++)
		pthread_create(&compactors[i], NULL, compact, i ? pool : NULL);
	for (size_t i = 0; i < COUNT_OF(workers); i++) {
		workers[i].random = random_next(&seed);
		workers[i].steps = test_amount(60000);
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (size_t i = 0; i < COUNT_OF(workers); i++)
		pthread_join(workers[i].thread, NULL);
	atomic_store(&stop, true);
	for (size_t i = 0; i < 2; i++)
		pthread_join(compactors[i], NULL);
	pool_ok(pool);
	for (size_t i = 0; i < COUNT_OF(workers); i++)
		for (size_t n = 0; n < COUNT_OF(workers[i].own); n++)
			if (workers[i].own[n].handle)
				assert_true(object_intact(pool, &workers[i].own[n]));
}

/*
 * Who maps an object while it moves finds all of it, at the old place or at the new one. The last bytes tell: they are the last to
 * come. Objects are few, so that a reader often meets the one that moves.
 */
#define MOVED      200u
#define MOVED_SIZE 3000u

static atomic_uint reading;

static void *read_ends(void *opaque)
{
	uint64_t random = (uintptr_t)opaque;

	atomic_fetch_add(&reading, 1);
	while (!atomic_load(&stop)) {
		struct object *object = &objects[random_below(&random, MOVED / 4) * 4];
		const uint8_t *at = zs_map_object(pool, object->handle, ZS_MM_RO);
		uint64_t end;

		memcpy(&end, at + MOVED_SIZE - 8, 8);
		must(end == object->tag);
		zs_unmap_object(pool, object->handle);
	}
	return NULL;
}

static void test_moved_objects_are_whole(void **state)
{
	unsigned rounds = test_amount(200);
	pthread_t readers[2];
	uint8_t *at;

	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < MOVED; i++) {
			must((objects[i].handle = zs_malloc(pool, MOVED_SIZE)));
			objects[i].tag = (uint64_t)round << 32 | i;
			at = zs_map_object(pool, objects[i].handle, ZS_MM_WO);
			memset(at, 0xff, MOVED_SIZE - 8);
			memcpy(at + MOVED_SIZE - 8, &objects[i].tag, 8);
			zs_unmap_object(pool, objects[i].handle);
		}
		for (unsigned i = 0; i < MOVED; i++)
			if (i % 4)
				object_drop(pool, &objects[i]);
		atomic_store(&stop, false);
		atomic_store(&reading, 0);
		for (size_t i = 0; i < COUNT_OF(readers); i++)
			must(!pthread_create(&readers[i], NULL, read_ends, (void *)(i + 1)));
		while (atomic_load(&reading) < COUNT_OF(readers))
			sched_yield();
		must(zs_compact(pool) > 0);
		atomic_store(&stop, true);
		for (size_t i = 0; i < COUNT_OF(readers); i++)
			pthread_join(readers[i], NULL);
		for (unsigned i = 0; i < MOVED; i += 4)
			object_drop(pool, &objects[i]);
	}
}

int main(void)
{
#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_POOL(test_handles_survive),
		WITH_POOL(test_frees_what_is_freeable),
		WITH_POOL(test_empty_pool),
		WITH_POOL(test_bounded_steps),
		WITH_POOL(test_mapped_objects_stay),
		WITH_POOL(test_resident_size_drops),
		WITH_POOL(test_beside_other_threads),
		WITH_POOL(test_moved_objects_are_whole),
		cmocka_unit_test(test_overwritten_meanwhile),
		cmocka_unit_test(test_ends_beside_writers),
	};

	return cmocka_run_group_tests_name("compact", tests, NULL, NULL);
}

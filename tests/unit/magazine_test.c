/* SPDX-License-Identifier: BSD-3-Clause */
/* Magazines: pages come and go singly, none is lost, none belongs to two, and figures do not show what is kept. */
#include "lib/core.h"
#include "lib/random.h"
#include "lib/test.h"

#include <pthread.h>

#define POOL_PAGES 512u
#define THREADS    4u

static struct runs *runs;

static int set_up(void **state)
{
	core_make(POOL_PAGES, 16);
	runs = &core->runs;
	return 0;
}

static int tear_down(void **state)
{
	core_end();
	return 0;
}

static uint64_t kept(void)
{
	return magazines_count(&runs->magazines);
}

static void put_raw(uint32_t first, uint32_t n)
{
	for (uint32_t owner = first; owner < first + n; owner++)
		assert_int_equal(owner_alloc(owner, 4096), 0);
}

static void drop(uint32_t first, uint32_t n)
{
	for (uint32_t owner = first; owner < first + n; owner++)
		owner_free(owner);
}

static struct zs_core_stats stats_of_core(void)
{
	struct zs_core_stats stats;

	core_ok();
	zs_core_stats(core, &stats);
	return stats;
}

/* What is freed is kept, up to a limit, and taken again: the last one first. */
static void test_keeps_what_is_freed(void **state)
{
	uint32_t last;

	put_raw(0, 100);
	assert_int_equal(kept(), 0); /* there were no hot pages to keep */
	drop(0, 5);
	assert_int_equal(kept(), 5);
	assert_int_equal(runs_hot_free(runs), 0);
	last = owners[4].loc.page;
	put_raw(4, 1);
	assert_int_equal(owners[4].loc.page, last);
	drop(4, 96);
	assert_in_range(kept(), MAGAZINE_PAGES - MAGAZINE_BATCH, MAGAZINE_PAGES);
	assert_int_equal(kept() + runs_hot_free(runs), 100);
	core_ok();
	/* And refilled from those that went back. */
	put_raw(0, 90);
	assert_int_equal(kept() + runs_hot_free(runs), 10);
	core_ok();
}

static void test_figures(void **state)
{
	struct zs_core_stats stats;

	put_raw(0, 40);
	drop(0, 30);
	stats = stats_of_core();
	assert_true(kept() > 0);
	assert_int_equal(stats.pages_used, 10);
	assert_int_equal(stats.pages_used_max, 40);
	assert_int_equal(stats.pages_reserved, 30);
	assert_int_equal(stats.objects, 10);
	assert_int_equal(runs_resident(runs), 40);
	runs_reset_used_max(runs);
	assert_int_equal(stats_of_core().pages_used_max, 10);
	put_raw(0, 13);
	drop(0, 13);
	assert_int_equal(stats_of_core().pages_used_max, 23);
	/* Other classes count too. */
	assert_int_equal(owner_alloc(100, 2000), 0);
	put_raw(0, 15);
	drop(0, 15);
	stats = stats_of_core();
	assert_int_equal(stats.pages_used, 11);
	assert_int_equal(stats.pages_used_max, 26);
}

/* Below a limit all pages can be had, whoever keeps them; near it none is kept. */
static void test_limit(void **state)
{
	uint64_t all;

	put_raw(0, 20);
	drop(0, 20);
	assert_true(kept() > 1);
	runs_set_limit(runs, 10);
	for (uint32_t owner = 0; owner < 10; owner++)
		assert_int_equal(owner_alloc(owner, owner ? 4096 : 3000), 0);
	assert_int_equal(stats_of_core().pages_used, 10);
	assert_int_equal(owner_alloc(10, 4096), -ENOSPC);
	all = kept();
	drop(1, 1);
	assert_int_equal(kept(), all);
	put_raw(1, 1);
	assert_int_equal(stats_of_core().pages_used, 10);
	assert_true(stats_of_core().pages_used_max >= 10);
}

/* What is missing elsewhere is fetched from magazines. */
static void test_address_space_used_up(void **state)
{
	uint32_t n = 0;

	while (owner_alloc(n, 4096) == 0)
		n++;
	assert_int_equal(n, POOL_PAGES);
	drop(0, 16);
	assert_true(kept() > 0);
	/* A run of several pages, of which some are kept. */
	assert_int_equal(owner_alloc(0, 24), 0);
	core_ok();
}

static bool nothing_moves(void *opaque, uint32_t owner, struct zs_loc from)
{
	return false;
}

static void test_compaction_empties(void **state)
{
	unsigned cursor = 0;
	bool more = true;

	put_raw(0, 10);
	drop(0, 10);
	assert_true(kept() > 0);
	while (more)
		zs_core_compact_step(core, &cursor, nothing_moves, NULL, &more);
	assert_int_equal(kept(), 0);
	assert_int_equal(runs->used, 0);
	core_ok();
}

/* Nothing in the segment says what was kept: to the next process it is free, and hot where the system tells. */
static void test_after_a_restart(void **state)
{
	struct zs_core *next;

	put_raw(0, 30);
	drop(0, 12);
	assert_true(kept() > 0);
	assert_int_equal(zs_core_create(&next, &seg, 0, POOL_PAGES, 16), 0);
	assert_int_equal(zs_core_rebuild(next, core_scan, NULL, NULL, 0), 0);
	zs_core_destroy(core);
	core = next;
	runs = &core->runs;
	assert_int_equal(kept(), 0);
	assert_int_equal(stats_of_core().pages_used, 18);
	assert_int_equal(stats_of_core().objects, 18);
	drop(12, 18);
	assert_int_equal(stats_of_core().objects, 0);
}

/* How often the limit was about to change. */
static _Atomic unsigned limits;

static void change_limit(uint64_t pages)
{
	limits++;
	runs_set_limit(runs, pages);
}

/* Each thread has raw objects of its own, and others besides, near a limit now and then. */
static void *churn(void *opaque)
{
	unsigned thread = (unsigned)(uintptr_t)opaque;
	uint64_t random = thread + 1;

	for (unsigned i = 0; i < 30000; i++) {
		uint32_t owner = thread * 1000 + (uint32_t)random_below(&random, 40);
		unsigned before = limits;
		bool limited = runs_limit(runs) != 0;

		if (owners[owner].size) {
			must(owner_intact(owner));
			owner_free(owner);
		} else if (owner_alloc(owner, random_below(&random, 4) ? 4096 : 1500)) {
			/* Another thread may have set a limit, and have taken it away again. */
			must(limited || limits != before || runs_limit(runs) != 0);
		}
		if (thread == 0 && i % 1000 == 0)
			change_limit(random_below(&random, 2) ? 0 : 60 + random_below(&random, 200));
		if (thread == 1 && i % 500 == 0)
			magazines_drain(runs);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[THREADS];
	uint64_t live = 0;

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(uintptr_t)i), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t owner = 0; owner < OWNERS; owner++)
		live += owners[owner].size != 0;
	assert_int_equal(stats_of_core().objects, live);
	for (uint32_t owner = 0; owner < OWNERS; owner++)
		if (owners[owner].size)
			owner_free(owner);
	assert_int_equal(stats_of_core().pages_used, 0);
	magazines_drain(runs);
	assert_int_equal(runs->used, 0);
	core_ok();
}

#define LIVE 40
static _Atomic int live;
static _Atomic unsigned missed;

/* Never more than LIVE objects of all threads together. */
static void *take_and_give(void *opaque)
{
	struct zs_pool *pool = opaque;
	uint64_t random = (uintptr_t)&pool;
	zs_handle held[32];
	unsigned n = 0;

	for (unsigned i = 0; i < 20000; i++) {
		unsigned wanted = (unsigned)random_below(&random, COUNT_OF(held));

		for (; n < wanted; n++) {
			bool may = atomic_fetch_add(&live, 1) < LIVE;

			held[n] = may ? zs_malloc(pool, 4096) : 0;
			missed += may && !held[n];
			if (!held[n]) {
				atomic_fetch_sub(&live, 1);
				break;
			}
		}
		while (n > wanted) {
			zs_free(pool, held[--n]);
			atomic_fetch_sub(&live, 1);
		}
	}
	while (n)
		zs_free(pool, held[--n]);
	return NULL;
}

/* Whoever finds no page is told so only if there is none: not while one is in a magazine, or on its way. */
static void test_no_page_is_missed(void **state)
{
	const struct zs_params params = {.max_pages = LIVE + 8, .max_objects = 4096};
	pthread_t threads[THREADS];
	struct zs_pool *pool;

	assert_int_equal(zs_create_pool("few", &params, &pool), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, pool), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(missed, 0);
	assert_int_equal(zs_destroy_pool(pool, NULL, NULL), 0);
}

int main(void)
{
#define WITH_CORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_CORE(test_keeps_what_is_freed),
		WITH_CORE(test_figures),
		WITH_CORE(test_limit),
		WITH_CORE(test_address_space_used_up),
		WITH_CORE(test_compaction_empties),
		WITH_CORE(test_after_a_restart),
		WITH_CORE(test_threads),
		cmocka_unit_test(test_no_page_is_missed),
	};

	return cmocka_run_group_tests_name("magazine", tests, NULL, NULL);
}

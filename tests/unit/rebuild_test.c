/* SPDX-License-Identifier: BSD-3-Clause */
/* Rebuilding the core from its owner's table: what was there is there again, and no contradiction passes. */
#include "lib/emulator.h"
#include "lib/core.h"
#include "lib/test.h"

#define POOL_PAGES 8192u

static char why[200];

static int set_up(void **state)
{
	core_make(POOL_PAGES, 16);
	return 0;
}

static int tear_down(void **state)
{
	core_end();
	return 0;
}

/* As after the end of the process: a new core over the same bytes. */
static int rebuild(void)
{
	zs_core_destroy(core);
	must(zs_core_create(&core, &seg, 0, POOL_PAGES, 16) == 0);
	why[0] = 0;
	return zs_core_rebuild(core, core_scan, NULL, why, sizeof why);
}

static void rebuild_and_compare(uint32_t n)
{
	struct zs_core_stats before, after;

	zs_core_stats(core, &before);
	assert_int_equal(rebuild(), 0);
	core_ok();
	zs_core_stats(core, &after);
	assert_int_equal(after.objects, before.objects);
	/* Pages whose objects are all gone, behind those that live, are not known to be touched. */
	assert_true(after.pages_used <= before.pages_used);
	assert_int_equal(after.pages_used_max, after.pages_used);
	for (uint32_t owner = 0; owner < n; owner++)
		if (owners[owner].size)
			assert_true(owner_intact(owner));
}

static void test_empty(void **state)
{
	rebuild_and_compare(0);
	assert_int_equal(core_pages_used(), 0);
	assert_int_equal(owner_alloc(0, 100), 0);
	core_ok();
}

static void churn(uint64_t *random, uint32_t n, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		uint32_t owner = (uint32_t)random_below(random, n);

		if (owners[owner].size)
			owner_free(owner);
		else if (owner_alloc(owner, object_size(random)))
			assert_true(core_pages_used() > 0);
	}
}

static void test_again_and_again(void **state)
{
	uint64_t random = test_seed("rebuild");

	for (unsigned round = 0; round < test_amount(16); round++) {
		churn(&random, 3000, 4000);
		core_ok();
		rebuild_and_compare(3000);
	}
}

/* A pool in fragments, with zspages that are shorter than their class's. */
static void test_short_zspages(void **state)
{
	uint64_t random = 1;
	uint32_t n = 0;

	while (owner_alloc(n, 4096) == 0)
		n++;
	for (uint32_t owner = 0; owner < n; owner++)
		if (random_below(&random, 3))
			owner_free(owner);
	for (uint32_t owner = 0; owner < n; owner++)
		if (!owners[owner].size)
			owner_alloc(owner, object_size(&random));
	core_ok();
	rebuild_and_compare(n);
	churn(&random, n, 5000);
	core_ok();
	rebuild_and_compare(n);
	for (uint32_t owner = 0; owner < OWNERS; owner++)
		if (owners[owner].size)
			owner_free(owner);
	core_ok();
	assert_int_equal(core_pages_used(), 0);
}

/* Memory that is there already is known to be: it is neither taken for new, nor lost. */
static void test_residency_is_found(void **state)
{
	struct zs_core_stats stats;
	int error;

	if (advice_is_ignored())
		skip();
	/* Of whole pages of any system. */
	runs_set_reserve(zs_core_runs(core), 512);
	while (runs_upkeep(zs_core_runs(core), RUNS_REFILL, &error))
		;
	for (uint32_t owner = 0; owner < 100; owner++)
		assert_int_equal(owner_alloc(owner, 2000), 0);
	assert_int_equal(rebuild(), 0);
	core_ok();
	zs_core_stats(core, &stats);
	assert_int_equal(stats.pages_used + stats.pages_reserved, 512);
}

/* ------------------------------------------------------------------ contradictions */

static void fill(void)
{
	for (uint32_t owner = 0; owner < 500; owner++)
		assert_int_equal(owner_alloc(owner, 200 + owner % 4 * 900), 0);
	for (uint32_t owner = 500; owner < 510; owner++)
		assert_int_equal(owner_alloc(owner, 4096), 0);
}

#define EXPECT_REFUSAL(change, words)                                                                                  \
	do {                                                                                                           \
		struct zs_loc saved_ = owners[7].loc, saved_huge_ = owners[505].loc;                                   \
                                                                                                                       \
		change;                                                                                                \
		if (rebuild() != -EUCLEAN)                                                                             \
			fail_msg("not refused: %s", #change);                                                          \
		if (!strstr(why, words))                                                                               \
			fail_msg("%s: says \"%s\"", #change, why);                                                     \
		owners[7].loc = saved_;                                                                                \
		owners[505].loc = saved_huge_;                                                                         \
	} while (0)

static void test_contradictions(void **state)
{
	fill();
	EXPECT_REFUSAL(owners[7].loc.page = POOL_PAGES, "beyond");
	EXPECT_REFUSAL(owners[7].loc.page = UINT32_MAX, "beyond");
	EXPECT_REFUSAL(owners[7].loc.slot = ZS_MAX_OBJS - 1, "does not exist");
	EXPECT_REFUSAL(owners[7].loc.slot = UINT16_MAX, "does not exist");
	EXPECT_REFUSAL(owners[7].loc.class_index = UINT16_MAX, "does not exist");
	EXPECT_REFUSAL(owners[7].loc.class_index -= 1, "classes");
	EXPECT_REFUSAL(owners[7].loc.class_index = owners[505].loc.class_index, "");
	EXPECT_REFUSAL(owners[7].loc = owners[11].loc, "another owner");
	EXPECT_REFUSAL(owners[7].loc = owners[505].loc, "two huge");
	EXPECT_REFUSAL(owners[505].loc = owners[506].loc, "two huge");
	EXPECT_REFUSAL(owners[505].loc.slot = 1, "does not exist");
	EXPECT_REFUSAL(owners[505].loc.page = owners[7].loc.page + 1, "overlaps");
	/* Back to what it was, it works again. */
	assert_int_equal(rebuild(), 0);
	core_ok();
}

/* What is refused is left as it was, as far as objects go. */
static void test_refusal_spares_objects(void **state)
{
	struct zs_loc saved;

	fill();
	saved = owners[505].loc;
	owners[505].loc = (struct zs_loc){.page = owners[7].loc.page + 1, .class_index = owners[3].loc.class_index};
	assert_int_equal(rebuild(), -EUCLEAN);
	owners[505].loc = saved;
	assert_int_equal(rebuild(), 0);
	core_ok();
	for (uint32_t owner = 0; owner < 510; owner++)
		assert_true(owner_intact(owner));
}

/* Random damage: refused, or something sound comes of it. */
static void test_random_damage(void **state)
{
	uint64_t random = test_seed("rebuild");
	unsigned refused = 0, rounds = test_amount(300);

	fill();
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t owner = (uint32_t)random_below(&random, 510);
		struct zs_loc saved = owners[owner].loc;

		switch (random_below(&random, 3)) {
		case 0:
			owners[owner].loc.page ^= 1u << random_below(&random, 14);
			break;
		case 1:
			owners[owner].loc.slot ^= (uint16_t)(1u << random_below(&random, 10));
			break;
		default:
			owners[owner].loc.class_index ^= (uint16_t)(1u << random_below(&random, 9));
		}
		if (rebuild() == 0)
			core_ok();
		else
			refused++;
		owners[owner].loc = saved;
	}
	assert_true(refused > rounds / 4);
}

static int end_early(void *opaque, zs_each_fn *each, void *each_opaque)
{
	return -EINTR;
}

static void test_scan_fails(void **state)
{
	assert_int_equal(zs_core_rebuild(core, end_early, NULL, NULL, 0), -EINTR);
	assert_int_equal(zs_core_check(core, end_early, NULL, NULL, 0), -EINTR);
}

int main(void)
{
#define WITH_CORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_CORE(test_empty),          WITH_CORE(test_again_and_again),
		WITH_CORE(test_short_zspages),  WITH_CORE(test_residency_is_found),
		WITH_CORE(test_contradictions), WITH_CORE(test_refusal_spares_objects),
		WITH_CORE(test_random_damage),  WITH_CORE(test_scan_fails),
	};

	return cmocka_run_group_tests_name("rebuild", tests, NULL, NULL);
}

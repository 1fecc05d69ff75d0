/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages of a former life: all are found, at once, later or when they are met, whatever the hint says. */
#include "lib/shm.h"
#include "lib/runs.h"
#include "lib/test.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAR_CHUNKS 1000u

/* A shared segment in which a former process has touched one page of each of these chunks, and died. */
static const uint32_t touched_chunks[] = {2, 700, 701, 900};

static void begin_with_leftovers(const struct test_shm *shm, struct segment *left, struct runs *far)
{
	uint32_t pages = FAR_CHUNKS * RUNS_CHUNK;
	struct segment_spec spec;
	const char *step;

	must(segment_parse(shm->memory, &spec) == 0);
	must(segment_open(left, &spec, RUNS_OFFSET + (uint64_t)pages * SEGMENT_PAGE, &step) == 0);
	must(runs_init(far, left, RUNS_OFFSET, pages) == 0);
	memset(left->base, 1, (size_t)sysconf(_SC_PAGESIZE));
	for (size_t i = 0; i < COUNT_OF(touched_chunks); i++)
		memset(runs_address(far, touched_chunks[i] * RUNS_CHUNK + 16), 1, (size_t)sysconf(_SC_PAGESIZE));
	must(runs_rebuild_begin(far, RUNS_NONE) == 0);
	runs_rebuild_finish(far);
}

static void test_leftovers_are_found(void **state)
{
	uint64_t group = sysconf(_SC_PAGESIZE) / SEGMENT_PAGE;
	struct segment left;
	struct runs far;
	unsigned steps = 0;

	begin_with_leftovers(test_shm_new(), &left, &far);
	/* The nearest at once, the others in bounded steps. */
	assert_int_equal(runs_hot_free(&far), group);
	assert_int_equal(far.unseen, 3 * group);
	while (runs_look(&far))
		assert_true(++steps < FAR_CHUNKS / 64);
	assert_int_equal(runs_hot_free(&far), 4 * group);
	assert_null(runs_check(&far, NULL));
	/* With the last of them the looking ends. */
	assert_int_equal(far.unseen, 0);
	assert_in_range(far.look, 901, 900 + 64);
	/* A chunk that was found far away costs no descriptors of those before it. */
	assert_int_equal(runs_descriptor_bytes(&far), 4 * 48);
	runs_destroy(&far);
	segment_close(&left);
}

/* Nobody has come to look, and the address space is used up to there: found all the same. */
static void test_leftovers_are_met(void **state)
{
	uint64_t group = sysconf(_SC_PAGESIZE) / SEGMENT_PAGE;
	struct segment left;
	struct runs far;
	struct run run;
	unsigned hot = 0;

	begin_with_leftovers(test_shm_new(), &left, &far);
	for (unsigned i = 0; i < FAR_CHUNKS * RUNS_CHUNK; i += run.pages) {
		assert_int_equal(runs_take(&far, RUNS_CHUNK, 1, &run), 0);
		hot += (unsigned)__builtin_popcountll(run.hot);
		if (i % 8192 == 0)
			assert_null(runs_check(&far, NULL));
	}
	assert_int_equal(runs_take(&far, 1, 1, &run), -ENOSPC);
	assert_int_equal(hot, 4 * group);
	assert_false(runs_look(&far));
	runs_destroy(&far);
	segment_close(&left);
}

/* The same, with a hint of that process. */
static void begin_with_hint(const struct test_shm *shm, struct segment *left, struct runs *far, uint64_t hint)
{
	begin_with_leftovers(shm, left, far);
	runs_destroy(far);
	must(runs_init(far, left, RUNS_OFFSET, FAR_CHUNKS * RUNS_CHUNK) == 0);
	runs_expect(far, hint);
	must(runs_rebuild_begin(far, RUNS_NONE) == 0);
	runs_rebuild_finish(far);
}

/* A hint that says too little, or too much: all are found all the same. */
static void test_hint_is_not_trusted(void **state)
{
	static const uint64_t hints[] = {1, 64, 65, 700 * 64, 901 * 64, 999 * 64, UINT32_MAX, UINT64_MAX};
	uint64_t group = sysconf(_SC_PAGESIZE) / SEGMENT_PAGE;

	for (size_t i = 0; i < COUNT_OF(hints); i++) {
		struct segment left;
		struct runs far;
		unsigned steps = 0;

		begin_with_hint(test_shm_new(), &left, &far, hints[i]);
		while (runs_look(&far))
			must(++steps < FAR_CHUNKS / 64 + 2);
		assert_int_equal(runs_hot_free(&far), 4 * group);
		assert_int_equal(far.unseen, 0);
		assert_null(runs_check(&far, NULL));
		runs_destroy(&far);
		segment_close(&left);
	}
}

/*
 * Where the system does not count pages (here: since they are not shared) the looking ends where the hint says, instead
 * of at the end of the pool; what lies beyond is met when it is used.
 */
static void test_hint_bounds_the_search(void **state)
{
	uint64_t group = sysconf(_SC_PAGESIZE) / SEGMENT_PAGE;
	struct run run;
	unsigned hot = 0;

	memset(runs_address(&runs, 64), 1, (size_t)sysconf(_SC_PAGESIZE));
	memset(runs_address(&runs, RUNS_PAGES / 64 * 64 - 64), 1, (size_t)sysconf(_SC_PAGESIZE));
	runs_destroy(&runs);
	must(runs_init(&runs, &seg, RUNS_OFFSET, RUNS_PAGES) == 0);
	runs_expect(&runs, 128);
	must(runs_rebuild_begin(&runs, RUNS_NONE) == 0);
	runs_rebuild_finish(&runs);
	assert_int_equal(runs.look, 2);
	assert_false(runs_look(&runs));
	assert_int_equal(runs_hot_free(&runs), group);
	while (runs_take(&runs, RUNS_CHUNK, 1, &run) == 0)
		hot += (unsigned)__builtin_popcountll(run.hot);
	assert_int_equal(hot, 2 * group);
}

/* The hint is there before the memory, and never less than it was. */
static void test_hint_is_left(void **state)
{
	uint64_t hint = 0, most = 0;
	struct run run[40];

	runs_keep_frontier(&runs, &hint);
	for (unsigned i = 0; i < COUNT_OF(run); i++) {
		assert_int_equal(runs_take(&runs, 1 + i, 1, &run[i]), 0);
		most = run[i].page + run[i].pages > most ? run[i].page + run[i].pages : most;
		assert_true(hint >= most);
		assert_true(hint < most + RUNS_CHUNK);
	}
	for (unsigned i = 0; i < COUNT_OF(run); i++)
		runs_give(&runs, &run[i]);
	assert_true(hint >= most);
	hint = UINT64_MAX;
	runs_keep_frontier(&runs, &hint);
	assert_true(hint == UINT64_MAX);
	runs_keep_frontier(&runs, NULL);
}

int main(void)
{
#define WITH_RUNS(test) cmocka_unit_test_setup_teardown(test, runs_set_up, runs_tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leftovers_are_found),
		cmocka_unit_test(test_leftovers_are_met),
		cmocka_unit_test(test_hint_is_not_trusted),
		WITH_RUNS(test_hint_bounds_the_search),
		WITH_RUNS(test_hint_is_left),
	};

	return cmocka_run_group_tests_name("runs_look", tests, NULL, NULL);
}

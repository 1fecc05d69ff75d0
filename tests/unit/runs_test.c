/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs of pages: against a plain map of who holds which page. */
#include "lib/emulator.h"
#include "lib/random.h"
#include "lib/runs.h"
#include "lib/test.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

/* The map that runs_check() wants: a word for each chunk. */
struct model {
	uint64_t held[RUNS_PAGES / RUNS_CHUNK + 1];
};

static void hold(struct model *model, const struct run *run)
{
	uint64_t mask = bits_below(run->pages) << run->page % RUNS_CHUNK;

	assert_true(run->pages && run->page + run->pages <= RUNS_PAGES);
	/* Inside one chunk, and nobody else's. */
	assert_int_equal(run->page / RUNS_CHUNK, (run->page + run->pages - 1) / RUNS_CHUNK);
	assert_int_equal(model->held[run->page / RUNS_CHUNK] & mask, 0);
	model->held[run->page / RUNS_CHUNK] |= mask;
}

static void let_go(struct model *model, const struct run *run)
{
	model->held[run->page / RUNS_CHUNK] &= ~(bits_below(run->pages) << run->page % RUNS_CHUNK);
	runs_give(&runs, run);
}

static void runs_ok(const struct model *model)
{
	const char *why = runs_check(&runs, model->held);

	if (why)
		fail_msg("%s", why);
}

static void test_takes_what_is_asked_for(void **state)
{
	struct model model = {0};
	struct run run;

	for (unsigned pages = 1; pages <= RUNS_CHUNK; pages++) {
		assert_int_equal(runs_take(&runs, pages, pages, &run), 0);
		assert_int_equal(run.pages, pages);
		hold(&model, &run);
		runs_ok(&model);
		memset(runs_address(&runs, run.page), 1, (size_t)pages * SEGMENT_PAGE);
		run.hot = bits_below(pages);
		let_go(&model, &run);
		runs_ok(&model);
	}
}

/* The whole address space can be used, page by page, and then there is an error and no other harm. */
static void test_every_page_can_be_had(void **state)
{
	struct model model = {0};
	struct run run;

	for (unsigned i = 0; i < RUNS_PAGES; i++) {
		assert_int_equal(runs_take(&runs, 1, 1, &run), 0);
		hold(&model, &run);
	}
	assert_int_equal(runs_take(&runs, 1, 1, &run), -ENOSPC);
	runs_ok(&model);
	run = (struct run){.page = RUNS_PAGES - 1, .pages = 1};
	let_go(&model, &run);
	assert_int_equal(runs_take(&runs, 64, 1, &run), 0);
	assert_int_equal(run.page, RUNS_PAGES - 1);
	assert_int_equal(run.pages, 1);
}

/* Parts of larger system pages are never cold beside pages in use. */
static uint64_t heat_of(unsigned pages)
{
	return runs.group > 1 ? bits_below(pages) : 0;
}

/* Fragments only: a shorter run before an error, and never one that is too short. */
static void test_shorter_runs_when_short(void **state)
{
	struct model model = {0};
	struct run run;

	while (runs_take(&runs, 1, 1, &run) == 0)
		hold(&model, &run);
	for (unsigned length = 1; length <= 9; length++) {
		run = (struct run){.page = length * RUNS_CHUNK + 5, .pages = length, .hot = heat_of(length)};
		let_go(&model, &run);
	}
	assert_int_equal(runs_take(&runs, 64, 10, &run), -ENOSPC);
	for (unsigned length = 9; length >= 1; length--) {
		assert_int_equal(runs_take(&runs, 64, 1, &run), 0);
		assert_int_equal(run.pages, length);
		hold(&model, &run);
		runs_ok(&model);
	}
	assert_int_equal(runs_take(&runs, 64, 1, &run), -ENOSPC);
}

static void test_best_fit(void **state)
{
	struct model model = {0};
	struct run run;

	while (runs_take(&runs, 1, 1, &run) == 0)
		hold(&model, &run);
	run = (struct run){.page = 3 * RUNS_CHUNK, .pages = 40, .hot = heat_of(40)};
	let_go(&model, &run);
	run = (struct run){.page = 9 * RUNS_CHUNK, .pages = 7, .hot = heat_of(7)};
	let_go(&model, &run);
	assert_int_equal(runs_take(&runs, 6, 6, &run), 0);
	assert_int_equal(run.page, 9 * RUNS_CHUNK);
}

static void test_hot_before_cold(void **state)
{
	struct run run;

	assert_int_equal(runs_take(&runs, 16, 16, &run), 0);
	assert_int_equal(run.hot, 0);
	run.hot = bits_below(16);
	runs_give(&runs, &run);
	assert_int_equal(runs_hot_free(&runs), 16);
	assert_int_equal(runs_take(&runs, 13, 13, &run), 0);
	assert_int_equal(run.hot, bits_below(13));
	assert_int_equal(runs_hot_free(&runs), 3);
	/* Without a reserve, length goes before heat. */
	assert_int_equal(runs_take(&runs, 4, 1, &run), 0);
	assert_int_equal(run.pages, 4);
	assert_int_equal(run.hot, 0);
}

static void test_charges_exactly(void **state)
{
	atomic_store(&runs.limit, 10);
	assert_int_equal(runs_charge(&runs, 7), 0);
	assert_int_equal(runs_charge(&runs, 4), -ENOSPC);
	assert_int_equal(runs.used, 7);
	assert_int_equal(runs_charge(&runs, 3), 0);
	assert_int_equal(runs_charge(&runs, 1), -ENOSPC);
	assert_int_equal(runs.used, 10);
	runs_uncharge(&runs, 10);
	assert_int_equal(runs.used, 0);
	assert_int_equal(runs.used_max, 10);
	atomic_store(&runs.limit, 0);
	assert_int_equal(runs_charge(&runs, 1u << 20), 0);
	runs_uncharge(&runs, 1u << 20);
}

static pthread_barrier_t together;

static void *charge_what_fits(void *opaque)
{
	pthread_barrier_wait(&together);
	for (unsigned i = 0; i < 200000; i++) {
		must(runs_charge(&runs, 2) == 0);
		must(runs.used <= 6);
		runs_uncharge(&runs, 2);
	}
	return opaque;
}

static void *charge_too_much(void *opaque)
{
	pthread_barrier_wait(&together);
	for (unsigned i = 0; i < 400000; i++)
		must(runs_charge(&runs, 100) == -ENOSPC);
	return opaque;
}

/* A charge that fails is never seen by others: no figure above the limit, no failure without a reason. */
static void test_charges_from_threads(void **state)
{
	pthread_t threads[3];

	atomic_store(&runs.limit, 6);
	pthread_barrier_init(&together, NULL, COUNT_OF(threads));
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, i ? charge_what_fits : charge_too_much, NULL);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&together);
	assert_int_equal(runs.used, 0);
	assert_true(runs.used_max <= 6);
}

static unsigned resident_of_first(unsigned pages)
{
	unsigned char resident[RUNS_PAGES];
	unsigned n = 0;

	assert_int_equal(segment_resident(&seg, RUNS_OFFSET, (uint64_t)pages * SEGMENT_PAGE, resident), 0);
	for (unsigned i = 0; i < pages; i++)
		n += resident[i] & 1;
	return n;
}

static unsigned resident_pages(void)
{
	return resident_of_first(RUNS_PAGES);
}

/* What was given back hot returns to the system, all but some slack. */
static void test_gives_memory_back(void **state)
{
	static struct run all[RUNS_PAGES];
	unsigned n = 0;

	while (n < 20 && runs_take(&runs, RUNS_CHUNK, RUNS_CHUNK, &all[n]) == 0) {
		memset(runs_address(&runs, all[n].page), 1, RUNS_CHUNK * SEGMENT_PAGE);
		all[n++].hot = bits_below(RUNS_CHUNK);
	}
	assert_int_equal(n, 20);
	assert_int_equal(resident_pages(), 20 * RUNS_CHUNK);
	while (n-- > 0)
		runs_give(&runs, &all[n]);
	assert_int_equal(resident_pages(), runs_hot_free(&runs));
	assert_true(runs_hot_free(&runs) <= 4 * RUNS_CHUNK);
	assert_null(runs_check(&runs, (const uint64_t[RUNS_PAGES / RUNS_CHUNK + 1]){0}));
}

static void test_reserve_is_filled(void **state)
{
	struct run run;
	int error, steps = 0;

	if (advice_is_ignored())
		skip();
	/* Of whole pages of any system. */
	runs.reserve = 112;
	while (runs_upkeep(&runs, RUNS_REFILL, &error))
		assert_true(++steps < 1000);
	assert_int_equal(error, 0);
	assert_int_equal(runs_hot_free(&runs), 112);
	assert_int_equal(resident_pages(), 112);
	assert_int_equal(runs_take(&runs, 16, 1, &run), 0);
	assert_int_equal(run.hot, bits_below(16));
	assert_int_equal(runs.misses, 0);
	/* A shorter run that is ready beats a longer one that has to be waited for. */
	assert_int_equal(runs_take(&runs, 64, 1, &run), 0);
	assert_int_equal(run.hot, bits_below(run.pages));
	/* Beyond the reserve: populated on the spot, and counted. */
	while (runs.misses == 0)
		assert_int_equal(runs_take(&runs, 8, 1, &run), 0);
	assert_int_equal(run.hot, bits_below(run.pages));
	while (runs_upkeep(&runs, RUNS_REFILL, &error))
		;
	assert_in_range(runs_hot_free(&runs), 112, 112 + runs.group - 1);
}

/* At the cap nothing more comes into memory: only what is there already can be taken. */
static void test_cap(void **state)
{
	struct model model = {0};
	struct run run, hot;
	int error;

	if (advice_is_ignored())
		skip();
	runs.reserve = 128;
	while (runs_upkeep(&runs, RUNS_REFILL, &error))
		;
	assert_int_equal(runs_resident(&runs), 128);
	runs.cap = 150;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(runs_take(&runs, 64, 64, &hot), 0);
		assert_int_equal(runs_charge(&runs, 64), 0);
		hold(&model, &hot);
	}
	assert_int_equal(runs_take(&runs, 64, 1, &run), -ENOSPC);
	assert_int_equal(resident_pages(), 128);
	/* The last pages below the cap; those of one system page come together. */
	assert_int_equal(runs_take(&runs, 16, 16, &run), 0);
	assert_int_equal(runs_charge(&runs, 16), 0);
	hold(&model, &run);
	assert_int_equal(runs_resident(&runs), 144);
	assert_int_equal(runs_take(&runs, 16, 1, &run), -ENOSPC);
	assert_int_equal(resident_pages(), 144);
	runs_ok(&model);
	/* What is given back can be taken again; and so can more, when the cap is higher. */
	let_go(&model, &hot);
	runs_uncharge(&runs, hot.pages);
	assert_int_equal(runs_take(&runs, 64, 64, &hot), 0);
	hold(&model, &hot);
	runs.cap = 0;
	assert_int_equal(runs_take(&runs, 64, 64, &run), 0);
	hold(&model, &run);
	runs_ok(&model);
}

static void test_reserve_larger_than_the_pool(void **state)
{
	int error;

	runs.reserve = RUNS_PAGES + 1000;
	while (runs_upkeep(&runs, RUNS_REFILL, &error))
		;
	assert_int_equal(error, -ENOSPC);
	assert_int_equal(runs_hot_free(&runs), RUNS_PAGES);
}

static unsigned resident_hot_and_held(const struct model *model)
{
	unsigned n = 0;

	for (unsigned i = 0; i < COUNT_OF(model->held); i++)
		n += (unsigned)__builtin_popcountll(model->held[i]);
	return n + (unsigned)runs_hot_free(&runs);
}

/*
 * Pages that are written as soon as they are taken, and hot when they go back: then what is in memory is what is
 * held and what is counted as hot, whatever parts of system pages are free. What is in memory and free in whole
 * system pages is given back.
 */
static void test_figures_are_of_memory(void **state)
{
	uint64_t random = test_seed("runs, figures");
	static struct run held[RUNS_PAGES];
	struct model model = {0};
	unsigned n = 0;
	int error;

	for (unsigned i = 0; i < test_amount(4000); i++) {
		if (random_below(&random, 5) < (i % 1000 < 500 ? 3 : 2)) {
			if (runs_take(&runs, 1 + (unsigned)random_below(&random, 20), 1, &held[n]))
				continue;
			memset(runs_address(&runs, held[n].page), 0xaa, (size_t)held[n].pages * SEGMENT_PAGE);
			held[n].hot = bits_below(held[n].pages);
			hold(&model, &held[n++]);
		} else if (n) {
			unsigned at = (unsigned)random_below(&random, n);

			let_go(&model, &held[at]);
			held[at] = held[--n];
		}
		if (i % 100 == 0) {
			runs_ok(&model);
			assert_int_equal(resident_pages(), resident_hot_and_held(&model));
		}
	}
	/* No neighbour went along. */
	for (unsigned i = 0; i < n; i++)
		for (unsigned page = 0; page < held[i].pages; page++)
			assert_int_equal(runs_address(&runs, held[i].page)[page * SEGMENT_PAGE + 7], 0xaa);
	while (n-- > 0)
		let_go(&model, &held[n]);
	while (runs_upkeep(&runs, RUNS_TRIM, &error))
		;
	assert_int_equal(error, 0);
	assert_int_equal(resident_pages(), runs_hot_free(&runs));
	assert_true(runs_hot_free(&runs) <= 4 * RUNS_CHUNK);
}

/*
 * One page in sixteen is in use: where that is one in every system page, nothing can be given back, and nobody tries again and
 * again; else all the rest is.
 */
static void test_one_page_in_use_here_and_there(void **state)
{
	struct model model = {0};
	struct run run, all[RUNS_PAGES];
	unsigned n = 0;
	int error;

	while (runs_take(&runs, 1, 1, &run) == 0) {
		memset(runs_address(&runs, run.page), 0xaa, SEGMENT_PAGE);
		run.hot = 1;
		hold(&model, &run);
		if (run.page % 16)
			all[n++] = run;
	}
	while (n-- > 0)
		let_go(&model, &all[n]);
	assert_false(runs_wants(&runs, RUNS_TRIM));
	assert_false(runs_upkeep(&runs, RUNS_TRIM, &error));
	assert_int_equal(error, 0);
	if (runs.group == 16)
		assert_true(runs_hot_free(&runs) > RUNS_PAGES / 2);
	else
		assert_true(runs_hot_free(&runs) <= 4 * RUNS_CHUNK);
	assert_int_equal(resident_pages(), resident_hot_and_held(&model));
	runs_ok(&model);
	for (uint32_t page = 0; page < RUNS_PAGES; page += 16)
		assert_int_equal(*runs_address(&runs, page), 0xaa);
	/* It is ready for use. */
	assert_int_equal(runs_take(&runs, 2, 2, &run), 0);
	assert_int_equal(run.hot, 3);
}

static void test_populate_fails(void **state)
{
	struct model model = {0};
	struct run run;
	int error;

	runs.reserve = 64;
	seg.fail_every = 1;
	assert_false(runs_upkeep(&runs, RUNS_REFILL, &error));
	assert_int_equal(error, -ENOMEM);
	assert_int_equal(runs_take(&runs, 8, 1, &run), -ENOMEM);
	runs_ok(&model);
	seg.fail_every = 0;
	assert_int_equal(runs_take(&runs, 8, 1, &run), 0);
	hold(&model, &run);
	runs_ok(&model);
}

/* A run of which only the first part can be populated: none of it stays, by the refill or by a request. */
static void test_populate_fails_half_way(void **state)
{
	struct model model = {0};
	uint8_t *second_half;
	struct run run;
	int error;

	if (advice_is_ignored())
		skip();
	second_half = (uint8_t *)runs_address(&runs, 0) + RUNS_CHUNK / 2 * SEGMENT_PAGE;
	runs.reserve = RUNS_CHUNK;
	must(munmap(second_half, RUNS_CHUNK / 2 * SEGMENT_PAGE) == 0);
	assert_false(runs_upkeep(&runs, RUNS_REFILL, &error));
	assert_int_equal(error, -ENOMEM);
	assert_int_equal(resident_of_first(RUNS_CHUNK / 2), 0);
	assert_int_equal(runs_take(&runs, RUNS_CHUNK, RUNS_CHUNK, &run), -ENOMEM);
	assert_int_equal(resident_of_first(RUNS_CHUNK / 2), 0);
	runs_ok(&model);
	must(mmap(second_half, RUNS_CHUNK / 2 * SEGMENT_PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == second_half);
	assert_false(runs_upkeep(&runs, RUNS_REFILL, &error));
	assert_int_equal(error, 0);
	assert_int_equal(resident_pages(), RUNS_CHUNK);
}

/* Any order of taking and giving, with and without a reserve. */
static void exercise(uint64_t random, unsigned steps)
{
	static struct run held[RUNS_PAGES];
	struct model model = {0};
	unsigned n = 0;
	int error;

	for (unsigned i = 0; i < steps; i++) {
		unsigned want = 1 + (unsigned)random_below(&random, RUNS_CHUNK);
		unsigned least = 1 + (unsigned)random_below(&random, want);

		if (random_below(&random, 64) == 0)
			runs.reserve = random_below(&random, 3) * 50;
		if (random_below(&random, 8) == 0)
			runs_upkeep(&runs, random_below(&random, 2) ? RUNS_REFILL : RUNS_TRIM, &error);
		if (random_below(&random, 2) && runs_take(&runs, want, least, &held[n]) == 0) {
			assert_in_range(held[n].pages, least, want);
			hold(&model, &held[n]);
			n++;
		} else if (n) {
			unsigned at = (unsigned)random_below(&random, n);

			/* Some of it was populated meanwhile. */
			held[at].hot |= random_next(&random) & bits_below(held[at].pages);
			let_go(&model, &held[at]);
			held[at] = held[--n];
		}
		if (i % 64 == 0)
			runs_ok(&model);
	}
	runs_ok(&model);
}

static void test_any_order(void **state)
{
	exercise(test_seed("runs"), test_amount(40000));
}

static void *stop_later(void *opaque)
{
	usleep(20000);
	runs_stop(&runs);
	return opaque;
}

static void test_worker_is_woken(void **state)
{
	pthread_t thread;

	runs_start(&runs);
	assert_true(runs_wait(&runs, RUNS_REFILL, 1));
	runs.reserve = 10;
	assert_true(runs_wait(&runs, RUNS_REFILL, 60000));
	runs.reserve = 0;
	pthread_create(&thread, NULL, stop_later, NULL);
	assert_false(runs_wait(&runs, RUNS_REFILL, 60000));
	assert_false(runs_wait(&runs, RUNS_TRIM, 60000));
	pthread_join(thread, NULL);
}

int main(void)
{
#define WITH_RUNS(test) cmocka_unit_test_setup_teardown(test, runs_set_up, runs_tear_down)
	const struct CMUnitTest tests[] = {
		WITH_RUNS(test_takes_what_is_asked_for),
		WITH_RUNS(test_every_page_can_be_had),
		WITH_RUNS(test_shorter_runs_when_short),
		WITH_RUNS(test_best_fit),
		WITH_RUNS(test_hot_before_cold),
		WITH_RUNS(test_charges_exactly),
		WITH_RUNS(test_charges_from_threads),
		WITH_RUNS(test_gives_memory_back),
		WITH_RUNS(test_reserve_is_filled),
		WITH_RUNS(test_reserve_larger_than_the_pool),
		WITH_RUNS(test_populate_fails),
		WITH_RUNS(test_any_order),
		WITH_RUNS(test_populate_fails_half_way),
		WITH_RUNS(test_worker_is_woken),
		WITH_RUNS(test_figures_are_of_memory),
		WITH_RUNS(test_one_page_in_use_here_and_there),
		WITH_RUNS(test_cap),
	};

	return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}

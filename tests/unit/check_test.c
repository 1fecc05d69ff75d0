/* SPDX-License-Identifier: BSD-3-Clause */
/* The check: it passes on what is sound, and sees each kind of damage. */
#include "lib/core.h"
#include "lib/test.h"

#include <pthread.h>
#include <stdatomic.h>

#define POOL_PAGES 2048u

static char why[200];

static int run_check(void)
{
	why[0] = 0;
	return zs_core_check(core, core_scan, NULL, why, sizeof why);
}

/* Several classes, full, partly filled and growing zspages, huge objects. */
static int set_up(void **state)
{
	uint64_t random = 5;

	core_make(POOL_PAGES, 16);
	for (uint32_t owner = 0; owner < 1500; owner++)
		assert_int_equal(owner_alloc(owner, 300 + owner % 5 * 300), 0);
	for (uint32_t owner = 1500; owner < 1510; owner++)
		assert_int_equal(owner_alloc(owner, 4096), 0);
	for (uint32_t owner = 0; owner < 1500; owner++)
		if (random_below(&random, 2))
			owner_free(owner);
	core_ok();
	return 0;
}

static int tear_down(void **state)
{
	core_end();
	return 0;
}

/* Some object that is not huge, and its zspage. */
static uint32_t some_owner(void)
{
	uint32_t owner = 0;

	while (!owners[owner].size)
		owner++;
	return owner;
}

static struct zspage *some_zspage(void)
{
	return zspage_at(core, owners[some_owner()].loc.page);
}

static struct zs_class *some_class(void)
{
	return &core->class[owners[some_owner()].loc.class_index];
}

#define EXPECT_DAMAGE(change, undo)                                                                                    \
	do {                                                                                                           \
		assert_int_equal(run_check(), 0);                                                                      \
		change;                                                                                                \
		if (run_check() != -EUCLEAN)                                                                           \
			fail_msg("not noticed: %s", #change);                                                          \
		assert_true(strlen(why) > 10);                                                                         \
		undo;                                                                                                  \
	} while (0)

static void test_header_fields(void **state)
{
	struct zspage *z = some_zspage(), saved = *z;

	EXPECT_DAMAGE(z->inuse++, *z = saved);
	EXPECT_DAMAGE(z->inuse--, *z = saved);
	EXPECT_DAMAGE(z->inuse = 0, *z = saved);
	EXPECT_DAMAGE(z->capacity++, *z = saved);
	EXPECT_DAMAGE(z->capacity = UINT16_MAX, *z = saved);
	EXPECT_DAMAGE(z->ready--, *z = saved);
	EXPECT_DAMAGE(z->ready = 0, *z = saved);
	EXPECT_DAMAGE(z->touched++, *z = saved);
	EXPECT_DAMAGE(z->touched = 0, *z = saved);
	EXPECT_DAMAGE(z->touched = 255, *z = saved);
	EXPECT_DAMAGE(z->pages++, *z = saved);
	EXPECT_DAMAGE(z->pages = 255, *z = saved);
	EXPECT_DAMAGE(z->pages = 0, *z = saved);
	EXPECT_DAMAGE(z->class_index++, *z = saved);
	EXPECT_DAMAGE(z->class_index = UINT16_MAX, *z = saved);
	EXPECT_DAMAGE(z->list ^= 1, *z = saved);
	EXPECT_DAMAGE(z->list = ZSL_ISOLATED, *z = saved);
	EXPECT_DAMAGE(z->group++, *z = saved);
	EXPECT_DAMAGE(z->group = 255, *z = saved);
	EXPECT_DAMAGE(z->hot |= 1, *z = saved);
	EXPECT_DAMAGE(z->hint = 1000, *z = saved);
}

static void test_slots(void **state)
{
	struct zspage *z = some_zspage();
	uint64_t *owner_word = z->live, saved = *owner_word;
	struct zs_loc loc = owners[some_owner()].loc;
	uint32_t *back = &zspage_owners(some_class(), z)[loc.slot], was = *back;

	/* A slot freed or taken that no entry knows of; an owner that is another's. */
	EXPECT_DAMAGE(*owner_word &= *owner_word - 1, *owner_word = saved);
	EXPECT_DAMAGE(*owner_word |= ~saved & (saved + 1), *owner_word = saved);
	EXPECT_DAMAGE(*back = was + 1, *back = was);
	EXPECT_DAMAGE(*back = UINT32_MAX, *back = was);
}

static void test_links(void **state)
{
	struct zspage *z = some_zspage(), saved = *z;
	uint32_t own = owners[some_owner()].loc.page;
	struct zs_class *class = some_class();
	uint32_t head = class->head[z->list], nonempty = class->nonempty;
	unsigned list = z->list;

	EXPECT_DAMAGE(z->next = own, *z = saved);
	EXPECT_DAMAGE(z->prev = own + 1, *z = saved);
	EXPECT_DAMAGE(z->next = POOL_PAGES - 1, *z = saved);
	EXPECT_DAMAGE(z->next = POOL_PAGES, *z = saved);
	EXPECT_DAMAGE(z->next = UINT32_MAX - 1, *z = saved);
	EXPECT_DAMAGE(class->head[list] = RUNS_NONE, class->head[list] = head);
	EXPECT_DAMAGE(class->head[list] = 1u << 30, class->head[list] = head);
	EXPECT_DAMAGE(class->nonempty ^= 1u << list, class->nonempty = nonempty);
	EXPECT_DAMAGE(class->nonempty ^= 1u << ZS_INUSE_RATIO_0, class->nonempty = nonempty);
}

/* The calling thread's, with a page or two in it. */
static struct magazine *fill_magazine(void)
{
	struct magazine *magazine = core->runs.magazines.all;

	owner_free(1506);
	owner_free(1507);
	while (!magazine->count)
		magazine++;
	return magazine;
}

static void test_sums(void **state)
{
	struct zs_class *class = some_class();
	struct runs *runs = &core->runs;
	struct magazine *magazine = fill_magazine();

	EXPECT_DAMAGE(class->inuse++, class->inuse--);
	EXPECT_DAMAGE(class->capacity--, class->capacity++);
	EXPECT_DAMAGE(class->touched++, class->touched--);
	EXPECT_DAMAGE(class->zspages[ZS_INUSE_RATIO_50]++, class->zspages[ZS_INUSE_RATIO_50]--);
	EXPECT_DAMAGE(class->zspages[ZS_INUSE_RATIO_0]++, class->zspages[ZS_INUSE_RATIO_0]--);
	EXPECT_DAMAGE(magazine->taken++, magazine->taken--);
	/* A page that somebody uses, one that is free, one twice, and one that nobody counts. */
	EXPECT_DAMAGE(magazine->page[magazine->count++] = owners[1505].loc.page, magazine->count--);
	EXPECT_DAMAGE(magazine->page[magazine->count++] = POOL_PAGES - 1, magazine->count--);
	EXPECT_DAMAGE(magazine->page[magazine->count++] = magazine->page[0], magazine->count--);
	EXPECT_DAMAGE(magazine->count--, magazine->count++);
	EXPECT_DAMAGE(magazine->count += MAGAZINE_PAGES, magazine->count -= MAGAZINE_PAGES);
	EXPECT_DAMAGE(runs->used++, runs->used--);
	EXPECT_DAMAGE(runs->tails++, runs->tails--);
	EXPECT_DAMAGE(runs->hot_free++, runs->hot_free--);
	EXPECT_DAMAGE(runs->in_hand++, runs->in_hand--);
}

/* Entries of the owner's table that name what is not there. */
static void test_entries(void **state)
{
	uint32_t owner = some_owner(), huge = 1505;
	struct zs_loc saved = owners[owner].loc;
	unsigned size = owners[owner].size;

	EXPECT_DAMAGE(owners[owner].size = 0, owners[owner].size = size);
	EXPECT_DAMAGE(owners[owner].loc.slot++, owners[owner].loc = saved);
	EXPECT_DAMAGE(owners[owner].loc.slot = ZS_MAX_OBJS - 1, owners[owner].loc = saved);
	EXPECT_DAMAGE(owners[owner].loc.page++, owners[owner].loc = saved);
	EXPECT_DAMAGE(owners[owner].loc.page = POOL_PAGES - 1, owners[owner].loc = saved);
	EXPECT_DAMAGE(owners[owner].loc.page = POOL_PAGES, owners[owner].loc = saved);
	EXPECT_DAMAGE(owners[owner].loc.page = UINT32_MAX, owners[owner].loc = saved);
	EXPECT_DAMAGE(owners[owner].loc.class_index++, owners[owner].loc = saved);
	EXPECT_DAMAGE(owners[owner].loc.class_index = UINT16_MAX, owners[owner].loc = saved);
	EXPECT_DAMAGE((owners[9999].loc = saved, owners[9999].size = size), owners[9999].size = 0);
	saved = owners[huge].loc;
	EXPECT_DAMAGE(owners[huge].size = 0, owners[huge].size = 4096);
	EXPECT_DAMAGE(owners[huge].loc.page = owners[huge + 1].loc.page, owners[huge].loc = saved);
	EXPECT_DAMAGE(owners[huge].loc.page = owners[owner].loc.page, owners[huge].loc = saved);
	EXPECT_DAMAGE(owners[huge].loc.page = POOL_PAGES, owners[huge].loc = saved);
}

/* Pages: leaked, and free while in use. */
static void test_pages(void **state)
{
	struct run run;

	assert_int_equal(runs_take(&core->runs, 3, 3, &run), 0);
	assert_int_equal(run_check(), -EUCLEAN);
	assert_non_null(strstr(why, "leaked"));
	runs_give(&core->runs, &run);
	core_ok();
	run = (struct run){.page = owners[1505].loc.page, .pages = 1};
	runs_give(&core->runs, &run);
	assert_int_equal(run_check(), -EUCLEAN);
	assert_non_null(strstr(why, "free at the same time"));
}

/* Any bit of any zspage header. Not every one matters, but none may crash the check. */
static void test_every_header_bit(void **state)
{
	struct zspage *z = some_zspage();
	unsigned noticed = 0, bits = some_class()->geo.first_object * 8;

	for (unsigned bit = 0; bit < bits; bit++) {
		((uint8_t *)z)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		noticed += run_check() != 0;
		((uint8_t *)z)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	core_ok();
	assert_true(noticed > sizeof *z * 8 / 2);
}

static pthread_t checker;
static atomic_int checked; /* 1: not yet */

static void *check_aside(void *opaque)
{
	(void)opaque;
	atomic_store(&checked, run_check());
	return NULL;
}

/* Called with a zspage isolated: a check begins now. One that does not wait for us ends within this time. */
static bool check_in_the_middle(void *opaque, uint32_t owner, struct zs_loc from)
{
	(void)opaque;
	(void)owner;
	(void)from;
	if (atomic_exchange(&checked, 1) != 2)
		return false;
	must(pthread_create(&checker, NULL, check_aside, NULL) == 0);
	for (unsigned i = 0; i < 500 && atomic_load(&checked) == 1; i++)
		usleep(1000);
	return false;
}

static void test_beside_compaction(void **state)
{
	unsigned cursor = 0;
	bool more = true;

	atomic_store(&checked, 2);
	while (more)
		zs_core_compact_step(core, &cursor, check_in_the_middle, NULL, &more);
	pthread_join(checker, NULL);
	assert_string_equal(why, "");
	core_ok();
}

static void test_without_a_reason(void **state)
{
	core->runs.used++;
	assert_int_equal(zs_core_check(core, core_scan, NULL, NULL, 0), -EUCLEAN);
	core->runs.used--;
	assert_int_equal(zs_core_check(core, core_scan, NULL, NULL, 0), 0);
}

int main(void)
{
#define WITH_CORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_CORE(test_header_fields),
		WITH_CORE(test_slots),
		WITH_CORE(test_links),
		WITH_CORE(test_sums),
		WITH_CORE(test_entries),
		WITH_CORE(test_pages),
		WITH_CORE(test_every_header_bit),
		WITH_CORE(test_without_a_reason),
		WITH_CORE(test_beside_compaction),
	};

	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}

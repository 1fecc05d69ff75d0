/* SPDX-License-Identifier: BSD-3-Clause */
/* Zspages: which slots lie in which pages, fullness, lists. */
#include "lib/core.h"
#include "lib/test.h"

static void test_slots_and_pages_agree(void **state)
{
	static const unsigned chains[] = {1, 4, 16, 32, 64};

	for (size_t c = 0; c < COUNT_OF(chains); c++) {
		core_make(64, chains[c]);
		for (unsigned i = 0; i + 1 < zs_core_class_count(core); i++) {
			const struct zs_class *class = &core->class[i];
			const struct class_geometry *geo = &class->geo;

			for (unsigned slot = 0; slot < geo->objects; slot++) {
				unsigned pages = zspage_pages_for(class, slot);

				assert_in_range(pages, 1, geo->pages);
				assert_true(zspage_slots_in(class, pages) > slot);
				assert_true(zspage_slots_in(class, pages - 1) <= slot);
			}
			assert_int_equal(zspage_pages_for(class, geo->objects - 1), geo->pages);
			assert_int_equal(zspage_slots_in(class, 0), 0);
			assert_in_range(zspage_header_pages(class), 1, zspage_least_pages(class));
		}
		core_end();
	}
}

/* The owners lie behind the bit map and before the first object. */
static void test_header_layout(void **state)
{
	core_make(128, 64);
	for (unsigned i = 0; i + 1 < zs_core_class_count(core); i++) {
		const struct class_geometry *geo = &core->class[i].geo;
		struct zspage *z = zspage_at(core, 0);
		uint8_t *owner = (uint8_t *)zspage_owners(&core->class[i], z);

		assert_true(owner >= (uint8_t *)z->live + (geo->objects + 7) / 8);
		assert_true(owner + 4 * geo->objects <= (uint8_t *)z + geo->first_object);
	}
	core_end();
}

static void test_fullness_bands(void **state)
{
	for (unsigned capacity = 1; capacity <= ZS_MAX_OBJS; capacity += 1 + capacity / 50) {
		for (unsigned inuse = 0; inuse <= capacity; inuse++) {
			struct zspage z = {.capacity = (uint16_t)capacity, .inuse = (uint16_t)inuse};
			unsigned percent = inuse * 100 / capacity, want;

			/* As the kernel's get_fullness_group(). */
			if (inuse == 0)
				want = ZS_INUSE_RATIO_0;
			else if (inuse == capacity)
				want = ZS_INUSE_RATIO_100;
			else
				want = percent / 10 + 1;
			assert_int_equal(zspage_fullness(&z), want);
		}
	}
}

/* Slots are taken from the lowest, whatever was put back before. */
static void test_lowest_slot_first(void **state)
{
	struct zs_class *class;
	struct zspage *z;
	unsigned objects;

	core_make(64, 32);
	class = &core->class[3];
	objects = class->geo.objects;
	z = zspage_format(core, class, 3, &(struct run){.page = 0, .pages = class->geo.pages});
	assert_int_equal(z->capacity, objects);
	assert_int_equal(z->ready, 0);
	assert_int_equal(zspage_grow(core, class, z, objects - 1, 0), 0);
	assert_int_equal(z->ready, objects);
	assert_int_equal(z->touched, class->geo.pages);
	for (unsigned i = 0; i < objects; i++) {
		assert_int_equal(zspage_take_slot(class, z, 1000 + i), i);
		assert_int_equal(zspage_owners(class, z)[i], 1000 + i);
		assert_true(zspage_slot_live(z, i));
	}
	for (unsigned i = objects; i-- > 0;) {
		zspage_put_slot(class, z, i);
		assert_false(zspage_slot_live(z, i));
		assert_int_equal(zspage_take_slot(class, z, i), i);
		zspage_put_slot(class, z, i);
	}
	assert_int_equal(z->inuse, 0);
	core_end();
}

/* A shorter run gives a smaller zspage, whose slots all lie inside it. */
static void test_short_runs(void **state)
{
	core_make(64, 32);
	for (unsigned i = 0; i + 1 < zs_core_class_count(core); i++) {
		struct zs_class *class = &core->class[i];

		for (unsigned pages = zspage_least_pages(class); pages <= class->geo.pages; pages++) {
			struct zspage *z = zspage_format(core, class, i, &(struct run){.pages = pages});

			assert_in_range(z->capacity, 1, class->geo.objects);
			assert_true(zspage_pages_for(class, z->capacity - 1u) <= pages);
			assert_true(z->capacity == class->geo.objects || zspage_pages_for(class, z->capacity) > pages);
		}
	}
	core_end();
}

static unsigned list_of(uint32_t owner)
{
	return zspage_at(core, owners[owner].loc.page)->list;
}

/* Through its whole life a zspage is on the list its counts say. */
static void test_lists(void **state)
{
	unsigned objects, size = 1000;
	const struct zspage *z;

	core_make(640, 32);
	objects = core->class[zs_core_class_of(core, size)].geo.objects;
	for (unsigned n = 0; n < objects; n++) {
		assert_int_equal(owner_alloc(n, size), 0);
		z = zspage_at(core, owners[0].loc.page);
		if (z->inuse == z->capacity)
			assert_int_equal(list_of(0), ZS_INUSE_RATIO_100);
		else if (z->inuse == z->ready)
			assert_int_equal(list_of(0), ZSL_GROWING);
		else
			assert_int_equal(list_of(0), zspage_fullness(z));
		core_ok();
	}
	assert_int_equal(list_of(0), ZS_INUSE_RATIO_100);
	for (unsigned n = objects; n-- > 1;) {
		owner_free(n);
		assert_int_equal(list_of(0), zspage_fullness(zspage_at(core, owners[0].loc.page)));
		core_ok();
	}
	owner_free(0);
	core_ok();
	assert_int_equal(core->class[zs_core_class_of(core, size)].nonempty, 0);
	core_end();
}

static void test_grow_over_the_limit(void **state)
{
	struct zs_class *class;
	struct zspage *z;

	core_make(64, 32);
	class = &core->class[zs_core_class_of(core, 3000)];
	z = zspage_format(core, class, zs_core_class_of(core, 3000) & 0xffff,
			  &(struct run){.pages = class->geo.pages, .hot = bits_below(class->geo.pages)});
	atomic_store(&core->runs.tails, class->geo.pages);
	runs_set_limit(zs_core_runs(core), 2);
	assert_int_equal(zspage_grow(core, class, z, 0, 0), 0);
	assert_int_equal(z->touched, 1);
	assert_int_equal(zspage_grow(core, class, z, 3, 0), -ENOSPC);
	assert_int_equal(z->touched, 1);
	assert_int_equal(core->runs.used, 1);
	assert_int_equal(zspage_grow(core, class, z, 1, 0), 0);
	assert_int_equal(z->touched, 2);
	assert_int_equal(core->runs.tails, class->geo.pages - 2);
	assert_int_equal(z->hot, bits_below(class->geo.pages) & ~bits_below(2));
	core_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots_and_pages_agree),
		cmocka_unit_test(test_header_layout),
		cmocka_unit_test(test_fullness_bands),
		cmocka_unit_test(test_lowest_slot_first),
		cmocka_unit_test(test_short_runs),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_grow_over_the_limit),
	};

	return cmocka_run_group_tests_name("zspage", tests, NULL, NULL);
}

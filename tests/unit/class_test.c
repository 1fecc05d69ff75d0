/* SPDX-License-Identifier: BSD-3-Clause */
/* Size classes: the kernel's published figures, and what must hold for our own rules. */
#include "lib/test.h"

#include "zsmalloc/class.h"

#include <errno.h>

/* ------------------------------------------------------------------ the kernel's figures */

/* Documentation/mm/zsmalloc.rst: 16-byte steps; the 8-byte object header is part of the size. */
static struct class_rules kernel_rules(unsigned chain)
{
	return (struct class_rules){
		.page_size = 4096,
		.step = 16,
		.min_size = 32,
		.max_size = 4096,
		.chain = chain,
		.max_objects = 1u << 16,
		.usage_scale = 100,
	};
}

static int kernel_classes(unsigned chain, struct class_geometry classes[ZS_MAX_CLASSES])
{
	struct class_rules rules = kernel_rules(chain);

	return class_table(&rules, classes, ZS_MAX_CLASSES, NULL);
}

static void test_kernel_class_counts(void **state)
{
	struct class_geometry classes[ZS_MAX_CLASSES];

	assert_int_equal(kernel_classes(4, classes), 69);
	assert_int_equal(kernel_classes(8, classes), 123);
}

static void test_kernel_huge_watermarks(void **state)
{
	static const struct {
		unsigned chain, watermark;
	} published[] = {{4, 3264}, {8, 3632}, {16, 3840}};

	for (size_t i = 0; i < COUNT_OF(published); i++) {
		struct class_rules rules = kernel_rules(published[i].chain);

		assert_int_equal(class_huge_watermark(&rules), published[i].watermark);
	}
}

/* Rows that the same document prints for chain 4 and 8. */
static void test_kernel_rows(void **state)
{
	static const struct {
		unsigned chain, size, pages, objects;
	} published[] = {
		{4, 1536, 3, 8}, {4, 1632, 2, 5}, {4, 2048, 1, 2}, {4, 2448, 3, 5}, {4, 2720, 2, 3},
		{4, 3072, 3, 4}, {4, 3264, 4, 5}, {8, 3408, 5, 6}, {8, 3504, 6, 7}, {8, 3632, 8, 9},
	};

	for (size_t i = 0; i < COUNT_OF(published); i++) {
		struct class_geometry classes[ZS_MAX_CLASSES];
		int n = kernel_classes(published[i].chain, classes), at = 0;

		while (at < n && classes[at].size != published[i].size)
			at++;
		assert_true(at < n);
		assert_int_equal(classes[at].pages, published[i].pages);
		assert_int_equal(classes[at].objects, published[i].objects);
		assert_false(classes[at].huge);
	}
}

/* ------------------------------------------------------------------ our rules */

static unsigned header_by_hand(unsigned objects)
{
	unsigned bytes = 32 + 4 * objects + (objects + 63) / 64 * 8;

	return (bytes + 7) / 8 * 8;
}

static unsigned objects_by_hand(unsigned size, unsigned pages)
{
	unsigned n = 0;

	while (n < ZS_MAX_OBJS && header_by_hand(n + 1) + (n + 1) * size <= pages * 4096)
		n++;
	return n;
}

static void check_geometry(const struct class_geometry *class, unsigned chain)
{
	assert_in_range(class->pages, 1, chain);
	assert_int_equal(class->size % ZS_CLASS_STEP, 0);
	if (class->huge) {
		assert_int_equal(class->size, 4096);
		assert_int_equal(class->pages, 1);
		assert_int_equal(class->objects, 1);
		assert_int_equal(class->first_object, 0);
		return;
	}
	assert_in_range(class->objects, 2, ZS_MAX_OBJS);
	assert_true(class->first_object >= header_by_hand(class->objects));
	assert_int_equal(class->first_object % 8, 0);
	assert_true(class->first_object + class->objects * class->size <= class->pages * 4096);
	/* None fits that was left out. */
	assert_int_equal(class->objects, objects_by_hand(class->size, class->pages));
	/* A zspage that is no better than a page for each object is none. */
	assert_true(class->objects > class->pages);
}

static void test_every_chain(void **state)
{
	for (unsigned chain = 1; chain <= 64; chain++) {
		struct class_rules rules = class_rules_default(chain);
		struct class_geometry classes[ZS_MAX_CLASSES];
		int n = class_table(&rules, classes, ZS_MAX_CLASSES, NULL);

		assert_in_range(n, 2, ZS_MAX_CLASSES);
		for (int i = 0; i < n; i++) {
			check_geometry(&classes[i], chain);
			assert_int_equal(classes[i].huge, i == n - 1);
			if (i == 0)
				continue;
			assert_true(classes[i].size > classes[i - 1].size);
			/* Else they would have been merged. */
			assert_true(classes[i].pages != classes[i - 1].pages ||
				    classes[i].objects != classes[i - 1].objects);
		}
		assert_int_equal(class_huge_watermark(&rules), classes[n - 2].size);
	}
}

static void test_every_size_has_its_class(void **state)
{
	for (unsigned chain = 1; chain <= 64; chain++) {
		struct class_rules rules = class_rules_default(chain);
		struct class_geometry classes[ZS_MAX_CLASSES];
		uint16_t map[4096 / ZS_CLASS_STEP + 1];
		int n = class_table(&rules, classes, ZS_MAX_CLASSES, map);

		for (unsigned size = 1; size <= 4096; size++) {
			unsigned at = map[(size + ZS_CLASS_STEP - 1) / ZS_CLASS_STEP];

			assert_in_range(at, 0, n - 1);
			assert_true(classes[at].size >= size);
			/* And it is the smallest one that does. */
			assert_true(at == 0 || classes[at - 1].size < size);
		}
	}
}

/* Usage as a fraction, compared exactly: a/b > c/d. */
static bool uses_more(uint64_t objects, uint64_t pages, uint64_t than_objects, uint64_t than_pages, uint64_t size)
{
	/* One part in usage_scale is what the rules do not tell apart. */
	return objects * size * than_pages * 16384 > than_objects * size * pages * 16384 + pages * than_pages * 4096;
}

static void test_waste_is_least(void **state)
{
	static const unsigned chains[] = {1, 2, 3, 4, 5, 8, 13, 16, 31, 32, 48, 63, 64};

	for (size_t c = 0; c < COUNT_OF(chains); c++) {
		struct class_rules rules = class_rules_default(chains[c]);

		for (unsigned size = ZS_CLASS_MIN; size < 4096; size += ZS_CLASS_STEP) {
			struct class_geometry class = class_geometry(&rules, size);

			if (class.huge)
				continue;
			for (unsigned pages = 1; pages <= chains[c]; pages++)
				assert_false(uses_more(objects_by_hand(size, pages), pages, class.objects, class.pages,
						       size));
		}
	}
}

/* A size is only stored in a page of its own if no zspage would take two objects in fewer pages. */
static void test_huge_only_when_needed(void **state)
{
	for (unsigned chain = 1; chain <= 64; chain++) {
		struct class_rules rules = class_rules_default(chain);

		for (unsigned size = ZS_CLASS_MIN; size <= 4096; size += ZS_CLASS_STEP) {
			bool gains = false;

			for (unsigned pages = 1; pages <= chain; pages++)
				gains |= objects_by_hand(size, pages) > pages;
			assert_int_equal(class_geometry(&rules, size).huge, !gains);
		}
	}
}

static void test_longer_chains_store_more(void **state)
{
	unsigned before = 0;

	for (unsigned chain = 1; chain <= 64; chain++) {
		struct class_rules rules = class_rules_default(chain);
		unsigned watermark = class_huge_watermark(&rules);

		assert_true(watermark >= before);
		before = watermark;
	}
	assert_true(before > 3900);
}

static void test_table_without_room(void **state)
{
	struct class_rules rules = class_rules_default(32);
	struct class_geometry classes[ZS_MAX_CLASSES];
	int n = class_table(&rules, classes, ZS_MAX_CLASSES, NULL);

	assert_int_equal(class_table(&rules, classes, (unsigned)n, NULL), n);
	assert_int_equal(class_table(&rules, classes, (unsigned)n - 1, NULL), -ERANGE);
	assert_int_equal(class_table(&rules, classes, 0, NULL), -ERANGE);
}

static void test_too_small_for_one_object(void **state)
{
	struct class_rules rules = class_rules_default(1);
	unsigned first = 0;

	assert_int_equal(class_objects(&rules, 4096, 1, &first), 0);
	assert_int_equal(class_objects(&rules, 4096, 2, &first), 1);
	assert_int_equal(first, 48);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_class_counts),
		cmocka_unit_test(test_kernel_huge_watermarks),
		cmocka_unit_test(test_kernel_rows),
		cmocka_unit_test(test_every_chain),
		cmocka_unit_test(test_every_size_has_its_class),
		cmocka_unit_test(test_waste_is_least),
		cmocka_unit_test(test_huge_only_when_needed),
		cmocka_unit_test(test_longer_chains_store_more),
		cmocka_unit_test(test_table_without_room),
		cmocka_unit_test(test_too_small_for_one_object),
	};

	return cmocka_run_group_tests_name("class", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of words, and its map of pages that were written. */
#include "lib/random.h"
#include "lib/test.h"

#include "segment/table.h"

#include <errno.h>
#include <sys/mman.h>

#define WORDS (200u * TABLE_PAGE_WORDS + 77)

static struct table table;

static int set_up(void **state)
{
	table.n = WORDS;
	table.words = calloc(WORDS, sizeof *table.words);
	table.map = calloc(1, table_map_bytes(WORDS));
	return !table.words || !table.map;
}

static int tear_down(void **state)
{
	free(table.words);
	free(table.map);
	return 0;
}

static void test_store_and_load(void **state)
{
	for (uint64_t i = 0; i < WORDS; i += 97)
		table_store(&table, i, i + 1);
	for (uint64_t i = 0; i < WORDS; i++)
		assert_int_equal(table_load(&table, i), i % 97 ? 0 : i + 1);
}

/* What lies in a page that was never written is not looked at. */
static void test_unwritten_pages_are_empty(void **state)
{
	table.words[3 * TABLE_PAGE_WORDS] = 42;
	assert_int_equal(table_load(&table, 3 * TABLE_PAGE_WORDS), 0);
	table_store(&table, 3 * TABLE_PAGE_WORDS + 1, 7);
	assert_int_equal(table_load(&table, 3 * TABLE_PAGE_WORDS), 42);
}

static void test_change(void **state)
{
	uint64_t old = 0;

	while (!table_change(&table, WORDS - 1, &old, 5))
		assert_int_equal(old, 0);
	assert_int_equal(table_load(&table, WORDS - 1), 5);
	old = 4;
	assert_false(table_change(&table, WORDS - 1, &old, 6));
	assert_int_equal(old, 5);
	assert_int_equal(table_load(&table, WORDS - 1), 5);
}

static void test_next_written(void **state)
{
	assert_int_equal(table_next_written(&table, 0, WORDS), WORDS);
	assert_int_equal(table_next_written(&table, 5, 5), 5);
	assert_int_equal(table_next_written(&table, 6, 5), 5);
	table_store(&table, 70 * TABLE_PAGE_WORDS + 9, 1);
	assert_int_equal(table_next_written(&table, 0, WORDS), 70 * TABLE_PAGE_WORDS);
	assert_int_equal(table_next_written(&table, 0, 70 * TABLE_PAGE_WORDS), 70 * TABLE_PAGE_WORDS);
	assert_int_equal(table_next_written(&table, 0, 1000), 1000);
	/* Inside a written page every word counts. */
	for (uint64_t i = 0; i < TABLE_PAGE_WORDS; i++)
		assert_int_equal(table_next_written(&table, 70 * TABLE_PAGE_WORDS + i, WORDS),
				 70 * TABLE_PAGE_WORDS + i);
	assert_int_equal(table_next_written(&table, 71 * TABLE_PAGE_WORDS, WORDS), WORDS);
	table_store(&table, WORDS - 1, 1);
	assert_int_equal(table_next_written(&table, 71 * TABLE_PAGE_WORDS, WORDS), 200 * TABLE_PAGE_WORDS);
}

static void test_against_a_plain_map(void **state)
{
	static bool written[WORDS / TABLE_PAGE_WORDS + 1];
	uint64_t random = test_seed("table");

	memset(written, 0, sizeof written);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t at = random_below(&random, WORDS), end = at + random_below(&random, WORDS - at + 1);
		uint64_t want = at;

		if (i % 50 == 0) {
			table_store(&table, at, i);
			written[at / TABLE_PAGE_WORDS] = true;
		}
		while (want < end && !written[want / TABLE_PAGE_WORDS])
			want = (want / TABLE_PAGE_WORDS + 1) * TABLE_PAGE_WORDS;
		assert_int_equal(table_next_written(&table, at, end), want < end ? want : end);
	}
}

static uint8_t *map_table(struct segment *seg)
{
	seg->bytes = (WORDS * sizeof *table.words + SEGMENT_MAX_SYSTEM_PAGE) / SEGMENT_MAX_SYSTEM_PAGE *
		     SEGMENT_MAX_SYSTEM_PAGE;
	seg->base = mmap(NULL, seg->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(seg->base, MAP_FAILED);
	return seg->base;
}

/* Words in pages that the map calls empty are found; and where the system does not say what is in memory, that is said. */
static void test_unmapped_words(void **state)
{
	struct segment seg = {.kind = SEGMENT_ANON};
	struct table mapped = table;
	uint64_t first = 0, in_memory, group = (uint64_t)sysconf(_SC_PAGESIZE) / SEGMENT_PAGE;

	mapped.words = (uint64_t *)map_table(&seg);
	assert_int_equal(table_unmapped_words(&mapped, &seg, &first, &in_memory), 0);
	assert_int_equal(first, WORDS);
	table_store(&mapped, 3, 42);
	mapped.words[199 * TABLE_PAGE_WORDS + 77] = 0;
	assert_int_equal(table_unmapped_words(&mapped, &seg, &first, &in_memory), 0);
	assert_int_equal(first, WORDS);
	/* The second group may reach beyond the last word. */
	assert_int_equal(in_memory, group + (201 - 199 / group * group < group ? 201 - 199 / group * group : group));
	mapped.words[199 * TABLE_PAGE_WORDS + 77] = 42;
	assert_int_equal(table_unmapped_words(&mapped, &seg, &first, &in_memory), 0);
	assert_int_equal(first, 199 * TABLE_PAGE_WORDS);
	munmap(seg.base, seg.bytes);
	assert_int_equal(table_unmapped_words(&mapped, &seg, &first, &in_memory), -ENOMEM);
}

static void test_bytes(void **state)
{
	uint64_t empty = table_bytes(&table);

	assert_int_equal(empty, table_map_bytes(WORDS));
	table_store(&table, 0, 1);
	table_store(&table, 1, 1);
	assert_int_equal(table_bytes(&table), empty + 4096);
	table_store(&table, WORDS - 1, 1);
	assert_int_equal(table_bytes(&table), empty + 2 * 4096);
	/* Emptied pages stay in memory. */
	table_store(&table, 0, 0);
	assert_int_equal(table_bytes(&table), empty + 2 * 4096);
	assert_int_equal(table_map_bytes(1), 8);
	assert_int_equal(table_map_bytes(64 * TABLE_PAGE_WORDS), 8);
	assert_int_equal(table_map_bytes(64 * TABLE_PAGE_WORDS + 1), 16);
}

int main(void)
{
#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_TABLE(test_store_and_load), WITH_TABLE(test_unwritten_pages_are_empty), WITH_TABLE(test_change),
		WITH_TABLE(test_next_written),   WITH_TABLE(test_against_a_plain_map),       WITH_TABLE(test_bytes),
		WITH_TABLE(test_unmapped_words),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Records: generations, damage, and writers that are killed at any instruction. */
#include "lib/random.h"
#include "lib/steps.h"
#include "lib/test.h"

#include "segment/super_record.h"

#include <sys/mman.h>

#define COPY 256u

/* Shared with the writer that is killed. */
static uint8_t *place;
static char text[COPY - SUPER_RECORD_HEAD];

static int set_up(void **state)
{
	place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return place == MAP_FAILED;
}

static int tear_down(void **state)
{
	return munmap(place, 4096);
}

static void put(const char *contents)
{
	super_record_write(place, COPY, contents, strlen(contents) + 1);
}

static void expect(const char *contents)
{
	assert_true(super_record_read(place, COPY, text, sizeof text));
	assert_string_equal(text, contents);
}

static void test_generations(void **state)
{
	static const char *const all[] = {"a", "what is longer", "", "b", "b"};

	assert_false(super_record_read(place, COPY, text, sizeof text));
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		uint8_t before[2 * COPY];

		memcpy(before, place, sizeof before);
		put(all[i]);
		expect(all[i]);
		/* The copy that counted is not touched. */
		assert_memory_equal(place + (i % 2 ? 0 : COPY), before + (i % 2 ? 0 : COPY), COPY);
	}
	/* Nothing is left of longer contents, and nothing beside the two copies is touched. */
	assert_int_equal(place[SUPER_RECORD_HEAD + 5], 0);
	for (unsigned at = 2 * COPY; at < 4096; at++)
		assert_int_equal(place[at], 0);
	/* As much as there is room for. */
	memset(text, 'x', sizeof text);
	super_record_write(place, COPY, text, sizeof text);
	memset(text, 0, sizeof text);
	assert_true(super_record_read(place, COPY, text, sizeof text));
	assert_int_equal(text[sizeof text - 1], 'x');
}

/* Every bit of the copy that counts: without it, the one before counts; and without both, there is nothing. */
static void test_damage(void **state)
{
	put("one");
	put("two");
	for (unsigned bit = 0; bit < 8 * COPY; bit++) {
		place[COPY + bit / 8] ^= (uint8_t)(1u << bit % 8);
		expect("one");
		place[COPY + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	expect("two");
	place[5] ^= 1;
	place[COPY + 100] ^= 1;
	assert_false(super_record_read(place, COPY, text, sizeof text));
	/* It is written over. */
	put("three");
	expect("three");
	put("four");
	expect("four");
}

static void test_noise(void **state)
{
	uint64_t random = 1;

	for (unsigned i = 0; i < 1000; i++) {
		random_bytes(&random, place, 2 * COPY);
		assert_false(super_record_read(place, COPY, text, sizeof text));
	}
	put("over it");
	expect("over it");
	/* Zeroes are no record, with a right checksum either. */
	memset(place, 0, 2 * COPY);
	assert_false(super_record_read(place, COPY, text, sizeof text));
}

static unsigned seen_old, seen_new;

static void look(void)
{
	if (!super_record_read(place, COPY, text, sizeof text))
		fail_msg("neither counts");
	if (strcmp(text, "old") != 0 && strcmp(text, "the new one") != 0)
		fail_msg("neither old nor new: %s", text);
	seen_old += text[0] == 'o';
	seen_new += text[0] == 't';
}

static void write_new(void)
{
	put("the new one");
}

static void test_killed_at_any_instruction(void **state)
{
	for (unsigned generation = 1; generation < 4; generation++) {
		memset(place, 0, 2 * COPY);
		for (unsigned i = 0; i < generation; i++)
			put("old");
		seen_old = seen_new = 0;
		if (!steps_through(write_new, look))
			SKIP_BECAUSE("no process goes from instruction to instruction here");
		assert_true(seen_old > 10 && seen_new > 0);
	}
}

int main(void)
{
#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_PLACE(test_generations),
		WITH_PLACE(test_damage),
		WITH_PLACE(test_noise),
		WITH_PLACE(test_killed_at_any_instruction),
	};

	return cmocka_run_group_tests_name("super_record", tests, NULL, NULL);
}

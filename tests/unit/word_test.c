/* SPDX-License-Identifier: BSD-3-Clause */
/* Table words: every field keeps to its bits. */
#include "lib/random.h"
#include "lib/test.h"

#include "engine/word.h"

static struct word_object random_object(uint64_t *random)
{
	struct word_object object = {
		.page = (uint32_t)random_below(random, 1u << WORD_PAGE_BITS),
		.slot = (uint16_t)random_below(random, 1u << WORD_SLOT_BITS),
		.size = (uint16_t)(1 + random_below(random, 4096)),
		.borrow = (uint8_t)random_below(random, 4),
		.codec = (uint8_t)random_below(random, 8),
	};

	return object;
}

static void test_objects_come_back(void **state)
{
	uint64_t random = test_seed("word");

	for (unsigned i = 0; i < 20000; i++) {
		enum word_type type = i % 2 ? WORD_OBJECT : WORD_SAME64;
		struct word_object want = random_object(&random);
		uint64_t word = word_make_object(type, &want);
		struct word_object got = word_object(word);

		assert_int_equal(word_type(word), type);
		assert_int_equal(got.page, want.page);
		assert_int_equal(got.slot, want.slot);
		assert_int_equal(got.size, want.size);
		assert_int_equal(got.borrow, want.borrow);
		assert_int_equal(got.codec, want.codec);
	}
}

static void test_places_in_the_store_come_back(void **state)
{
	uint64_t random = test_seed("word");

	for (unsigned i = 0; i < 20000; i++) {
		struct word_backed want = {
			.place = random_below(&random, UINT64_C(1) << WORD_STORED_BITS),
			.size = (uint16_t)(1 + random_below(&random, 4096)),
			.codec = (uint8_t)random_below(&random, 8),
		};
		uint64_t word = word_make_backed(&want);
		struct word_backed got = word_backed(word);

		assert_int_equal(word_type(word), WORD_BACKED);
		assert_true(got.place == want.place);
		assert_int_equal(got.size, want.size);
		assert_int_equal(got.codec, want.codec);
		assert_int_equal(word >> WORD_MARK_SHIFT, 0);
	}
}

static void test_patterns_come_back(void **state)
{
	uint64_t random = 1;

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t pattern = (uint32_t)random_next(&random) | 1;
		uint64_t word = word_make_same32(pattern);

		assert_int_equal(word_type(word), WORD_SAME32);
		assert_int_equal(word_pattern(word), (uint64_t)pattern << 32 | pattern);
	}
}

/* A marked word means the same, and no word is marked when it is made. */
static void test_marks(void **state)
{
	uint64_t random = test_seed("word");

	for (unsigned i = 0; i < 1000; i++) {
		struct word_object want = random_object(&random), got;
		uint64_t word = word_make_object(i % 2 ? WORD_OBJECT : WORD_SAME64, &want), marked = word_mark(word);

		assert_false(word_is_marked(word));
		assert_true(word_is_marked(marked) && marked != word);
		assert_true(word_unmark(marked) == word && word_unmark(word) == word);
		assert_int_equal(word_type(marked), word_type(word));
		got = word_object(marked);
		assert_true(got.page == want.page && got.slot == want.slot && got.size == want.size &&
			    got.borrow == want.borrow && got.codec == want.codec);
		/* A moved object has a new word. */
		assert_true(word_make_object(word_type(marked), &got) == word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects_come_back),
		cmocka_unit_test(test_places_in_the_store_come_back),
		cmocka_unit_test(test_patterns_come_back),
		cmocka_unit_test(test_marks),
	};

	return cmocka_run_group_tests_name("word", tests, NULL, NULL);
}

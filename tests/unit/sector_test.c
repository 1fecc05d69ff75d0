/* SPDX-License-Identifier: BSD-3-Clause */
/* What a table word means: no word passes that we would not write; what changes in place. Storing and loading: io_test.c. */
#include "lib/device.h"
#include "lib/random.h"
#include "lib/test.h"

#include "engine/sector.h"

static void test_good_words(void **state)
{
	const struct word_shared shared = {.entry = UINT32_MAX, .place = 15, .n = 16};
	struct word_object object = {.page = 5, .slot = 3, .size = 100, .codec = CODEC_LZ4};

	assert_null(sector_check(0));
	assert_null(sector_check(word_make_object(WORD_OBJECT, &object)));
	object.codec = CODEC_ZSTD;
	object.borrow = 3;
	assert_null(sector_check(word_make_object(WORD_OBJECT, &object)));
	object = (struct word_object){.size = 4096, .codec = CODEC_RAW};
	assert_null(sector_check(word_make_object(WORD_OBJECT, &object)));
	object.size = 8;
	assert_null(sector_check(word_make_object(WORD_SAME64, &object)));
	object = (struct word_object){.size = 4096, .codec = CODEC_ZSTD};
	assert_null(sector_check(word_make_object(WORD_LARGE, &object)));
	assert_null(sector_check(word_make_shared(&shared)));
	assert_null(sector_check(word_mark(word_make_shared(&shared))));
	object = (struct word_object){.size = 8, .codec = CODEC_RAW};
	/* Marked, and tried in vain. */
	assert_null(sector_check(word_mark(word_make_object(WORD_SAME64, &object))));
	assert_null(sector_check(word_make_object(WORD_SAME64, &object) | UINT64_C(1) << WORD_TRIED_SHIFT));
}

static void test_bad_words(void **state)
{
	const struct word_object raw_short = {.size = 4095, .codec = CODEC_RAW};
	const struct word_object unknown = {.size = 100, .codec = 7};
	const struct word_object same_long = {.size = 9, .codec = CODEC_RAW};
	const struct word_object same_packed = {.size = 8, .codec = CODEC_LZ4};
	const struct word_object good = {.size = 100, .codec = CODEC_LZ4};
	const struct word_object large_short = {.size = 4095, .codec = CODEC_ZSTD};
	const struct word_object large_raw = {.size = 4096, .codec = CODEC_RAW};
	const struct word_shared alone = {.entry = 100, .n = 1};
	const struct word_shared too_many = {.entry = 100, .n = 17};
	const struct word_shared behind = {.entry = 100, .place = 4, .n = 4};
	const struct word_shared in_group = {.entry = 100, .place = 3, .n = 4};
	const struct word_backed stored_short = {.place = 65536, .size = 4095, .codec = CODEC_RAW};
	const struct word_backed stored = {.place = 65536, .size = 100, .codec = CODEC_LZ4};
	const uint64_t bad[] = {
		word_make_backed(&stored_short),
		word_mark(word_make_backed(&stored)),
		word_note_tried(word_make_backed(&stored)),
		word_make_object(WORD_LARGE, &large_short),
		word_make_object(WORD_LARGE, &large_raw),
		word_make_shared(&alone),
		word_make_shared(&too_many),
		word_make_shared(&behind),
		word_make_shared(&in_group) | 8,
		word_note_tried(word_make_shared(&in_group)),
		word_make_shared(&in_group) | UINT64_C(1) << 62,
		8,
		UINT64_C(1) << 63, /* empty, with bits */
		word_make_same32(0),
		word_make_same32(1) | 8,
		word_make_same32(1) | 1u << 31,
		word_make_object(WORD_OBJECT, &raw_short),
		word_make_object(WORD_OBJECT, &unknown),
		word_make_object(WORD_SAME64, &same_long),
		word_make_object(WORD_SAME64, &same_packed),
		word_make_object(WORD_OBJECT, &good) | UINT64_C(1) << 62,
		word_mark(0),
		word_mark(4),
		word_make_object(WORD_OBJECT, &good) | UINT64_C(1) << 63,
		4,
		5,
		6,
		7,
		UINT64_MAX,
	};

	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (!sector_check(bad[i]))
			fail_msg("accepted: %016" PRIx64, bad[i]);
}

static uint64_t make_shared_again(uint64_t word)
{
	struct word_shared shared = word_shared(word);

	return word_make_shared(&shared);
}

/* Whatever passes the check is rebuilt bit by bit from its fields: nothing is left unexplained. */
static void test_nothing_unexplained(void **state)
{
	uint64_t random = test_seed("word");
	unsigned passed = 0;

	for (unsigned i = 0; i < 200000; i++) {
		uint64_t word = random_next(&random) >> random_below(&random, 64), again = 0;
		struct word_object object = word_object(word);

		if (sector_check(word))
			continue;
		passed++;
		if (word_type(word) == WORD_SHARED)
			again = make_shared_again(word);
		else if (word_type(word) == WORD_SAME32)
			again = word_make_same32((uint32_t)word_pattern(word));
		else if (word)
			again = word_make_object(word_type(word), &object);
		/* But for the two bits that change nothing. */
		if (word_type(word) == WORD_SHARED)
			word = word_unmark(word);
		else if (word_type(word) != WORD_SAME32 && word)
			word &= ~(UINT64_C(1) << WORD_MARK_SHIFT | UINT64_C(1) << WORD_TRIED_SHIFT);
		assert_int_equal(again, word);
	}
	assert_true(passed > 100);
}

/* A repeated 64-bit word over another: the object stays where it is, and the mark goes. Over anything else: not in place. */
static void test_refill(void **state)
{
	struct zsblk *dev = device_new(4);
	uint8_t other[BLOCK_BYTES];
	struct zsblk_stats before, after;
	uint64_t word;

	device_put(dev, 1, BLOCK_SAME64, 1);
	word = table_load(&dev->table, 1);
	table_store(&dev->table, 1, word_mark(word));
	zsblk_get_stats(dev, &before);
	device_put(dev, 1, BLOCK_SAME64, 2);
	zsblk_get_stats(dev, &after);
	assert_int_equal(table_load(&dev->table, 1), word);
	assert_true(device_has(dev, 1, BLOCK_SAME64, 2));
	assert_int_equal(after.same_pages, before.same_pages);
	for (unsigned kind = 0; kind < BLOCK_KINDS; kind++) {
		block_make(other, kind, 3);
		device_put(dev, 2, kind, 4);
		assert_int_equal(sector_refill(dev, 1, other), kind == BLOCK_SAME64);
		assert_true(device_has(dev, 1, BLOCK_SAME64, kind < BLOCK_SAME64 ? 2 : 3));
		block_make(other, BLOCK_SAME64, 5);
		assert_int_equal(sector_refill(dev, 2, other), kind == BLOCK_SAME64);
	}
	device_ok(dev);
	zsblk_close(dev);
}

/* Somebody has written into the table of a running device: the block cannot be read, others can, and the check says it. */
static void test_unknown_type(void **state)
{
	struct zsblk *dev = device_new(4);
	uint8_t block[2 * BLOCK_BYTES];
	struct zsblk_why why;

	device_put(dev, 2, BLOCK_TEXT, 1);
	for (uint64_t type = WORD_SAME64 + 1; type < WORD_TYPES; type++) {
		bool known = type == WORD_SHARED || type == WORD_LARGE;

		table_store(&dev->table, 1, type);
		assert_int_equal(zsblk_read(dev, block, BLOCK_BYTES, BLOCK_BYTES), -EIO);
		assert_int_equal(zsblk_read(dev, block, 10, BLOCK_BYTES + 5), -EIO);
		assert_int_equal(zsblk_read(dev, block, 2 * BLOCK_BYTES, BLOCK_BYTES), -EIO);
		assert_true(device_has(dev, 2, BLOCK_TEXT, 1));
		assert_true(zsblk_check(dev, &why) < 0);
		assert_non_null(strstr(why.text, known                 ? "group"
						 : type == WORD_BACKED ? "backing store"
								       : "unknown type"));
	}
	/* What overwrites it needs to know nothing of it. */
	device_put(dev, 1, BLOCK_TEXT, 2);
	assert_true(device_has(dev, 1, BLOCK_TEXT, 2));
	device_ok(dev);
	zsblk_close(dev);
}

/* An object that is moved loses its mark, and is as tried as before: it is the same object. */
static void test_move(void **state)
{
	const uint64_t tried = UINT64_C(1) << WORD_TRIED_SHIFT;
	struct zsblk *dev = device_new(2000);
	uint64_t before[2000];
	unsigned moved = 0;

	for (unsigned block = 0; block < 2000; block++)
		device_put(dev, block, BLOCK_TEXT, block);
	for (unsigned block = 0; block < 2000; block++)
		if (block % 4)
			must(zsblk_discard(dev, BLOCK_BYTES, block * BLOCK_BYTES) == 0);
	for (unsigned block = 0; block < 2000; block += 4) {
		before[block] = word_mark(table_load(&dev->table, block)) | (block % 8 ? tried : 0);
		table_store(&dev->table, block, before[block]);
	}
	zsblk_compact(dev);
	for (unsigned block = 0; block < 2000; block += 4) {
		uint64_t word = table_load(&dev->table, block);

		moved += word != before[block];
		assert_int_equal(word_is_marked(word), word == before[block]);
		assert_int_equal(word & tried, block % 8 ? tried : 0);
		assert_true(device_has(dev, block, BLOCK_TEXT, block));
	}
	assert_true(moved > 200);
	device_put(dev, 4, BLOCK_TEXT, 7);
	assert_int_equal(table_load(&dev->table, 4) & tried, 0);
	device_ok(dev);
	zsblk_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_words),          cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_nothing_unexplained), cmocka_unit_test(test_refill),
		cmocka_unit_test(test_unknown_type),        cmocka_unit_test(test_move),
	};

	return cmocka_run_group_tests_name("sector", tests, NULL, NULL);
}

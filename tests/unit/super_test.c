/* SPDX-License-Identifier: BSD-3-Clause */
/* The superblock: what is taken for ours, what for blank, and what is refused. */
#include "lib/steps.h"
#include "lib/superblock.h"
#include "lib/test.h"

#include "process/system_page.h"

#include <errno.h>
#include <inttypes.h>

/* Where things lie, by docs/format.md. */
enum {
	AT_VERSION = 8,
	AT_BASICS = 16,
	AT_CHECKSUM1 = 216,
	AT_FEATURES = 256,
	AT_HINTS = 288,
	AT_PLACES = 512,
	AT_END = 1024,
};

static int read_super(char why[200])
{
	struct super_layout found;

	why[0] = 0;
	return super_read(&seg, &found, why, 200);
}

static void test_offsets(void **state)
{
	struct table table = super_table(&seg, &layout);
	uint64_t map = (uint64_t)((uint8_t *)table.map - seg.base);
	uint64_t words = (uint64_t)((uint8_t *)table.words - seg.base);

	assert_int_equal(table.n, layout.table_words);
	assert_true(map >= SEGMENT_PAGE);
	assert_true(words >= map + table_map_bytes(layout.table_words));
	assert_true(layout.ages_offset >= words + 8 * layout.table_words);
	assert_true(layout.room_offset >= layout.ages_offset + layout.table_words);
	assert_true(layout.pool_offset >= layout.room_offset + SUPER_ROOM_BYTES);
	assert_int_equal(layout.ages_offset % SEGMENT_PAGE, 0);
	assert_int_equal(layout.room_offset % SEGMENT_PAGE, 0);
	assert_int_equal(map % SEGMENT_PAGE, 0);
	assert_int_equal(words % SEGMENT_PAGE, 0);
	/* What is given back to the system begins on a page of any system. */
	assert_int_equal(layout.pool_offset % SEGMENT_MAX_SYSTEM_PAGE, 0);
	assert_int_equal(super_segment_bytes(&layout), layout.pool_offset + layout.pool_pages * SEGMENT_PAGE);
}

static void test_format_and_read(void **state)
{
	struct super_layout found;
	char why[200];

	assert_true(super_is_blank(&seg));
	assert_false(super_is_ours(&seg));
	super_format(&seg, &layout);
	assert_true(super_is_ours(&seg));
	assert_int_equal(super_read(&seg, &found, why, sizeof why), 0);
	assert_memory_equal(&found, &layout, sizeof found);
	segment_close(&seg);
	superblock_attach();
	assert_false(super_is_blank(&seg));
	assert_int_equal(super_read(&seg, &found, why, sizeof why), 0);
}

/* Format 1, as it was made: nothing behind the checksum but the claim. */
static void format_1(void)
{
	struct super *super = super_of(&seg);

	super_format(&seg, &layout);
	super->version = 1;
	super->bytes = AT_CHECKSUM1;
	memset(seg.base + AT_CLAIM, 0, SEGMENT_PAGE - AT_CLAIM);
	super_seal(&seg);
}

static void expect_bits_to_count(unsigned first, unsigned end)
{
	char why[200];

	for (unsigned bit = first * 8; bit < end * 8; bit++) {
		seg.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (read_super(why) != -EINVAL)
			fail_msg("bit %u of byte %u is not noticed", bit % 8, bit / 8);
		if (strlen(why) < 20)
			fail_msg("bit %u of byte %u: says \"%s\"", bit % 8, bit / 8, why);
		seg.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(read_super(why), 0);
}

/* Every bit of what is written once, of its checksum, and of the numbers that change: refused with words. */
static void test_every_bit(void **state)
{
	super_format(&seg, &layout);
	expect_bits_to_count(0, AT_CHECKSUM1);
	expect_bits_to_count(AT_FEATURES, AT_HINTS);
	expect_bits_to_count(AT_PLACES, AT_END);
	format_1();
	expect_bits_to_count(0, AT_CLAIM);
}

/* What is left of the checksum of format 1, who uses it, and hints: nothing that is read here depends on them. */
static void test_bits_without_a_meaning(void **state)
{
	struct super_layout found;
	char why[200];

	super_format(&seg, &layout);
	memset(seg.base + AT_CHECKSUM1, 0xa5, AT_FEATURES - AT_CHECKSUM1);
	memset(seg.base + AT_HINTS, 0xa5, AT_PLACES - AT_HINTS);
	assert_int_equal(super_read(&seg, &found, why, sizeof why), 0);
	assert_memory_equal(&found, &layout, sizeof found);
}

static void test_messages(void **state)
{
	char why[200];

	super_format(&seg, &layout);
	seg.base[LOW_BYTE(AT_VERSION, 4)] = 77;
	assert_int_equal(read_super(why), -EINVAL);
	assert_non_null(strstr(why, "version 77"));
	seg.base[LOW_BYTE(AT_VERSION, 4)] = SUPER_VERSION;
	seg.base[AT_BASICS]++;
	assert_int_equal(read_super(why), -EINVAL);
	assert_non_null(strstr(why, "checksum"));
	seg.base[0] = 'Z';
	assert_int_equal(read_super(why), -EINVAL);
	assert_non_null(strstr(why, "not made by zsblk"));
}

struct impossible {
	size_t at; /* of a number of the layout */
	uint64_t value;
};

#define WITH(field, value)                                                                                             \
	{                                                                                                              \
		offsetof(struct super_layout, field), value                                                            \
	}

static void expect_impossible(const struct impossible *cases, size_t n)
{
	char why[200];

	for (size_t i = 0; i < n; i++) {
		struct super_layout wrong = layout;

		memcpy((char *)&wrong + cases[i].at, &cases[i].value, 8);
		super_format(&seg, &wrong);
		if (read_super(why) != -EINVAL || !strstr(why, "describes"))
			fail_msg("number %" PRIu64 " at %zu: \"%s\"", cases[i].value, cases[i].at, why);
	}
}

/* Superblocks that are whole, and say what cannot be. */
static void test_impossible(void **state)
{
	const struct impossible cases[] = {
		WITH(table_words, 1u << 20),
		WITH(table_words, UINT64_MAX),
		WITH(table_words, UINT64_C(1) << 61),
		WITH(table_words, UINT64_C(1) << 32),
		WITH(table_words, 949),
		WITH(pool_pages, 641),
		WITH(pool_pages, UINT64_MAX),
		WITH(pool_pages, UINT64_C(1) << 52),
		WITH(map_offset, 0),
		WITH(map_offset, 4095),
		WITH(map_offset, layout.table_offset),
		WITH(map_offset, UINT64_MAX - 4095),
		WITH(table_offset, layout.table_offset + 8),
		WITH(table_offset, layout.pool_offset),
		WITH(table_offset, layout.pool_offset - 4096),
		WITH(table_offset, UINT64_MAX - 4095),
		WITH(pool_offset, layout.pool_offset + 4096),
		WITH(pool_offset, layout.table_offset),
		WITH(pool_offset, UINT64_MAX - 4095),
		WITH(blocks, 951),
		WITH(blocks, 0), /* comes out as 2^32 */
		WITH(max_blocks, 1001),
		WITH(max_blocks, 899),
		WITH(max_blocks, 0),
		WITH(max_blocks, UINT64_MAX),
	};

	expect_impossible(cases, COUNT_OF(cases));
}

static void test_impossible_ages_and_room(void **state)
{
	const struct impossible cases[] = {
		WITH(ages_offset, layout.ages_offset + 8), WITH(ages_offset, layout.ages_offset - 4096),
		WITH(ages_offset, layout.room_offset),     WITH(ages_offset, UINT64_MAX - 4095),
		WITH(room_offset, layout.room_offset + 8), WITH(room_offset, layout.room_offset - 4096),
		WITH(room_offset, layout.pool_offset),     WITH(room_offset, UINT64_MAX - 4095),
	};

	expect_impossible(cases, COUNT_OF(cases));
}
#undef WITH

/* Ages and room need not be there: segments of an earlier build of this format, and of format 1, have none. */
static void test_without_ages_and_room(void **state)
{
	struct super_layout found, other = layout;
	char why[200];

	for (unsigned i = 0; i < 3; i++) {
		other.ages_offset = i == 1 ? layout.ages_offset : 0;
		other.room_offset = i == 2 ? layout.room_offset : 0;
		super_format(&seg, &other);
		assert_int_equal(super_read(&seg, &found, why, sizeof why), 0);
		assert_memory_equal(&found, &other, sizeof found);
	}
}

/* As many entries as blocks, and as far as 32 bits count. */
static void test_table_words(void **state)
{
	assert_int_equal(super_table_words(1), 66);
	assert_int_equal(super_table_words(1000), 2064);
	assert_int_equal(super_table_words(UINT64_C(1) << 31), UINT64_C(1) << 32);
	assert_int_equal(super_table_words(UINT64_C(1) << 32), UINT64_C(1) << 32);
}

/* ------------------------------------------------------------------ features */

static int read_with(struct super_features features, struct super_layout *found, char why[200])
{
	struct super_layout other = layout;

	other.features = features;
	super_format(&seg, &other);
	return super_read(&seg, found, why, 200);
}

static void test_features(void **state)
{
	struct super_layout found;
	char why[200];

	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t one = 1u << bit;

		/* Nothing to us. */
		assert_int_equal(read_with((struct super_features){.compatible = one}, &found, why), 0);
		assert_int_equal(super_permits(&found, true, why, sizeof why), 0);
		/* To be looked at. */
		assert_int_equal(read_with((struct super_features){.read_only = one}, &found, why), 0);
		assert_int_equal(super_permits(&found, false, why, sizeof why), 0);
		assert_int_equal(super_permits(&found, true, why, sizeof why), -EINVAL);
		assert_non_null(strstr(why, "looked at"));
		/* To be left alone, unless it is one of ours. */
		if (one & (SUPER_HAS_SHARED | SUPER_HAS_LARGE | SUPER_HAS_BACKED | SUPER_HAS_CODECS))
			continue;
		assert_int_equal(read_with((struct super_features){.incompatible = one}, &found, why), 0);
		assert_int_equal(super_permits(&found, false, why, sizeof why), -EINVAL);
		assert_non_null(strstr(why, "cannot be read"));
	}
}

/* ------------------------------------------------------------------ format 1 */

static void test_format_1(void **state)
{
	struct super_layout found;
	char why[200];

	format_1();
	assert_false(super_is_blank(&seg));
	assert_int_equal(super_read(&seg, &found, why, sizeof why), 0);
	assert_int_equal(found.version, 1);
	assert_int_equal(found.blocks, layout.table_words);
	assert_int_equal(found.max_blocks, layout.table_words);
	assert_int_equal(found.map_offset, 4096);
	assert_int_equal(found.table_offset, 8192);
	assert_int_equal(found.pool_offset, 16384);
	assert_string_equal(found.name, layout.name);
	assert_null(super_frontier(&seg, &found));
	assert_int_equal(super_permits(&found, true, why, sizeof why), system_page() <= 16384 ? 0 : -EINVAL);
}

static void test_carried_over(void **state)
{
	struct super_layout before, after, found;
	char why[200];
	int holder;

	format_1();
	assert_int_equal(claim_take(&seg, false, &holder), 0);
	super_put_in_service(&seg);
	assert_int_equal(super_read(&seg, &before, why, sizeof why), 0);
	after = before;
	super_set_blocks(&seg, &after, 77);
	assert_int_equal(super_read(&seg, &found, why, sizeof why), 0);
	assert_memory_equal(&found, &after, sizeof found);
	before.version = SUPER_VERSION;
	before.blocks = 77;
	assert_memory_equal(&found, &before, sizeof found);
	assert_non_null(super_frontier(&seg, &found));
	assert_int_equal(claim_holder(&seg), getpid());
	assert_true(super_was_in_service(&seg));
	expect_bits_to_count(0, AT_CHECKSUM1);
}

/* ------------------------------------------------------------------ killed at any instruction */

static unsigned looks, seen_old, seen_new;

static void look_at_blocks(void)
{
	struct super_layout found;
	char why[200];

	looks++;
	if (super_read(&seg, &found, why, sizeof why))
		fail_msg("%u instructions on: %s", looks, why);
	if (found.blocks != 77 && found.blocks != layout.table_words)
		fail_msg("%u instructions on: %llu blocks", looks, (unsigned long long)found.blocks);
	if (found.version == 1 && found.blocks == 77)
		fail_msg("%u instructions on: a size that format 1 cannot have", looks);
	seen_old += found.version == 1;
	seen_new += found.blocks == 77;
}

static void set_blocks(void)
{
	struct super_layout found;
	char why[200];

	must(super_read(&seg, &found, why, sizeof why) == 0);
	super_set_blocks(&seg, &found, 77);
}

static void test_carried_over_step_by_step(void **state)
{
	format_1();
	looks = seen_old = seen_new = 0;
	if (!steps_through(set_blocks, look_at_blocks))
		SKIP_BECAUSE("no process goes from instruction to instruction here");
	assert_true(seen_old > 10 && seen_new > 0);
}

static void look_at_maker(void)
{
	struct super_layout found;
	char why[200];

	looks++;
	if (super_is_ours(&seg)) {
		if (super_read(&seg, &found, why, sizeof why))
			fail_msg("%u instructions on: %s", looks, why);
		seen_new++;
	} else {
		/* This is what the next process asks, which did not make it. */
		seg.fresh = false;
		if (!super_is_blank(&seg))
			fail_msg("%u instructions on: neither blank nor ours", looks);
		seen_old++;
	}
}

static void make(void)
{
	super_format(&seg, &layout);
}

static void test_made_step_by_step(void **state)
{
	memset(seg.base + AT_CLAIM, 0x11, 8);
	looks = seen_old = seen_new = 0;
	if (!steps_through(make, look_at_maker))
		SKIP_BECAUSE("no process goes from instruction to instruction here");
	assert_true(seen_old > 10 && seen_new > 0);
}

/* ------------------------------------------------------------------ blank or not */

static void test_blank(void **state)
{
	segment_close(&seg);
	superblock_attach();
	assert_false(seg.fresh);
	/* Nobody claimed it: it may be another program's, made a moment ago. */
	assert_false(super_is_blank(&seg));
	/* Its maker claimed it, and died. */
	memset(seg.base + AT_CLAIM, 0x11, 8);
	assert_true(super_is_blank(&seg));
	/* Or died while writing: all but the magic. Also of format 1. */
	super_format(&seg, &layout);
	memset(seg.base, 0, 8);
	assert_true(super_is_blank(&seg));
	format_1();
	memset(seg.base, 0, 8);
	assert_true(super_is_blank(&seg));
	/* A version that is not known is nobody's. */
	seg.base[LOW_BYTE(AT_VERSION, 4)] = 3;
	assert_false(super_is_blank(&seg));
	memset(seg.base + AT_VERSION, 0, 8);
	assert_false(super_is_blank(&seg));
}

/* Other people's segments, however empty they look. */
static void test_foreign(void **state)
{
	static const unsigned at[] = {0,           7,    8,    12,   16,   100,   AT_CHECKSUM1, AT_CLAIM + 8,
				      AT_FEATURES, 1023, 1024, 4095, 4096, 100000};

	for (size_t i = 0; i < COUNT_OF(at); i++) {
		superblock_tear_down(NULL);
		superblock_attach();
		seg.fresh = false;
		seg.base[at[i]] = 1;
		/* At its very start there may be anything; the rest must be in memory to be seen. */
		if (super_is_blank(&seg))
			fail_msg("a byte at %u, and taken for blank", at[i]);
	}
	/* Nor is a version that is not known, alone, the beginning of anything. */
	superblock_tear_down(NULL);
	superblock_attach();
	seg.fresh = false;
	seg.base[LOW_BYTE(AT_VERSION, 4)] = 3;
	assert_false(super_is_blank(&seg));
}

static void test_in_service(void **state)
{
	super_format(&seg, &layout);
	assert_false(super_was_in_service(&seg));
	super_put_in_service(&seg);
	assert_true(super_was_in_service(&seg));
	segment_close(&seg);
	superblock_attach();
	assert_true(super_was_in_service(&seg));
}

int main(void)
{
#define WITH_SHM(test) cmocka_unit_test_setup_teardown(test, superblock_set_up, superblock_tear_down)
	const struct CMUnitTest tests[] = {
		WITH_SHM(test_offsets),
		WITH_SHM(test_format_and_read),
		WITH_SHM(test_every_bit),
		WITH_SHM(test_messages),
		WITH_SHM(test_impossible),
		WITH_SHM(test_bits_without_a_meaning),
		WITH_SHM(test_features),
		WITH_SHM(test_format_1),
		WITH_SHM(test_carried_over),
		WITH_SHM(test_carried_over_step_by_step),
		WITH_SHM(test_made_step_by_step),
		WITH_SHM(test_blank),
		WITH_SHM(test_foreign),
		WITH_SHM(test_in_service),
		WITH_SHM(test_impossible_ages_and_room),
		WITH_SHM(test_without_ages_and_room),
		WITH_SHM(test_table_words),
	};

	return cmocka_run_group_tests_name("super", tests, NULL, NULL);
}

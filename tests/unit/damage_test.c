/* SPDX-License-Identifier: BSD-3-Clause */
/* Damaged segments: opening refuses with a reason, or works; it never crashes, and never trusts what it read. */
#include "lib/image.h"
#include "lib/test.h"

#include "segment/format.h"

static struct image image;

static int set_up(void **state)
{
	image_make(&image);
	return 0;
}

static int tear_down(void **state)
{
	image_end(&image);
	return 0;
}

/* Change a bit, try, restore. Returns whether it was opened. */
static bool try_bit(uint8_t *at, unsigned bit)
{
	bool opened;

	*at ^= (uint8_t)(1u << bit);
	opened = image_try(&image, bit);
	image_restore(&image);
	return opened;
}

/* The same in a superblock that is refused: nothing else has changed then, and nothing else is restored. */
static void refuse_bit(uint8_t *at, unsigned bit)
{
	*at ^= (uint8_t)(1u << bit);
	assert_false(image_try(&image, bit));
	/* valgrind's memcmp() goes byte by byte. */
	if (!running_under_valgrind())
		assert_true(image_is_whole_behind(&image, SEGMENT_PAGE));
	image_restore_first(&image);
}

static void test_whole(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		assert_true(image_try(&image, i));
		image_restore(&image);
	}
}

/* The superblock: what is written once, and the numbers that change. */
static void test_superblock(void **state)
{
	static const unsigned parts[][2] = {
		{0, offsetof(struct super, checksum1)},
		{offsetof(struct super, state.compatible), offsetof(struct super, state.frontier)},
		{offsetof(struct super, places), sizeof(struct super)},
	};

	for (size_t i = 0; i < COUNT_OF(parts); i++)
		for (unsigned byte = parts[i][0]; byte < parts[i][1]; byte++)
			refuse_bit(image.seg.base + byte, byte % 8);
	/* A few: each is a claim of nobody's, and opening gives the heir that it may have a second to come. */
	for (unsigned bit = 0; bit < 64; bit += 21)
		try_bit(image.seg.base + offsetof(struct super, state.claim) + bit / 8, bit % 8);
}

/* The hint may say anything: it is not relied upon. */
static void test_hints(void **state)
{
	static const uint64_t frontiers[] = {0, 1, 63, 64, 1000, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};

	for (size_t i = 0; i < COUNT_OF(frontiers); i++) {
		super_of(&image.seg)->state.frontier = frontiers[i];
		assert_true(image_try(&image, i));
		image_restore(&image);
	}
}

/* A number of blocks that is whole, and not right: words behind the device's end. */
static void test_blocks(void **state)
{
	struct super *super = super_of(&image.seg);

	for (uint32_t blocks = 1; blocks < IMAGE_BLOCKS; blocks += 99) {
		super->state.last_block = format_check(blocks - 1);
		image.params.size = blocks * (uint64_t)BLOCK_BYTES;
		assert_false(image_try(&image, blocks));
		image_restore(&image);
	}
	image.params.size = IMAGE_BLOCKS * (uint64_t)BLOCK_BYTES;
	super->state.last_block = format_check(IMAGE_BLOCKS);
	assert_false(image_try(&image, 0));
}

/* Every bit of words of every kind: of blocks, of blocks in groups, of entries. */
static void test_table_words(void **state)
{
	static const unsigned first[] = {0, IMAGE_GROUPED, IMAGE_BLOCKS};
	unsigned refused = 0, n = 0, step = RUNNING_UNDER_SANITIZER || test_env("ZSBLK_SHORT") ? 15 : 3;

	for (unsigned i = 0; i < 3 * 2 * BLOCK_KINDS; i++) {
		unsigned block = first[i % 3] + i / 3;
		uint8_t *word = (uint8_t *)&image.table.words[block];

		for (unsigned bit = block % step; bit < 64; bit += step, n++)
			refused += !try_bit(word + bit / 8, bit % 8);
	}
	assert_true(refused > n / 4);
}

/* A word put in another's place: two entries for one object. */
static void test_copied_words(void **state)
{
	unsigned copied = 0;

	for (unsigned block = 0; block < 40; block++) {
		uint64_t *word = &image.table.words[block + 40];

		*word = image.table.words[block];
		/* Words without an object may be repeated. */
		if ((*word & 1) && *word) {
			assert_false(image_try(&image, block));
			copied++;
		}
		image_restore(&image);
	}
	assert_true(copied > 5);
}

static void test_map(void **state)
{
	uint8_t *map = (uint8_t *)image.table.map;
	unsigned pages = (IMAGE_BLOCKS + TABLE_PAGE_WORDS - 1) / TABLE_PAGE_WORDS;

	/* Those behind the table's pages are all alike. */
	for (unsigned bit = 0; bit < 8 * 16; bit += bit >= pages && test_env("ZSBLK_SHORT") ? 5 : 1) {
		/* The bits of the map are counted in words. */
		bool opened = try_bit(map + bit / 64 * 8 + (LOW_BYTE(0, 8) ^ bit % 64 / 8), bit % 8);

		/* Without its bit a page full of words would be lost in silence. */
		if (bit < pages)
			assert_false(opened);
	}
}

/* Bytes of the pool: headers there mean nothing to us, and objects are verified when they are read. */
static void test_pool(void **state)
{
	uint64_t random = test_seed("damage");
	uint64_t offset = image.layout.pool_offset;

	for (unsigned i = 0; i < test_amount(60); i++) {
		for (unsigned n = 0; n < 200; n++)
			image.seg.base[offset + random_below(&random, 120 * SEGMENT_PAGE)] =
				(uint8_t)random_next(&random);
		assert_true(image_try(&image, i));
		image_restore(&image);
	}
}

/* Anything, anywhere in superblock, map and table. */
static void test_random_damage(void **state)
{
	uint64_t random = test_seed("damage");
	unsigned opened = 0, rounds = test_amount(400);

	for (unsigned i = 0; i < rounds; i++) {
		unsigned changes = 1 + (unsigned)random_below(&random, 4);

		while (changes--) {
			uint64_t block = random_below(&random, IMAGE_BLOCKS);
			uint64_t other = random_below(&random, IMAGE_BLOCKS), *word = &image.table.words[block];

			switch (random_below(&random, 4)) {
			case 0:
				*word = random_next(&random);
				break;
			case 1:
				*word ^= UINT64_C(1) << random_below(&random, 64);
				break;
			case 2:
				*word = image.table.words[other];
				break;
			default:
				*word += (random_below(&random, 9) - 4) << (random_below(&random, 8) * 8);
			}
		}
		opened += image_try(&image, i);
		image_restore(&image);
	}
	assert_true(opened < rounds);
}

int main(void)
{
#define WITH_IMAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_IMAGE(test_whole),         WITH_IMAGE(test_superblock), WITH_IMAGE(test_table_words),
		WITH_IMAGE(test_copied_words),  WITH_IMAGE(test_map),        WITH_IMAGE(test_pool),
		WITH_IMAGE(test_random_damage), WITH_IMAGE(test_hints),      WITH_IMAGE(test_blocks),
	};

	return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}

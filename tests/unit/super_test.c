/* SPDX-License-Identifier: BSD-3-Clause */
/* The superblock: what is taken for ours, what for blank, and what is refused. */
#include "lib/shm.h"
#include "lib/test.h"

#include "segment/claim.h"
#include "segment/super.h"

#include <errno.h>

static const struct super_layout layout = {
	.kind = SUPER_DEVICE,
	.block_size = 4096,
	.table_words = 1000,
	.pool_pages = 640,
	.class_step = 8,
	.class_min = 16,
	.chain = 32,
	.max_objects = 1024,
	.name = "test",
	.codecs = {"", "lz4", "lz4hc"},
};

/* Where things lie: magic 8, version 4, bytes 4, layout, checksum 8, claim 8. */
enum {
	AT_VERSION = 8,
	AT_LAYOUT = 16,
	AT_CHECKSUM = AT_LAYOUT + sizeof(struct super_layout),
	AT_CLAIM = AT_CHECKSUM + 8,
};

static struct segment seg;
static const struct test_shm *shm;

static void attach(void)
{
	struct segment_spec spec;
	const char *step;

	must(segment_parse(shm->memory, &spec) == 0);
	must(segment_open(&seg, &spec, super_segment_bytes(&layout), &step) == 0);
}

static int set_up(void **state)
{
	shm = test_shm_new();
	attach();
	return 0;
}

static int tear_down(void **state)
{
	claim_drop(&seg);
	segment_close(&seg);
	test_shm_remove(shm);
	return 0;
}

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
	assert_true(super_pool_offset(&layout) >= words + 8 * layout.table_words);
	assert_int_equal(map % SEGMENT_PAGE, 0);
	assert_int_equal(words % SEGMENT_PAGE, 0);
	/* What is given back to the system begins on a page of any system. */
	assert_int_equal(super_pool_offset(&layout) % SEGMENT_MAX_SYSTEM_PAGE, 0);
	assert_int_equal(super_segment_bytes(&layout), super_pool_offset(&layout) + layout.pool_pages * SEGMENT_PAGE);
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
	attach();
	assert_false(super_is_blank(&seg));
	assert_int_equal(super_read(&seg, &found, why, sizeof why), 0);
}

/* Every bit of what the checksum covers, and of the checksum: refused with words. */
static void test_every_bit(void **state)
{
	char why[200];

	super_format(&seg, &layout);
	for (unsigned bit = 0; bit < AT_CLAIM * 8; bit++) {
		seg.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (read_super(why) != -EINVAL)
			fail_msg("bit %u of byte %u is not noticed", bit % 8, bit / 8);
		if (strlen(why) < 20)
			fail_msg("bit %u of byte %u: says \"%s\"", bit % 8, bit / 8, why);
		seg.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(read_super(why), 0);
}

static void test_messages(void **state)
{
	char why[200];

	super_format(&seg, &layout);
	seg.base[LOW_BYTE(AT_VERSION, 4)] = 77;
	assert_int_equal(read_super(why), -EINVAL);
	assert_non_null(strstr(why, "version 77"));
	seg.base[LOW_BYTE(AT_VERSION, 4)] = SUPER_VERSION;
	seg.base[AT_LAYOUT]++;
	assert_int_equal(read_super(why), -EINVAL);
	assert_non_null(strstr(why, "checksum"));
	seg.base[0] = 'Z';
	assert_int_equal(read_super(why), -EINVAL);
	assert_non_null(strstr(why, "not made by zsblk"));
}

/* A superblock that promises more than the segment has, with a checksum that is right. */
static void test_larger_than_the_segment(void **state)
{
	const struct super_layout larger[] = {
		{.table_words = 1u << 20, .pool_pages = 640},
		{.table_words = 1000, .pool_pages = 641},
		{.table_words = UINT64_MAX, .pool_pages = 1},
		{.table_words = 1, .pool_pages = UINT64_MAX},
		{.table_words = UINT64_C(1) << 61, .pool_pages = UINT64_C(1) << 52},
	};
	char why[200];

	for (size_t i = 0; i < COUNT_OF(larger); i++) {
		super_format(&seg, &larger[i]);
		assert_int_equal(read_super(why), -EINVAL);
		assert_non_null(strstr(why, "describes more"));
	}
}

/* ------------------------------------------------------------------ blank or not */

static void test_blank(void **state)
{
	segment_close(&seg);
	attach();
	assert_false(seg.fresh);
	/* Nobody claimed it: it may be another program's, made a moment ago. */
	assert_false(super_is_blank(&seg));
	/* Its maker claimed it, and died. */
	memset(seg.base + AT_CLAIM, 0x11, 8);
	assert_true(super_is_blank(&seg));
	/* Or died while writing: all but the magic. */
	super_format(&seg, &layout);
	memset(seg.base, 0, 8);
	assert_true(super_is_blank(&seg));
}

/* Other people's segments, however empty they look. */
static void test_foreign(void **state)
{
	static const unsigned at[] = {0, 7, 8, 12, 16, 100, AT_CHECKSUM, AT_CLAIM + 8, 4095, 4096, 100000};

	for (size_t i = 0; i < COUNT_OF(at); i++) {
		tear_down(NULL);
		attach();
		seg.fresh = false;
		seg.base[at[i]] = 1;
		/* At its very start there may be anything; the rest must be in memory to be seen. */
		if (super_is_blank(&seg))
			fail_msg("a byte at %u, and taken for blank", at[i]);
	}
}

static void test_in_service(void **state)
{
	super_format(&seg, &layout);
	assert_false(super_was_in_service(&seg));
	super_put_in_service(&seg);
	assert_true(super_was_in_service(&seg));
	segment_close(&seg);
	attach();
	assert_true(super_was_in_service(&seg));
}

int main(void)
{
#define WITH_SHM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_SHM(test_offsets),
		WITH_SHM(test_format_and_read),
		WITH_SHM(test_every_bit),
		WITH_SHM(test_messages),
		WITH_SHM(test_larger_than_the_segment),
		WITH_SHM(test_blank),
		WITH_SHM(test_foreign),
		WITH_SHM(test_in_service),
	};

	return cmocka_run_group_tests_name("super", tests, NULL, NULL);
}

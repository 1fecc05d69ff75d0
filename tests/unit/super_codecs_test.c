/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of codecs: what it says, what is refused, and makers of it that are killed at any instruction. */
#include "lib/steps.h"
#include "lib/superblock.h"
#include "lib/test.h"

#include "segment/super_codecs.h"
#include "segment/super_record.h"

#include <errno.h>

/* Of one codec in the record, by docs/format.md. */
enum { NAME_BYTES = 16, CODEC_BYTES = 64, CODECS_BYTES = 8 * CODEC_BYTES };

static struct super_layout found;
static char why[300];

static int read_super(void)
{
	why[0] = '\0';
	return super_read(&seg, &found, why, sizeof why);
}

static void expect_refusal(const char *one, const char *other)
{
	assert_int_equal(read_super(), -EINVAL);
	if (!strstr(why, one) || !strstr(why, other))
		fail_msg("\"%s\" has no \"%s\" or no \"%s\"", why, one, other);
}

static uint8_t *record(void)
{
	return seg.base + 2048;
}

static void write_record(const uint8_t contents[CODECS_BYTES])
{
	super_record_write(record(), 1024, contents, CODECS_BYTES);
	super_seal(&seg);
}

static void test_names(void **state)
{
	struct super_layout now = layout;

	super_format(&seg, &now);
	super_codecs_begin(&seg, &now, 4, "lzma");
	assert_int_equal(read_super(), 0);
	assert_int_equal(found.features.incompatible, SUPER_HAS_CODECS);
	assert_string_equal(found.codecs[1], "lz4");
	assert_string_equal(found.codecs[4], "lzma");
	assert_string_equal(found.codecs[5], "");
	assert_memory_equal(&found, &now, sizeof found);
	assert_int_equal(super_permits(&found, true, why, sizeof why), 0);
	/* A second one beside the first. */
	super_codecs_begin(&seg, &now, 7, "fifteen letters");
	assert_int_equal(read_super(), 0);
	assert_string_equal(found.codecs[4], "lzma");
	assert_string_equal(found.codecs[7], "fifteen letters");
	/* Once more is nothing. */
	memset(record(), 0, 2048);
	super_codecs_begin(&seg, &now, 7, "fifteen letters");
	assert_int_equal(record()[8], 0);
}

static void test_places(void **state)
{
	struct super_layout now = layout;
	uint8_t before[4096];

	super_format(&seg, &now);
	memcpy(before, seg.base, sizeof before);
	super_codecs_begin(&seg, &now, 5, "one");
	assert_memory_equal(record() + 16 + 5 * CODEC_BYTES, "one\0\0\0\0\0\0\0\0\0\0\0\0\0", NAME_BYTES);
	/* Nothing else changes but the feature. */
	assert_memory_equal(seg.base, before, 272);
	assert_memory_equal(seg.base + 280, before + 280, 2048 - 280);
	assert_memory_equal(seg.base + 2048 + 1024, before + 2048 + 1024, 1024);
}

/* What a layout says of codecs from 4 on is not written to the superblock. */
static void test_not_in_the_superblock(void **state)
{
	struct super_layout other = layout;

	strcpy(other.codecs[4], "lzma");
	super_format(&seg, &other);
	assert_int_equal(read_super(), 0);
	assert_string_equal(found.codecs[4], "");
	memcpy(super_of(&seg)->basics.codecs[6], "x", 2);
	super_seal(&seg);
	expect_refusal("codec 6", "\"x\"");
}

static void test_without_the_feature(void **state)
{
	uint8_t contents[CODECS_BYTES] = {0};

	super_format(&seg, &layout);
	memcpy(contents + 4 * CODEC_BYTES, "lzma", 4);
	write_record(contents);
	assert_int_equal(read_super(), 0);
	assert_string_equal(found.codecs[4], "");
}

static void test_damaged(void **state)
{
	struct super_layout now = layout;

	super_format(&seg, &now);
	super_codecs_begin(&seg, &now, 4, "lzma");
	for (unsigned at = 0; at < 1024; at += 7) {
		record()[at] ^= 0x10;
		expect_refusal("damaged", "record of codecs");
		record()[at] ^= 0x10;
	}
	/* The other copy counts no less. */
	super_codecs_begin(&seg, &now, 5, "other");
	record()[1024] ^= 1;
	assert_int_equal(read_super(), 0);
	assert_string_equal(found.codecs[4], "lzma");
	assert_string_equal(found.codecs[5], "");
}

/* What a later version may write there. */
static void test_unknown(void **state)
{
	struct super_layout now = layout;
	uint8_t contents[CODECS_BYTES] = {0};

	super_format(&seg, &now);
	super_codecs_begin(&seg, &now, 4, "lzma");
	memcpy(contents + 4 * CODEC_BYTES, "lzma", 4);
	for (unsigned at = NAME_BYTES; at < CODEC_BYTES; at += 3) {
		contents[4 * CODEC_BYTES + at] = 1;
		write_record(contents);
		expect_refusal("codec 4, \"lzma\"", "dictionary or parameters");
		contents[4 * CODEC_BYTES + at] = 0;
	}
	contents[3 * CODEC_BYTES + NAME_BYTES] = 1;
	write_record(contents);
	expect_refusal("codec 3", "dictionary or parameters");
	contents[3 * CODEC_BYTES + NAME_BYTES] = 0;
	memcpy(contents + 1 * CODEC_BYTES, "lz4", 3);
	write_record(contents);
	expect_refusal("codec 1, \"lz4\"", "does not know");
}

/* ------------------------------------------------------------------ killed at any instruction */

static unsigned looks, seen_old, seen_new;

static void look(void)
{
	looks++;
	if (read_super())
		fail_msg("%u instructions on: %s", looks, why);
	/* A codec only with the feature, and all that were there before. */
	if (found.codecs[4][0] && !(found.features.incompatible & SUPER_HAS_CODECS))
		fail_msg("%u instructions on: a codec without the feature", looks);
	if (found.codecs[5][0] && !found.codecs[4][0])
		fail_msg("%u instructions on: the first codec is gone", looks);
	seen_old += !found.codecs[5][0];
	seen_new += found.codecs[5][0] != 0;
}

static void begin_two(void)
{
	must(read_super() == 0);
	super_codecs_begin(&seg, &found, 4, "lzma");
	super_codecs_begin(&seg, &found, 5, "other");
}

static void test_step_by_step(void **state)
{
	super_format(&seg, &layout);
	if (!steps_through(begin_two, look))
		return;
	assert_true(seen_old > 10 && seen_new > 0);
}

#define WITH_SHM(test) cmocka_unit_test_setup_teardown(test, superblock_set_up, superblock_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SHM(test_names),
		WITH_SHM(test_places),
		WITH_SHM(test_not_in_the_superblock),
		WITH_SHM(test_without_the_feature),
		WITH_SHM(test_damaged),
		WITH_SHM(test_unknown),
		WITH_SHM(test_step_by_step),
	};

	return cmocka_run_group_tests_name("super_codecs", tests, NULL, NULL);
}

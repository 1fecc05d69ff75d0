/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared entries: what an opening finds of them, and refuses; where free ones are found; what a killed process leaves. */
#include "lib/image.h"
#include "lib/test.h"

#include "engine/entries.h"
#include "engine/groups.h"
#include "engine/sector.h"
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

/* Open what there is, and refuse it for this reason. Then make it whole again. */
static void refuse(const char *reason)
{
	struct zsblk_why why = {""};
	struct zsblk *dev;

	assert_int_equal(zsblk_open(&image.params, &dev, &why), -EINVAL);
	if (!strstr(why.text, reason))
		fail_msg("\"%s\" says nothing of \"%s\"", why.text, reason);
	image_restore(&image);
}

static uint64_t *word_of(uint64_t index)
{
	return &image.table.words[index];
}

/* The first block in a group, and one of another group. */
static uint64_t grouped(unsigned n)
{
	uint64_t block = IMAGE_GROUPED, entry = 0;

	for (;; block++) {
		if (!sector_is_shared(*word_of(block)) || word_shared(*word_of(block)).entry == entry)
			continue;
		entry = word_shared(*word_of(block)).entry;
		if (n-- == 0)
			return block;
	}
}

static uint32_t entry_of(uint64_t block)
{
	return word_shared(*word_of(block)).entry;
}

static void set_shared(uint64_t block, uint32_t entry, unsigned place, unsigned n)
{
	const struct word_shared shared = {.entry = entry, .place = (uint8_t)place, .n = (uint8_t)n};

	*word_of(block) = word_make_shared(&shared);
}

/* A group of more than one entry. */
static uint32_t large_entry(void)
{
	uint32_t entry = IMAGE_BLOCKS;

	while (word_type(*word_of(entry)) != WORD_LARGE)
		entry++;
	return entry;
}

static void test_words_of_blocks(void **state)
{
	uint64_t block = grouped(0), other = grouped(1);
	struct word_shared was = word_shared(*word_of(block));

	set_shared(block, IMAGE_BLOCKS - 1, was.place, was.n);
	refuse("no place in the table");
	set_shared(block, UINT32_MAX, was.place, was.n);
	refuse("no place in the table");
	*word_of(block) = *word_of(block + 1);
	refuse("that another block has");
	set_shared(block, was.entry, was.place, was.n - 1u);
	refuse("another number of blocks");
	set_shared(block, was.entry, 15, 2);
	refuse("a place that no group has");
	/* It names the other group, in a place that it may have. */
	*word_of(block) = *word_of(other);
	*word_of(other) = 0;
	assert_true(image_try(&image, 1));
	image_restore(&image);
	*word_of(block) = *word_of(large_entry());
	refuse("a piece of a group");
}

static void test_words_of_entries(void **state)
{
	const struct word_object raw = {.size = 4096, .codec = CODEC_RAW}, lz4 = {.size = 100, .codec = CODEC_LZ4};
	uint32_t entry = large_entry();

	*word_of(entry) = 0;
	refuse("an empty entry that blocks name");
	*word_of(entry + 1) = 0;
	refuse("a group that breaks off");
	*word_of(entry) = word_make_object(WORD_OBJECT, &raw);
	refuse("not compressed");
	*word_of(entry) = word_make_object(WORD_OBJECT, &lz4);
	refuse("a codec that has none");
	*word_of(entry) = word_make_same32(7);
	refuse("no object");
	*word_of(entry) = *word_of(grouped(0));
	refuse("no object");
	set_shared(grouped(0), entry + 1, 0, 16);
	refuse("the middle of a group");
}

/* What the superblock says of groups. */
static void test_features(void **state)
{
	struct super *super = super_of(&image.seg);

	assert_int_equal((uint32_t)super->state.incompatible, SUPER_HAS_SHARED | SUPER_HAS_LARGE);
	super->state.incompatible = format_check(SUPER_HAS_SHARED);
	refuse("does not say that there are any");
	super->state.incompatible = format_check(0);
	refuse("does not say that there are any");
	super->state.incompatible = format_check(SUPER_HAS_SHARED | SUPER_HAS_LARGE | 0x10);
	refuse("features that this zsblk does not know (incompatible 0x10");
}

static struct zsblk *open_image(void)
{
	struct zsblk *dev;

	must(zsblk_open(&image.params, &dev, NULL) == 0);
	device_ok(dev);
	return dev;
}

/* Blocks were overwritten, and the process was killed before it cleared the entries; or before the first block got its word. */
static void test_nobody_names(void **state)
{
	struct zsblk *dev = open_image();
	uint64_t groups = device_stats(dev).groups, used = device_stats(dev).mem_used_total;
	uint32_t entry;

	zsblk_close(dev);
	image_restore(&image);
	for (unsigned pieces = 0; pieces < 2; pieces++) {
		entry = large_entry();
		for (uint64_t block = IMAGE_GROUPED; block < IMAGE_BLOCKS; block++)
			if (sector_is_shared(*word_of(block)) && entry_of(block) == entry)
				*word_of(block) = 0;
		/* The second time, the first piece was cleared already, and its page given back. */
		if (pieces)
			*word_of(entry) = 0;
		dev = open_image();
		assert_int_equal(device_stats(dev).groups, groups - 1);
		assert_true(device_stats(dev).mem_used_total < used);
		assert_int_equal(table_load(&dev->table, entry), 0);
		assert_int_equal(table_load(&dev->table, entry + 1), 0);
		must(zsblk_discard(dev, zsblk_size(dev), 0) == 0);
		assert_int_equal(device_stats(dev).mem_used_total, 0);
		zsblk_close(dev);
		image_restore(&image);
	}
}

/* All groups are gone: the segment says so once it was opened, and a version that knows no groups can open it. */
static void test_no_group_left(void **state)
{
	struct zsblk *dev = open_image();

	zsblk_reset(dev);
	zsblk_close(dev);
	assert_int_equal((uint32_t)super_of(&image.seg)->state.incompatible, SUPER_HAS_SHARED | SUPER_HAS_LARGE);
	zsblk_close(open_image());
	assert_int_equal((uint32_t)super_of(&image.seg)->state.incompatible, 0);
	image_restore(&image);
}

/* ------------------------------------------------------------------ free entries */

static const uint8_t bytes[GROUP_BYTES];

static uint32_t make(struct zsblk *dev, size_t size)
{
	uint32_t entry;
	int r;

	while ((r = entries_make(dev, CODEC_ZSTD, bytes, size, 0, &entry)) == -EAGAIN)
		;
	must(r == 0);
	return entry;
}

/* Entries follow each other, and holes that are large enough are used again. */
static void test_free_entries(void **state)
{
	struct zsblk *dev = device_new(4000);
	uint32_t all[300], first = (uint32_t)dev->layout.max_blocks;

	must(groups_prepare(dev) == 0);
	for (unsigned i = 0; i < 300; i++)
		all[i] = make(dev, i % 3 * BLOCK_BYTES + 1);
	assert_int_equal(all[0], first);
	assert_int_equal(all[299], first + 100 * 6 - 3);
	assert_int_equal(dev->entries.used, 600);
	for (unsigned i = 0; i < 300; i++)
		if (i % 3 != 1)
			entries_unpin(dev, all[i]);
	/* What was freed is found before what was never used: first a hole of 1, then one of 3 and 1 together. */
	all[0] = make(dev, 1);
	assert_int_equal(all[0], first);
	all[2] = make(dev, 3 * BLOCK_BYTES + 1);
	assert_int_equal(all[2], first + 3);
	entries_unpin(dev, all[0]);
	entries_unpin(dev, all[2]);
	for (unsigned i = 1; i < 300; i += 3)
		entries_unpin(dev, all[i]);
	assert_int_equal(dev->entries.used, 0);
	assert_int_equal(device_stats(dev).mem_used_total, 0);
	assert_int_not_equal(table_next_written(&dev->table, first, dev->table.n), dev->table.n);
	entries_keep(dev);
	assert_int_equal(dev->layout.features.incompatible, 0);
	/* But for the page that words of blocks share. */
	assert_int_equal(table_next_written(&dev->table, first + TABLE_PAGE_WORDS, dev->table.n), dev->table.n);
	zsblk_close(dev);
}

/* All entries are in use. */
static void test_no_free_entry(void **state)
{
	struct zsblk *dev = device_new(20);
	uint32_t entry, first = (uint32_t)dev->layout.max_blocks;
	unsigned n = 0;
	int r;

	must(groups_prepare(dev) == 0);
	while ((r = entries_make(dev, CODEC_ZSTD, bytes, 100, 0, &entry)) == 0 || r == -EAGAIN)
		n += r == 0;
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(n, 84);
	entries_unpin(dev, first + 50);
	assert_int_equal(make(dev, 100), first + 50);
	for (unsigned i = 0; i < n; i++)
		entries_unpin(dev, first + i);
	zsblk_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_of_blocks), cmocka_unit_test(test_words_of_entries),
		cmocka_unit_test(test_features),        cmocka_unit_test(test_nobody_names),
		cmocka_unit_test(test_no_group_left),   cmocka_unit_test(test_free_entries),
		cmocka_unit_test(test_no_free_entry),
	};

	return cmocka_run_group_tests_name("entries", tests, set_up, tear_down);
}

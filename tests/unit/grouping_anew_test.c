/* SPDX-License-Identifier: BSD-3-Clause */
/* Freezing: groups of a weaker algorithm are made anew with a stronger one, here those of zstd with LZMA. */
#include "lib/device.h"
#include "lib/test.h"

#include "engine/grouping.h"

#define BLOCKS    3000u
#define AT(block) ((uint64_t)(block)*BLOCK_BYTES)

static struct zsblk *dev;
static const struct zsblk_group_what any = {0};
static const struct zsblk_group_what freeze = {.algorithm = "lzma", .again = true};

static int set_up(void **state)
{
	const struct zsblk_params params = device_params(BLOCKS);

	dev = device_open(&params);
	return 0;
}

static int tear_down(void **state)
{
	device_ok(dev);
	zsblk_close(dev);
	return 0;
}

static struct zsblk_group_figures make_groups(struct zsblk_group_what what)
{
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	struct zsblk_why why = {""};
	bool more = true;

	if (zsblk_group_begin(dev, &what, &job, &why))
		fail_msg("%s", why.text);
	while (more)
		assert_int_equal(zsblk_group_step(job, &figures, &more), 0);
	zsblk_group_end(job);
	return figures;
}

static struct zsblk_block look(uint64_t block)
{
	struct zsblk_block found;
	uint64_t next;

	assert_int_equal(zsblk_blocks(dev, block, &found, 1, &next), 1);
	assert_int_equal(found.block, block);
	return found;
}

static void fill(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		device_put(dev, i, BLOCK_TEXT, i);
}

static void compare(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
	device_ok(dev);
}

static unsigned blocks_of(const char *algorithm, unsigned n)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		found += look(i).algorithm && strcmp(look(i).algorithm, algorithm) == 0;
	return found;
}

/* Groups of zstd are made anew as they are, and once only; single blocks come into groups of LZMA as well. */
static void test_made_anew(void **state)
{
	struct zsblk_group_figures figures;
	uint64_t bytes;

	fill(64);
	make_groups(any);
	for (unsigned i = 64; i < 80; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	/* Without `again`, what is in groups stays as it is. */
	assert_int_equal(make_groups((struct zsblk_group_what){.algorithm = "lzma", .max_groups = 1}).blocks, 16);
	assert_int_equal(blocks_of("zstd", 80), 64);
	assert_int_equal(blocks_of("lzma", 80), 16);
	bytes = device_stats(dev).group_bytes;
	figures = make_groups(freeze);
	assert_int_equal(figures.groups, 4);
	assert_int_equal(figures.blocks, 64);
	assert_true(figures.bytes_saved > 0 && device_stats(dev).group_bytes < bytes);
	assert_int_equal(device_stats(dev).regrouped, 64);
	assert_int_equal(device_stats(dev).groups, 5);
	assert_int_equal(blocks_of("lzma", 80), 80);
	/* Nor does zstd take them back. */
	assert_int_equal(make_groups(freeze).groups, 0);
	assert_int_equal(make_groups((struct zsblk_group_what){.again = true}).groups, 0);
	compare(80);
}

/* A group is made anew when all of its blocks are old enough; what is left of one that is mostly gone, by itself. */
static void test_made_anew_when_old(void **state)
{
	struct zsblk_group_what old = freeze;
	uint64_t marked;

	fill(48);
	make_groups(any);
	must(ages_add_pages(&dev->ages, 0, 1) == 0);
	for (unsigned i = 0; i < 48; i++)
		dev->ages.bytes[i] = 30;
	must(zsblk_mark_idle(dev, 10, &marked) == 0);
	assert_true(device_has(dev, 20, BLOCK_TEXT, 20));
	must(zsblk_discard(dev, 10 * BLOCK_BYTES, AT(32)) == 0);
	old.older_than_s = ages_least(30);
	assert_int_equal(make_groups(old).blocks, 16 + 6);
	assert_string_equal(look(0).algorithm, "lzma");
	assert_string_equal(look(16).algorithm, "zstd");
	assert_string_equal(look(42).algorithm, "lzma");
	for (unsigned i = 0; i < 48; i++)
		assert_true(device_has(dev, i, i >= 32 && i < 42 ? BLOCK_ZERO : BLOCK_TEXT, i));
}

/* What gained nothing with zstd is tried with LZMA, and what gained nothing with that, with neither. */
static void test_made_anew_without_gain(void **state)
{
	for (unsigned i = 0; i < 32; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	assert_int_equal(make_groups(any).given_up, 32);
	assert_int_equal(make_groups(freeze).given_up, 32);
	assert_int_equal(make_groups(freeze).given_up, 0);
	assert_int_equal(make_groups(any).given_up, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_made_anew),
		TEST(test_made_anew_when_old),
		TEST(test_made_anew_without_gain),
	};

	return cmocka_run_group_tests_name("grouping_anew", tests, NULL, NULL);
}

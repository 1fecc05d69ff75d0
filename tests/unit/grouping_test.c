/* SPDX-License-Identifier: BSD-3-Clause */
/* Making groups: which blocks, what is gained, what wins, what is made anew or taken apart, a full pool, failures. */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/grouping.h"
#include "segment/format.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS    3000u
#define AT(block) ((uint64_t)(block)*BLOCK_BYTES)

static struct zsblk *dev;
static struct zsblk_params params;
static struct zsblk_why why;
static const struct zsblk_group_what any = {0};

static int set_up(void **state)
{
	params = device_params(BLOCKS);
	dev = device_open(&params);
	return 0;
}

static int tear_down(void **state)
{
	device_ok(dev);
	zsblk_close(dev);
	return 0;
}

static struct zsblk_grouping *begin(const struct zsblk_group_what *what)
{
	struct zsblk_grouping *job;

	why.text[0] = '\0';
	if (zsblk_group_begin(dev, what, &job, &why))
		fail_msg("%s", why.text);
	return job;
}

static struct zsblk_group_figures finish(struct zsblk_grouping *job)
{
	struct zsblk_group_figures figures;
	bool more = true;

	while (more)
		assert_int_equal(zsblk_group_step(job, &figures, &more), 0);
	zsblk_group_end(job);
	return figures;
}

static struct zsblk_group_figures make_groups(struct zsblk_group_what what)
{
	return finish(begin(&what));
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

static void test_one(void **state)
{
	struct zsblk_group_figures figures;
	struct zsblk_stats before, after;

	fill(16);
	before = device_stats(dev);
	figures = make_groups(any);
	after = device_stats(dev);
	assert_int_equal(figures.groups, 1);
	assert_int_equal(figures.blocks, 16);
	assert_int_equal(figures.done, BLOCKS);
	assert_int_equal(figures.total, BLOCKS);
	assert_int_equal(figures.given_up + figures.failed, 0);
	assert_int_equal(after.groups, 1);
	assert_int_equal(after.group_blocks, 16);
	assert_int_equal(after.blocks_stored, before.blocks_stored);
	assert_int_equal(after.orig_data_size, before.orig_data_size);
	assert_int_equal(after.compr_data_size, after.group_bytes);
	assert_true(after.compr_data_size < before.compr_data_size);
	assert_int_equal(look(3).state, ZSBLK_BLOCK_COLD);
	assert_string_equal(look(3).algorithm, "zstd");
	assert_int_equal(look(3).size, after.group_bytes / 16);
	compare(16);
	after = device_stats(dev);
	assert_int_equal(after.cold_reads, 16);
	assert_int_equal(after.cold_decodes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

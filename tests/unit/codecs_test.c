/* SPDX-License-Identifier: BSD-3-Clause */
/* Codecs that are not for every device: what is made when, what the next server finds, and what is refused. */
#include "lib/device.h"
#include "lib/refusal.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/engine.h"
#include "engine/word.h"
#include "segment/format.h"
#include "segment/super_record.h"
#include "zsblk_cold.h"

#include <errno.h>

#define BLOCKS 600u

static struct zsblk *dev;
static struct zsblk_params params;
static const struct test_shm *shm;

static int set_up(void **state)
{
	shm = test_shm_new();
	params = device_params(BLOCKS);
	params.memory = shm->memory;
	dev = device_open(&params);
	return 0;
}

static int tear_down(void **state)
{
	zsblk_close(dev);
	return 0;
}

static void next_server(void)
{
	zsblk_close(dev);
	dev = device_open(&params);
}

static unsigned codec_of(uint64_t block)
{
	return word_object(table_load(&dev->table, block)).codec;
}

static void fill(uint64_t first, uint64_t end)
{
	for (uint64_t block = first; block < end; block++)
		device_put(dev, block, BLOCK_TEXT, block);
}

static void compare(uint64_t end)
{
	for (uint64_t block = 0; block < end; block++)
		assert_true(device_has(dev, block, BLOCK_TEXT, block));
	device_ok(dev);
}

static bool has_feature(void)
{
	return dev->layout.features.incompatible & SUPER_HAS_CODECS;
}

static bool has_decoders(void)
{
	for (unsigned i = 1; i < dev->contexts.n; i++)
		assert_int_equal(!dev->contexts.all[0].dctx[CODEC_LZMA], !dev->contexts.all[i].dctx[CODEC_LZMA]);
	return dev->contexts.all[0].dctx[CODEC_LZMA];
}

static void test_nothing_without_need(void **state)
{
	fill(0, 100);
	must(zsblk_set_algorithm(dev, "zstd", true, 9, NULL) == 0);
	fill(50, 150);
	compare(150);
	assert_false(has_feature());
	assert_false(has_decoders());
	assert_string_equal(dev->layout.codecs[CODEC_LZMA], "");
	assert_int_equal(codecs_bytes(dev), 0);
}

static void test_changed_to_it(void **state)
{
	uint64_t before = footprint_contexts(dev);

	fill(0, 100);
	must(zsblk_set_algorithm(dev, "lzma", true, 6, NULL) == 0);
	assert_true(has_feature() && has_decoders());
	fill(100, 200);
	assert_int_equal(codec_of(50), CODEC_LZ4);
	assert_int_equal(codec_of(150), CODEC_LZMA);
	compare(200);
	assert_true(codecs_bytes(dev) >= params.contexts * codec_lzma.dctx_size());
	assert_true(footprint_contexts(dev) > before + codecs_bytes(dev));
	/* Objects stay, whatever comes after them. */
	must(zsblk_set_algorithm(dev, "lz4", false, 0, NULL) == 0);
	next_server();
	assert_true(has_feature() && has_decoders());
	compare(200);
	fill(150, 200);
	assert_int_equal(codec_of(150), CODEC_LZ4);
	compare(200);
	/* When the last one is gone, an older version can have the segment again. */
	fill(100, 149);
	next_server();
	assert_true(has_feature());
	fill(149, 150);
	next_server();
	assert_false(has_feature());
	compare(200);
}

/* What cannot begin leaves nothing that a version without LZMA could not read. */
static void test_nothing_of_what_is_refused(void **state)
{
	struct zsblk_recompress all = {.type = ZSBLK_RECOMPRESS_ALL, .algorithm = "zstd"}, with_it = all;
	struct zsblk_group_what groups = {.algorithm = "lzma"};
	struct zsblk_recompression *job, *other;
	struct zsblk_grouping *grouping;

	with_it.algorithm = "lzma";
	fill(0, 100);
	must(zsblk_recompress_begin(dev, &all, &job, NULL) == 0);
	assert_int_equal(zsblk_recompress_begin(dev, &with_it, &other, NULL), -EBUSY);
	assert_int_equal(zsblk_group_begin(dev, &groups, &grouping, NULL), -EBUSY);
	zsblk_recompress_end(job);
	assert_false(has_feature() || has_decoders());
	must(zsblk_group_begin(dev, &groups, &grouping, NULL) == 0);
	assert_true(has_feature() && has_decoders());
	zsblk_group_end(grouping);
	compare(100);
}

static void test_opened_with_it(void **state)
{
	params.algorithm = "lzma";
	next_server();
	assert_true(has_feature() && has_decoders());
	fill(0, 100);
	assert_int_equal(codec_of(0), CODEC_LZMA);
	next_server();
	compare(100);
	params.algorithm = "zstd";
	next_server();
	compare(100);
}

static bool is_told_to_stop(void)
{
	return true;
}

/* Opening a device asks nobody whether to go on: a front end need not be able to tell yet. */
static void test_opening_is_not_interrupted(void **state)
{
	zsblk_close(dev);
	dev = NULL;
	params.algorithm = "lzma";
	params.interrupted = is_told_to_stop;
	assert_int_equal(zsblk_open(&params, &dev, NULL), 0);
	/* The segment says so from the start on. */
	assert_true(!has_feature() && has_decoders());
}

static struct zsblk_recompress_figures recompress(const char *algorithm, int level)
{
	const struct zsblk_recompress what = {
		.type = ZSBLK_RECOMPRESS_ALL, .algorithm = algorithm, .has_level = true, .level = level};
	struct zsblk_recompress_figures figures;
	struct zsblk_recompression *job;
	bool more = true;

	must(zsblk_recompress_begin(dev, &what, &job, NULL) == 0);
	while (more)
		zsblk_recompress_step(job, &figures, &more);
	zsblk_recompress_end(job);
	return figures;
}

static void expect_tried(enum codec_id codec, int level)
{
	assert_int_equal(*super_tried_with(&dev->seg, &dev->layout), (uint64_t)codec << 32 | (uint32_t)level);
}

/* LZMA counts as stronger than zstd, and its level 0 as its weakest, not as its default. */
static void test_recompressed_with_it(void **state)
{
	fill(0, 100);
	must(recompress("lzma", 1).recompressed == 100);
	assert_int_equal(codec_of(99), CODEC_LZMA);
	compare(100);
	expect_tried(CODEC_LZMA, 1);
	recompress("lzma", 0);
	expect_tried(CODEC_LZMA, 1);
	recompress("zstd", 22);
	expect_tried(CODEC_LZMA, 1);
	recompress("lzma", 6);
	expect_tried(CODEC_LZMA, 6);
	compare(100);
	next_server();
	compare(100);
}

/* A group of that codec, and not a block of it. */
static void test_groups_of_it(void **state)
{
	const struct zsblk_group_what what = {.algorithm = "lzma"};
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	bool more = true;

	fill(0, 200);
	must(zsblk_group_begin(dev, &what, &job, NULL) == 0);
	while (more)
		zsblk_group_step(job, &figures, &more);
	zsblk_group_end(job);
	assert_in_range(figures.blocks, 100, 200);
	assert_true(has_feature() && has_decoders());
	assert_string_equal(dev->layout.codecs[CODEC_LZMA], "lzma");
	compare(200);
	next_server();
	compare(200);
}

/* A word of a codec that the segment has no record of is damage: no zsblk stores one. */
static void test_objects_without_a_record(void **state)
{
	struct segment seg = {0};
	struct zsblk_why why = {""};

	params.algorithm = "lzma";
	next_server();
	fill(0, 10);
	zsblk_close(dev);
	dev = NULL;
	seg.base = test_shm_map(shm, &seg.bytes);
	super_of(&seg)->state.incompatible = format_check(0);
	assert_int_equal(zsblk_open(&params, &dev, &why), -EINVAL);
	assert_non_null(strstr(why.text, "record of codecs"));
	super_of(&seg)->state.incompatible = format_check(SUPER_HAS_CODECS);
	shmdt(seg.base);
	dev = device_open(&params);
	compare(10);
}

static void test_unknown_codec(void **state)
{
	struct segment seg = {0};
	struct super_layout layout;
	char why[200];

	zsblk_close(dev);
	dev = NULL;
	seg.base = test_shm_map(shm, &seg.bytes);
	must(super_read(&seg, &layout, why, sizeof why) == 0);
	super_codecs_begin(&seg, &layout, 6, "later");
	expect_refusal(shm, &params, -EINVAL, "codec 6, \"later\"");
	/* Another codec by the number of ours. */
	memset(layout.codecs[6], 0, sizeof layout.codecs[6]);
	super_codecs_begin(&seg, &layout, 4, "lzma-with-more");
	expect_refusal(shm, &params, -EINVAL, "codec 4, \"lzma-with-more\"");
	super_set_incompatible(&seg, &layout, SUPER_HAS_CODECS, false);
	shmdt(seg.base);
	dev = device_open(&params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_without_need, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_changed_to_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_of_what_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_opened_with_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_opening_is_not_interrupted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_recompressed_with_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_groups_of_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_objects_without_a_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown_codec, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("codecs", tests, NULL, NULL);
}

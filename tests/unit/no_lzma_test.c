/* SPDX-License-Identifier: BSD-3-Clause */
/* A build without liblzma: what it offers, and what it makes of a segment that may have objects of LZMA. */
#include "lib/device.h"
#include "lib/refusal.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "codec/codec.h"
#include "segment/super_codecs.h"
#include "zsblk_cold.h"

#include <errno.h>

static void test_not_offered(void **state)
{
	struct zsblk_params params = device_params(100);
	const struct zsblk_group_what group = {.algorithm = "lzma"};
	const struct zsblk_recompress again = {.algorithm = "lzma"};
	struct zsblk_recompression *recompression;
	struct zsblk_grouping *grouping;
	struct zsblk_why why = {""};
	struct zsblk *dev;

	assert_null(codec_by_id(CODEC_LZMA));
	assert_null(codec_by_name("lzma"));
	assert_null(zsblk_algorithm_by_name("lzma"));
	assert_string_equal(zsblk_algorithm(2)->name, "zstd");
	assert_null(zsblk_algorithm(3));
	dev = device_open(&params);
	assert_int_equal(zsblk_set_algorithm(dev, "lzma", false, 0, &why), -EINVAL);
	assert_non_null(strstr(why.text, "algorithm=lzma is not known; use one of lz4, lz4hc, zstd"));
	assert_int_equal(zsblk_group_begin(dev, &group, &grouping, &why), -EINVAL);
	assert_non_null(strstr(why.text, "algorithm=lzma is not known"));
	assert_int_equal(zsblk_recompress_begin(dev, &again, &recompression, &why), -EINVAL);
	assert_non_null(strstr(why.text, "algorithm=lzma is not known"));
	zsblk_close(dev);
	params.algorithm = "lzma";
	assert_int_equal(zsblk_open(&params, &dev, &why), -EINVAL);
	assert_non_null(strstr(why.text, "algorithm=lzma is not known"));
}

/* Whatever the segment has of it, nothing of the segment is touched. */
static void test_segment_with_it(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(100);
	struct super_layout layout;
	struct segment seg = {0};
	char why[200];

	params.memory = shm->memory;
	zsblk_close(device_open(&params));
	seg.base = test_shm_map(shm, &seg.bytes);
	must(super_read(&seg, &layout, why, sizeof why) == 0);
	super_codecs_begin(&seg, &layout, CODEC_LZMA, "lzma");
	shmdt(seg.base);
	expect_refusal(shm, &params, -EINVAL,
		       "blocks compressed with codec 4, \"lzma\", which this zsblk does not have; open it with one");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_offered),
		cmocka_unit_test(test_segment_with_it),
	};

	return cmocka_run_group_tests_name("no_lzma", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters: what passes, and that every refusal names the value and the remedy. */
#include "lib/test.h"

#include "zsblk.h"

#include <errno.h>

static struct zsblk_params good(void)
{
	struct zsblk_params params;

	zsblk_params_init(&params);
	params.size = 1 << 20;
	return params;
}

/* Refused with -EINVAL by the check and by open alike, with these words among the reason. */
static void expect_refusal(const struct zsblk_params *params, const char *value, const char *remedy)
{
	struct zsblk_why why = {""};
	struct zsblk *dev = (struct zsblk *)&why;

	assert_int_equal(zsblk_params_check(params, &why), -EINVAL);
	if (!strstr(why.text, value) || !strstr(why.text, remedy))
		fail_msg("\"%s\" has no \"%s\" or no \"%s\"", why.text, value, remedy);
	assert_int_equal(zsblk_params_check(params, NULL), -EINVAL);
	assert_int_equal(zsblk_open(params, &dev, NULL), -EINVAL);
	assert_null(dev);
}

static void test_defaults(void **state)
{
	struct zsblk_params params;
	struct zsblk_why why;

	memset(&params, 0xff, sizeof params);
	zsblk_params_init(&params);
	assert_int_equal(params.size, 0);
	assert_string_equal(params.algorithm, "lz4");
	assert_string_equal(params.memory, "anon");
	assert_false(params.has_level);
	assert_true(params.lock_shared);
	assert_int_equal(params.mem_limit, 0);
	assert_int_equal(params.reserve, 0);
	params.size = 4096;
	assert_int_equal(zsblk_params_check(&params, &why), 0);
	/* NULL stands for the default. */
	params.algorithm = params.memory = NULL;
	assert_int_equal(zsblk_params_check(&params, &why), 0);
}

static void test_sizes(void **state)
{
	static const uint64_t fine[] = {4096, 8192, 1 << 30, ZSBLK_MAX_SIZE - 4096, ZSBLK_MAX_SIZE};
	struct zsblk_params params = good();

	for (size_t i = 0; i < COUNT_OF(fine); i++) {
		params.size = fine[i];
		assert_int_equal(zsblk_params_check(&params, NULL), 0);
	}
	params.size = 0;
	expect_refusal(&params, "0", "size=");
	params.size = 1;
	expect_refusal(&params, "size=1 ", "4096");
	params.size = 4096 * 10 + 512;
	expect_refusal(&params, "size=41472", "40960 and 45056");
	params.size = ZSBLK_MAX_SIZE + 4096;
	expect_refusal(&params, "17592186048512", "17592186044416");
	params.size = UINT64_MAX;
	expect_refusal(&params, "18446744073709551615", "17592186044416");
	params.size = UINT64_MAX - 4095;
	expect_refusal(&params, "18446744073709547520", "17592186044416");
}

static void test_algorithms(void **state)
{
	struct zsblk_params params = good();

	for (unsigned i = 0; zsblk_algorithm(i); i++) {
		const struct zsblk_algorithm *algorithm = zsblk_algorithm(i);

		assert_ptr_equal(zsblk_algorithm_by_name(algorithm->name), algorithm);
		assert_true(strlen(algorithm->summary) > 10);
		assert_in_range(algorithm->level_default - algorithm->level_min, 0,
				algorithm->level_max - algorithm->level_min);
		params.algorithm = algorithm->name;
		assert_int_equal(zsblk_params_check(&params, NULL), 0);
	}
	assert_string_equal(zsblk_algorithm(0)->name, "lz4");
	assert_non_null(zsblk_algorithm_by_name("lz4hc"));
	assert_non_null(zsblk_algorithm_by_name("zstd"));
	assert_true(zsblk_algorithm_by_name("zstd")->makes_groups);
	assert_false(zsblk_algorithm_by_name("lz4")->makes_groups);
	assert_false(zsblk_algorithm_by_name("lz4hc")->makes_groups);
	assert_int_equal(zsblk_algorithm_by_name("lzma") != NULL, CODEC_HAS_LZMA);
	if (CODEC_HAS_LZMA)
		assert_true(zsblk_algorithm_by_name("lzma")->makes_groups);
	assert_null(zsblk_algorithm_by_name("lzo"));
	assert_null(zsblk_algorithm_by_name(""));
	assert_null(zsblk_algorithm(CODEC_HAS_LZMA ? 4 : 3));
	assert_null(zsblk_algorithm(~0u));
	params.algorithm = "lzo";
	expect_refusal(&params, "algorithm=lzo", CODEC_HAS_LZMA ? "lz4, lz4hc, zstd, lzma" : "lz4, lz4hc, zstd");
	params.algorithm = "LZ4";
	expect_refusal(&params, "algorithm=LZ4", "lz4");
}

static void test_levels(void **state)
{
	struct zsblk_params params = good();

	params.has_level = true;
	for (unsigned i = 0; zsblk_algorithm(i); i++) {
		const struct zsblk_algorithm *algorithm = zsblk_algorithm(i);
		char value[40], range[60];

		params.algorithm = algorithm->name;
		params.level = algorithm->level_min;
		assert_int_equal(zsblk_params_check(&params, NULL), 0);
		params.level = algorithm->level_max;
		assert_int_equal(zsblk_params_check(&params, NULL), 0);
		snprintf(range, sizeof range, "%d to %d", algorithm->level_min, algorithm->level_max);
		params.level = algorithm->level_max + 1;
		snprintf(value, sizeof value, "level=%d", params.level);
		expect_refusal(&params, value, range);
		params.level = algorithm->level_min - 1;
		snprintf(value, sizeof value, "level=%d", params.level);
		expect_refusal(&params, value, range);
	}
	assert_true(zsblk_algorithm_by_name("zstd")->level_min < 0);
	/* Without has_level it does not matter. */
	params.has_level = false;
	params.level = 12345;
	assert_int_equal(zsblk_params_check(&params, NULL), 0);
}

/* So many that their memory, counted in bytes, would not fit into 32 bits. */
static void test_contexts(void **state)
{
	struct zsblk_params params = good();

	params.contexts = ZSBLK_MAX_CONTEXTS;
	assert_int_equal(zsblk_params_check(&params, NULL), 0);
	params.contexts = ZSBLK_MAX_CONTEXTS + 1;
	expect_refusal(&params, "contexts=65537", "1 to 65536");
	params.contexts = UINT32_MAX;
	expect_refusal(&params, "contexts=4294967295", "1 to 65536");
}

static void test_memory(void **state)
{
	static const char *const bad[] = {"disk", "shm:", "shm:0", "shm:key", "shm:id=", "", "shm:1,2"};
	struct zsblk_params params = good();

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		char value[40];

		params.memory = bad[i];
		snprintf(value, sizeof value, "memory=%s", bad[i]);
		expect_refusal(&params, value, "shm:KEY");
	}
	params.memory = "shm:0x7a73";
	assert_int_equal(zsblk_params_check(&params, NULL), 0);
}

static void test_limits(void **state)
{
	struct zsblk_params params = good();

	params.mem_limit = 4096;
	expect_refusal(&params, "mem-limit=4096", "at least");
	params.chain = 1;
	assert_int_equal(zsblk_params_check(&params, NULL), 0);
	params.mem_limit = 4095;
	expect_refusal(&params, "mem-limit=4095", "4096");
	params.chain = 0;
	params.mem_limit = 1 << 20;
	assert_int_equal(zsblk_params_check(&params, NULL), 0);
	params.reserve = 1 << 20;
	assert_int_equal(zsblk_params_check(&params, NULL), 0);
	params.reserve++;
	expect_refusal(&params, "reserve=1048577", "mem-limit=1048576");
	params.mem_limit = 0;
	params.chain = 64;
	assert_int_equal(zsblk_params_check(&params, NULL), 0);
	params.chain = 65;
	expect_refusal(&params, "chain=65", "1 to 64");
}

/* Whatever the parameters are, the answer is yes or no, with a reason. */
static void test_nothing_crashes(void **state)
{
	static const uint64_t numbers[] = {0, 1, 4095, 4096, 1 << 20, UINT64_C(1) << 44, UINT64_MAX};

	for (size_t i = 0; i < 7 * 7 * 7; i++) {
		struct zsblk_params params = good();
		struct zsblk_why why = {""};

		params.size = numbers[i % 7];
		params.mem_limit = numbers[i / 7 % 7];
		params.reserve = numbers[i / 49];
		params.chain = (unsigned)numbers[i % 5];
		if (zsblk_params_check(&params, &why))
			assert_true(strlen(why.text) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_algorithms), cmocka_unit_test(test_levels),
		cmocka_unit_test(test_contexts),   cmocka_unit_test(test_memory),
		cmocka_unit_test(test_limits),     cmocka_unit_test(test_nothing_crashes),
	};

	return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}

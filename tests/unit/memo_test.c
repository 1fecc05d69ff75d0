/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings in the memo: each by itself, beside those of others, and only under the parameter that they were changed under. */
#include "lib/device.h"
#include "lib/test.h"

#include "host/memo.h"

#include <errno.h>

static struct zsblk *dev;

static int begin(void **state)
{
	dev = device_new(16);
	return 0;
}

static int end(void **state)
{
	zsblk_close(dev);
	return 0;
}

static void expect(const char *key, const char *given, const char *wanted)
{
	char now[MEMO_VALUE_MAX];

	if (!wanted) {
		assert_false(memo_adopt(dev, key, given, now));
		return;
	}
	assert_true(memo_adopt(dev, key, given, now));
	assert_string_equal(now, wanted);
}

static void expect_memo(const char *wanted)
{
	char memo[ZSBLK_MEMO_MAX];

	zsblk_memo(dev, memo);
	assert_string_equal(memo, wanted);
}

static void test_changes(void **state)
{
	expect("cpu", "10", NULL);
	assert_int_equal(memo_note(dev, "cpu", "10", "20"), 0);
	assert_int_equal(memo_note(dev, "cpu-more", "no", "yes"), 0);
	expect_memo("cpu=20\t10\ncpu-more=yes\tno\n");
	assert_int_equal(memo_note(dev, "cpu", "10", "30"), 0);
	expect("cpu", "10", "30");
	expect("cpu-more", "no", "yes");
	expect_memo("cpu-more=yes\tno\ncpu=30\t10\n");
}

/* Somebody has decided anew: the change does not come back when the parameter does. */
static void test_another_parameter(void **state)
{
	assert_int_equal(memo_note(dev, "cpu", "10", "20"), 0);
	assert_int_equal(memo_note(dev, "other", "a", "b"), 0);
	expect("cpu", "11", NULL);
	expect_memo("other=b\ta\n");
	expect("cpu", "10", NULL);
	expect("other", "a", "b");
}

/* Of another version, or of nobody. */
static void test_other_texts(void **state)
{
	static const char *const texts[] = {"cpu",      "cpu=",       "cpu=\n",        "cpu=20", "cpu=20\n",
					    "cpu=20\t", "cpu=\t10\n", "xcpu=20\t10\n", "\n\n"};

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		assert_int_equal(zsblk_set_memo(dev, texts[i]), 0);
		expect("cpu", "10", NULL);
	}
	assert_int_equal(zsblk_set_memo(dev, "cpu=20\t10\na line of words"), 0);
	expect("cpu", "10", "20");
	assert_int_equal(memo_note(dev, "cpu", "10", "30"), 0);
	expect_memo("a line of words\ncpu=30\t10\n");
}

static void test_no_room(void **state)
{
	char full[ZSBLK_MEMO_MAX];

	memset(full, 'x', sizeof full);
	full[sizeof full - 10] = '\0';
	assert_int_equal(zsblk_set_memo(dev, full), 0);
	assert_int_equal(memo_note(dev, "cpu", "10", "20"), -E2BIG);
	expect_memo(full);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(changes), TEST(another_parameter), TEST(other_texts), TEST(no_room)};

	return cmocka_run_group_tests_name("memo", tests, NULL, NULL);
}

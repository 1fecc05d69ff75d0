/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings of the policy: every key, good and bad values, and values as texts that are taken again. */
#include "lib/test.h"

#include "host/cold_settings.h"

#include <errno.h>

static struct cold_settings settings;
static struct zsblk_why why;

static int set_up(void **state)
{
	cold_settings_init(&settings);
	return 0;
}

static void set(const char *key, const char *value)
{
	if (cold_settings_set(&settings, key, value, &why))
		fail_msg("%s=%s: %s", key, value, why.text);
}

static void refuse(const char *key, const char *value, const char *reason)
{
	struct cold_settings before = settings;

	assert_int_equal(cold_settings_set(&settings, key, value, &why), -EINVAL);
	assert_non_null(strstr(why.text, key));
	if (!strstr(why.text, reason))
		fail_msg("%s is not in: %s", reason, why.text);
	assert_memory_equal(&before, &settings, sizeof settings);
}

static void expect(const char *wanted)
{
	char text[400] = "", value[COLD_VALUE_BYTES];
	size_t n = 0;

	for (unsigned i = 0; cold_settings_key(i); i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s=%s", i ? " " : "", cold_settings_key(i),
				      cold_settings_value(&settings, i, value));
	assert_string_equal(text, wanted);
}

static void test_defaults(void **state)
{
	bool has_lzma = zsblk_algorithm_by_name("lzma");

	expect(has_lzma
		       ? "cold=no cold-after=15m cold-algorithm=zstd:9 frozen-after=4h frozen-algorithm=lzma:1 cold-rate=0 "
			 "cold-budget=0"
		       : "cold=no cold-after=15m cold-algorithm=zstd:9 frozen-after=never frozen-algorithm=lzma:1 cold-rate=0 "
			 "cold-budget=0");
	assert_int_equal(cold_settings_check(&settings, &why), 0);
	strcpy(settings.frozen.algorithm, "none");
	cold_settings_default_frozen(&settings);
	assert_int_equal(settings.frozen_after_s, 0);
	assert_int_equal(cold_settings_check(&settings, &why), 0);
	set("frozen-after", "5h");
	assert_int_equal(cold_settings_check(&settings, &why), -EINVAL);
	assert_non_null(strstr(why.text, "frozen-algorithm=none"));
	set("frozen-algorithm", "zstd:19");
	cold_settings_default_frozen(&settings);
	assert_int_equal(settings.frozen_after_s, 4 * 3600);
	set("cold-after", "10d");
	cold_settings_default_frozen(&settings);
	assert_int_equal(settings.frozen_after_s, 0);
	set("cold-after", "4d");
	cold_settings_default_frozen(&settings);
	assert_int_equal(settings.frozen_after_s, 64 * 86400);
}

static void test_values(void **state)
{
	set("cold", "yes");
	set("cold-after", "90");
	set("cold-algorithm", "zstd");
	set("frozen-after", "2d");
	set("frozen-algorithm", "zstd:15");
	set("cold-rate", "512K");
	set("cold-budget", "2G");
	assert_true(settings.on);
	assert_string_equal(settings.cold.algorithm, "zstd");
	assert_int_equal(settings.cold.level, zsblk_algorithm_by_name("zstd")->level_default);
	expect("cold=yes cold-after=90s cold-algorithm=zstd:3 frozen-after=2d frozen-algorithm=zstd:15 cold-rate=524288 "
	       "cold-budget=2147483648");
	set("cold", "no");
	set("frozen-after", "never");
	set("cold-algorithm", "zstd:-5");
	expect("cold=no cold-after=90s cold-algorithm=zstd:-5 frozen-after=never frozen-algorithm=zstd:15 cold-rate=524288 "
	       "cold-budget=2147483648");
}

static void test_refused(void **state)
{
	static const char *const ages[] = {"", "0", "-1", "never ", "15min", "74d", "99999999999999999999", "1.5h"};

	for (size_t i = 0; i < COUNT_OF(ages); i++) {
		refuse("cold-after", ages[i], "such as 90s");
		refuse("frozen-after", ages[i], "such as 90s");
	}
	refuse("cold-after", "never", "such as 90s");
	refuse("cold", "on", "yes or no");
	refuse("cold", "", "yes or no");
	refuse("cold-algorithm", "", "no such algorithm");
	refuse("cold-algorithm", "zst", "no such algorithm");
	refuse("cold-algorithm", "zstdzstdzstdzstdzstd", "no such algorithm");
	refuse("cold-algorithm", "lz4", "groups cannot be made with lz4; give zstd");
	refuse("cold-algorithm", "lz4hc:9", "groups cannot be made with lz4hc; give zstd");
	refuse("frozen-algorithm", "lz4:1", "groups cannot be made with lz4; give zstd");
	refuse("cold-algorithm", "zstd:", "give one from");
	refuse("cold-algorithm", "zstd:99", "give one from");
	refuse("cold-algorithm", "zstd:9:9", "give one from");
	refuse("cold-rate", "fast", "512K");
	refuse("cold-budget", "-1", "512K");
	assert_int_equal(cold_settings_set(&settings, "cold-", "1", &why), -ENOENT);
	assert_int_equal(cold_settings_set(&settings, "cold", "maybe", NULL), -EINVAL);
}

static void test_together(void **state)
{
	set("cold-after", "4h");
	set("frozen-algorithm", "zstd:19");
	set("frozen-after", "4h");
	assert_int_equal(cold_settings_check(&settings, &why), -EINVAL);
	assert_string_equal(why.text, "frozen-after=4h is not later than cold-after=4h; give a later one, or never");
	set("frozen-after", "14401");
	assert_int_equal(cold_settings_check(&settings, &why), 0);
	set("frozen-after", "never");
	assert_int_equal(cold_settings_check(&settings, &why), 0);
}

static void test_copies(void **state)
{
	struct cold_settings from = settings;

	from.on = true;
	from.cold_after_s = 77;
	from.frozen.level = 3;
	for (unsigned i = 0; cold_settings_key(i); i++)
		if (i != 4)
			cold_settings_copy(&settings, &from, i);
	assert_true(settings.on);
	assert_int_equal(settings.cold_after_s, 77);
	assert_int_equal(settings.frozen.level, 1);
	cold_settings_copy(&settings, &from, 4);
	assert_memory_equal(&settings, &from, sizeof from);
}

int main(void)
{
#define WITH_SETTINGS(test) cmocka_unit_test_setup(test, set_up)
	const struct CMUnitTest tests[] = {
		WITH_SETTINGS(test_defaults), WITH_SETTINGS(test_values), WITH_SETTINGS(test_refused),
		WITH_SETTINGS(test_together), WITH_SETTINGS(test_copies),
	};

	return cmocka_run_group_tests_name("cold_settings", tests, NULL, NULL);
}

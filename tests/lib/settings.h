/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings under test: set, refused, checked. */
#ifndef TEST_SETTINGS_H
#define TEST_SETTINGS_H

#include "lib/test.h"

#include "daemon/settings/settings.h"

#include <errno.h>

static struct settings settings;

static inline int set_up(void **state)
{
	settings_init(&settings);
	settings.ram_bytes = UINT64_C(4) << 30;
	return 0;
}

static inline int tear_down(void **state)
{
	settings_free(&settings);
	return 0;
}

static inline void again(void)
{
	tear_down(NULL);
	set_up(NULL);
}

static inline void set(const char *key, const char *value)
{
	struct wrong wrong = {""};

	if (settings_set(&settings, key, value, &wrong) != 0)
		fail_msg("%s = %s: %s", key, value, wrong.text);
}

static inline void expect_words(const struct wrong *wrong, const char *one, const char *other)
{
	if (!strstr(wrong->text, one) || !strstr(wrong->text, other))
		fail_msg("\"%s\" has no \"%s\" or no \"%s\"", wrong->text, one, other);
}

static inline void refuse_with(const char *key, const char *value, const char *one, const char *other)
{
	struct wrong wrong = {""};

	assert_int_equal(settings_set(&settings, key, value, &wrong), -EINVAL);
	expect_words(&wrong, one, other);
	assert_int_equal(settings_set(&settings, key, value, NULL), -EINVAL);
}

/* Refused with "KEY = VALUE" and the remedy among the reason. */
static inline void refuse(const char *key, const char *value, const char *remedy)
{
	char both[200];

	snprintf(both, sizeof both, "%s = %s", key, value);
	refuse_with(key, value, both, remedy);
}

static inline void expect_word(const char *key, const char *value)
{
	const char *found = settings_param(&settings, key);

	if (!found || strcmp(found, value) != 0)
		fail_msg("%s is %s, not %s", key, found ? found : "missing", value);
}

static inline void check_fails(const char *one, const char *other)
{
	struct wrong wrong = {""};

	assert_int_equal(settings_check(&settings, &wrong), -EINVAL);
	expect_words(&wrong, one, other);
	assert_int_equal(settings_check(&settings, NULL), -EINVAL);
}

static inline void check_passes(void)
{
	struct wrong wrong = {""};

	if (settings_check(&settings, &wrong) != 0)
		fail_msg("%s", wrong.text);
}

/* Settings that pass. */
static inline void good(void)
{
	again();
	assert_int_equal(settings_name(&settings, "swap0", NULL), 0);
	set("size", "1G");
	check_passes();
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages: what is one, how large it may be, and text that is no UTF-8. */
#include "lib/test.h"

#include "varlink/message.h"

#include <errno.h>
#include <json-c/json.h>

static int error_of(const char *text, size_t length, unsigned values)
{
	int error = 0;
	struct json_object *object = varlink_message_parse(text, length, values, &error);

	if (object) {
		json_object_put(object);
		return 0;
	}
	return error;
}

static void test_objects(void **state)
{
	static const char *const good[] = {
		"{}",
		" { } ",
		"{\"a\": 1}",
		"{\"method\": \"x.y\", \"parameters\": {\"a\": [1, 2, {\"b\": null}]}}",
		"{\"\xc3\xa4\": \"\\u00e4\"}",
	};
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"}",
		"[]",
		"1",
		"null",
		"\"x\"",
		"{} {}",
		"{}x",
		"{\"a\"}",
		"{\"a\": }",
		"{\"a\": 1,}",
		"{'a': 1}",
		"{\"a\": \"\xff\"}",
		"{\"a\": \"\xc3\"}",
		"{\"a\": 1",
		"{\"a\": tru}",
		"// {}",
	};

	for (size_t i = 0; i < COUNT_OF(good); i++)
		if (error_of(good[i], strlen(good[i]), 64))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (error_of(bad[i], strlen(bad[i]), 64) != -EBADMSG)
			fail_msg("%s", bad[i]);
}

/* json-c before 0.18 takes the nearest number that it has; later versions refuse the text. */
static void test_large_number(void **state)
{
	static const char text[] = "{\"a\": 123456789012345678901234567890}";
	int r = error_of(text, strlen(text), 64);

	assert_true(r == 0 || r == -EBADMSG);
}

static void test_depth(void **state)
{
	char text[200];
	size_t at = 0;

	for (unsigned i = 0; i < 40; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "{\"\":");
	assert_int_equal(error_of(text, at, 64), -EBADMSG);
	at += (size_t)snprintf(text + at, sizeof text - at, "1");
	memset(text + at, '}', 40 < sizeof text - at ? 40 : sizeof text - at);
	assert_int_equal(error_of(text, sizeof text, 64), -EBADMSG);
}

static void test_number_of_values(void **state)
{
	/* Brackets and commas in a string are none. */
	static const char text[] = "{\"a\": [1, 2, {}], \"b\": \"{[,,,\\\",,,\"}";

	assert_int_equal(error_of(text, strlen(text), 6), 0);
	assert_int_equal(error_of(text, strlen(text), 5), -EBADMSG);
	/* A quote that json-c does not take for one must not hide what comes after it. */
	assert_int_equal(error_of("{'\"': [{},{},{},{}]}", 21, 4), -EBADMSG);
	assert_int_equal(error_of("{/*\"*/ \"a\": [{},{}]}", 22, 4), -EBADMSG);
}

static void test_print(void **state)
{
	struct json_object *object = json_object_new_object();
	char bytes[12];

	json_object_object_add(object, "a/b", json_object_new_int(1));
	assert_int_equal(varlink_message_print(object, bytes, sizeof bytes), 10);
	assert_string_equal(bytes, "{\"a/b\":1}");
	assert_int_equal(varlink_message_print(object, bytes, 10), 10);
	assert_int_equal(varlink_message_print(object, bytes, 9), -EMSGSIZE);
	json_object_put(object);
}

static void test_clean(void **state)
{
	static const char *const texts[][2] = {
		{"", ""},
		{"plain", "plain"},
		{"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\x80", "?"},
		{"a\xc3", "a?"},
		{"\xc3(", "?("},
		{"\xe2\x82", "??"},
		{"\xf0\x9f\x98", "???"},
		/* Too long a spelling, half a pair, beyond the last character. */
		{"\xc0\xaf", "??"},
		{"\xe0\x80\xaf", "???"},
		{"\xed\xa0\x80", "???"},
		{"\xf4\x90\x80\x80", "????"},
		{"\xf8\x88\x80\x80\x80", "?????"},
		{"\xff\xfe", "??"},
	};

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		char text[32];

		strcpy(text, texts[i][0]);
		varlink_message_clean(text);
		assert_string_equal(text, texts[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects), cmocka_unit_test(test_large_number),
		cmocka_unit_test(test_depth),   cmocka_unit_test(test_number_of_values),
		cmocka_unit_test(test_print),   cmocka_unit_test(test_clean),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}

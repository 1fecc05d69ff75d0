/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages: what is one, how large it may be, and text that is no UTF-8. */
#include "lib/failing.h"
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

static const char *const good[] = {
	"{}",
	" { } ",
	"{\"a\": 1}",
	"{\"method\": \"x.y\", \"parameters\": {\"a\": [1, 2, {\"b\": null}]}}",
	"{\"\xc3\xa4\": \"\\u00e4\"}",
	"{\"a\": [-0, 1.5, -2e3, 1E+2, true, false, \"\\u0000\"]}",
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
	"{\"a\": \"\t\"}",
	"{\"a\": \"\\x\"}",
	"{\"a\": \"\\u12\"}",
	"{\"a\": \"\\ud800\"}",
	"{\"a\": \"\\udc00\"}",
	"{\"a\": \"\\ud800\\u0041\"}",
	"{\"a\": \"",
	"{\"a\": \"\\",
	"{\"a\\u0000b\": 1}",
	"{\"a\": 1, \"a\": 2}",
	"{\"a\": 01}",
	"{\"a\": 1.}",
	"{\"a\": .5}",
	"{\"a\": -}",
	"{\"a\": 1e}",
	"{\"a\": +1}",
	"{\"a\": NaN}",
	"{\"a\": 18446744073709551616}",
	"{\"a\": -9223372036854775809}",
	"{\"a\": [1 2]}",
	"{\"a\": [1,]}",
};

static void test_objects(void **state)
{
	for (size_t i = 0; i < COUNT_OF(good); i++)
		if (error_of(good[i], strlen(good[i]), 64))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (error_of(bad[i], strlen(bad[i]), 64) != -EBADMSG)
			fail_msg("%s", bad[i]);
}

/* What is printed again is the same text. */
static void test_meaning(void **state)
{
	static const char *const texts[] = {
		"{\"a\":-9223372036854775808,\"b\":9223372036854775807,\"c\":18446744073709551615,\"d\":0}",
		"{\"a\":[],\"b\":{},\"c\":[{\"d\":null},true,false,1.5]}",
		"{\"a/b\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\"}",
		"{\"\":\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\"}",
	};
	static const char escaped[] = "{\"a\": \"\\u00e4\\u20AC\\ud83d\\uDE00\\/\"}";
	char bytes[200];
	int error;

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct json_object *object = varlink_message_parse(texts[i], strlen(texts[i]), 64, &error);

		assert_non_null(object);
		assert_int_equal(varlink_message_print(object, bytes, sizeof bytes), strlen(texts[i]) + 1);
		assert_string_equal(bytes, texts[i]);
		json_object_put(object);
	}
	struct json_object *object = varlink_message_parse(escaped, strlen(escaped), 64, &error);

	assert_string_equal(json_object_get_string(json_object_object_get(object, "a")),
			    "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80/");
	json_object_put(object);
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

/* What is no character does not make a reply that nobody can read. */
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
		char bytes[100], wanted[100];

		snprintf(wanted, sizeof wanted, "{\"parameters\":{\"t\":\"%s\"}}", texts[i][1]);
		assert_int_equal(varlink_message_print_text(NULL, "t", texts[i][0], bytes, sizeof bytes),
				 strlen(wanted) + 1);
		assert_string_equal(bytes, wanted);
	}
}

static void test_texts(void **state)
{
	static const char with_error[] = "{\"error\":\"a.B\",\"parameters\":{\"reason\":\"\\\"\"}}";
	char bytes[100];

	assert_int_equal(varlink_message_print_text("a.B", "reason", "\"", bytes, sizeof bytes), sizeof with_error);
	assert_string_equal(bytes, with_error);
	assert_int_equal(varlink_message_print_text(NULL, NULL, NULL, bytes, sizeof bytes), 18);
	assert_string_equal(bytes, "{\"parameters\":{}}");
	assert_int_equal(varlink_message_print_text(NULL, NULL, NULL, bytes, 17), -EMSGSIZE);
}

/* ------------------------------------------------------------------ no memory */

/* A call that has lost a member is another call: Stop, for instance, without "unless_used". */
static void test_no_memory(void **state)
{
	static const char text[] =
		"{\"method\":\"a.Stop\",\"parameters\":{\"unless_used\":true,\"list\":[1,\"x\",1.5,{}]}}";
	char bytes[sizeof text];
	bool all = false;

	for (unsigned n = 1; !all && n < 200; n++) {
		struct json_object *object;
		int error;

		allocations = 0;
		failing = n;
		object = varlink_message_parse(text, strlen(text), 64, &error);
		all = allocations < n;
		failing = 0;
		if (!object) {
			assert_int_equal(error, -ENOMEM);
			continue;
		}
		failing = 1;
		allocations = 0;
		assert_int_equal(varlink_message_print(object, bytes, sizeof bytes), sizeof text);
		failing = 0;
		/* Printing takes none. */
		assert_int_equal(allocations, 0);
		assert_string_equal(bytes, text);
		json_object_put(object);
	}
	assert_true(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects), cmocka_unit_test(test_meaning),
		cmocka_unit_test(test_depth),   cmocka_unit_test(test_number_of_values),
		cmocka_unit_test(test_print),   cmocka_unit_test(test_clean),
		cmocka_unit_test(test_texts),   cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}

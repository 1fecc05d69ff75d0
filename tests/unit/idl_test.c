/* SPDX-License-Identifier: BSD-3-Clause */
/* The texts of the interfaces: what they are read as, and which parameters fit. */
#include "lib/test.h"

#include "varlink/idl.h"

#include <json-c/json.h>
#include <string.h>

/* Everything that the language has and a method of ours could. */
static const char text[] = "# A comment, with method Commented(a: int) -> ()\n"
			   "interface org.example.Test\n"
			   "type Thing (method: string, deep: (a: int, b: []Thing))\n"
			   "method Nothing() -> ()\n"
			   "# method Gone() -> ()\n"
			   "method All(i: int, b: bool, s: string, # why\n"
			   "  f: float, e: (one, two), oi: ?int, oe: ?(three, four)) -> (things: []Thing)\n"
			   "error Wrong (reason: string)\n"
			   "method Last(x: ?string) -> (y: [string]int)\n";

static void test_names(void **state)
{
	static const char *const names[] = {"Nothing", "All", "Last"};
	const char *name;
	char method[IDL_NAME_MAX];
	size_t length;

	idl_name(text, &name, &length);
	assert_int_equal(length, strlen("org.example.Test"));
	assert_memory_equal(name, "org.example.Test", length);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(idl_method(text, i, method));
		assert_string_equal(method, names[i]);
		assert_true(idl_has_method(text, names[i]));
	}
	assert_false(idl_method(text, 3, method));
}

static void test_no_such_method(void **state)
{
	static const char *const names[] = {"",      "method",  "Gone",   "Commented", "Wrong",
					    "Thing", "nothing", "Nothin", "Nothing2",  "i"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_false(idl_has_method(text, names[i]));
}

/* The name of the parameter that is wrong, or NULL. */
static const char *wrong_of(const char *method, const char *parameters)
{
	struct json_object *object = parameters ? json_tokener_parse(parameters) : NULL;
	static char wrong[IDL_NAME_MAX];
	bool fits;

	assert_true(!parameters || json_object_is_type(object, json_type_object));
	fits = idl_check(text, method, object, wrong);
	json_object_put(object);
	return fits ? NULL : wrong;
}

static void expect_wrong(const char *method, const char *parameters, const char *name)
{
	const char *wrong = wrong_of(method, parameters);

	if (!wrong || strcmp(wrong, name) != 0)
		fail_msg("%s is wrong, and %s should be", wrong ? wrong : "nothing", name);
}

#define GOOD "\"i\": 1, \"b\": true, \"s\": \"x\", \"f\": 1.5, \"e\": \"two\""

static void test_fitting(void **state)
{
	static const char *const good[] = {
		"{" GOOD "}",
		"{" GOOD ", \"oi\": null}",
		"{" GOOD ", \"oi\": -9223372036854775808, \"oe\": \"four\"}",
		"{\"i\": 9223372036854775807, \"b\": false, \"s\": \"\", \"f\": 2, \"e\": \"one\"}",
	};

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_null(wrong_of("All", good[i]));
	assert_null(wrong_of("Nothing", NULL));
	assert_null(wrong_of("Nothing", "{}"));
	assert_null(wrong_of("Last", NULL));
	assert_null(wrong_of("Last", "{\"x\": \"y\"}"));
}

static void test_missing_and_unknown(void **state)
{
	expect_wrong("All", NULL, "i");
	expect_wrong("All", "{}", "i");
	expect_wrong("All", "{\"i\": null, \"b\": true, \"s\": \"x\", \"f\": 1.5, \"e\": \"two\"}", "i");
	expect_wrong("All", "{\"i\": 1, \"b\": true, \"s\": \"x\", \"f\": 1.5}", "e");
	expect_wrong("All", "{" GOOD ", \"more\": 1}", "more");
	expect_wrong("All", "{" GOOD ", \"I\": 1}", "I");
	expect_wrong("Nothing", "{\"x\": null}", "x");
	expect_wrong("Nothing", "{\"\": 1}", "");
	/* A name that is longer than there is room for. */
	expect_wrong("Nothing", "{\"a23456789012345678901234567890123456789012345678901234567890123456789\": 1}",
		     "a23456789012345678901234567890123456789012345678901234567890123");
}

static void test_wrong_types(void **state)
{
	static const char *const parameters[][2] = {
		{"i", "{\"i\": \"1\"}"},
		{"i", "{\"i\": 1.0}"},
		{"i", "{\"i\": 9223372036854775808}"},
		{"i", "{\"i\": 18446744073709551615}"},
		{"i", "{\"i\": true}"},
		{"i", "{\"i\": [1]}"},
		{"b", "{\"i\": 1, \"b\": 1}"},
		{"s", "{\"i\": 1, \"b\": true, \"s\": 1}"},
		/* Nobody would see what is behind the NUL. */
		{"s", "{\"i\": 1, \"b\": true, \"s\": \"x\\u0000y\"}"},
		{"f", "{\"i\": 1, \"b\": true, \"s\": \"x\", \"f\": \"1\"}"},
		{"e", "{\"i\": 1, \"b\": true, \"s\": \"x\", \"f\": 1, \"e\": \"three\"}"},
		{"e", "{\"i\": 1, \"b\": true, \"s\": \"x\", \"f\": 1, \"e\": \"\"}"},
		{"e", "{\"i\": 1, \"b\": true, \"s\": \"x\", \"f\": 1, \"e\": \",\"}"},
		{"e", "{\"i\": 1, \"b\": true, \"s\": \"x\", \"f\": 1, \"e\": \"one, two\"}"},
		{"e", "{\"i\": 1, \"b\": true, \"s\": \"x\", \"f\": 1, \"e\": 1}"},
		{"oi", "{" GOOD ", \"oi\": \"\"}"},
		{"oe", "{" GOOD ", \"oe\": \"one\"}"},
	};

	for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
		expect_wrong("All", parameters[i][1], parameters[i][0]);
}

static void check_text(const char *idl, const char *wanted)
{
	char method[IDL_NAME_MAX];
	const char *name;
	size_t length;
	unsigned n = 0;

	idl_name(idl, &name, &length);
	assert_int_equal(length, strlen(wanted));
	assert_memory_equal(name, wanted, length);
	while (idl_method(idl, n, method)) {
		assert_true(idl_has_method(idl, method));
		n++;
	}
	assert_true(n >= 2);
}

static void test_our_texts(void **state)
{
	check_text(idl_device, "org.zsblk.Device");
	check_text(idl_daemon, "org.zsblk.Daemon");
	check_text(idl_service, "org.varlink.service");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),       cmocka_unit_test(test_no_such_method),
		cmocka_unit_test(test_fitting),     cmocka_unit_test(test_missing_and_unknown),
		cmocka_unit_test(test_wrong_types), cmocka_unit_test(test_our_texts),
	};

	return cmocka_run_group_tests_name("idl", tests, NULL, NULL);
}

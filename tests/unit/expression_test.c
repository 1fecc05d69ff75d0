/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes in the language of zram-generator: what they come to, and what is said of those that are
 * none. */
#include "lib/random.h"
#include "lib/test.h"

#include "daemon/settings/expression.h"
#include "daemon/settings/settings.h"

#include <errno.h>

#define KIB(n) (UINT64_C(1024) * (n))
#define MIB(n) (UINT64_C(1048576) * (n))
#define GIB(n) (MIB(1024) * (n))

/* 4000.5 MiB: the memory of a machine is no round number. */
#define RAM (MIB(4000) + KIB(512))

static void expect(const char *text, uint64_t bytes)
{
	struct wrong wrong = {""};
	uint64_t found = 1;

	if (expression_bytes(text, RAM, &found, &wrong) != 0)
		fail_msg("%s: %s", text, wrong.text);
	if (found != bytes)
		fail_msg("%s is %" PRIu64 ", not %" PRIu64, text, found, bytes);
}

/* Refused, with the text itself and these words among the reason; the result is left alone. */
static void refuse_with(const char *text, uint64_t ram, const char *one, const char *other)
{
	struct wrong wrong = {""};
	uint64_t found = 77;

	assert_int_equal(expression_bytes(text, ram, &found, &wrong), -EINVAL);
	assert_int_equal(found, 77);
	if (!strstr(wrong.text, one) || !strstr(wrong.text, other))
		fail_msg("\"%s\" has no \"%s\" or no \"%s\"", wrong.text, one, other);
	assert_int_equal(expression_bytes(text, ram, &found, NULL), -EINVAL);
}

static void refuse(const char *text, const char *remedy)
{
	refuse_with(text, RAM, text, remedy);
}

static void test_plain(void **state)
{
	expect("1", MIB(1));
	expect("4096", GIB(4));
	expect("0", 0);
	expect("0.5", KIB(512));
	expect("  512  ", MIB(512));
	expect("1e3", MIB(1000));
	expect("512M", MIB(512));
	expect("2G", GIB(2));
	expect("1.5G", MIB(1536));
	expect(".5G", MIB(512));
	expect("1T", GIB(1024));
	expect("16T", GIB(16384));
	expect("16777216", GIB(16384));
	expect("4096K", MIB(4));
	expect("4096B", 4096);
	expect("17592186044415B", GIB(16384) - 1);
	expect("1B", 1);
	expect("2 G", GIB(2));
	/* nbdkit takes small letters too. */
	expect("2b", 2);
	expect("3k", KIB(3));
	expect("4m", MIB(4));
	expect("5g", GIB(5));
	expect("6t", GIB(6144));
}

static void test_language(void **state)
{
	expect("ram", RAM);
	expect("ram / 2", RAM / 2);
	expect("ram/2", RAM / 2);
	expect("ram * 2", RAM * 2);
	expect("ram - 500.5", MIB(3500));
	expect("ram+ram", RAM * 2);
	expect("min(ram / 2, 4096)", RAM / 2);
	expect("min(ram,2048)", GIB(2));
	expect("max(ram / 2, 4096)", GIB(4));
	expect("max(1, 2, 3, 2)", MIB(3));
	expect("min(3, 2, 1, 2)", MIB(1));
	expect("min(7)", MIB(7));
	expect("max(min(ram, 1024), 512) * (1 + 1)", GIB(2));
	expect("((((5))))", MIB(5));
	expect("-1 + 3", MIB(2));
	expect("2 + 3 * 4", MIB(14));
	expect("12 / 3 / 2", MIB(2));
	/* Suffixes work within, too. */
	expect("min(ram / 2, 1G)", GIB(1));
	expect("1G + 512M", MIB(1536));
	expect("2G*2", GIB(4));
	expect("2G/2", GIB(1));
	expect("2G-1G", GIB(1));
	expect("1G+1", MIB(1025));
	expect("(1 + 1)G", GIB(2));
}

/* What is a fraction of a byte too little for doubles is not a byte less. */
static void test_rounding(void **state)
{
	expect("0.1 * 3 * 10", MIB(3));
	expect("ram / 3 * 3", RAM);
	expect("ram * 0.1 * 10", RAM);
	expect("0.4B", 0);
	expect("0.6B", 1);
}

static void test_ends_early(void **state)
{
	refuse("5 +", "a number, or ram, is missing");
	refuse("min(", "is missing");
	refuse("min(ram", "a ')' is missing");
	refuse("(1 + 2", "a ')' is missing");
}

static void test_not_known(void **state)
{
	static const char *const names[] = {"foo", "sin", "sqrt", "rnd", "sum", "avg", "e", "pi", "RAM", "if"};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char text[40], word[40];

		snprintf(text, sizeof text, "2 * %s(1)", names[i]);
		snprintf(word, sizeof word, "'%s', character 5", names[i]);
		refuse_with(text, RAM, text, word);
		refuse_with(text, RAM, "ram, min(), max()", "suffixes B, K, M, G and T");
	}
	refuse("2GiB", "'iB', character 3");
	refuse("2GB", "'B', character 3");
	refuse("2E", "'2E', character 1");
	refuse("0x10", "'x10', character 2");
	refuse("2ram", "'ram', character 2, is not understood there");
	refuse("ramG", "'ramG'");
	refuse("inf", "'inf'");
	refuse("nan", "'nan'");
}

static void test_not_understood(void **state)
{
	refuse("1 2", "'2', character 3");
	refuse("ram 2", "'2', character 5");
	refuse("ram ram", "'ram', character 5, is not understood there");
	refuse("ram G", "'G', character 5, is not understood there");
	refuse("* 3", "'*', character 1");
	refuse("1)", "')', character 2");
	refuse("()", "')', character 2");
	refuse("min(1,)", "')', character 7");
	refuse("min(,1)", "',', character 5");
	refuse("min()", "512M, 2G");
	refuse("min", "'min', character 1");
	refuse("(1, 2)", "not understood");
	refuse("1.2.3", "'.3', character 4");
	refuse("1..2", "'.2', character 3");
	refuse("1e400", "'1e400'");
	refuse("2G3", "'3', character 3");
	refuse("1, 2", "is 2 sizes; give one");
	refuse("1,2,3", "is 3 sizes");
	refuse_with("", RAM, "there is no size", "512M");
	refuse_with(" \t ", RAM, "there is no size", "2G");
}

/* Operators that other languages have. */
static void test_operators(void **state)
{
	static const char *const signs[] = {"^", "=",  "<", ">", "<=", "!=", "==", "&&", "||", "?", ":", "%",
					    "!", "\"", "'", "$", "{",  "#",  "_",  "\\", ";",  "é", "×", "²"};

	for (size_t i = 0; i < COUNT_OF(signs); i++) {
		char text[40], sign[40];

		snprintf(text, sizeof text, "ram %s 3", signs[i]);
		/* Of operators of two characters the first one is in the message. */
		snprintf(sign, sizeof sign, "'%.*s', character 5, is not understood",
			 (unsigned char)signs[i][0] < 0x80 ? 1 : 2, signs[i]);
		if (signs[i][0] == '_')
			snprintf(sign, sizeof sign, "'_', character 5");
		refuse(text, sign);
	}
	/* Nothing was assigned. */
	expect("ram", RAM);
}

static void test_values(void **state)
{
	refuse("1 / 0", "divided by zero");
	refuse("0 / 0", "divided by zero");
	refuse("-1 / 0", "divided by zero");
	/* However little of it would be left. */
	refuse("min(1 / 0, 5)", "divided by zero");
	refuse("max(5, 0 / 0)", "divided by zero");
	refuse("1e300 * 1e300", "far too large");
	refuse("-5", "-5 MiB; a size cannot be negative");
	refuse("ram - 9999.5", "is -5999 MiB");
	refuse("17T", "17825792 MiB; the most there can be is 16777216 MiB, 16T");
	refuse("16777217", "without a suffix is in MiB");
	/* Somebody who thinks that it is bytes. */
	refuse("17179869184", "is 1.717986918e+10 MiB");
	refuse("1e30", "1e+30 MiB");
}

static void test_without_ram(void **state)
{
	uint64_t bytes;

	assert_int_equal(expression_bytes("3 * 2G", 0, &bytes, NULL), 0);
	assert_int_equal(bytes, GIB(6));
	refuse_with("ram / 2", 0, "ram / 2", "give a number");
	refuse_with("min(4, ram)", 0, "min(4, ram)", "not known here");
	refuse_with("ramb", 0, "'ramb'", "there are ram");
}

static void test_long(void **state)
{
	enum { half = EXPRESSION_MAX_CHARS / 2 - 1 };
	static char text[100 * 1024];
	uint64_t bytes;

	memset(text, '(', sizeof text - 1);
	refuse_with(text, RAM, "'((((((((((((((((((((...'", "100 characters");
	/* As deep as the limit lets it be. */
	text[EXPRESSION_MAX_CHARS] = '\0';
	refuse(text, "a number, or ram, is missing");
	text[half] = '1';
	memset(text + half + 1, ')', half);
	text[2 * half + 1] = '\0';
	expect(text, MIB(1));
	/* The remedy is there, whatever has to be shown before it. */
	memset(text, 'x', EXPRESSION_MAX_CHARS);
	text[EXPRESSION_MAX_CHARS] = '\0';
	refuse(text, "'xxxxxxxxxxxxxxxxxxxx', character 1, is not known; there are ram, min(), max()");
	refuse(text, "suffixes B, K, M, G and T");
	memset(text, '-', EXPRESSION_MAX_CHARS);
	assert_int_equal(expression_bytes(text, RAM, &bytes, NULL), -EINVAL);
}

/* Whatever it is, the answer is a size or a reason. */
static void test_nothing_crashes(void **state)
{
	static const char *const parts[] = {"ram", "min(", "max(", "(",    ")", ",", "+", "-",  "*",
					    "/",   "1",    "2.5",  "G",    "K", " ", ".", "e",  "E",
					    "B",   "x",    "1e9",  "\xff", "=", "_", "M", "\t", "0"};
	uint64_t random = test_seed("expression");

	for (unsigned round = 0; round < test_amount(20000); round++) {
		struct wrong wrong = {""};
		char text[128] = "";
		uint64_t bytes = 0;

		for (unsigned i = 0; i < 1 + round % 12; i++) {
			random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			strcat(text, parts[(random >> 33) % COUNT_OF(parts)]);
		}
		if (expression_bytes(text, RAM, &bytes, &wrong) == 0) {
			assert_true(bytes <= GIB(16384));
			assert_string_equal(wrong.text, "");
		} else {
			assert_true(strlen(wrong.text) > 10);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),           cmocka_unit_test(test_language),
		cmocka_unit_test(test_rounding),        cmocka_unit_test(test_ends_early),
		cmocka_unit_test(test_not_known),       cmocka_unit_test(test_not_understood),
		cmocka_unit_test(test_operators),       cmocka_unit_test(test_values),
		cmocka_unit_test(test_without_ram),     cmocka_unit_test(test_long),
		cmocka_unit_test(test_nothing_crashes),
	};

	return cmocka_run_group_tests_name("expression", tests, NULL, NULL);
}

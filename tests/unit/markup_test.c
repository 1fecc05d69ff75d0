/* SPDX-License-Identifier: BSD-3-Clause */
/* Text in HTML and SVG, and command lines in it. Whatever bytes there are, none of them is a tag, an attribute or an invisible character. */
#include "lib/test.h"

#include "bench/markup.h"

#include <stdlib.h>
#include <string.h>

static char *shown;
static size_t shown_bytes;

static FILE *begin(void)
{
	FILE *out = open_memstream(&shown, &shown_bytes);

	assert_non_null(out);
	return out;
}

static void expect(FILE *out, const char *wanted)
{
	assert_int_equal(fclose(out), 0);
	assert_string_equal(shown, wanted);
	free(shown);
}

static void test_text(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"", ""},
		{"plain", "plain"},
		{"<script>alert('&\"')</script>", "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;"},
		{"a\tb\nc\x7f", "a?b?c?"},
		/* Two, three and four bytes. */
		{"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"},
		/* No UTF-8: alone, cut short, too long for what it is, a surrogate, beyond all characters. */
		{"\x80", "?"},
		{"\xff", "?"},
		{"\xc3", "?"},
		{"\xe2\x82", "??"},
		{"\xe2\x82<", "??&lt;"},
		{"\xc0\xbc", "??"},
		{"\xe0\x80\xbc", "???"},
		{"\xed\xa0\x80", "?"},
		{"\xf4\x90\x80\x80", "?"},
		{"\xf8\x88\x80\x80\x80", "?????"},
		/* Next line, soft hyphen, right-to-left override, a separator, a byte order mark, a tag. */
		{"\xc2\x85\xc2\xad\xe2\x80\xae\xe2\x80\xa8\xef\xbb\xbf\xf3\xa0\x80\x81", "??????"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		FILE *out = begin();

		markup_text(out, cases[i].text);
		expect(out, cases[i].wanted);
	}
}

static void test_print(void **state)
{
	char long_text[3000];
	FILE *out = begin();

	markup_print(out, "%s %d", "<b>", 7);
	expect(out, "&lt;b&gt; 7");
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	out = begin();
	markup_print(out, "%s", long_text);
	long_text[1023] = '\0';
	expect(out, long_text);
}

static void test_command(void **state)
{
	static const char *const plain[] = {"zsblk-bench", "--report", "/tmp/x_1", "-a", "lz4,zstd:3", NULL};
	static const char *const odd[] = {"", "a b", "it's", "\\", "$(x)", "\xc3\xbc\n", "<&>", NULL};
	FILE *out = begin();

	markup_command(out, plain);
	expect(out, "zsblk-bench --report /tmp/x_1 -a lz4,zstd:3");
	out = begin();
	markup_command(out, odd);
	/* An apostrophe is &#39; in each place. */
	expect(out,
	       "$&#39;&#39; $&#39;a b&#39; $&#39;it\\&#39;s&#39; $&#39;\\\\&#39; $&#39;$(x)&#39; $&#39;\\303\\274\\012&#39; "
	       "$&#39;&lt;&amp;&gt;&#39;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

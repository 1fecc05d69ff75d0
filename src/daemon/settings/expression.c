/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes, evaluated by muParser. See expression.h.
 *
 * muParser knows far more than is wanted here. Its functions and constants are cleared; its operators (^ < && = ?: and more)
 * cannot be, so characters that only they need are refused before it sees them.
 */
#include "daemon/settings/expression.h"

#include "daemon/settings/settings.h"
#include "zsblk.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include <muParserDLL.h>

#define MIB      1048576.0
#define MAX_MIB  ((double)ZSBLK_MAX_SIZE / MIB)
#define EXAMPLES "512M, 2G, or min(ram / 2, 4096) in MiB"

/* Of muParser's error codes, which its C header leaves out. */
enum { ERROR_UNKNOWN = 1, ERROR_ENDS = 2, ERROR_NO_PARENTHESIS = 11 };

static double least(const double *values, int n)
{
	double result = values[0];

	for (int i = 1; i < n; i++)
		result = values[i] < result ? values[i] : result;
	return result;
}

static double most(const double *values, int n)
{
	double result = values[0];

	for (int i = 1; i < n; i++)
		result = values[i] > result ? values[i] : result;
	return result;
}

static double suffix_b(double n)
{
	return n / MIB;
}

static double suffix_k(double n)
{
	return n / 1024;
}

static double suffix_m(double n)
{
	return n;
}

static double suffix_g(double n)
{
	return n * 1024;
}

static double suffix_t(double n)
{
	return n * MIB;
}

static void define_language(muParserHandle_t parser, double *ram)
{
	static const struct {
		const char *upper, *lower;
		muFun1_t function;
	} suffixes[] = {
		{"B", "b", suffix_b}, {"K", "k", suffix_k}, {"M", "m", suffix_m},
		{"G", "g", suffix_g}, {"T", "t", suffix_t},
	};

	mupClearFun(parser);
	mupClearConst(parser);
	mupDefineMultFun(parser, "min", least, 0);
	mupDefineMultFun(parser, "max", most, 0);
	if (*ram > 0)
		mupDefineVar(parser, "ram", ram);
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		mupDefinePostfixOprt(parser, suffixes[i].upper, suffixes[i].function, 0);
		mupDefinePostfixOprt(parser, suffixes[i].lower, suffixes[i].function, 0);
	}
}

/* How much of the text at a place is one word, number or sign, to be shown; of a long one the start. */
static int token_length(const char *at)
{
	int n = 0;

	while (isalnum((unsigned char)at[n]) || at[n] == '.' || at[n] == '_')
		n++;
	/* Not a part of a character that takes several bytes. */
	if (!n)
		do
			n++;
		while (((unsigned char)at[n] & 0xc0) == 0x80);
	return n < 20 ? n : 20;
}

static int not_understood(const char *text, size_t place, struct wrong *wrong)
{
	const char *at = text + place;

	if (!*at)
		return wrong_say(wrong, "'%s' is not understood; give a size such as " EXAMPLES, text);
	return wrong_say(wrong,
			 "'%s': '%.*s', character %zu, is not understood there; give a size such "
			 "as " EXAMPLES,
			 text, token_length(at), at, place + 1);
}

static int not_known(const char *text, size_t place, double ram, struct wrong *wrong)
{
	const char *at = text + place;
	int length = token_length(at);

	if (ram <= 0 && length == 3 && strncmp(at, "ram", 3) == 0)
		return wrong_say(wrong, "'%s': how large ram is, is not known here; give a number", text);
	return wrong_say(wrong,
			 "'%s': '%.*s', character %zu, is not known; there are ram, min(), max(), and the "
			 "suffixes B, K, M, G and T",
			 text, length, at, place + 1);
}

static int check_characters(const char *text, struct wrong *wrong)
{
	size_t fine = strspn(text, "0123456789.,+-*/() \t"
				   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (strlen(text) > EXPRESSION_MAX_CHARS)
		return wrong_say(wrong, "'%.20s...' is longer than %d characters; give a size such as " EXAMPLES, text,
				 EXPRESSION_MAX_CHARS);
	if (!text[strspn(text, " \t")])
		return wrong_say(wrong, "there is no size; give one such as " EXAMPLES);
	return text[fine] ? not_understood(text, fine, wrong) : 0;
}

static int parser_error(muParserHandle_t parser, const char *text, double ram, struct wrong *wrong)
{
	int code = mupGetErrorCode(parser), at = mupGetErrorPos(parser);
	size_t place = at >= 0 && (size_t)at < strlen(text) ? (size_t)at : strlen(text);

	if (code == ERROR_ENDS)
		return wrong_say(wrong, "'%s' ends too early: a number, or ram, is missing", text);
	if (code == ERROR_NO_PARENTHESIS)
		return wrong_say(wrong, "'%s' ends too early: a ')' is missing", text);
	if (code == ERROR_UNKNOWN && isalpha((unsigned char)text[place]))
		return not_known(text, place, ram, wrong);
	return not_understood(text, place, wrong);
}

/* The value in MiB, whatever it is. */
static int evaluate(const char *text, double ram, double *mib, struct wrong *wrong)
{
	muParserHandle_t parser = mupCreate(muBASETYPE_FLOAT);
	const double *values = NULL;
	int n = 0, r = 0;

	if (!parser)
		return wrong_say(wrong, "no memory");
	define_language(parser, &ram);
	mupSetExpr(parser, text);
	if (!mupError(parser))
		values = mupEvalMulti(parser, &n);
	if (mupError(parser))
		r = parser_error(parser, text, ram, wrong);
	else if (!values || n != 1)
		r = wrong_say(wrong, "'%s' is %d sizes; give one, or put min() or max() around them", text, n);
	else
		*mib = values[0];
	mupRelease(parser);
	return r;
}

int expression_bytes(const char *text, uint64_t ram_bytes, uint64_t *bytes, struct wrong *wrong)
{
	double mib = 0;
	int r = check_characters(text, wrong);

	if (r == 0)
		r = evaluate(text, (double)ram_bytes / MIB, &mib, wrong);
	if (r < 0)
		return r;
	if (!isfinite(mib))
		return wrong_say(wrong, "'%s' has no value: something is divided by zero, or is far too large", text);
	if (mib < 0)
		return wrong_say(wrong, "'%s' is %.10g MiB; a size cannot be negative", text, mib);
	if (mib > MAX_MIB)
		return wrong_say(wrong,
				 "'%s' is %.10g MiB; the most there can be is %.10g MiB, 16T, and a number "
				 "without a suffix is in MiB",
				 text, mib, MAX_MIB);
	*bytes = (uint64_t)(mib * MIB + 0.5);
	return 0;
}

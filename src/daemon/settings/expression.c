/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes, evaluated by recursive descent. See expression.h.
 *
 *   list    = sum { "," sum }                           more than one is refused, but counted for the message
 *   sum     = product { ( "+" | "-" ) product }
 *   product = factor { ( "*" | "/" ) factor }
 *   factor  = ( "+" | "-" ) factor  |  "ram"  |  operand [ suffix ]
 *   operand = number  |  "(" sum ")"  |  ( "min" | "max" ) "(" sum { "," sum } ")"
 *
 * Blanks may stand between any two of these. Nothing is allocated, and the length of the text bounds the depth.
 *
 * A library for expressions would bring the C++ run-time into a process that has to stay small and locked, for what is evaluated
 * once, at the start.
 */
#include "daemon/settings/expression.h"

#include "daemon/base/wrong.h"
#include "text/size.h"
#include "zsblk.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MIB      1048576.0
#define MAX_MIB  ((double)ZSBLK_MAX_SIZE / MIB)
#define EXAMPLES "512M, 2G, or min(ram / 2, 4096) in MiB"
/* Of a word, so many characters are shown. */
#define WORD_SHOWN 20

#define BLANKS  " \t"
#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct parser {
	const char *text;
	const char *at; /* what was not read yet */
	double ram;     /* MiB; 0: not known */
	struct wrong *wrong;
};

/* ------------------------------------------------------------------ words and signs */

static void skip_blanks(struct parser *parser)
{
	parser->at += strspn(parser->at, BLANKS);
}

/* The sign that comes next. */
static char next_sign(struct parser *parser)
{
	skip_blanks(parser);
	return *parser->at;
}

/* True if the sign comes next; then it is read. */
static bool take_sign(struct parser *parser, char sign)
{
	if (next_sign(parser) != sign)
		return false;
	parser->at++;
	return true;
}

/* The length of the word that comes next; 0: what comes next is no word. */
static size_t word_length(const char *at)
{
	return isdigit((unsigned char)*at) ? 0 : strspn(at, LETTERS DIGITS "_");
}

static bool is_word(const char *at, const char *word)
{
	size_t length = strlen(word);

	return word_length(at) == length && strncmp(at, word, length) == 0;
}

/* True if the word comes next; then it is read. */
static bool take_word(struct parser *parser, const char *word)
{
	skip_blanks(parser);
	if (!is_word(parser->at, word))
		return false;
	parser->at += strlen(word);
	return true;
}

/* How many MiB a suffix stands for; 0: it is none. P and E are none here: the largest size is 16T, and an E begins an exponent. */
static double suffix_mib(char suffix)
{
	double mib = (double)size_unit(suffix) / MIB;

	return mib <= MIB ? mib : 0;
}

/* ------------------------------------------------------------------ what is said of mistakes */

/* How many bytes of a word, a number or a sign are shown: a long one is cut, a character of several bytes is not. */
static int shown_length(const char *at)
{
	size_t length = strspn(at, LETTERS DIGITS "._");

	if (!length)
		do
			length++;
		while (((unsigned char)at[length] & 0xc0) == 0x80);
	return length < WORD_SHOWN ? (int)length : WORD_SHOWN;
}

/* What stands at `at` may be right elsewhere. */
static int misplaced(const struct parser *parser, const char *at)
{
	return wrong_say(parser->wrong,
			 "'%s': '%.*s', character %zu, is not understood there; give a size such as " EXAMPLES,
			 parser->text, shown_length(at), at, (size_t)(at - parser->text) + 1);
}

/* What comes next was not expected there. */
static int unexpected(struct parser *parser)
{
	const char *at = parser->at;

	if (!word_length(at) || is_word(at, "ram") || is_word(at, "min") || is_word(at, "max") ||
	    (word_length(at) == 1 && suffix_mib(*at) != 0))
		return misplaced(parser, at);
	return wrong_say(
		parser->wrong,
		"'%s': '%.*s', character %zu, is not known; there are ram, min(), max(), and the suffixes B, K, M, "
		"G and T",
		parser->text, shown_length(at), at, (size_t)(at - parser->text) + 1);
}

static int has_no_value(const struct parser *parser)
{
	return wrong_say(parser->wrong, "'%s' has no value: something is divided by zero, or is far too large",
			 parser->text);
}

/* ------------------------------------------------------------------ the grammar: each function reads what it is called after */

static int parse_sum(struct parser *parser, double *mib);

static int close_parenthesis(struct parser *parser)
{
	if (take_sign(parser, ')'))
		return 0;
	if (!*parser->at)
		return wrong_say(parser->wrong, "'%s' ends too early: a ')' is missing", parser->text);
	return unexpected(parser);
}

static int parse_number(struct parser *parser, double *mib)
{
	const char *start = parser->at, *at = start + strspn(start, DIGITS);

	if (*at == '.')
		at += 1 + strspn(at + 1, DIGITS);
	if (*at == 'e' || *at == 'E') {
		at++;
		at += *at == '+' || *at == '-';
		if (!isdigit((unsigned char)*at))
			return misplaced(parser, start);
		at += strspn(at, DIGITS);
	}
	/* Of 0x10 strtod() takes more than the 0; the x, which was not read, is refused then. */
	*mib = strtod(start, NULL);
	parser->at = at;
	return isfinite(*mib) ? 0 : misplaced(parser, start);
}

/* The arguments of min() or max(), and the parentheses around them. */
static int parse_arguments(struct parser *parser, bool largest, double *mib)
{
	const char *name = parser->at - strlen("min");
	double other;
	int r;

	if (!take_sign(parser, '('))
		return misplaced(parser, name);
	r = parse_sum(parser, mib);
	while (!r && take_sign(parser, ',')) {
		r = parse_sum(parser, &other);
		if (!r && (largest ? other > *mib : other < *mib))
			*mib = other;
	}
	return r ? r : close_parenthesis(parser);
}

static int parse_operand(struct parser *parser, double *mib)
{
	const char *at;
	int r;

	if (take_word(parser, "min"))
		return parse_arguments(parser, false, mib);
	if (take_word(parser, "max"))
		return parse_arguments(parser, true, mib);
	if (take_sign(parser, '(')) {
		r = parse_sum(parser, mib);
		return r ? r : close_parenthesis(parser);
	}
	at = parser->at;
	if (isdigit((unsigned char)at[0]) || (at[0] == '.' && isdigit((unsigned char)at[1])))
		return parse_number(parser, mib);
	if (!*at)
		return wrong_say(parser->wrong, "'%s' ends too early: a number, or ram, is missing", parser->text);
	return unexpected(parser);
}

static int parse_factor(struct parser *parser, double *mib)
{
	double unit;
	int r;

	if (take_sign(parser, '+'))
		return parse_factor(parser, mib);
	if (take_sign(parser, '-')) {
		r = parse_factor(parser, mib);
		*mib = -*mib;
		return r;
	}
	if (take_word(parser, "ram")) {
		*mib = parser->ram;
		return parser->ram > 0
			       ? 0
			       : wrong_say(parser->wrong, "'%s': how large ram is, is not known here; give a number",
					   parser->text);
	}
	r = parse_operand(parser, mib);
	if (r)
		return r;
	unit = suffix_mib(next_sign(parser));
	/* One letter: what follows is wrong, and is what the message shows. */
	if (unit != 0) {
		*mib *= unit;
		parser->at++;
	}
	return isfinite(*mib) ? 0 : has_no_value(parser);
}

static int parse_product(struct parser *parser, double *mib)
{
	int r = parse_factor(parser, mib);
	double factor;

	while (!r && (next_sign(parser) == '*' || *parser->at == '/')) {
		bool divides = *parser->at++ == '/';

		r = parse_factor(parser, &factor);
		if (r)
			break;
		*mib = divides ? *mib / factor : *mib * factor;
		if (!isfinite(*mib))
			r = has_no_value(parser);
	}
	return r;
}

static int parse_sum(struct parser *parser, double *mib)
{
	int r = parse_product(parser, mib);
	double term;

	while (!r && (next_sign(parser) == '+' || *parser->at == '-')) {
		bool subtracts = *parser->at++ == '-';

		r = parse_product(parser, &term);
		if (r)
			break;
		*mib += subtracts ? -term : term;
		if (!isfinite(*mib))
			r = has_no_value(parser);
	}
	return r;
}

static int parse_list(struct parser *parser, double *mib)
{
	int r = parse_sum(parser, mib);
	unsigned n = 1;
	double other;

	for (; !r && take_sign(parser, ','); n++)
		r = parse_sum(parser, &other);
	if (r)
		return r;
	if (next_sign(parser))
		return unexpected(parser);
	if (n > 1)
		return wrong_say(parser->wrong, "'%s' is %u sizes; give one, or put min() or max() around them",
				 parser->text, n);
	return 0;
}

/* ------------------------------------------------------------------ the whole */

int expression_bytes(const char *text, uint64_t ram_bytes, uint64_t *bytes, struct wrong *wrong)
{
	struct parser parser = {.text = text, .at = text, .ram = (double)ram_bytes / MIB, .wrong = wrong};
	double mib = 0;
	int r;

	if (strlen(text) > EXPRESSION_MAX_CHARS)
		return wrong_say(wrong, "'%.20s...' is longer than %d characters; give a size such as " EXAMPLES, text,
				 EXPRESSION_MAX_CHARS);
	if (!next_sign(&parser))
		return wrong_say(wrong, "there is no size; give one such as " EXAMPLES);
	r = parse_list(&parser, &mib);
	if (r)
		return r;
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

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From text to json-c's objects. See message.h. Source of the grammar: RFC 8259.
 *
 * json-c has a parser, too. When there is no memory, that one leaves members out (json-c 0.16), so that a call means something else, or
 * takes the process down. And it takes more than JSON: comments, and names in single quotes. Here the text is what it says, or -ENOMEM.
 *
 * Each parse_ function begins at `at` and ends behind what it has read, or sets `error`.
 */
#include "varlink/message.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Objects in objects. GetLatencies has the deepest reply: parameters, latencies, one of them, buckets, one of them. */
#define DEPTH_MAX 12
/* Characters of a number. */
#define NUMBER_MAX 64

struct parser {
	const char *at, *end;
	char *decoded; /* strings without their escapes, each with a NUL; never longer than the text with its quotes */
	unsigned values; /* so many more may come */
	unsigned depth;
	int error;
};

static bool parse_value(struct parser *parser, struct json_object **value);

static bool fail(struct parser *parser, int error)
{
	parser->error = error;
	return false;
}

static void skip_blanks(struct parser *parser)
{
	while (parser->at < parser->end && *parser->at && strchr(" \t\n\r", *parser->at))
		parser->at++;
}

/* The next character; 0: there is none. */
static char peek(const struct parser *parser)
{
	return parser->at < parser->end ? *parser->at : '\0';
}

static bool skip(struct parser *parser, char wanted)
{
	skip_blanks(parser);
	if (peek(parser) != wanted)
		return false;
	parser->at++;
	return true;
}

/* ------------------------------------------------------------------ strings */

/* Four hexadecimal digits. */
static bool parse_unit(struct parser *parser, uint32_t *unit)
{
	static const char digits[] = "0123456789abcdef";

	*unit = 0;
	for (unsigned i = 0; i < 4; i++, parser->at++) {
		char c = peek(parser);
		const char *digit = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;

		if (!digit)
			return fail(parser, -EBADMSG);
		*unit = *unit << 4 | (uint32_t)(digit - digits);
	}
	return true;
}

static char *encode(char *to, uint32_t code)
{
	if (code < 0x80) {
		*to++ = (char)code;
	} else if (code < 0x800) {
		*to++ = (char)(0xC0 | code >> 6);
		*to++ = (char)(0x80 | (code & 0x3F));
	} else {
		if (code < 0x10000) {
			*to++ = (char)(0xE0 | code >> 12);
		} else {
			*to++ = (char)(0xF0 | code >> 18);
			*to++ = (char)(0x80 | (code >> 12 & 0x3F));
		}
		*to++ = (char)(0x80 | (code >> 6 & 0x3F));
		*to++ = (char)(0x80 | (code & 0x3F));
	}
	return to;
}

/* Behind "\u". A character beyond 16 bits is two halves, the higher one first. */
static bool parse_code(struct parser *parser, char **to)
{
	uint32_t code, low;

	if (!parse_unit(parser, &code))
		return false;
	if (code >= 0xD800 && code < 0xE000) {
		if (code >= 0xDC00 || parser->end - parser->at < 2 || memcmp(parser->at, "\\u", 2) != 0)
			return fail(parser, -EBADMSG);
		parser->at += 2;
		if (!parse_unit(parser, &low))
			return false;
		if (low < 0xDC00 || low >= 0xE000)
			return fail(parser, -EBADMSG);
		code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
	}
	*to = encode(*to, code);
	return true;
}

/* Behind the backslash. */
static bool parse_escape(struct parser *parser, char **to)
{
	static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	char c = peek(parser);
	const char *name = c ? strchr(names, c) : NULL;

	parser->at++;
	if (c == 'u')
		return parse_code(parser, to);
	if (!name)
		return fail(parser, -EBADMSG);
	*(*to)++ = meant[name - names];
	return true;
}

/* With a NUL, which is not counted; others can be in it. */
static bool parse_string(struct parser *parser, const char **string, size_t *length)
{
	char *to = parser->decoded;

	*string = to;
	if (!skip(parser, '"'))
		return fail(parser, -EBADMSG);
	while (peek(parser) != '"') {
		unsigned n = varlink_character_length(parser->at, (size_t)(parser->end - parser->at));

		if (!n || (unsigned char)*parser->at < ' ')
			return fail(parser, -EBADMSG);
		if (*parser->at == '\\') {
			parser->at++;
			if (!parse_escape(parser, &to))
				return false;
			continue;
		}
		memcpy(to, parser->at, n);
		to += n;
		parser->at += n;
	}
	parser->at++;
	*length = (size_t)(to - *string);
	*to = '\0';
	parser->decoded = to + 1;
	return true;
}

/* ------------------------------------------------------------------ the other values */

static bool set(struct parser *parser, struct json_object **value, struct json_object *made)
{
	*value = made;
	return made || fail(parser, -ENOMEM);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One digit or more; false: there is none. */
static bool skip_digits(const char **at)
{
	const char *start = *at;

	while (is_digit(**at))
		++*at;
	return *at > start;
}

/* Is all of it a number? *is_whole: without fraction and exponent. */
static bool is_number(const char *text, bool *is_whole)
{
	bool good;

	text += *text == '-';
	good = *text != '0' || !is_digit(text[1]);
	good = skip_digits(&text) && good;
	*is_whole = !*text;
	if (*text == '.') {
		text++;
		good = skip_digits(&text) && good;
	}
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		good = skip_digits(&text) && good;
	}
	return good && !*text;
}

static bool parse_number(struct parser *parser, struct json_object **value)
{
	char text[NUMBER_MAX + 1];
	bool is_whole;
	size_t n = 0;

	while (n < NUMBER_MAX && peek(parser) && strchr("0123456789+-.eE", peek(parser)))
		text[n++] = *parser->at++;
	text[n] = '\0';
	if (!is_number(text, &is_whole))
		return fail(parser, -EBADMSG);
	if (!is_whole)
		return set(parser, value, json_object_new_double(strtod(text, NULL)));
	errno = 0;
	if (text[0] == '-') {
		long long number = strtoll(text, NULL, 10);

		return errno ? fail(parser, -EBADMSG) : set(parser, value, json_object_new_int64(number));
	}
	unsigned long long number = strtoull(text, NULL, 10);

	if (errno)
		return fail(parser, -EBADMSG);
	return set(parser, value,
		   number <= INT64_MAX ? json_object_new_int64((int64_t)number) : json_object_new_uint64(number));
}

static bool parse_word(struct parser *parser, struct json_object **value)
{
	static const char *const words[] = {"false", "true", "null"};

	for (int i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(parser->end - parser->at) < n || memcmp(parser->at, words[i], n) != 0)
			continue;
		parser->at += n;
		*value = NULL;
		return i == 2 || set(parser, value, json_object_new_boolean(i));
	}
	return fail(parser, -EBADMSG);
}

static bool parse_member(struct parser *parser, struct json_object *object)
{
	struct json_object *value = NULL;
	const char *name;
	size_t length;

	if (!parse_string(parser, &name, &length))
		return false;
	/* A name twice, or with a NUL, which json-c's names do not have. */
	if (strlen(name) != length || json_object_object_get_ex(object, name, NULL) || !skip(parser, ':'))
		return fail(parser, -EBADMSG);
	if (!parse_value(parser, &value))
		return false;
	if (json_object_object_add(object, name, value) == 0)
		return true;
	json_object_put(value);
	return fail(parser, -ENOMEM);
}

static bool parse_element(struct parser *parser, struct json_object *array)
{
	struct json_object *value = NULL;

	if (!parse_value(parser, &value))
		return false;
	if (json_object_array_add(array, value) == 0)
		return true;
	json_object_put(value);
	return fail(parser, -ENOMEM);
}

/* An object or array, which *value is as soon as it has been made: whoever has it puts it. */
static bool parse_container(struct parser *parser, struct json_object **value, char close)
{
	bool is_object = close == '}', good = true;

	parser->at++;
	if (!set(parser, value, is_object ? json_object_new_object() : json_object_new_array()))
		return false;
	if (skip(parser, close))
		return true;
	if (++parser->depth > DEPTH_MAX)
		return fail(parser, -EBADMSG);
	do {
		good = is_object ? parse_member(parser, *value) : parse_element(parser, *value);
	} while (good && skip(parser, ','));
	parser->depth--;
	return good && (skip(parser, close) || fail(parser, -EBADMSG));
}

static bool parse_any(struct parser *parser, struct json_object **value)
{
	const char *string;
	size_t length;

	switch (peek(parser)) {
	case '{':
		return parse_container(parser, value, '}');
	case '[':
		return parse_container(parser, value, ']');
	case '"':
		return parse_string(parser, &string, &length) &&
		       set(parser, value, json_object_new_string_len(string, (int)length));
	default:
		return is_digit(peek(parser)) || peek(parser) == '-' ? parse_number(parser, value)
								     : parse_word(parser, value);
	}
}

/* *value is NULL after an error, and if the text says null. */
static bool parse_value(struct parser *parser, struct json_object **value)
{
	*value = NULL;
	skip_blanks(parser);
	if (!parser->values--)
		return fail(parser, -EBADMSG);
	if (parse_any(parser, value))
		return true;
	json_object_put(*value);
	*value = NULL;
	return false;
}

struct json_object *varlink_message_parse(const char *text, size_t length, unsigned values, int *error)
{
	char *decoded = malloc(length + 1);
	struct parser parser = {.at = text, .end = text + length, .decoded = decoded, .values = values};
	struct json_object *object;

	*error = -ENOMEM;
	if (!decoded)
		return NULL;
	if (parse_value(&parser, &object)) {
		skip_blanks(&parser);
		if (parser.at < parser.end || !json_object_is_type(object, json_type_object)) {
			parser.error = -EBADMSG;
			json_object_put(object);
			object = NULL;
		}
	}
	free(decoded);
	*error = parser.error;
	return object;
}

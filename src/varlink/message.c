/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of Varlink. See message.h. */
#include "varlink/message.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

/* Objects in objects. GetLatencies has the deepest reply: parameters, latencies, one of them, buckets, one of them. */
#define DEPTH_MAX 12

/*
 * At most so many values: each but the first of an object or array comes after a comma, the others after a bracket. json-c takes names in
 * single quotes as well, and comments, in which quotes and brackets mean something else. So a text with these has too many.
 */
static unsigned count_values(const char *text, size_t length)
{
	unsigned n = 0;
	bool quoted = false;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '"')
			quoted = !quoted;
		else if (quoted && text[i] == '\\')
			i++;
		else if (!quoted && (text[i] == '\'' || text[i] == '/'))
			return UINT_MAX;
		else if (!quoted && (text[i] == ',' || text[i] == '{' || text[i] == '['))
			n++;
	}
	return n;
}

struct json_object *varlink_message_parse(const char *text, size_t length, unsigned values, int *error)
{
	struct json_tokener *tokener;
	struct json_object *object;

	*error = -EBADMSG;
	if (count_values(text, length) > values)
		return NULL;
	*error = -ENOMEM;
	tokener = json_tokener_new_ex(DEPTH_MAX);
	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text, (int)length);
	if (json_tokener_get_error(tokener) != json_tokener_success || !json_object_is_type(object, json_type_object) ||
	    json_tokener_get_parse_end(tokener) != length) {
		*error = -EBADMSG;
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

ssize_t varlink_message_print(struct json_object *message, char *bytes, size_t size)
{
	size_t length;
	const char *text = json_object_to_json_string_length(
		message, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);

	if (!text)
		return -ENOMEM;
	if (length >= size)
		return -EMSGSIZE;
	memcpy(bytes, text, length);
	bytes[length] = '\0';
	return (ssize_t)length + 1;
}

/* The length of the character that begins there; 0: there is none. */
static unsigned character_length(const unsigned char *at)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned length = at[0] < 0x80   ? 1
			  : at[0] < 0xC0 ? 0
			  : at[0] < 0xE0 ? 2
			  : at[0] < 0xF0 ? 3
			  : at[0] < 0xF8 ? 4
					 : 0;
	unsigned code = length > 1 ? at[0] & (0x7Fu >> length) : at[0];

	for (unsigned i = 1; i < length; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3Fu);
	}
	/* One spelling for each, no halves of pairs, and no more than there are. */
	return length > 1 && (code < least[length] || (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF) ? 0
													    : length;
}

void varlink_message_clean(char *text)
{
	while (*text) {
		unsigned length = character_length((const unsigned char *)text);

		if (!length)
			*text = '?';
		text += length ? length : 1;
	}
}

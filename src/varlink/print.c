/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From json-c's objects to text. See message.h. Nothing here allocates: what has been done can be answered when there is no memory. (json-c's
 * own printer allocates, and leaves out what it has no memory for.)
 */
#include "varlink/message.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* `used` goes on beyond `size`, of what does not fit. */
struct printer {
	char *bytes;
	size_t size, used;
};

static void print_value(struct printer *printer, struct json_object *value);

static void print_bytes(struct printer *printer, const char *bytes, size_t n)
{
	if (printer->used < printer->size && n <= printer->size - printer->used)
		memcpy(printer->bytes + printer->used, bytes, n);
	printer->used += n;
}

static void print_word(struct printer *printer, const char *word)
{
	print_bytes(printer, word, strlen(word));
}

static void print_character(struct printer *printer, char c)
{
	static const char names[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
	const char *name = c ? strchr(meant, c) : NULL;
	char escape[8];

	if (name)
		print_bytes(printer, (char[]){'\\', names[name - meant]}, 2);
	else if ((unsigned char)c < ' ')
		print_bytes(printer, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c));
	else
		print_bytes(printer, &c, 1);
}

static void print_string(struct printer *printer, const char *string, size_t length)
{
	print_word(printer, "\"");
	for (size_t i = 0; i < length;) {
		unsigned n = varlink_character_length(string + i, length - i);

		if (n > 1)
			print_bytes(printer, string + i, n);
		else
			print_character(printer, n ? string[i] : '?');
		i += n ? n : 1;
	}
	print_word(printer, "\"");
}

static void print_name(struct printer *printer, const char *name)
{
	print_string(printer, name, strlen(name));
	print_word(printer, ":");
}

static void print_integer(struct printer *printer, struct json_object *value)
{
	int64_t number = json_object_get_int64(value);
	char text[24];

	if (number < INT64_MAX)
		snprintf(text, sizeof text, "%" PRId64, number);
	else
		snprintf(text, sizeof text, "%" PRIu64, json_object_get_uint64(value));
	print_word(printer, text);
}

static void print_double(struct printer *printer, struct json_object *value)
{
	char text[40];

	snprintf(text, sizeof text, "%.17g", json_object_get_double(value));
	print_word(printer, text);
}

static void print_object(struct printer *printer, struct json_object *object)
{
	print_word(printer, "{");
	for (struct lh_entry *entry = json_object_get_object(object)->head; entry; entry = entry->next) {
		print_name(printer, lh_entry_k(entry));
		print_value(printer, (struct json_object *)lh_entry_v(entry));
		if (entry->next)
			print_word(printer, ",");
	}
	print_word(printer, "}");
}

static void print_array(struct printer *printer, struct json_object *array)
{
	size_t n = json_object_array_length(array);

	print_word(printer, "[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			print_word(printer, ",");
		print_value(printer, json_object_array_get_idx(array, i));
	}
	print_word(printer, "]");
}

static void print_value(struct printer *printer, struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		print_word(printer, "null");
		break;
	case json_type_boolean:
		print_word(printer, json_object_get_boolean(value) ? "true" : "false");
		break;
	case json_type_double:
		print_double(printer, value);
		break;
	case json_type_int:
		print_integer(printer, value);
		break;
	case json_type_object:
		print_object(printer, value);
		break;
	case json_type_array:
		print_array(printer, value);
		break;
	case json_type_string:
		print_string(printer, json_object_get_string(value), (size_t)json_object_get_string_len(value));
		break;
	}
}

static ssize_t end(struct printer *printer)
{
	print_bytes(printer, "", 1);
	return printer->used <= printer->size ? (ssize_t)printer->used : -EMSGSIZE;
}

ssize_t varlink_message_print(struct json_object *message, char *bytes, size_t size)
{
	struct printer printer = {bytes, size, 0};

	print_value(&printer, message);
	return end(&printer);
}

ssize_t varlink_message_print_text(const char *error, const char *name, const char *text, char *bytes, size_t size)
{
	struct printer printer = {bytes, size, 0};

	print_word(&printer, "{");
	if (error) {
		print_name(&printer, "error");
		print_string(&printer, error, strlen(error));
		print_word(&printer, ",");
	}
	print_name(&printer, "parameters");
	print_word(&printer, "{");
	if (name) {
		print_name(&printer, name);
		print_string(&printer, text, strlen(text));
	}
	print_word(&printer, "}}");
	return end(&printer);
}

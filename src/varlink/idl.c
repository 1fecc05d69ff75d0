/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interfaces. See idl.h. The texts are our own, and tests/unit/idl_test.c reads all of them, so that what is read here is a text
 * without faults:
 *
 *   interface NAME
 *   type NAME (FIELDS)
 *   method NAME(FIELDS) -> (FIELDS)
 *   error NAME (FIELDS)
 *
 *   FIELDS   name: type, name: ?type ...
 *   type     bool, int, float, string, object, NAME, []type, [string]type, (FIELDS), (name, name ...)
 *
 * `#` begins a comment, up to the end of the line.
 */
#include "varlink/idl.h"

#include <ctype.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <org.varlink.service.h>
#include <org.zsblk.Daemon.h>
#include <org.zsblk.Device.h>

/* ------------------------------------------------------------------ words */

static const char *skip_blanks(const char *at)
{
	while (isspace((unsigned char)*at) || *at == '#')
		at += *at == '#' ? strcspn(at, "\n") : 1;
	return at;
}

static size_t word_length(const char *at)
{
	size_t n = 0;

	while (isalnum((unsigned char)at[n]) || at[n] == '_' || at[n] == '.')
		n++;
	return n;
}

static bool is_word(const char *at, const char *word)
{
	return word_length(at) == strlen(word) && strncmp(at, word, strlen(word)) == 0;
}

/* Behind a word, or one character that is none, and the blanks after it. */
static const char *skip_token(const char *at)
{
	size_t n = word_length(at);

	return skip_blanks(at + (n || !*at ? n : 1));
}

/* Behind the bracket that closes the one at `at`. */
static const char *skip_brackets(const char *at)
{
	unsigned depth = 0;

	do {
		if (*at == '(')
			depth++;
		if (*at == ')')
			depth--;
		at = skip_token(at);
	} while (depth && *at);
	return at;
}

static const char *skip_type(const char *at)
{
	if (*at == '?')
		return skip_type(skip_token(at));
	if (*at == '[') {
		while (*at && *at != ']')
			at = skip_token(at);
		return skip_type(skip_token(at));
	}
	return *at == '(' ? skip_brackets(at) : skip_token(at);
}

/* ------------------------------------------------------------------ methods */

/* The name of the first method from `at` on, or NULL. Between brackets there is no word of the language. */
static const char *find_method(const char *at)
{
	for (at = skip_blanks(at); *at; at = *at == '(' ? skip_brackets(at) : skip_token(at))
		if (is_word(at, "method"))
			return skip_token(at);
	return NULL;
}

/* The brackets with its parameters, or NULL: there is no such method. */
static const char *find_parameters(const char *idl, const char *method)
{
	for (const char *at = find_method(idl); at; at = find_method(skip_token(at)))
		if (is_word(at, method))
			return skip_token(at);
	return NULL;
}

void idl_name(const char *idl, const char **name, size_t *length)
{
	*name = skip_token(skip_blanks(idl));
	*length = word_length(*name);
}

bool idl_has_method(const char *idl, const char *method)
{
	return find_parameters(idl, method);
}

bool idl_method(const char *idl, unsigned n, char name[IDL_NAME_MAX])
{
	const char *at = find_method(idl);

	while (at && n--)
		at = find_method(skip_token(at));
	if (at)
		snprintf(name, IDL_NAME_MAX, "%.*s", (int)word_length(at), at);
	return at;
}

/* ------------------------------------------------------------------ parameters */

struct field {
	char name[IDL_NAME_MAX];
	bool optional;
	const char *type;
};

/* The field at *at, behind the bracket that opens or a comma. False if there is none. */
static bool next_field(const char **at, struct field *field)
{
	if (**at == '(' || **at == ',')
		*at = skip_token(*at);
	if (!word_length(*at))
		return false;
	snprintf(field->name, sizeof field->name, "%.*s", (int)word_length(*at), *at);
	*at = skip_token(skip_token(*at));
	field->optional = **at == '?';
	field->type = field->optional ? skip_token(*at) : *at;
	*at = skip_type(*at);
	return true;
}

/* In JSON a string can have a NUL in it, behind which nobody would look. */
static bool is_string(struct json_object *value)
{
	return json_object_is_type(value, json_type_string) &&
	       strlen(json_object_get_string(value)) == (size_t)json_object_get_string_len(value);
}

static bool is_of_enumeration(const char *type, struct json_object *value)
{
	if (!is_string(value))
		return false;
	for (const char *at = skip_token(type); *at && *at != ')'; at = skip_token(at))
		if (word_length(at) && is_word(at, json_object_get_string(value)))
			return true;
	return false;
}

/* json-c makes larger numbers fit. */
static bool is_int(struct json_object *value)
{
	return json_object_is_type(value, json_type_int) &&
	       (json_object_get_int64(value) < 0 || json_object_get_uint64(value) <= INT64_MAX);
}

static bool fits(const char *type, struct json_object *value)
{
	if (*type == '(')
		return is_of_enumeration(type, value);
	if (is_word(type, "int"))
		return is_int(value);
	if (is_word(type, "bool"))
		return json_object_is_type(value, json_type_boolean);
	if (is_word(type, "string"))
		return is_string(value);
	return is_word(type, "float") &&
	       (json_object_is_type(value, json_type_double) || json_object_is_type(value, json_type_int));
}

static bool is_known(const char *brackets, const char *name)
{
	struct field field;

	for (const char *at = brackets; next_field(&at, &field);)
		if (strcmp(field.name, name) == 0)
			return true;
	return false;
}

bool idl_check(const char *idl, const char *method, struct json_object *parameters, char wrong[IDL_NAME_MAX])
{
	const char *brackets = find_parameters(idl, method);
	struct field field;

	for (const char *at = brackets; next_field(&at, &field);) {
		struct json_object *value = json_object_object_get(parameters, field.name);

		if (value ? fits(field.type, value) : field.optional)
			continue;
		snprintf(wrong, IDL_NAME_MAX, "%s", field.name);
		return false;
	}
	if (!parameters)
		return true;
	for (struct lh_entry *entry = json_object_get_object(parameters)->head; entry; entry = entry->next) {
		const char *name = lh_entry_k(entry);

		if (is_known(brackets, name))
			continue;
		snprintf(wrong, IDL_NAME_MAX, "%s", name);
		return false;
	}
	return true;
}

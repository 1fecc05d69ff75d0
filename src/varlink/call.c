/* SPDX-License-Identifier: BSD-3-Clause */
/* What a method does with its call: parameters, replies, errors. See server.h. */
#include "varlink/connection.h"
#include "varlink/service.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A line for people. */
#define VARLINK_TEXT_MAX 512u
/* The name of an error, with its interface's. */
#define VARLINK_ERROR_MAX 128u

/* The call is the first member of its connection. */
static struct varlink_connection *connection_of(struct varlink_call *call)
{
	return (struct varlink_connection *)call;
}

#define CONSTANT (JSON_C_OBJECT_ADD_CONSTANT_KEY | JSON_C_OBJECT_ADD_KEY_IS_NEW)

/*
 * Objects and arrays that lack something, for want of memory, have the address of this as their user data, and so has what they become
 * part of: a reply that lacks a member would say something else.
 */
static char lacks_something;

static bool is_whole(struct json_object *value)
{
	return value && json_object_get_userdata(value) != &lacks_something;
}

/* The value has become part of this, or not. */
static void note(struct json_object *container, bool added, bool whole)
{
	if (container && !(added && whole))
		json_object_set_userdata(container, &lacks_something, NULL);
}

/* False: there is no memory. Takes the value in any case. */
static bool add(struct json_object *out, const char *name, struct json_object *value)
{
	bool whole = is_whole(value),
	     added = out && value && json_object_object_add_ex(out, name, value, CONSTANT) == 0;

	if (!added)
		json_object_put(value);
	note(out, added, whole);
	return added && whole;
}

void varlink_add(struct json_object *out, const char *name, struct json_object *value)
{
	(void)add(out, name, value);
}

void varlink_append(struct json_object *list, struct json_object *value)
{
	bool whole = is_whole(value), added = list && value && json_object_array_add(list, value) == 0;

	if (!added)
		json_object_put(value);
	note(list, added, whole);
}

void varlink_add_int(struct json_object *out, const char *name, uint64_t value)
{
	varlink_add(out, name, json_object_new_int64(value > INT64_MAX ? INT64_MAX : (int64_t)value));
}

void varlink_add_bool(struct json_object *out, const char *name, bool value)
{
	varlink_add(out, name, json_object_new_boolean(value));
}

void varlink_add_string(struct json_object *out, const char *name, const char *value)
{
	varlink_add(out, name, json_object_new_string(value));
}

/* ------------------------------------------------------------------ replies */

/* Nobody waits for what a one-way call has to say. NULL: there was no memory for it. */
static void say(struct varlink_connection *connection, struct json_object *message)
{
	char failed[IDL_NAME_MAX + 10];

	snprintf(failed, sizeof failed, "%s.Failed", connection->face->name);
	if (connection->oneway)
		json_object_put(message);
	else
		varlink_connection_queue(connection, message, failed);
}

static void say_text(struct varlink_connection *connection, const char *error, const char *name, const char *text)
{
	if (!connection->oneway)
		varlink_connection_queue_text(connection, error, name, text);
}

/* With these parameters, which it takes. NULL: there is no memory. */
static struct json_object *make_message(struct json_object *out)
{
	struct json_object *message = json_object_new_object();

	if (out && add(message, "parameters", out))
		return message;
	json_object_put(message);
	return NULL;
}

void varlink_notify(struct varlink_call *call, struct json_object *out)
{
	struct json_object *message = make_message(out);

	assert(call->more);
	if (message && !add(message, "continues", json_object_new_boolean(true))) {
		json_object_put(message);
		message = NULL;
	}
	say(connection_of(call), message);
	/* An error is the last reply. */
	connection_of(call)->replied = !message;
}

void varlink_reply(struct varlink_call *call, struct json_object *out)
{
	say(connection_of(call), make_message(out));
	connection_of(call)->replied = true;
}

void varlink_reply_text(struct varlink_call *call, const char *name, const char *text)
{
	say_text(connection_of(call), NULL, name, text);
	connection_of(call)->replied = true;
}

/* "INTERFACE.ERROR" */
static void error_name(char name[VARLINK_ERROR_MAX], const char *interface, const char *error)
{
	snprintf(name, VARLINK_ERROR_MAX, "%s.%s", interface, error);
}

void varlink_refuse_with(struct varlink_call *call, const char *error, struct json_object *out, const char *format, ...)
{
	struct varlink_connection *connection = connection_of(call);
	char reason[VARLINK_TEXT_MAX], name[VARLINK_ERROR_MAX];
	struct json_object *message;
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
	error_name(name, connection->face->name, error);
	varlink_add_string(out, "reason", reason);
	message = make_message(out);
	if (message && add(message, "error", json_object_new_string(name))) {
		say(connection, message);
	} else {
		json_object_put(message);
		say_text(connection, name, "reason", reason);
	}
	connection->replied = true;
}

void varlink_refuse(struct varlink_call *call, const char *error, const char *format, ...)
{
	struct varlink_connection *connection = connection_of(call);
	char reason[VARLINK_TEXT_MAX], name[VARLINK_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
	error_name(name, connection->face->name, error);
	say_text(connection, name, "reason", reason);
	connection->replied = true;
}

void varlink_service_refuse(struct varlink_call *call, const char *error, const char *parameter, const char *value)
{
	char name[VARLINK_ERROR_MAX];

	error_name(name, VARLINK_SERVICE, error);
	say_text(connection_of(call), name, value ? parameter : NULL, value);
	connection_of(call)->replied = true;
}

/* ------------------------------------------------------------------ parameters */

/* A parameter that is null is not given. */
bool varlink_int(const struct varlink_call *call, const char *name, int64_t *value)
{
	struct json_object *given = json_object_object_get(call->in, name);

	if (given)
		*value = json_object_get_int64(given);
	return given;
}

bool varlink_bool(const struct varlink_call *call, const char *name, bool *value)
{
	struct json_object *given = json_object_object_get(call->in, name);

	if (given)
		*value = json_object_get_boolean(given);
	return given;
}

const char *varlink_string(const struct varlink_call *call, const char *name)
{
	return json_object_get_string(json_object_object_get(call->in, name));
}

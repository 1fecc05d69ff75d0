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

/* The call is the first member of its connection. */
static struct varlink_connection *connection_of(struct varlink_call *call)
{
	return (struct varlink_connection *)call;
}

#define CONSTANT (JSON_C_OBJECT_ADD_CONSTANT_KEY | JSON_C_OBJECT_ADD_KEY_IS_NEW)

void varlink_add(struct json_object *out, const char *name, struct json_object *value)
{
	if (!out || json_object_object_add_ex(out, name, value, CONSTANT) < 0)
		json_object_put(value);
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
	char text[VARLINK_TEXT_MAX];

	/* What the program says is ours, and may be long. What comes from others is short, and may be any bytes. */
	if (strlen(value) < sizeof text) {
		strcpy(text, value);
		varlink_message_clean(text);
		value = text;
	}
	varlink_add(out, name, json_object_new_string(value));
}

/* ------------------------------------------------------------------ replies */

/* Nobody waits for what a one-way call has to say. */
static void say(struct varlink_connection *connection, struct json_object *message)
{
	char too_large[100];

	snprintf(too_large, sizeof too_large, "%s.Failed", connection->face->name);
	if (connection->oneway)
		json_object_put(message);
	else
		varlink_connection_queue(connection, message, too_large);
}

void varlink_notify(struct varlink_call *call, struct json_object *out)
{
	struct json_object *message = json_object_new_object();

	assert(call->more);
	varlink_add(message, "parameters", out ? out : json_object_new_object());
	varlink_add_bool(message, "continues", true);
	say(connection_of(call), message);
}

void varlink_reply(struct varlink_call *call, struct json_object *out)
{
	struct json_object *message = json_object_new_object();

	varlink_add(message, "parameters", out ? out : json_object_new_object());
	say(connection_of(call), message);
	connection_of(call)->replied = true;
}

static void fail(struct varlink_call *call, const char *interface, const char *error, struct json_object *out)
{
	struct json_object *message = json_object_new_object();
	char name[128];

	snprintf(name, sizeof name, "%s.%s", interface, error);
	varlink_add_string(message, "error", name);
	varlink_add(message, "parameters", out);
	say(connection_of(call), message);
	connection_of(call)->replied = true;
}

void varlink_refuse_with(struct varlink_call *call, const char *error, struct json_object *out, const char *format, ...)
{
	char reason[VARLINK_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
	varlink_add_string(out, "reason", reason);
	fail(call, connection_of(call)->face->name, error, out);
}

void varlink_refuse(struct varlink_call *call, const char *error, const char *format, ...)
{
	struct json_object *out = json_object_new_object();
	char reason[VARLINK_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
	varlink_add_string(out, "reason", reason);
	fail(call, connection_of(call)->face->name, error, out);
}

void varlink_service_refuse(struct varlink_call *call, const char *error, const char *parameter, const char *value)
{
	struct json_object *out = json_object_new_object();

	if (value)
		varlink_add_string(out, parameter, value);
	fail(call, VARLINK_SERVICE, error, out);
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

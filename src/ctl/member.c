/* SPDX-License-Identifier: BSD-3-Clause */
/* Members of what servers answer. See member.h. */
#include "ctl/member.h"

/* json-c takes NULL for an object without members. */
static struct json_object *find(struct json_object *object, const char *name, enum json_type type)
{
	struct json_object *member = NULL;

	if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &member) ||
	    !json_object_is_type(member, type))
		return NULL;
	return member;
}

bool member_has(struct json_object *object, const char *name)
{
	struct json_object *member = NULL;

	return json_object_is_type(object, json_type_object) && json_object_object_get_ex(object, name, &member) &&
	       member;
}

uint64_t member_number(struct json_object *object, const char *name)
{
	struct json_object *member = find(object, name, json_type_int);

	/* Of a negative number json-c makes 0. */
	return member ? json_object_get_uint64(member) : 0;
}

int64_t member_signed(struct json_object *object, const char *name)
{
	struct json_object *member = find(object, name, json_type_int);

	return member ? json_object_get_int64(member) : 0;
}

bool member_bool(struct json_object *object, const char *name)
{
	struct json_object *member = find(object, name, json_type_boolean);

	return member && json_object_get_boolean(member);
}

const char *member_text(struct json_object *object, const char *name)
{
	struct json_object *member = find(object, name, json_type_string);

	return member ? json_object_get_string(member) : "";
}

struct json_object *member_array(struct json_object *object, const char *name)
{
	return find(object, name, json_type_array);
}

struct json_object *member_object(struct json_object *object, const char *name)
{
	return find(object, name, json_type_object);
}

void member_each(struct json_object *object, member_each_fn *each, void *opaque)
{
	struct json_object_iterator at, end;

	if (!json_object_is_type(object, json_type_object))
		return;
	end = json_object_iter_end(object);
	for (at = json_object_iter_begin(object); !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		each(opaque, json_object_iter_peek_name(&at), json_object_iter_peek_value(&at));
}

/* json-c says out of memory with NULL, and accepts it as null: the other side refuses that. */
void member_put_number(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_object_new_uint64(value));
}

void member_put_signed(struct json_object *object, const char *name, int64_t value)
{
	json_object_object_add(object, name, json_object_new_int64(value));
}

void member_put_text(struct json_object *object, const char *name, const char *value)
{
	json_object_object_add(object, name, json_object_new_string(value));
}

void member_put_bool(struct json_object *object, const char *name, bool value)
{
	json_object_object_add(object, name, json_object_new_boolean(value));
}

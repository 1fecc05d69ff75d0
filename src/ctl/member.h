/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Members of what servers answer. A server may be older or newer than zsblkctl: a member that is not there, or of another type, is as
 * good as none, and never an error.
 */
#ifndef MEMBER_H
#define MEMBER_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/* Is it there, and not null? */
bool member_has(struct json_object *object, const char *name);
/* 0 if it is not there. */
uint64_t member_number(struct json_object *object, const char *name);
int64_t member_signed(struct json_object *object, const char *name);
/* False if it is not there. */
bool member_bool(struct json_object *object, const char *name);
/* "" if it is not there. It lives as long as the object. */
const char *member_text(struct json_object *object, const char *name);
/* NULL if it is not there. They live as long as the object. */
struct json_object *member_array(struct json_object *object, const char *name);
struct json_object *member_object(struct json_object *object, const char *name);

/* Call `each` for every member, in their order. */
typedef void member_each_fn(void *opaque, const char *name, struct json_object *value);
void member_each(struct json_object *object, member_each_fn *each, void *opaque);

/* Put one in. */
void member_put_number(struct json_object *object, const char *name, uint64_t value);
void member_put_signed(struct json_object *object, const char *name, int64_t value);
void member_put_text(struct json_object *object, const char *name, const char *value);
void member_put_bool(struct json_object *object, const char *name, bool value);

#endif

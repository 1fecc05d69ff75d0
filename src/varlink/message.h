/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of Varlink: one JSON object each, ended by a NUL byte.
 *
 *   call   {"method": "org.zsblk.Device.ResetPeak", "parameters": {}, "more": false, "oneway": false}
 *   reply  {"parameters": {}, "continues": false}
 *   error  {"error": "org.zsblk.Device.Busy", "parameters": {"reason": "..."}}
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stddef.h>
#include <sys/types.h>

struct json_object;

/* Bytes of a call, and of a reply, with their NUL. No call of ours has half as many. */
#define VARLINK_CALL_MAX  8192u
#define VARLINK_REPLY_MAX 65536u

/* Objects, arrays, members and elements of a call. An empty object of 3 bytes takes json-c some 800. */
#define VARLINK_VALUES_MAX 64u

/*
 * The object that a text of `length` bytes, without a NUL, is; the caller puts it (json_object_put). Never less than the text says. NULL with
 * *error: -EBADMSG (the text is no JSON object, no UTF-8, has more than `values` values, a member twice or a number that no integer holds, or
 * is nested too deeply), -ENOMEM.
 */
struct json_object *varlink_message_parse(const char *text, size_t length, unsigned values, int *error);

/*
 * Write the message into `bytes`, with its NUL. Its length, or -EMSGSIZE if it does not fit. Takes no memory. A byte of a string that is no part
 * of a character in UTF-8 becomes a question mark.
 */
ssize_t varlink_message_print(struct json_object *message, char *bytes, size_t size);
/* The same for a reply, or an error with this name unless `error` is NULL, that has one parameter, a text, or with `name` NULL none. */
ssize_t varlink_message_print_text(const char *error, const char *name, const char *text, char *bytes, size_t size);

/* Bytes of the character in UTF-8 that begins at `text`, of which there are `room`; 0: there is none. */
unsigned varlink_character_length(const char *text, size_t room);

#endif

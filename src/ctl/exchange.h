/* SPDX-License-Identifier: BSD-3-Clause */
/* Varlink messages over a connected socket that does not block: JSON objects, each ended by a NUL byte. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

struct exchange {
	int fd;
	char *bytes; /* received, and not taken yet */
	size_t used, room;
};

void exchange_init(struct exchange *exchange, int fd);
/* Closes the socket. */
void exchange_close(struct exchange *exchange);
/* 0, -ETIMEDOUT at `until_ms` of place_now_ms(), or another negative errno. */
int exchange_send(struct exchange *exchange, struct json_object *message, int64_t until_ms);
/* The next message. -ECONNRESET if the other side has gone, -EBADMSG if it is none, -EMSGSIZE if it is too long. */
int exchange_receive(struct exchange *exchange, struct json_object **message, int64_t until_ms);

#endif

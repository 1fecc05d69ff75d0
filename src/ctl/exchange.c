/* SPDX-License-Identifier: BSD-3-Clause */
/* Varlink messages. See exchange.h. */
#include "ctl/exchange.h"

#include "ctl/place.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A longer message is no answer to anything that zsblkctl asks. */
#define MESSAGE_MAX (4u << 20)
#define READ_BYTES  (16u << 10)

void exchange_init(struct exchange *exchange, int fd)
{
	*exchange = (struct exchange){.fd = fd};
}

void exchange_close(struct exchange *exchange)
{
	if (exchange->fd >= 0)
		close(exchange->fd);
	free(exchange->bytes);
	exchange_init(exchange, -1);
}

static int wait_for(const struct exchange *exchange, short events, int64_t until_ms)
{
	struct pollfd poll_fd = {.fd = exchange->fd, .events = events};
	int64_t left = until_ms - place_now_ms();
	int r;

	if (left <= 0)
		return -ETIMEDOUT;
	r = poll(&poll_fd, 1, left > 1000000 ? 1000000 : (int)left);
	return r < 0 && errno != EINTR ? -errno : 0;
}

int exchange_send(struct exchange *exchange, struct json_object *message, int64_t until_ms)
{
	const char *text = json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN);
	size_t left;

	if (!text)
		return -ENOMEM;
	left = strlen(text) + 1;
	while (left) {
		ssize_t n = send(exchange->fd, text, left, MSG_NOSIGNAL);
		int r = n < 0 && errno != EINTR ? -errno : 0;

		if (r == -EAGAIN)
			r = wait_for(exchange, POLLOUT, until_ms);
		if (r)
			return r;
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

/* Receive some bytes. */
static int fill(struct exchange *exchange, int64_t until_ms)
{
	ssize_t n;

	if (exchange->room - exchange->used < READ_BYTES) {
		char *more =
			exchange->room > MESSAGE_MAX ? NULL : realloc(exchange->bytes, 2 * exchange->room + READ_BYTES);

		if (!more)
			return exchange->room > MESSAGE_MAX ? -EMSGSIZE : -ENOMEM;
		exchange->bytes = more;
		exchange->room = 2 * exchange->room + READ_BYTES;
	}
	n = recv(exchange->fd, exchange->bytes + exchange->used, exchange->room - exchange->used, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? wait_for(exchange, POLLIN, until_ms) : -errno;
	exchange->used += (size_t)n;
	return n ? 0 : -ECONNRESET;
}

int exchange_receive(struct exchange *exchange, struct json_object **message, int64_t until_ms)
{
	char *end;
	int r;

	while (!(end = exchange->used ? memchr(exchange->bytes, '\0', exchange->used) : NULL)) {
		r = fill(exchange, until_ms);
		if (r)
			return r;
	}
	*message = json_tokener_parse(exchange->bytes);
	exchange->used -= (size_t)(end + 1 - exchange->bytes);
	memmove(exchange->bytes, end + 1, exchange->used);
	return json_object_is_type(*message, json_type_object) ? 0 : -EBADMSG;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection of a server. See connection.h. */
#include "varlink/connection.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void varlink_connection_close(struct varlink_connection *connection)
{
	if (connection->fd < 0)
		return;
	if (connection->method && connection->face->drop)
		connection->face->drop(connection->face->opaque, &connection->call);
	json_object_put(connection->call.in);
	connection->call = (struct varlink_call){.in = NULL};
	connection->method = NULL;
	/* A child of ours may have a copy of the descriptor, and the epoll goes on with that. */
	epoll_ctl(connection->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	close(connection->fd);
	connection->fd = -1;
}

bool varlink_connection_receive(struct varlink_connection *connection)
{
	size_t room = sizeof connection->in - connection->in_used;
	ssize_t got;

	if (!room || connection->ended)
		return true;
	got = recv(connection->fd, connection->in + connection->in_used, room, MSG_DONTWAIT);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	connection->ended = got == 0;
	connection->in_used += (size_t)got;
	/* A call that has begun will never be complete. */
	if (connection->in_used == sizeof connection->in || connection->ended)
		return varlink_connection_message(connection) || (connection->ended && !connection->in_used);
	return true;
}

size_t varlink_connection_message(const struct varlink_connection *connection)
{
	const char *end = memchr(connection->in, '\0', connection->in_used);

	return end ? (size_t)(end - connection->in) + 1 : 0;
}

void varlink_connection_forget(struct varlink_connection *connection, size_t length)
{
	connection->in_used -= length;
	memmove(connection->in, connection->in + length, connection->in_used);
}

void varlink_connection_queue_text(struct varlink_connection *connection, const char *error, const char *name,
				   const char *text)
{
	ssize_t length = varlink_message_print_text(error, name, text, connection->out, sizeof connection->out);

	connection->out_from = 0;
	connection->out_to = length < 0 ? 0 : (size_t)length;
}

void varlink_connection_queue(struct varlink_connection *connection, struct json_object *message, const char *failed)
{
	ssize_t length = message ? varlink_message_print(message, connection->out, sizeof connection->out) : -ENOMEM;

	json_object_put(message);
	connection->out_from = 0;
	connection->out_to = (size_t)length;
	if (length < 0)
		varlink_connection_queue_text(connection, failed, "reason",
					      length == -EMSGSIZE
						      ? "the reply would be too large; ask for less at a time"
						      : "there is no memory for the reply; try again");
}

bool varlink_connection_send(struct varlink_connection *connection)
{
	while (connection->out_from < connection->out_to) {
		ssize_t sent = send(connection->fd, connection->out + connection->out_from,
				    connection->out_to - connection->out_from, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN;
		connection->out_from += (size_t)sent;
	}
	return true;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections to a server. See connection.h.
 *
 * The server sends pieces of a known length. For each state there is one, and a function that takes it in and says what comes
 * next:
 *
 *   GREETING --> OPTION --> OPTION_DATA --(acknowledged)--> READY --(connection_read)--> REPLY --> REPLY_DATA
 *                  ^             | a fact                     ^  ^                          | error     |
 *                  +-------------+                            |  +--------------------------+           |
 *                                                             +-----------------------------------------+
 *
 * Numbers are big-endian. Nothing that a server says makes us write outside a piece or loop for long.
 */
#include "daemon/transport/nbd/connection.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING_MAGIC UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define OPTION_MAGIC   UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define ANSWER_MAGIC   UINT64_C(0x0003e889045565a9)
#define REQUEST_MAGIC  UINT32_C(0x25609513)
#define REPLY_MAGIC    UINT32_C(0x67446698)

#define FLAG_FIXED_NEWSTYLE 1u
#define OPTION_GO           7u
#define COMMAND_READ        0u

#define ANSWER_ACKNOWLEDGED 1u
#define ANSWER_FACT         3u
#define ANSWER_IS_ERROR     (1u << 31)
#define FACT_EXPORT         0u

#define GREETING_BYTES 18u
#define OPTION_BYTES   20u
#define EXPORT_BYTES   12u
#define REPLY_BYTES    16u
/* Texts have at most 4096 bytes. */
#define MAX_ANSWER_BYTES 8192u

/* So many pieces, and others have their turn: a server that sends facts without end must not keep the daemon. */
#define PIECES_AT_ONCE 8

#define KNOWN_FLAGS                                                                                                    \
	(CONNECTION_HAS_FLAGS | CONNECTION_SEND_FLUSH | CONNECTION_SEND_FUA | CONNECTION_SEND_TRIM |                   \
	 CONNECTION_CAN_MULTI_CONN)

/* ------------------------------------------------------------------ numbers */

static uint16_t get_16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof value);
	return be16toh(value);
}

static uint32_t get_32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof value);
	return be32toh(value);
}

static uint64_t get_64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof value);
	return be64toh(value);
}

/* The bytes of a number behind what is to be sent. */
static void put_16(struct connection *connection, uint16_t value)
{
	value = htobe16(value);
	memcpy(connection->out + connection->to_send, &value, sizeof value);
	connection->to_send += sizeof value;
}

static void put_32(struct connection *connection, uint32_t value)
{
	value = htobe32(value);
	memcpy(connection->out + connection->to_send, &value, sizeof value);
	connection->to_send += sizeof value;
}

static void put_64(struct connection *connection, uint64_t value)
{
	value = htobe64(value);
	memcpy(connection->out + connection->to_send, &value, sizeof value);
	connection->to_send += sizeof value;
}

/* ------------------------------------------------------------------ bytes in and out */

__attribute__((format(printf, 3, 4))) static int fail(struct connection *connection, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(connection->why, sizeof connection->why, format, args);
	va_end(args);
	return -error;
}

static int fail_socket(struct connection *connection, int error)
{
	if (error == ECONNRESET || error == EPIPE)
		return fail(connection, ECONNRESET, "the server closed the connection");
	return fail(connection, error, "the connection to the server failed: %s", strerror(error));
}

static int send_out(struct connection *connection)
{
	while (connection->sent < connection->to_send) {
		ssize_t n = send(connection->fd, connection->out + connection->sent,
				 connection->to_send - connection->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno != EINTR)
			return fail_socket(connection, errno);
		connection->sent += n > 0 ? (size_t)n : 0;
	}
	connection->sent = connection->to_send = 0;
	return 1;
}

/* Where the next bytes of a piece go, and how many there is room for. What is beyond the room for its start is overwritten. */
static ssize_t receive_some(struct connection *connection)
{
	uint8_t dropped[4096], *to = dropped;
	size_t left = connection->wanted - connection->received, room = sizeof dropped;

	if (connection->received < sizeof connection->in) {
		to = connection->in + connection->received;
		room = sizeof connection->in - connection->received;
	}
	return recv(connection->fd, to, left < room ? left : room, MSG_DONTWAIT);
}

static int receive_piece(struct connection *connection)
{
	while (connection->received < connection->wanted) {
		ssize_t n = receive_some(connection);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n == 0 || (n < 0 && errno != EINTR))
			return fail_socket(connection, n ? errno : ECONNRESET);
		connection->received += n > 0 ? (size_t)n : 0;
	}
	return 1;
}

static void expect(struct connection *connection, enum connection_state state, size_t bytes)
{
	connection->state = state;
	connection->wanted = bytes;
	connection->received = 0;
}

/* ------------------------------------------------------------------ one function for each piece: 0 or a negative errno */

static int take_greeting(struct connection *connection)
{
	const uint8_t *in = connection->in;

	if (get_64(in) != GREETING_MAGIC || get_64(in + 8) != OPTION_MAGIC)
		return fail(connection, EPROTO, "the server does not speak the newstyle protocol of NBD");
	if (!(get_16(in + 16) & FLAG_FIXED_NEWSTYLE))
		return fail(connection, EPROTO, "the server does not know the fixed newstyle handshake of NBD");
	put_32(connection, FLAG_FIXED_NEWSTYLE);
	put_64(connection, OPTION_MAGIC);
	put_32(connection, OPTION_GO);
	put_32(connection, sizeof(uint32_t) + sizeof(uint16_t));
	/* A name of no bytes, which is the default export's; and no facts beyond those that come anyway. */
	put_32(connection, 0);
	put_16(connection, 0);
	expect(connection, CONNECTION_OPTION, OPTION_BYTES);
	return 0;
}

static int take_option(struct connection *connection)
{
	const uint8_t *in = connection->in;
	uint32_t bytes = get_32(in + 16);

	if (get_64(in) != ANSWER_MAGIC || get_32(in + 8) != OPTION_GO || bytes > MAX_ANSWER_BYTES)
		return fail(connection, EPROTO, "the server's answer to the handshake is not one of NBD");
	connection->reply = get_32(in + 12);
	expect(connection, CONNECTION_OPTION_DATA, bytes);
	return 0;
}

/* What the server said when it refused, in one line. */
static int refused(struct connection *connection)
{
	size_t bytes = connection->wanted < sizeof connection->in ? connection->wanted : sizeof connection->in;

	for (size_t i = 0; i < bytes; i++)
		if (connection->in[i] < ' ' || connection->in[i] == 0x7f)
			connection->in[i] = '?';
	return fail(connection, EPROTO, "the server refuses the connection (0x%" PRIx32 ")%s%.*s", connection->reply,
		    bytes ? ": " : "", (int)bytes, (const char *)connection->in);
}

static int take_option_data(struct connection *connection)
{
	const uint8_t *in = connection->in;

	if (connection->reply & ANSWER_IS_ERROR)
		return refused(connection);
	if (connection->reply == ANSWER_FACT) {
		if (connection->wanted >= EXPORT_BYTES && get_16(in) == FACT_EXPORT) {
			connection->size = get_64(in + 2);
			connection->flags = get_16(in + 10) & KNOWN_FLAGS;
		}
		expect(connection, CONNECTION_OPTION, OPTION_BYTES);
		return 0;
	}
	if (connection->reply != ANSWER_ACKNOWLEDGED || !(connection->flags & CONNECTION_HAS_FLAGS))
		return fail(connection, EPROTO, "the server does not say what it exports");
	expect(connection, CONNECTION_READY, 0);
	return 0;
}

static int take_reply(struct connection *connection)
{
	const uint8_t *in = connection->in;

	if (get_32(in) != REPLY_MAGIC || get_64(in + 8) != connection->cookie)
		return fail(connection, EPROTO, "the server's reply is not one to our request");
	/* The numbers of the protocol are those of Linux. */
	connection->error = (int)get_32(in + 4);
	if (connection->error)
		expect(connection, CONNECTION_READY, 0);
	else
		expect(connection, CONNECTION_REPLY_DATA, connection->bytes);
	return 0;
}

static int take_piece(struct connection *connection)
{
	switch (connection->state) {
	case CONNECTION_GREETING:
		return take_greeting(connection);
	case CONNECTION_OPTION:
		return take_option(connection);
	case CONNECTION_OPTION_DATA:
		return take_option_data(connection);
	case CONNECTION_REPLY:
		return take_reply(connection);
	case CONNECTION_REPLY_DATA:
	case CONNECTION_READY:
		break;
	}
	expect(connection, CONNECTION_READY, 0);
	return 0;
}

/* ------------------------------------------------------------------ the whole */

void connection_init(struct connection *connection, int fd)
{
	*connection = (struct connection){.fd = fd};
	expect(connection, CONNECTION_GREETING, GREETING_BYTES);
}

void connection_close(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
}

/* Nobody has asked for anything: 1 as long as nothing comes. */
static int look_whether_closed(struct connection *connection)
{
	uint8_t byte;
	ssize_t n = recv(connection->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

	if (n > 0)
		return fail(connection, EPROTO, "the server sent what nobody has asked for");
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 1 : fail_socket(connection, n ? errno : ECONNRESET);
}

int connection_move(struct connection *connection)
{
	int r;

	if (connection->state == CONNECTION_READY)
		return look_whether_closed(connection);
	/* No event tells of a piece of no bytes. One with bytes comes behind it. */
	for (int i = 0; i < PIECES_AT_ONCE || !connection->wanted; i++) {
		r = send_out(connection);
		if (r == 1)
			r = receive_piece(connection);
		if (r != 1)
			return r;
		r = take_piece(connection);
		if (r < 0)
			return r;
		if (connection->state == CONNECTION_READY)
			return 1;
	}
	return 0;
}

short connection_events(const struct connection *connection)
{
	return connection->sent < connection->to_send ? POLLOUT : POLLIN;
}

void connection_read(struct connection *connection, uint64_t offset, uint32_t bytes)
{
	connection->cookie++;
	connection->bytes = bytes;
	connection->error = 0;
	put_32(connection, REQUEST_MAGIC);
	put_32(connection, COMMAND_READ); /* no flags, and the command: 16 bits each */
	put_64(connection, connection->cookie);
	put_64(connection, offset);
	put_32(connection, bytes);
	expect(connection, CONNECTION_REPLY, REPLY_BYTES);
}

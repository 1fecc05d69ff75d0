/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection to a server, as a client of NBD: the fixed newstyle handshake, which says how large the export is and what it can
 * do, and then one request to read after the other. Simple replies only: the kernel's client, which gets most connections once
 * their handshake is done, knows no others.
 *
 * Nothing waits and nothing is allocated, so that a server can be replaced while there is no memory. One thread uses a connection.
 * The protocol: doc/proto.md of the NBD project.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stddef.h>
#include <stdint.h>

/* The transmission flags that the kernel knows; the others are not asked for. */
#define CONNECTION_HAS_FLAGS      (1u << 0)
#define CONNECTION_SEND_FLUSH     (1u << 2)
#define CONNECTION_SEND_FUA       (1u << 3)
#define CONNECTION_SEND_TRIM      (1u << 5)
#define CONNECTION_CAN_MULTI_CONN (1u << 8)

/* What is waited for. */
enum connection_state {
	CONNECTION_GREETING,
	CONNECTION_OPTION,      /* the head of an answer to our option, */
	CONNECTION_OPTION_DATA, /* and what comes behind it */
	CONNECTION_READY,       /* nothing: the handshake is done, and no request is out */
	CONNECTION_REPLY,       /* the head of a reply to our request, */
	CONNECTION_REPLY_DATA,  /* and what was read */
};

struct connection {
	int fd; /* -1: closed */
	enum connection_state state;

	/* Once the handshake is done. */
	uint64_t size;  /* bytes of the export */
	unsigned flags; /* CONNECTION_... */
	/* Of the last reply: a number of errno(3), or 0. */
	int error;
	/* Once connection_move() has failed: why, for people. */
	char why[160];

	/* The rest is connection.c's. */
	uint8_t out[32];
	size_t to_send, sent;
	uint8_t in[256]; /* the start of a piece; nobody wants the rest of a longer one */
	size_t wanted, received;
	uint32_t reply; /* the kind of an answer to our option */
	uint64_t cookie;
	uint32_t bytes; /* that were asked for */
};

/* Begin the handshake, for the default export. `fd`: a stream socket that is connected; it becomes the connection's. */
void connection_init(struct connection *connection, int fd);

/* Close it. One that is closed already is left alone. */
void connection_close(struct connection *connection);

/*
 * Send and receive what can be without waiting. 1: the connection is ready, and the last request has its reply. 0: call again on the
 * events of connection_events(). -ECONNRESET: the server has closed the connection; -EPROTO: the server does not speak as it
 * should, or refuses; other errors are those of send(2) and recv(2). After an error the connection can only be closed.
 */
int connection_move(struct connection *connection);

/* The events of poll(2) and epoll(7) after which connection_move() may get further; of a ready connection, that it was closed. */
short connection_events(const struct connection *connection);

/* Ask for a range of the export; only of a connection that is ready. To be sent by connection_move(). What is read is dropped. */
void connection_read(struct connection *connection, uint64_t offset, uint32_t bytes);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* A server's connection to one client: its buffers, and the call that is being answered. Private to the server. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "varlink/idl.h"
#include "varlink/message.h"
#include "varlink/server.h"

/* An interface that a server has. */
struct varlink_face {
	char name[IDL_NAME_MAX];
	const char *idl;
	const struct varlink_method *methods;
	void *opaque;
	void (*drop)(void *opaque, struct varlink_call *call); /* server.h */
};

struct varlink_connection {
	/* First: a method's call leads back to its connection. */
	struct varlink_call call;
	const struct varlink_face *face;     /* the interface that it is for; errors bear its name */
	const struct varlink_method *method; /* NULL: no call is being answered */
	uint64_t ran_ms;                     /* when the method ran last */
	bool oneway;
	bool replied;

	int epoll; /* that the descriptor is in */
	int fd;    /* -1: free */
	enum varlink_rights rights;
	bool ended;              /* the client sends nothing more */
	uint64_t heard_ms;       /* when it last sent something */
	uint64_t since_ms;       /* when it began to send a call, or we a reply */
	size_t in_used;          /* bytes of `in` */
	size_t out_from, out_to; /* what of `out` is still to be sent */
	char in[VARLINK_CALL_MAX];
	char out[VARLINK_REPLY_MAX];
};

/* Let go of the client. Harmless if it is free. */
void varlink_connection_close(struct varlink_connection *connection);

/* Read what is there. False: the client is gone, or has sent what is no call. */
bool varlink_connection_receive(struct varlink_connection *connection);

/* The length of the first whole message in `in`, with its NUL; 0: there is none. */
size_t varlink_connection_message(const struct varlink_connection *connection);
/* Forget the first `length` bytes of `in`. */
void varlink_connection_forget(struct varlink_connection *connection, size_t length);

/*
 * Put a message into `out`, which must be empty, and put the object. If it does not fit, or is NULL, since there was no memory for it, an error
 * with the name `failed` takes its place.
 */
void varlink_connection_queue(struct varlink_connection *connection, struct json_object *message, const char *failed);
/* The same with what varlink_message_print_text() prints, which takes no memory. */
void varlink_connection_queue_text(struct varlink_connection *connection, const char *error, const char *name,
				   const char *text);
/* Send what the socket takes. False: the client is gone. */
bool varlink_connection_send(struct varlink_connection *connection);

#endif

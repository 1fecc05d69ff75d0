/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's side of Varlink: one interface beside org.varlink.service, on one Unix socket.
 *
 * A server is driven from a loop of its owner's: when varlink_server_fd() can be read, call varlink_server_step(), which
 * never waits for a client. All calls of one server are made by one thread at a time; its methods run in that thread.
 *
 * What clients can take is bounded: VARLINK_CLIENTS connections, a call of VARLINK_CALL_MAX bytes, a reply of
 * VARLINK_REPLY_MAX, one call at a time, and VARLINK_PATIENCE_S for a client to send the rest of a call or to take a
 * reply. The buffers are in memory from the start. Whoever connects when all places are taken gets the place of
 * somebody with no call, or with fewer rights, who has been silent for longest; or none.
 */
#ifndef VARLINK_SERVER_H
#define VARLINK_SERVER_H

#include "varlink/peer.h"
#include "varlink/socket.h"

#include <stdbool.h>
#include <stdint.h>

struct json_object;
struct varlink_server;

#define VARLINK_CLIENTS    8u
#define VARLINK_PATIENCE_S 10u
/* How often a method that has more to say is asked again. */
#define VARLINK_AGAIN_MS 250

/* ------------------------------------------------------------------ what a server has */

/* A call that a client has made. */
struct varlink_call {
	struct json_object *in; /* the parameters, checked against the interface; NULL if there are none */
	bool more;              /* the client takes several replies */
	uint64_t state[2];      /* the method's own; 0 when it runs for the first time */
};

/* What a method says. A method that has not replied is over all the same, and an empty reply is sent. */
enum varlink_result {
	VARLINK_DONE,
	VARLINK_AGAIN, /* run it again in VARLINK_AGAIN_MS, or after varlink_server_again() */
};

struct varlink_method {
	const char *name;
	enum varlink_rights needs;
	enum varlink_result (*run)(void *opaque, struct varlink_call *call);
};

/* The texts and the methods are kept by the owner as long as the server is open. */
struct varlink_service {
	const char *product; /* the program */
	const char *version;
	const char *idl;                      /* of idl.h */
	const struct varlink_method *methods; /* the last one has no name */
	void *opaque;                         /* for the methods */
	/* The client of a call has gone, and its method will not run again. NULL: nobody needs to know. */
	void (*drop)(void *opaque, struct varlink_call *call);
	const char *path; /* of the socket, absolute */
	gid_t group;      /* who may look: peer.h */
};

/* ------------------------------------------------------------------ its life */

/* Make a server that does not listen yet. 0; -ENOMEM, and other negative errnos of epoll_create and timerfd_create. */
int varlink_server_open(struct varlink_server **server, const struct varlink_service *service);

/* Listen, by a new socket if there is one already. As varlink_socket_listen(); clients who are there stay. */
int varlink_server_listen(struct varlink_server *server, struct varlink_why *why);
/* True if it listens, and the socket's file is still there. */
bool varlink_server_is_there(const struct varlink_server *server);

/* A descriptor that can be read when there is something to do. The server's own, and the same as long as it is open. */
int varlink_server_fd(const struct varlink_server *server);

/* Do what there is to do, some of it if that is much. */
void varlink_server_step(struct varlink_server *server);

/* Let the methods that have more to say run at the next step. */
void varlink_server_again(struct varlink_server *server);

/* Let go of all clients, remove the socket, and free *server. NULL is allowed. */
void varlink_server_close(struct varlink_server *server);

/* ------------------------------------------------------------------ what a method does with its call */

/* Reply with these members, which the server takes; NULL: there was no memory for them. Nothing can be said after that. */
void varlink_reply(struct varlink_call *call, struct json_object *out);
/* Reply with one member, a text, or with none if `name` is NULL. Takes no memory, as an error does not: what has been done is told. */
void varlink_reply_text(struct varlink_call *call, const char *name, const char *text);
/* varlink_reply() with more to come. Only if call->more; at most one in a run. */
void varlink_notify(struct varlink_call *call, struct json_object *out);
/* Reply with an error of the interface, such as "Busy", whose parameter is a reason. */
__attribute__((format(printf, 3, 4))) void varlink_refuse(struct varlink_call *call, const char *error,
							  const char *format, ...);
/* The same, with these members beside the reason; the server takes them. */
__attribute__((format(printf, 4, 5))) void varlink_refuse_with(struct varlink_call *call, const char *error,
							       struct json_object *out, const char *format, ...);

/* The parameter of this name; false: it is not given. */
bool varlink_int(const struct varlink_call *call, const char *name, int64_t *value);
bool varlink_bool(const struct varlink_call *call, const char *name, bool *value);
/* NULL: it is not given. Valid as long as the call. */
const char *varlink_string(const struct varlink_call *call, const char *name);

/*
 * Add a member to an object of a reply. `name` must be a literal: it is not copied. `out` and `value` may be NULL for want of memory: then the call
 * is answered with the interface's error Failed in place of the reply that all of this becomes part of. The value is taken in any case.
 */
void varlink_add(struct json_object *out, const char *name, struct json_object *value);
/* The same for an element of an array. */
void varlink_append(struct json_object *list, struct json_object *value);
/* Numbers beyond INT64_MAX, which Varlink does not have, become that. */
void varlink_add_int(struct json_object *out, const char *name, uint64_t value);
void varlink_add_bool(struct json_object *out, const char *name, bool value);
void varlink_add_string(struct json_object *out, const char *name, const char *value);

#endif

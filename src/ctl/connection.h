/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device as zsblkctl sees it: the server that holds its data, and the zsblkd that keeps the server, if there is one. Sockets are opened when
 * something is first asked, and again after an error. One thread at a time.
 *
 *   NAME              /run/zsblk/NAME/control is the server's, /run/zsblk/NAME/daemon the daemon's
 *   --control SOCKET  the server's alone
 *
 * While a daemon replaces its server nobody answers at the server's socket; it is tried again until the time is up. A method that only looks is
 * asked again if the server ends before it answers.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <json-c/json.h>
#include <stdbool.h>

struct connection;

enum connection_peer {
	CONNECTION_SERVER, /* interface org.zsblk.Device */
	CONNECTION_DAEMON, /* interface org.zsblk.Daemon */
};

/* Of the instance `name`. Each answer may take `timeout_s`. NULL: no memory. Nothing is opened yet. */
struct connection *connection_of_instance(const char *name, unsigned timeout_s);
/* Of the server behind the socket `path`. */
struct connection *connection_of_socket(const char *path, unsigned timeout_s);
/* NULL is allowed. */
void connection_free(struct connection *connection);

/* From now on each answer may take so long. */
void connection_set_timeout(struct connection *connection, unsigned timeout_s);

/* The name of the instance, or the path of the socket. */
const char *connection_name(const struct connection *connection);
/* Is it an instance, so that it may have a daemon? Asks nobody. */
bool connection_is_instance(const struct connection *connection);

/*
 * Call a method, named without its interface ("GetStatistics"). `parameters` becomes the connection's; NULL: none. On success *reply is the caller's,
 * to be freed with json_object_put(); `reply` may be NULL. EXIT_DONE, or another EXIT_* and what was wrong in connection_problem().
 */
int connection_call(struct connection *connection, enum connection_peer peer, const char *method,
		    struct json_object *parameters, struct json_object **reply);

/*
 * The same with `more`: `each` gets one reply after the other, which it does not keep, until there are no more of them or it returns false. Each of them may
 * take as long as an answer.
 */
typedef bool connection_reply_fn(void *opaque, struct json_object *reply);
int connection_watch(struct connection *connection, enum connection_peer peer, const char *method,
		     struct json_object *parameters, connection_reply_fn *each, void *opaque);

/* What was wrong with the last call: one line for people, without the name. */
const char *connection_problem(const struct connection *connection);
/* The name of the error that the other side has sent last, without its interface: "InUse". "" if it was none of theirs. */
const char *connection_error(const struct connection *connection);

/* Say on standard error what was wrong, after the name. Returns `code`, so that it can be returned at once. */
int connection_complain(const struct connection *connection, int code);

#endif

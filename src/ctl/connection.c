/* SPDX-License-Identifier: BSD-3-Clause */
/* A device, its server and its daemon. See connection.h. */
#include "ctl/connection.h"

#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/place.h"
#include "varlink/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How often a server is looked for while it is being replaced. */
#define LOOK_MS 50

#define ERROR_NAME_MAX 128

struct connection {
	char *name;
	bool is_instance;
	unsigned timeout_s;
	int folder;                        /* that the sockets lie in; -1: not open */
	const char *file;                  /* what the server's socket is called there */
	struct varlink_client *clients[2]; /* NULL: not open */
	struct complaint problem;
	char error[ERROR_NAME_MAX];
	bool is_lost; /* the last call found that the other side had ended */
};

static const char *const interfaces[] = {
	[CONNECTION_SERVER] = "org.zsblk.Device",
	[CONNECTION_DAEMON] = "org.zsblk.Daemon",
};

static const char *const peers[] = {
	[CONNECTION_SERVER] = "the server",
	[CONNECTION_DAEMON] = "zsblkd",
};

static struct connection *create(const char *name, bool is_instance, unsigned timeout_s)
{
	struct connection *connection = calloc(1, sizeof *connection);

	if (!connection)
		return NULL;
	*connection = (struct connection){.name = strdup(name),
					  .is_instance = is_instance,
					  .timeout_s = timeout_s,
					  .folder = -1,
					  .file = "control"};
	if (connection->name)
		return connection;
	free(connection);
	return NULL;
}

struct connection *connection_of_instance(const char *name, unsigned timeout_s)
{
	return create(name, true, timeout_s);
}

struct connection *connection_of_socket(const char *path, unsigned timeout_s)
{
	return create(path, false, timeout_s);
}

static void disconnect(struct connection *connection, enum connection_peer peer)
{
	varlink_client_close(connection->clients[peer]);
	connection->clients[peer] = NULL;
}

void connection_free(struct connection *connection)
{
	if (!connection)
		return;
	disconnect(connection, CONNECTION_SERVER);
	disconnect(connection, CONNECTION_DAEMON);
	if (connection->folder >= 0)
		close(connection->folder);
	free(connection->name);
	free(connection);
}

static int patience_ms(const struct connection *connection)
{
	return (int)connection->timeout_s * 1000;
}

void connection_set_timeout(struct connection *connection, unsigned timeout_s)
{
	connection->timeout_s = timeout_s;
	for (size_t i = 0; i < 2; i++)
		if (connection->clients[i])
			varlink_client_set_patience(connection->clients[i], patience_ms(connection));
}

const char *connection_name(const struct connection *connection)
{
	return connection->name;
}

bool connection_is_instance(const struct connection *connection)
{
	return connection->is_instance;
}

const char *connection_problem(const struct connection *connection)
{
	return connection->problem.text;
}

const char *connection_error(const struct connection *connection)
{
	return connection->error;
}

int connection_complain(const struct connection *connection, int code)
{
	return complain(code, "%s: %s", connection->name, connection->problem.text);
}

/* ------------------------------------------------------------------ to the sockets */

static int open_folder(struct connection *connection)
{
	int code = EXIT_DONE;

	if (connection->folder >= 0)
		return EXIT_DONE;
	connection->folder =
		connection->is_instance
			? place_open_instance(connection->name, &code, &connection->problem)
			: place_open_socket(connection->name, &connection->file, &code, &connection->problem);
	return code;
}

static const char *file_of(const struct connection *connection, enum connection_peer peer)
{
	return peer == CONNECTION_SERVER ? connection->file : "daemon";
}

static bool has_listener(struct connection *connection, const char *file)
{
	int fd = place_connect(connection->folder, file, 0);

	if (fd >= 0)
		close(fd);
	/* -EAGAIN: so many wait that no more can. */
	return fd >= 0 || fd == -EAGAIN;
}

/* Nobody listens there. Will somebody soon, since a daemon is about to replace its server? */
static bool is_worth_waiting(struct connection *connection, enum connection_peer peer, int error)
{
	return (error == -ENOENT || error == -ECONNREFUSED) && peer == CONNECTION_SERVER && connection->is_instance &&
	       has_listener(connection, "daemon");
}

static int cannot_connect(struct connection *connection, enum connection_peer peer, int error, bool waited)
{
	const char *file = connection->is_instance ? file_of(connection, peer) : connection->name;
	struct complaint *problem = &connection->problem;

	if (waited)
		return complain_note(problem, EXIT_NO_ANSWER,
				     "the server has not come back within %u s: see zsblkctl status",
				     connection->timeout_s);
	switch (error) {
	case -ENOENT:
		return complain_note(problem, EXIT_NOT_RUNNING,
				     "%s does not run, or has no control socket: %s is not there", peers[peer], file);
	case -ECONNREFUSED:
		return complain_note(problem, EXIT_NOT_RUNNING, "%s does not run: nobody listens on its socket %s",
				     peers[peer], file);
	case -EPROTOTYPE:
		return complain_note(
			problem, EXIT_NOT_RUNNING,
			"%s is the socket of an older zsblkd, which zsblkctl cannot speak to; systemctl reload it",
			file);
	case -EAGAIN:
		return complain_note(problem, EXIT_NO_ANSWER, "%s has taken no connection within %u s", peers[peer],
				     connection->timeout_s);
	case -EACCES:
		return complain_note(problem, EXIT_NOT_ALLOWED,
				     "you may not speak to %s; be root, or a member of its control-group", peers[peer]);
	case -EPERM:
		return complain_note(
			problem, EXIT_NOT_ALLOWED,
			"neither you nor root listens on the socket, in a folder that others can write to: it is not believed");
	default:
		return complain_note(problem, EXIT_FAILED, "%s cannot be reached: %s", peers[peer], strerror(-error));
	}
}

static int open_client(struct connection *connection, enum connection_peer peer)
{
	int64_t until_ms = place_now_ms() + patience_ms(connection);
	const char *file;
	bool waited = false;
	int fd, code;

	if (connection->clients[peer])
		return EXIT_DONE;
	if (peer == CONNECTION_DAEMON && !connection->is_instance)
		return complain_note(&connection->problem, EXIT_WRONG_USE,
				     "this is zsblkd's to do, and --control speaks to a server alone");
	code = open_folder(connection);
	if (code)
		return code;
	/* open_folder() has found out what the socket of a path is called. */
	file = file_of(connection, peer);
	fd = place_connect(connection->folder, file, until_ms);
	while (fd < 0 && place_now_ms() < until_ms && is_worth_waiting(connection, peer, fd)) {
		waited = true;
		nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
		fd = place_connect(connection->folder, file, until_ms);
	}
	if (fd < 0)
		return cannot_connect(connection, peer, fd, waited);
	if (varlink_client_take(&connection->clients[peer], fd, patience_ms(connection)) == 0)
		return EXIT_DONE;
	return complain_note(&connection->problem, EXIT_FAILED, "no memory");
}

/* ------------------------------------------------------------------ messages */

/* The other side has refused: its own words, where it has given some. */
static int refused(struct connection *connection, enum connection_peer peer, const struct varlink_failure *failure)
{
	const char *dot = strrchr(failure->error, '.'), *name = dot ? dot + 1 : failure->error;
	struct complaint *problem = &connection->problem;

	snprintf(connection->error, sizeof connection->error, "%s", name);
	if (strcmp(name, "PermissionDenied") == 0)
		return complain_note(problem, EXIT_NOT_ALLOWED, "%s does not allow you this; be root", peers[peer]);
	if (strcmp(name, "MethodNotFound") == 0 || strcmp(name, "MethodNotImplemented") == 0 ||
	    strcmp(name, "InterfaceNotFound") == 0)
		return complain_note(problem, EXIT_FAILED, "%s is of another version, which cannot do this",
				     peers[peer]);
	return complain_note(problem, EXIT_FAILED, "%s", failure->text);
}

/* What went wrong with a call. But for what the other side says itself, the connection is of no use any more: half a message may be in it. */
static int failed(struct connection *connection, enum connection_peer peer, int error,
		  const struct varlink_failure *failure)
{
	struct complaint *problem = &connection->problem;

	if (error == -EREMOTEIO)
		return refused(connection, peer, failure);
	disconnect(connection, peer);
	connection->is_lost = error == -ECONNRESET;
	switch (error) {
	case -ETIMEDOUT:
		return complain_note(problem, EXIT_NO_ANSWER,
				     "%s has not answered within %u s; what was asked may still be done", peers[peer],
				     connection->timeout_s);
	case -ECONNRESET:
		return complain_note(problem, EXIT_NO_ANSWER, "%s has ended before it answered", peers[peer]);
	case -EBADMSG:
		return complain_note(problem, EXIT_NO_ANSWER, "%s does not speak Varlink", peers[peer]);
	default:
		return complain_note(problem, EXIT_FAILED, "%s: %s", peers[peer], failure->text);
	}
}

static int ask(struct connection *connection, enum connection_peer peer, const char *method,
	       struct json_object *parameters, bool more)
{
	struct varlink_failure failure;
	char name[100];
	int code, r;

	connection->error[0] = '\0';
	connection->is_lost = false;
	snprintf(name, sizeof name, "%s.%s", interfaces[peer], method);
	code = open_client(connection, peer);
	if (code) {
		json_object_put(parameters);
		return code;
	}
	r = varlink_client_send(connection->clients[peer], name, parameters, more, &failure);
	return r ? failed(connection, peer, r, &failure) : EXIT_DONE;
}

static int take(struct connection *connection, enum connection_peer peer, struct json_object **reply, bool *continues)
{
	struct varlink_failure failure;
	int r = varlink_client_receive(connection->clients[peer], false, reply, continues, &failure);

	return r ? failed(connection, peer, r, &failure) : EXIT_DONE;
}

static int call_once(struct connection *connection, enum connection_peer peer, const char *method,
		     struct json_object *parameters, struct json_object **reply)
{
	int code = ask(connection, peer, method, parameters, false);
	bool continues;

	return code ? code : take(connection, peer, reply, &continues);
}

/*
 * The server of an instance has ended before it answered: its successor can be asked instead, if the method only looks. What changes something may have been
 * done already.
 */
static bool can_repeat(const struct connection *connection, const char *method)
{
	return connection->is_lost && connection->is_instance && strncmp(method, "Get", 3) == 0;
}

int connection_call(struct connection *connection, enum connection_peer peer, const char *method,
		    struct json_object *parameters, struct json_object **reply)
{
	int64_t until_ms = place_now_ms() + patience_ms(connection);
	struct json_object *got = NULL;
	int code;

	do
		code = call_once(connection, peer, method, json_object_get(parameters), &got);
	while (code && can_repeat(connection, method) && place_now_ms() < until_ms);
	json_object_put(parameters);
	if (reply && !code)
		*reply = got;
	else
		json_object_put(got);
	return code;
}

int connection_watch(struct connection *connection, enum connection_peer peer, const char *method,
		     struct json_object *parameters, connection_reply_fn *each, void *opaque)
{
	int code = ask(connection, peer, method, parameters, true);
	bool continues = true, wanted = true;

	while (!code && continues && wanted) {
		struct json_object *reply;

		code = take(connection, peer, &reply, &continues);
		if (code)
			break;
		wanted = each(opaque, reply);
		json_object_put(reply);
	}
	/* More of them would come. */
	if (!code && continues)
		disconnect(connection, peer);
	return code;
}

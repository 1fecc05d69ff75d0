/* SPDX-License-Identifier: BSD-3-Clause */
/* A device, its server and its daemon. See connection.h. */
#include "ctl/connection.h"

#include "ctl/complain.h"
#include "ctl/exchange.h"
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How often a server is looked for while it is being replaced. */
#define LOOK_MS 50

#define ERROR_NAME_MAX 60

struct connection {
	char *name;
	bool is_instance;
	unsigned timeout_s;
	int folder;       /* that the sockets lie in; -1: not open */
	const char *file; /* what the server's socket is called there */
	struct exchange exchanges[2];
	struct complaint problem;
	char error[ERROR_NAME_MAX];
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
					  .file = "control",
					  .exchanges = {{.fd = -1}, {.fd = -1}}};
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

void connection_free(struct connection *connection)
{
	if (!connection)
		return;
	exchange_close(&connection->exchanges[CONNECTION_SERVER]);
	exchange_close(&connection->exchanges[CONNECTION_DAEMON]);
	if (connection->folder >= 0)
		close(connection->folder);
	free(connection->name);
	free(connection);
}

void connection_set_timeout(struct connection *connection, unsigned timeout_s)
{
	connection->timeout_s = timeout_s;
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

static int open_exchange(struct connection *connection, enum connection_peer peer, int64_t until_ms)
{
	const char *file;
	bool waited = false;
	int fd, code;

	if (connection->exchanges[peer].fd >= 0)
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
	exchange_init(&connection->exchanges[peer], fd);
	return EXIT_DONE;
}

/* ------------------------------------------------------------------ messages */

/* The socket is of no use any more: half a message may be in it. */
static int broken(struct connection *connection, enum connection_peer peer, int error)
{
	struct complaint *problem = &connection->problem;

	exchange_close(&connection->exchanges[peer]);
	switch (error) {
	case -ETIMEDOUT:
		return complain_note(problem, EXIT_NO_ANSWER,
				     "%s has not answered within %u s; what was asked may still be done", peers[peer],
				     connection->timeout_s);
	case -ECONNRESET:
	case -EPIPE:
		return complain_note(problem, EXIT_NO_ANSWER, "%s has ended before it answered", peers[peer]);
	case -EBADMSG:
	case -EMSGSIZE:
		return complain_note(problem, EXIT_NO_ANSWER, "%s does not speak Varlink", peers[peer]);
	default:
		return complain_note(problem, EXIT_NO_ANSWER, "the connection to %s is broken: %s", peers[peer],
				     strerror(-error));
	}
}

/* The other side has refused: its own words, where it has given some. */
static int refused(struct connection *connection, enum connection_peer peer, const char *error,
		   struct json_object *parameters)
{
	const char *dot = strrchr(error, '.'), *reason = member_text(parameters, "reason");
	struct complaint *problem = &connection->problem;

	snprintf(connection->error, sizeof connection->error, "%s", dot ? dot + 1 : error);
	if (*reason)
		complain_note(problem, EXIT_FAILED, "%s", reason);
	else if (strcmp(connection->error, "MethodNotFound") == 0 ||
		 strcmp(connection->error, "MethodNotImplemented") == 0 ||
		 strcmp(connection->error, "InterfaceNotFound") == 0)
		complain_note(problem, EXIT_FAILED, "%s is of another version, which cannot do this", peers[peer]);
	else if (strcmp(connection->error, "PermissionDenied") == 0)
		complain_note(problem, EXIT_FAILED, "%s does not allow you this; be root", peers[peer]);
	else if (strcmp(connection->error, "InvalidParameter") == 0)
		complain_note(problem, EXIT_FAILED, "%s does not take the parameter %s", peers[peer],
			      member_text(parameters, "parameter"));
	else
		complain_note(problem, EXIT_FAILED, "%s has refused: %s", peers[peer], error);
	return strcmp(connection->error, "PermissionDenied") == 0 ? EXIT_NOT_ALLOWED : EXIT_FAILED;
}

static int64_t deadline(const struct connection *connection)
{
	return place_now_ms() + (int64_t)connection->timeout_s * 1000;
}

static int ask(struct connection *connection, enum connection_peer peer, const char *method,
	       struct json_object *parameters, bool more)
{
	struct json_object *message = json_object_new_object();
	int64_t until_ms = deadline(connection);
	char name[100];
	int code, r;

	connection->error[0] = '\0';
	snprintf(name, sizeof name, "%s.%s", interfaces[peer], method);
	member_put_text(message, "method", name);
	json_object_object_add(message, "parameters", parameters ? parameters : json_object_new_object());
	if (more)
		member_put_bool(message, "more", true);
	code = open_exchange(connection, peer, until_ms);
	if (!code) {
		r = exchange_send(&connection->exchanges[peer], message, until_ms);
		code = r ? broken(connection, peer, r) : EXIT_DONE;
	}
	json_object_put(message);
	return code;
}

/* One answer: *reply is its parameters. */
static int take(struct connection *connection, enum connection_peer peer, struct json_object **reply, bool *continues)
{
	struct json_object *message, *parameters;
	int code = EXIT_DONE, r;

	r = exchange_receive(&connection->exchanges[peer], &message, deadline(connection));
	if (r)
		return broken(connection, peer, r);
	parameters = member_object(message, "parameters");
	*continues = member_bool(message, "continues");
	if (member_has(message, "error"))
		code = refused(connection, peer, member_text(message, "error"), parameters);
	else
		*reply = parameters ? json_object_get(parameters) : json_object_new_object();
	json_object_put(message);
	return code;
}

int connection_call(struct connection *connection, enum connection_peer peer, const char *method,
		    struct json_object *parameters, struct json_object **reply)
{
	int code = ask(connection, peer, method, parameters, false);
	struct json_object *got = NULL;
	bool continues;

	if (!code)
		code = take(connection, peer, &got, &continues);
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
		exchange_close(&connection->exchanges[peer]);
	return code;
}

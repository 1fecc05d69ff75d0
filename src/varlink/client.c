/* SPDX-License-Identifier: BSD-3-Clause */
/* The caller's side of Varlink. See client.h. */
#include "varlink/client.h"

#include "varlink/message.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct varlink_client {
	int fd;
	int ms;
	size_t used; /* bytes of `bytes` that have come */
	char bytes[VARLINK_REPLY_MAX];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t deadline_of(int ms)
{
	return ms < 0 ? INT64_MAX : now_ms() + ms;
}

/* Until the descriptor is ready: 0 or -ETIMEDOUT. */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline == INT64_MAX ? -1 : deadline - now_ms();
		int r;

		if (deadline != INT64_MAX && left < 0)
			left = 0;
		r = poll(&poll_fd, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (r > 0)
			return 0;
		if (r == 0 && left <= INT_MAX)
			return -ETIMEDOUT;
	}
}

/* ------------------------------------------------------------------ connection */

static int connect_to(int fd, const char *path, int ms)
{
	/* connect(2) on a Unix socket waits, as send(2) does, while too many others wait to be accepted. 0 stands for ever. */
	struct timeval patience = {.tv_sec = ms > 0 ? ms / 1000 : 0,
				   .tv_usec = ms > 0    ? ms % 1000 * 1000
					      : ms == 0 ? 1
							: 0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return 0;
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

int varlink_client_open(struct varlink_client **result, const char *path, int ms)
{
	struct varlink_client *client = calloc(1, sizeof *client);
	int r;

	if (!client)
		return -ENOMEM;
	client->ms = ms;
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = client->fd < 0 ? -errno : connect_to(client->fd, path, ms);
	if (r < 0) {
		varlink_client_close(client);
		return r;
	}
	*result = client;
	return 0;
}

int varlink_client_take(struct varlink_client **result, int fd, int ms)
{
	struct varlink_client *client = calloc(1, sizeof *client);

	if (!client) {
		close(fd);
		return -ENOMEM;
	}
	client->ms = ms;
	client->fd = fd;
	*result = client;
	return 0;
}

void varlink_client_set_patience(struct varlink_client *client, int ms)
{
	client->ms = ms;
}

void varlink_client_close(struct varlink_client *client)
{
	if (!client)
		return;
	if (client->fd >= 0)
		close(client->fd);
	free(client);
}

/* ------------------------------------------------------------------ bytes */

static int fail(struct varlink_failure *failure, int error)
{
	const char *text = error == -ETIMEDOUT    ? "there was no reply in time"
			   : error == -ECONNRESET ? "the connection was closed before the reply"
			   : error == -EBADMSG    ? "what came is no reply of a Varlink service"
						  : strerror(-error);

	failure->error[0] = '\0';
	snprintf(failure->text, sizeof failure->text, "%s", text);
	return error;
}

static int send_all(struct varlink_client *client, const char *bytes, size_t length)
{
	int64_t deadline = deadline_of(client->ms);

	while (length) {
		ssize_t sent = send(client->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
		int r = sent < 0 && errno == EAGAIN ? wait_for(client->fd, POLLOUT, deadline) : 0;

		if (r)
			return r;
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			/* A service that refuses a client says why before it closes the connection. */
			return errno == EPIPE ? 0 : -ECONNRESET;
		if (sent > 0) {
			bytes += sent;
			length -= (size_t)sent;
		}
	}
	return 0;
}

/* Wait for a whole message; its length, with its NUL. */
static ssize_t receive(struct varlink_client *client, int64_t deadline)
{
	for (;;) {
		const char *end = memchr(client->bytes, '\0', client->used);
		ssize_t got;
		int r;

		if (end)
			return end - client->bytes + 1;
		if (client->used == sizeof client->bytes)
			return -EBADMSG;
		r = wait_for(client->fd, POLLIN, deadline);
		if (r)
			return r;
		got = recv(client->fd, client->bytes + client->used, sizeof client->bytes - client->used, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return -ECONNRESET;
		if (got > 0)
			client->used += (size_t)got;
	}
}

/* ------------------------------------------------------------------ calls */

/* False: there is no memory. Takes the value in any case. */
static bool add(struct json_object *message, const char *name, struct json_object *value)
{
	if (message && value && json_object_object_add(message, name, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

int varlink_client_send(struct varlink_client *client, const char *method, struct json_object *in, bool more,
			struct varlink_failure *failure)
{
	struct json_object *message = json_object_new_object();
	char bytes[VARLINK_CALL_MAX];
	ssize_t length = -ENOMEM;
	bool whole;
	int r;

	whole = add(message, "parameters", in ? in : json_object_new_object()) &&
		add(message, "method", json_object_new_string(method)) &&
		(!more || add(message, "more", json_object_new_boolean(true)));
	if (whole)
		length = varlink_message_print(message, bytes, sizeof bytes);
	json_object_put(message);
	r = length < 0 ? (int)length : send_all(client, bytes, (size_t)length);
	return r ? fail(failure, r) : 0;
}

/* An error's parameters, as far as they are for people: a reason, or the name of what was wrong. */
static int read_error(struct varlink_failure *failure, const char *error, struct json_object *parameters)
{
	static const char *const names[] = {"reason", "parameter", "method", "interface"};
	const char *word = strrchr(error, '.');

	snprintf(failure->error, sizeof failure->error, "%s", error);
	snprintf(failure->text, sizeof failure->text, "%s", word && word[1] ? word + 1 : "error");
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *value = json_object_get_string(json_object_object_get(parameters, names[i]));

		if (!value || !value[0])
			continue;
		snprintf(failure->text, sizeof failure->text, i ? "%s: %s" : "%.0s%s", word ? word + 1 : error, value);
		break;
	}
	for (char *at = failure->text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7F)
			*at = ' ';
	return -EREMOTEIO;
}

static int read_reply(struct json_object *message, struct json_object **out, bool *continues,
		      struct varlink_failure *failure)
{
	struct json_object *error, *more, *parameters = json_object_object_get(message, "parameters");
	bool has_error = json_object_object_get_ex(message, "error", &error);

	if (parameters && !json_object_is_type(parameters, json_type_object))
		return fail(failure, -EBADMSG);
	if (json_object_object_get_ex(message, "continues", &more) && !json_object_is_type(more, json_type_boolean))
		return fail(failure, -EBADMSG);
	*continues = json_object_get_boolean(more);
	/* An error that is null says neither that all is well nor what is not. */
	if (has_error)
		return json_object_is_type(error, json_type_string)
			       ? read_error(failure, json_object_get_string(error), parameters)
			       : fail(failure, -EBADMSG);
	*out = parameters ? json_object_get(parameters) : json_object_new_object();
	return *out ? 0 : fail(failure, -ENOMEM);
}

int varlink_client_receive(struct varlink_client *client, bool patient, struct json_object **out, bool *continues,
			   struct varlink_failure *failure)
{
	ssize_t length = receive(client, patient ? INT64_MAX : deadline_of(client->ms));
	struct json_object *message;
	int r;

	*out = NULL;
	*continues = false;
	if (length < 0)
		return fail(failure, (int)length);
	message = varlink_message_parse(client->bytes, (size_t)length - 1, UINT_MAX, &r);
	client->used -= (size_t)length;
	memmove(client->bytes, client->bytes + length, client->used);
	if (!message)
		return fail(failure, r);
	r = read_reply(message, out, continues, failure);
	json_object_put(message);
	return r;
}

int varlink_client_call(struct varlink_client *client, const char *method, struct json_object *in,
			struct json_object **out, struct varlink_failure *failure)
{
	bool continues;
	int r = varlink_client_send(client, method, in, false, failure);

	*out = NULL;
	if (!r)
		r = varlink_client_receive(client, false, out, &continues, failure);
	if (!r && continues) {
		json_object_put(*out);
		*out = NULL;
		r = fail(failure, -EBADMSG);
	}
	return r;
}

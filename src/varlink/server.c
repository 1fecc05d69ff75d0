/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's side of Varlink. See server.h.
 *
 *   epoll --+-- listening socket    take_client()
 *           +-- timer               run_again(), expire()
 *           +-- connections         receive, and one call: begin_call() -> method -> send
 *
 * A connection is in one of these states, and the kernel is asked for what the state waits for:
 *
 *   its reply is being sent      until the socket takes more
 *   its call is being answered   until its method runs again
 *   otherwise                    until the client sends something
 */
#include "varlink/server.h"

#include "varlink/connection.h"
#include "varlink/idl.h"
#include "varlink/message.h"
#include "varlink/service.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* What epoll says of connections is their number; these are the others. */
#define LISTENING VARLINK_CLIENTS
#define TIMER     (VARLINK_CLIENTS + 1)

struct varlink_server {
	struct varlink_service service;
	struct varlink_face faces[2]; /* the service's own, and the one that tells of it */
	struct varlink_socket socket;
	int epoll, timer;
	bool deaf;  /* no client can be accepted now, for want of a descriptor or memory */
	bool ready; /* a client's next call is there already: no descriptor becomes ready for it */
	bool again; /* varlink_server_again() */
	struct varlink_connection clients[VARLINK_CLIENTS];
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ what a connection waits for */

static bool is_sending(const struct varlink_connection *client)
{
	return client->out_from < client->out_to;
}

static bool is_waiting(const struct varlink_connection *client)
{
	return client->method && !is_sending(client);
}

/* True if the client has begun what it has to end within VARLINK_PATIENCE_S. */
static bool has_deadline(const struct varlink_connection *client)
{
	return is_sending(client) || (!client->method && client->in_used);
}

/* Nothing is left to say, and nothing will be asked. */
static bool is_over(const struct varlink_connection *client)
{
	return client->ended && !client->method && !is_sending(client) && !varlink_connection_message(client);
}

static void await(struct varlink_server *server, struct varlink_connection *client)
{
	struct epoll_event event = {.data.u32 = (uint32_t)(client - server->clients)};

	if (is_over(client)) {
		varlink_connection_close(client);
		return;
	}
	if (is_sending(client))
		event.events = EPOLLOUT;
	else if (!client->method && !client->ended)
		event.events = EPOLLIN;
	epoll_ctl(server->epoll, EPOLL_CTL_MOD, client->fd, &event);
	server->ready = server->ready || (!client->method && !is_sending(client) && varlink_connection_message(client));
}

static void listen_to_clients(struct varlink_server *server, bool listen)
{
	struct epoll_event event = {.events = listen ? EPOLLIN : 0, .data.u32 = LISTENING};

	epoll_ctl(server->epoll, EPOLL_CTL_MOD, server->socket.fd, &event);
	server->deaf = !listen;
}

/* The timer fires when a method is to run again, or a second later if a deadline may have passed by then. */
static void set_timer(struct varlink_server *server)
{
	struct itimerspec when = {.it_value = {.tv_sec = server->deaf}};

	for (unsigned i = 0; i < VARLINK_CLIENTS; i++) {
		const struct varlink_connection *client = &server->clients[i];

		if (client->fd >= 0 && has_deadline(client) && !when.it_value.tv_nsec)
			when.it_value.tv_sec = 1;
		if (client->fd >= 0 && is_waiting(client))
			when.it_value = (struct timespec){.tv_nsec = VARLINK_AGAIN_MS * 1000000L};
	}
	if (server->ready || server->again)
		when.it_value = (struct timespec){.tv_nsec = 1};
	timerfd_settime(server->timer, 0, &when, NULL);
}

/* ------------------------------------------------------------------ calls */

static void run(struct varlink_connection *client)
{
	struct varlink_call *call = &client->call;
	enum varlink_result result = client->method->run(client->face->opaque, call);

	client->ran_ms = client->since_ms = now_ms();
	if (result == VARLINK_AGAIN && !client->replied)
		return;
	if (!client->replied)
		varlink_reply_text(call, NULL, NULL);
	json_object_put(call->in);
	*call = (struct varlink_call){.in = NULL};
	client->method = NULL;
}

static const struct varlink_method *find_method(const struct varlink_method *methods, const char *name)
{
	for (; methods->name; methods++)
		if (strcmp(methods->name, name) == 0)
			return methods;
	return NULL;
}

/* The interface in the first `length` characters of a method's name. */
static const struct varlink_face *find_face(const struct varlink_server *server, const char *name, size_t length)
{
	for (unsigned i = 0; i < 2; i++)
		if (strlen(server->faces[i].name) == length && strncmp(server->faces[i].name, name, length) == 0)
			return &server->faces[i];
	return NULL;
}

static void refuse_interface(struct varlink_call *call, const char *name, size_t length)
{
	char interface[128];

	snprintf(interface, sizeof interface, "%.*s", (int)(length < sizeof interface ? length : sizeof interface),
		 name);
	varlink_service_refuse(call, "InterfaceNotFound", "interface", interface);
}

/* `name` is the method's, with its interface's before it. */
static void dispatch(struct varlink_server *server, struct varlink_connection *client, const char *name)
{
	const char *dot = strrchr(name, '.'), *word = dot ? dot + 1 : name;
	size_t length = dot ? (size_t)(dot - name) : 0;
	const struct varlink_face *face = find_face(server, name, length);
	const struct varlink_method *method = face ? find_method(face->methods, word) : NULL;
	struct varlink_call *call = &client->call;
	char wrong[IDL_NAME_MAX];

	client->face = face ? face : &server->faces[1];
	client->replied = false;
	if (!client->rights || (method && client->rights < method->needs))
		varlink_service_refuse(call, "PermissionDenied", NULL, NULL);
	else if (!face)
		refuse_interface(call, name, length);
	else if (!method)
		varlink_service_refuse(call,
				       idl_has_method(face->idl, word) ? "MethodNotImplemented" : "MethodNotFound",
				       "method", name);
	else if (!idl_check(face->idl, word, call->in, wrong))
		varlink_service_refuse(call, "InvalidParameter", "parameter", wrong);
	else
		client->method = method;
	if (client->method) {
		run(client);
		return;
	}
	json_object_put(call->in);
	*call = (struct varlink_call){.in = NULL};
}

/* A member that is true or false, and false if it is missing. */
static bool get_flag(struct json_object *message, const char *name, bool *flag)
{
	struct json_object *value = json_object_object_get(message, name);

	*flag = json_object_get_boolean(value);
	return !value || json_object_is_type(value, json_type_boolean);
}

/* Answer the client's next call, if it is there. False: it is no call. */
static bool take_call(struct varlink_server *server, struct varlink_connection *client)
{
	size_t length = varlink_connection_message(client);
	struct json_object *message, *name, *parameters;
	bool well;
	int error;

	if (!length)
		return true;
	message = varlink_message_parse(client->in, length - 1, VARLINK_VALUES_MAX, &error);
	varlink_connection_forget(client, length);
	if (!message && error == -ENOMEM && client->rights) {
		client->face = &server->faces[0];
		client->oneway = false;
		varlink_refuse(&client->call, "Failed", "there is no memory for the call; try again");
		return true;
	}
	if (!message)
		return false;
	name = json_object_object_get(message, "method");
	parameters = json_object_object_get(message, "parameters");
	/* A NUL in a name would hide what comes behind it. */
	well = json_object_is_type(name, json_type_string) &&
	       strlen(json_object_get_string(name)) == (size_t)json_object_get_string_len(name) &&
	       (!parameters || json_object_is_type(parameters, json_type_object)) &&
	       get_flag(message, "more", &client->call.more) && get_flag(message, "oneway", &client->oneway);
	if (well) {
		client->call.in = json_object_get(parameters);
		client->since_ms = now_ms();
		dispatch(server, client, json_object_get_string(name));
	}
	json_object_put(message);
	return well;
}

/* ------------------------------------------------------------------ connections */

/* One call at most, so that no client keeps others waiting. */
static void client_event(struct varlink_server *server, struct varlink_connection *client, uint32_t events)
{
	bool well = true;

	if (client->fd < 0)
		return;
	if (events & EPOLLIN) {
		client->heard_ms = now_ms();
		if (!client->in_used)
			client->since_ms = client->heard_ms;
		well = varlink_connection_receive(client);
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		well = false;
	}
	if (well && !is_sending(client) && !client->method)
		well = take_call(server, client);
	if (well)
		well = varlink_connection_send(client);
	/* Whoever may do nothing was told so. */
	client->ended = client->ended || (!client->rights && client->face);
	if (!well)
		varlink_connection_close(client);
	else
		await(server, client);
}

/* How much somebody else has to be allowed to get the place: one who is being answered keeps it from equals. */
static bool may_take_place(const struct varlink_connection *client, enum varlink_rights rights)
{
	return client->fd < 0 || client->rights < rights ||
	       (client->rights == rights && !client->method && !is_sending(client));
}

static struct varlink_connection *find_place(struct varlink_server *server, enum varlink_rights rights)
{
	struct varlink_connection *place = NULL;

	for (unsigned i = 0; i < VARLINK_CLIENTS; i++) {
		struct varlink_connection *client = &server->clients[i];

		if (client->fd < 0)
			return client;
		if (may_take_place(client, rights) &&
		    (!place || client->rights < place->rights ||
		     (client->rights == place->rights && client->heard_ms < place->heard_ms)))
			place = client;
	}
	if (place)
		varlink_connection_close(place);
	return place;
}

static void take_client(struct varlink_server *server)
{
	int fd = accept4(server->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct varlink_connection *client;
	struct epoll_event event = {.events = EPOLLIN};
	enum varlink_rights rights;

	if (fd < 0) {
		/* Without a descriptor or memory the client goes on waiting, and the loop would be woken for it all the time. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			listen_to_clients(server, false);
		return;
	}
	rights = varlink_peer_rights(fd, server->service.group);
	client = find_place(server, rights);
	event.data.u32 = client ? (uint32_t)(client - server->clients) : 0;
	if (!client || epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		close(fd);
		return;
	}
	client->epoll = server->epoll;
	client->fd = fd;
	client->rights = rights;
	client->face = NULL;
	client->ended = false;
	client->in_used = client->out_from = client->out_to = 0;
	client->heard_ms = client->since_ms = now_ms();
}

/* What no descriptor tells of: methods that run again, calls that have come already, and time that has passed. */
static void look_after(struct varlink_server *server, struct varlink_connection *client, bool again)
{
	uint64_t now = now_ms();

	if (client->fd < 0)
		return;
	if (has_deadline(client) && now - client->since_ms > VARLINK_PATIENCE_S * 1000) {
		varlink_connection_close(client);
		return;
	}
	if (is_waiting(client) && (again || now - client->ran_ms >= VARLINK_AGAIN_MS))
		run(client);
	client_event(server, client, 0);
}

void varlink_server_step(struct varlink_server *server)
{
	struct epoll_event events[VARLINK_CLIENTS + 2];
	int n = epoll_wait(server->epoll, events, VARLINK_CLIENTS + 2, 0);
	bool again = server->again;

	server->ready = server->again = false;
	for (int i = 0; i < n; i++) {
		uint32_t which = events[i].data.u32;

		if (which == LISTENING)
			take_client(server);
		else if (which == TIMER && server->deaf)
			listen_to_clients(server, true);
		else if (which < VARLINK_CLIENTS)
			client_event(server, &server->clients[which], events[i].events);
	}
	for (unsigned i = 0; i < VARLINK_CLIENTS; i++)
		look_after(server, &server->clients[i], again);
	set_timer(server);
}

void varlink_server_again(struct varlink_server *server)
{
	server->again = true;
	set_timer(server);
}

/* ------------------------------------------------------------------ life */

static void set_face(struct varlink_face *face, const char *idl, const struct varlink_method *methods, void *opaque)
{
	const char *name;
	size_t length;

	idl_name(idl, &name, &length);
	*face = (struct varlink_face){.idl = idl, .methods = methods, .opaque = opaque};
	snprintf(face->name, sizeof face->name, "%.*s", (int)length, name);
}

static struct varlink_server *make(const struct varlink_service *service)
{
	struct varlink_server *server = malloc(sizeof *server);

	if (!server)
		return NULL;
	/* The whole of it, so that every page is in memory from now on. */
	memset(server, 0, sizeof *server);
	server->service = *service;
	set_face(&server->faces[0], service->idl, service->methods, service->opaque);
	server->faces[0].drop = service->drop;
	set_face(&server->faces[1], idl_service, varlink_service_methods, &server->service);
	server->socket.fd = server->epoll = server->timer = -1;
	for (unsigned i = 0; i < VARLINK_CLIENTS; i++)
		server->clients[i].fd = -1;
	return server;
}

int varlink_server_listen(struct varlink_server *server, struct varlink_why *why)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = LISTENING};
	int r;

	if (server->socket.fd >= 0)
		epoll_ctl(server->epoll, EPOLL_CTL_DEL, server->socket.fd, NULL);
	varlink_socket_close(&server->socket);
	server->deaf = false;
	r = varlink_socket_listen(&server->socket, server->service.path, server->service.group, why);
	if (!r && epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->socket.fd, &event) < 0) {
		r = -errno;
		snprintf(why->text, sizeof why->text, "%s: %s", server->service.path, strerror(-r));
		varlink_socket_close(&server->socket);
	}
	return r;
}

bool varlink_server_is_there(const struct varlink_server *server)
{
	return varlink_socket_is_there(&server->socket);
}

int varlink_server_open(struct varlink_server **result, const struct varlink_service *service)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = TIMER};
	struct varlink_server *server = make(service);
	int r;

	if (!server)
		return -ENOMEM;
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (server->epoll < 0 || server->timer < 0 ||
	    epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->timer, &event) < 0) {
		r = -errno;
		varlink_server_close(server);
		return r;
	}
	*result = server;
	return 0;
}

int varlink_server_fd(const struct varlink_server *server)
{
	return server->epoll;
}

void varlink_server_close(struct varlink_server *server)
{
	if (!server)
		return;
	for (unsigned i = 0; i < VARLINK_CLIENTS; i++)
		varlink_connection_close(&server->clients[i]);
	varlink_socket_close(&server->socket);
	if (server->timer >= 0)
		close(server->timer);
	if (server->epoll >= 0)
		close(server->epoll);
	free(server);
}

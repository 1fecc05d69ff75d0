/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A Varlink server, from the side of its clients.
 *
 * Input: operations: what to do, which client, and the bytes that it sends. Some of them are put into a call that is right otherwise.
 * Whatever clients do, what comes back is whole messages, no more than there were calls; no method gets parameters that its interface
 * does not have; and no descriptor is left.
 */
#include "fuzz/input.h"
#include "lib/base.h"

#include "varlink/message.h"
#include "varlink/server.h"

#include <json-c/json.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CLIENTS    12
#define OPERATIONS 64

static const char idl[] = "interface org.example.Fuzz\n"
			  "method Echo(i: ?int, s: ?string, b: ?bool, e: ?(one, two)) -> (s: ?string)\n"
			  "method Wait(times: int) -> ()\n"
			  "method Refuse(s: string) -> ()\n"
			  "method Missing() -> ()\n"
			  "error Wrong (reason: string)\n";

static enum varlink_result echo(void *opaque, struct varlink_call *call)
{
	const char *s = varlink_string(call, "s"), *e = varlink_string(call, "e");
	struct json_object *out = json_object_new_object();
	int64_t i = 0;
	bool b = false;

	varlink_int(call, "i", &i);
	varlink_bool(call, "b", &b);
	must(!e || strcmp(e, "one") == 0 || strcmp(e, "two") == 0);
	varlink_add_int(out, "i", (uint64_t)i);
	varlink_add_bool(out, "b", b);
	if (s)
		varlink_add_string(out, "s", s);
	varlink_reply(call, out);
	return VARLINK_DONE;
}

static enum varlink_result wait_some(void *opaque, struct varlink_call *call)
{
	int64_t times = -1;

	must(varlink_int(call, "times", &times));
	if ((int64_t)call->state[0]++ >= times)
		return VARLINK_DONE;
	if (call->more)
		varlink_notify(call, NULL);
	return VARLINK_AGAIN;
}

static enum varlink_result refuse(void *opaque, struct varlink_call *call)
{
	varlink_refuse(call, "Wrong", "%s is wrong", varlink_string(call, "s"));
	return VARLINK_DONE;
}

static const struct varlink_method methods[] = {
	{"Echo", VARLINK_LOOK, echo},
	{"Wait", VARLINK_LOOK, wait_some},
	{"Refuse", VARLINK_CHANGE, refuse},
	{NULL, VARLINK_NOTHING, NULL},
};

static char folder[] = "/tmp/zsblk-fuzz.XXXXXX", path[64];

static void remove_folder(void)
{
	rmdir(folder);
}

static void set_up_once(void)
{
	if (path[0])
		return;
	must(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/socket", folder);
	atexit(remove_folder);
}

/* ------------------------------------------------------------------ the clients */

struct client {
	int fd; /* -1: none */
	char bytes[2 * VARLINK_REPLY_MAX];
	size_t used;
};

static struct client clients[CLIENTS];

static void forget(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->used = 0;
}

static void connect_to_it(struct client *client)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, path);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	must(client->fd >= 0);
	if (connect(client->fd, (struct sockaddr *)&address, sizeof address) < 0)
		forget(client);
}

static void send_bytes(struct client *client, struct input *input)
{
	char bytes[2 * VARLINK_CALL_MAX];
	size_t length =
		(size_t)take(input, 1) % 8 ? (size_t)take(input, 1) % 64 : (size_t)take(input, 2) % sizeof bytes;

	for (size_t i = 0; i < length; i++)
		bytes[i] = input->left ? (char)take(input, 1) : '[';
	(void)!send(client->fd, bytes, length, MSG_NOSIGNAL);
}

/* A call that is right, but for what the input puts in. */
static void send_call(struct client *client, struct input *input)
{
	static const char *const names[] = {"Echo", "Wait", "Refuse", "Missing", "Other"};
	static const char *const parameters[] = {"i", "s", "b", "e", "times", "other"};
	static const char *const values[] = {"1",       "-9223372036854775808", "1e9", "true", "null",
					     "\"one\"", "\"\xc3\xa4\"",         "[]",  "{}"};
	unsigned name = (unsigned)take(input, 1), parameter = (unsigned)take(input, 1),
		 value = (unsigned)take(input, 1);
	unsigned flags = (unsigned)take(input, 1);
	char text[400], inserted[9] = "";

	for (unsigned i = 0; i < flags >> 5; i++)
		inserted[i] = (char)take(input, 1);
	int length = snprintf(
		text, sizeof text,
		"{\"method\":\"org.example.Fuzz.%s\",\"parameters\":{\"%s\":%s%s},\"more\":%s,\"oneway\":%s}",
		names[name % COUNT_OF(names)], parameters[parameter % COUNT_OF(parameters)],
		values[value % COUNT_OF(values)], inserted, flags & 1 ? "true" : "false", flags & 2 ? "true" : "false");
	(void)!send(client->fd, text, (size_t)length + !(flags & 4), MSG_NOSIGNAL);
}

static void receive(struct client *client)
{
	ssize_t got = recv(client->fd, client->bytes + client->used, sizeof client->bytes - client->used, 0);
	const char *end;

	if (got > 0)
		client->used += (size_t)got;
	while ((end = memchr(client->bytes, '\0', client->used))) {
		size_t length = (size_t)(end - client->bytes);
		int error;
		struct json_object *message = varlink_message_parse(client->bytes, length, 1000, &error);

		must(message && length < VARLINK_REPLY_MAX);
		must(json_object_object_get(message, "parameters"));
		json_object_put(message);
		client->used -= length + 1;
		memmove(client->bytes, end + 1, client->used);
	}
	/* Half a reply comes at most while the other half is on its way. */
	must(got != 0 || client->used == 0);
	if (got == 0)
		forget(client);
}

/* ------------------------------------------------------------------ all of it */

static void operate(struct varlink_server *server, struct input *input)
{
	unsigned what = (unsigned)take(input, 1);
	struct client *client = &clients[what / 8 % CLIENTS];

	if (what % 8 == 7)
		varlink_server_again(server);
	else if (client->fd < 0)
		connect_to_it(client);
	else if (what % 8 < 2)
		send_bytes(client, input);
	else if (what % 8 < 4)
		send_call(client, input);
	else if (what % 8 == 4)
		receive(client);
	else if (what % 8 == 5)
		shutdown(client->fd, SHUT_WR);
	else
		forget(client);
	varlink_server_step(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct varlink_service service = {.product = "fuzz",
					  .version = "1",
					  .idl = idl,
					  .methods = methods,
					  .path = path,
					  .group = VARLINK_NO_GROUP};
	struct input input = {bytes, len};
	struct varlink_server *server;
	struct varlink_why why;
	int lowest = dup(STDIN_FILENO);

	close(lowest);
	set_up_once();
	must(varlink_server_open(&server, &service) == 0 && varlink_server_listen(server, &why) == 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	for (unsigned n = 0; input.left && n < OPERATIONS; n++)
		operate(server, &input);
	for (unsigned i = 0; i < CLIENTS; i++) {
		varlink_server_step(server);
		if (clients[i].fd >= 0)
			receive(&clients[i]);
		forget(&clients[i]);
	}
	varlink_server_step(server);
	varlink_server_close(server);
	must(access(path, F_OK) < 0);
	must(dup(STDIN_FILENO) == lowest);
	close(lowest);
	return 0;
}

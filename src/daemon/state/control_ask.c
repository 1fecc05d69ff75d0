/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket, from the other side. See control.h.
 *
 * Daemons before 0.1 listened at FOLDER/control, SOCK_SEQPACKET: one word a connection, and for an answer "ok" or "failed", a newline, and
 * a text. One of them may still run: what starts, stops or replaces daemons has been installed anew, and the daemon has not. The place has
 * become that of the server's control socket, which is of another type.
 */
#include "daemon/state/control.h"
#include "varlink/client.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Seconds for a daemon to accept a connection. */
#define ACCEPT_S 10u

static const struct {
	const char *method;
	const char *word; /* to a daemon of before; NULL: it has no such request */
} verbs[] = {
	[CONTROL_STATUS] = {"GetStatus", "status"},
	[CONTROL_STOP] = {"Stop", "stop"},
	[CONTROL_STOP_UNUSED] = {"Stop", "stop-unused"},
	[CONTROL_UPGRADE] = {"Upgrade", "upgrade"},
	[CONTROL_RESIZE] = {"Resize", NULL},
	[CONTROL_MAKE_WAY] = {"MakeWay", "make-way"},
};

/* ------------------------------------------------------------------ to a daemon of before */

static int ask_in_words(const char *path, const char *word, unsigned seconds, char text[CONTROL_TEXT_MAX + 1])
{
	/* A daemon that is well accepts at once, whatever it is asked for. */
	int fd = folder_connect(path, SOCK_SEQPACKET, seconds && seconds < ACCEPT_S ? seconds : ACCEPT_S);
	ssize_t got;

	if (fd == -EAGAIN)
		return -ETIMEDOUT;
	/* -EPROTOTYPE: it is a server's. Any other error says nothing of whether there is one. */
	if (fd < 0)
		return fd == -ENOENT || fd == -ECONNREFUSED || fd == -EPROTOTYPE ? -ESRCH : fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = (time_t)seconds}, sizeof(struct timeval));
	got = send(fd, word, strlen(word), MSG_NOSIGNAL);
	if (got >= 0)
		got = recv(fd, text, CONTROL_TEXT_MAX, 0);
	close(fd);
	if (got <= 0)
		return got == 0 ? -ECONNRESET : -ETIMEDOUT;
	text[got] = '\0';
	return 0;
}

static int ask_before(const struct folder *folder, const struct control_request *request, unsigned seconds,
		      struct wrong *answer)
{
	char path[FOLDER_PATH_MAX + 60], text[CONTROL_TEXT_MAX + 1];
	const char *word = verbs[request->verb].word, *newline;
	int r;

	folder_file(folder, FOLDER_CONTROL, path);
	/* Whether there is one, at least. */
	r = ask_in_words(path, word ? word : "?", seconds, text);
	if (r)
		return r;
	if (!word) {
		snprintf(answer->text, sizeof answer->text,
			 "the daemon that runs is of a version without that; restart it first (systemctl restart)");
		return -EACCES;
	}
	newline = strchr(text, '\n');
	snprintf(answer->text, sizeof answer->text, "%s", newline ? newline + 1 : "");
	return strncmp(text, "ok\n", 3) == 0 ? 0 : -EACCES;
}

/* ------------------------------------------------------------------ over Varlink */

/* 0 or -ENOMEM: without one of its parameters a request would be another one. */
static int make_parameters(const struct control_request *request, struct json_object **in)
{
	struct json_object *value = NULL;
	const char *name = NULL;

	*in = json_object_new_object();
	if (request->verb == CONTROL_STOP_UNUSED) {
		name = "unless_used";
		value = json_object_new_boolean(true);
	} else if (request->verb == CONTROL_RESIZE) {
		name = "size";
		value = json_object_new_int64((int64_t)request->size);
	}
	if (*in && (!name || (value && json_object_object_add(*in, name, value) == 0)))
		return 0;
	json_object_put(value);
	json_object_put(*in);
	return -ENOMEM;
}

static int call(struct varlink_client *client, const struct control_request *request, struct wrong *answer)
{
	struct json_object *in, *out = NULL, *text = NULL;
	struct varlink_failure failure = {.text = ""};
	char method[64];
	int r = make_parameters(request, &in);

	if (r)
		return r;
	snprintf(method, sizeof method, "org.zsblk.Daemon.%s", verbs[request->verb].method);
	r = varlink_client_call(client, method, in, &out, &failure);
	snprintf(answer->text, sizeof answer->text, "%s", failure.text);
	if (r)
		return r == -EREMOTEIO ? -EACCES : r;
	json_object_object_get_ex(out, request->verb == CONTROL_STATUS ? "sentence" : "text", &text);
	snprintf(answer->text, sizeof answer->text, "%s", text ? json_object_get_string(text) : "");
	json_object_put(out);
	return 0;
}

static int ask_now(const struct folder *folder, const struct control_request *request, unsigned seconds,
		   struct wrong *answer)
{
	char path[FOLDER_PATH_MAX + 60];
	struct varlink_client *client;
	int r;

	folder_file(folder, FOLDER_DAEMON, path);
	r = varlink_client_open(&client, path, seconds ? (int)seconds * 1000 : -1);
	if (r == -EACCES)
		snprintf(answer->text, sizeof answer->text, "%.120s: %s: ask as root, or as the daemon's user", path,
			 strerror(EACCES));
	if (r)
		return r == -ENOENT || r == -ECONNREFUSED ? -ESRCH : r;
	r = call(client, request, answer);
	varlink_client_close(client);
	return r;
}

int control_ask(const char *top, const char *name, const struct control_request *request, unsigned seconds,
		struct wrong *answer)
{
	struct folder folder;
	int r = folder_open(&folder, top, name, false, answer);

	if (r && r != -ENOENT)
		return r;
	r = r ? -ESRCH : ask_now(&folder, request, seconds, answer);
	if (r == -ESRCH)
		r = ask_before(&folder, request, seconds, answer);
	switch (r) {
	case 0:
	case -EACCES:
		break;
	case -ESRCH:
		snprintf(answer->text, sizeof answer->text, "there is no zsblkd for '%s' (%s)", name, folder.path);
		break;
	default:
		snprintf(answer->text, sizeof answer->text,
			 r == -ECONNRESET ? "zsblkd for '%s' ended before it answered"
					  : "zsblkd for '%s' does not answer",
			 name);
		r = -EREMOTEIO;
	}
	folder_close(&folder);
	return r;
}

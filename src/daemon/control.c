/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket. See control.h. */
#include "daemon/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#define MAX_CLIENTS 8u

struct client {
	struct control *control;
	sd_event_source *source;
	int fd; /* -1: free */
};

struct control {
	sd_event *loop;
	sd_event_source *source;
	int fd;
	control_request_fn *request;
	void *opaque;
	struct client clients[MAX_CLIENTS];
};

static void end_client(struct client *client)
{
	client->source = sd_event_source_disable_unref(client->source);
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static int client_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct client *client = opaque;
	char request[CONTROL_TEXT_MAX + 1];
	ssize_t got = recv(fd, request, sizeof request - 1, MSG_DONTWAIT);

	if (got <= 0) {
		end_client(client);
		return 0;
	}
	request[got] = '\0';
	request[strcspn(request, "\n")] = '\0';
	client->control->request(client->control->opaque, (unsigned)(client - client->control->clients), request);
	return 0;
}

static int new_client(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct control *control = opaque;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (connection < 0)
		return 0;
	for (unsigned i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &control->clients[i];

		if (client->fd >= 0)
			continue;
		client->fd = connection;
		if (sd_event_add_io(control->loop, &client->source, connection, EPOLLIN, client_event, client) < 0)
			end_client(client);
		return 0;
	}
	close(connection);
	return 0;
}

int control_listen(struct control **result, struct sd_event *loop, const struct folder *folder,
		   control_request_fn *request, void *opaque)
{
	struct control *control = calloc(1, sizeof *control);
	int r;

	if (!control)
		return -ENOMEM;
	*control = (struct control){.loop = loop, .request = request, .opaque = opaque};
	for (unsigned i = 0; i < MAX_CLIENTS; i++)
		control->clients[i] = (struct client){.control = control, .fd = -1};
	control->fd = folder_listen(folder, "control", SOCK_SEQPACKET);
	r = control->fd < 0 ? control->fd
			    : sd_event_add_io(loop, &control->source, control->fd, EPOLLIN, new_client, control);
	if (r < 0) {
		control_close(control);
		return r;
	}
	*result = control;
	return 0;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	for (unsigned i = 0; i < MAX_CLIENTS; i++)
		end_client(&control->clients[i]);
	sd_event_source_disable_unref(control->source);
	if (control->fd >= 0)
		close(control->fd);
	free(control);
}

void control_answer(struct control *control, unsigned number, bool ok, const char *text)
{
	struct client *client = &control->clients[number];
	char answer[CONTROL_TEXT_MAX];
	int length = snprintf(answer, sizeof answer, "%s\n%s", ok ? "ok" : "failed", text);

	if (length >= (int)sizeof answer)
		length = sizeof answer - 1;
	if (client->fd >= 0)
		(void)!send(client->fd, answer, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
	end_client(client);
}

int control_ask(const char *top, const char *name, const char *request, unsigned seconds, struct wrong *answer)
{
	char path[FOLDER_PATH_MAX + 60], text[CONTROL_TEXT_MAX + 1];
	struct folder folder;
	ssize_t got;
	int fd, r = folder_open(&folder, top, name, false, answer);

	if (r && r != -ENOENT)
		return r;
	folder_file(&folder, "control", path);
	folder_close(&folder);
	fd = r ? r : folder_connect(path, SOCK_SEQPACKET);
	if (fd < 0) {
		snprintf(answer->text, sizeof answer->text, "there is no zsblkd for '%s' (%s: %s)", name, path,
			 strerror(-fd));
		return -ESRCH;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = (time_t)seconds}, sizeof(struct timeval));
	got = send(fd, request, strlen(request), MSG_NOSIGNAL);
	if (got >= 0)
		got = recv(fd, text, sizeof text - 1, 0);
	close(fd);
	if (got <= 0) {
		snprintf(answer->text, sizeof answer->text,
			 got == 0 ? "zsblkd for '%s' ended before it answered" : "zsblkd for '%s' does not answer",
			 name);
		return -EREMOTEIO;
	}
	text[got] = '\0';
	snprintf(answer->text, sizeof answer->text, "%s", strchr(text, '\n') ? strchr(text, '\n') + 1 : "");
	return strncmp(text, "ok\n", 3) == 0 ? 0 : -EACCES;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket. See control.h. */
#include "daemon/state/control.h"

#include "daemon/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

/* Seconds for a daemon to accept a connection. */
#define ACCEPT_S 10u
/* If there is no descriptor for a client, the daemon tries to accept it again after so long. */
#define AGAIN_US 1000000u

struct client {
	struct control *control;
	sd_event_source *source;
	int fd; /* -1: free */
	unsigned number;
	bool has_asked;
};

struct control {
	sd_event *loop;
	sd_event_source *source;
	sd_event_source *again; /* after AGAIN_US */
	int fd;
	control_request_fn *request;
	void *opaque;
	unsigned last_number;
	struct client clients[CONTROL_CLIENTS];
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
	client->has_asked = true;
	client->control->request(client->control->opaque, client->number, request);
	return 0;
}

/* A place for a client: a free one, or that of the one who has been silent for longest. NULL: all wait for answers. */
static struct client *find_place(struct control *control)
{
	struct client *place = NULL;

	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *client = &control->clients[i];

		if (client->fd < 0)
			return client;
		if (!client->has_asked && (!place || client->number < place->number))
			place = client;
	}
	if (place)
		end_client(place);
	return place;
}

static int new_client(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct control *control = opaque;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client;

	if (connection < 0) {
		/* No descriptor or no memory: the client goes on waiting, and the loop would be woken for it all the time. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			sd_event_source_set_enabled(source, SD_EVENT_OFF);
			clock_set(control->again, AGAIN_US);
		}
		return 0;
	}
	client = find_place(control);
	if (!client) {
		close(connection);
		return 0;
	}
	client->fd = connection;
	client->has_asked = false;
	client->number = ++control->last_number;
	if (sd_event_add_io(control->loop, &client->source, connection, EPOLLIN, client_event, client) < 0)
		end_client(client);
	return 0;
}

static int listen_again(sd_event_source *source, uint64_t when, void *opaque)
{
	struct control *control = opaque;

	sd_event_source_set_enabled(control->source, SD_EVENT_ON);
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
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		control->clients[i] = (struct client){.control = control, .fd = -1};
	control->fd = folder_listen(folder, "control", SOCK_SEQPACKET);
	r = control->fd < 0 ? control->fd
			    : sd_event_add_io(loop, &control->source, control->fd, EPOLLIN, new_client, control);
	if (r >= 0)
		r = sd_event_add_time(loop, &control->again, CLOCK_MONOTONIC, 0, 0, listen_again, control);
	if (r >= 0)
		r = sd_event_source_set_enabled(control->again, SD_EVENT_OFF);
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
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		end_client(&control->clients[i]);
	sd_event_source_disable_unref(control->source);
	sd_event_source_disable_unref(control->again);
	if (control->fd >= 0)
		close(control->fd);
	free(control);
}

void control_answer(struct control *control, unsigned number, bool ok, const char *text)
{
	char answer[CONTROL_TEXT_MAX];
	int length = snprintf(answer, sizeof answer, "%s\n%s", ok ? "ok" : "failed", text);

	if (length >= (int)sizeof answer)
		length = sizeof answer - 1;
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *client = &control->clients[i];

		if (client->fd < 0 || client->number != number)
			continue;
		(void)!send(client->fd, answer, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
		end_client(client);
	}
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
	/* A daemon that is well accepts at once, whatever it is asked for. */
	fd = r ? r : folder_connect(path, SOCK_SEQPACKET, seconds && seconds < ACCEPT_S ? seconds : ACCEPT_S);
	if (fd == -EAGAIN) {
		snprintf(answer->text, sizeof answer->text, "zsblkd for '%s' does not answer", name);
		return -EREMOTEIO;
	}
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

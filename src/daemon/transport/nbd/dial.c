/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections to a server, made all at once. See dial.h. */
#include "daemon/transport/nbd/dial.h"

#include "daemon/transport/nbd/connection.h"
#include "daemon/state/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <systemd/sd-event.h>

struct line {
	struct dial *dial;
	struct connection connection;
	sd_event_source
		*source; /* gone before the descriptor is closed: a child that was just forked has a copy of that */
};

struct dial {
	struct sd_event *loop;
	dial_done_fn *done;
	void *opaque;
	unsigned n;
	unsigned n_ready;
	struct line lines[];
};

static void finish(struct dial *dial, int r, const char *why)
{
	dial_done_fn *done = dial->done;

	for (unsigned i = 0; i < dial->n; i++)
		dial->lines[i].source = sd_event_source_disable_unref(dial->lines[i].source);
	dial->done = NULL;
	if (done)
		done(dial->opaque, r, why);
}

static int line_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct line *line = opaque;
	int r = connection_move(&line->connection);
	char why[sizeof line->connection.why];

	if (r < 0) {
		/* The handler may end the dial. */
		strcpy(why, line->connection.why);
		finish(line->dial, r, why);
	} else if (r == 0) {
		sd_event_source_set_io_events(source, (uint32_t)connection_events(&line->connection));
	} else {
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		if (++line->dial->n_ready == line->dial->n)
			finish(line->dial, 0, NULL);
	}
	return 0;
}

static int start_line(struct line *line, const char *path)
{
	int fd = folder_connect(path, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return fd;
	connection_init(&line->connection, fd);
	return sd_event_add_io(line->dial->loop, &line->source, fd, (uint32_t)connection_events(&line->connection),
			       line_event, line);
}

int dial_start(struct dial **result, struct sd_event *loop, const char *path, unsigned n, dial_done_fn *done,
	       void *opaque)
{
	struct dial *dial = calloc(1, sizeof *dial + n * sizeof dial->lines[0]);
	int r = 0;

	if (!dial)
		return -ENOMEM;
	*dial = (struct dial){.loop = loop, .done = done, .opaque = opaque, .n = n};
	for (unsigned i = 0; i < n; i++)
		dial->lines[i] = (struct line){.dial = dial, .connection.fd = -1};
	for (unsigned i = 0; i < n && r >= 0; i++)
		r = start_line(&dial->lines[i], path);
	if (r < 0) {
		dial_end(dial);
		return r;
	}
	*result = dial;
	return 0;
}

int dial_fd(const struct dial *dial, unsigned i)
{
	return dial->lines[i].connection.fd;
}

void dial_server(const struct dial *dial, struct dial_server *server)
{
	const struct connection *connection = &dial->lines[0].connection;

	server->size = connection->size;
	server->flags = connection->flags;
}

void dial_take(struct dial *dial, unsigned i, struct connection *connection)
{
	*connection = dial->lines[i].connection;
	dial->lines[i].connection.fd = -1;
}

void dial_end(struct dial *dial)
{
	if (!dial)
		return;
	for (unsigned i = 0; i < dial->n; i++) {
		sd_event_source_disable_unref(dial->lines[i].source);
		connection_close(&dial->lines[i].connection);
	}
	free(dial);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections to a server. See dial.h. */
#include "daemon/dial.h"

#include "daemon/folder.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libnbd.h>
#include <systemd/sd-event.h>

/* The transmission flags of the NBD protocol (doc/proto.md), as linux/nbd.h has them. */
#define FLAG_HAS_FLAGS      (1u << 0)
#define FLAG_SEND_FLUSH     (1u << 2)
#define FLAG_SEND_FUA       (1u << 3)
#define FLAG_SEND_TRIM      (1u << 5)
#define FLAG_CAN_MULTI_CONN (1u << 8)

struct line {
	struct dial *dial;
	struct nbd_handle *nbd;
	sd_event_source *source;
	bool ready;
};

struct dial {
	sd_event *loop;
	dial_done_fn *done;
	void *opaque;
	unsigned n;
	unsigned n_ready;
	struct line lines[];
};

/*
 * What libnbd waits for, in epoll's terms. A handle that is ready waits for nothing: the handshake can be through in one
 * go with the connecting. Then what is always the case brings us to see it.
 */
static uint32_t wanted_events(struct nbd_handle *nbd)
{
	unsigned direction = nbd_aio_get_direction(nbd);

	if (nbd_aio_is_ready(nbd))
		return POLLOUT;
	return (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0u) |
	       (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0u);
}

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
	unsigned direction = nbd_aio_get_direction(line->nbd);
	int r = 0;

	if ((events & (POLLIN | POLLHUP | POLLERR)) && (direction & LIBNBD_AIO_DIRECTION_READ))
		r = nbd_aio_notify_read(line->nbd);
	else if ((events & (POLLOUT | POLLHUP | POLLERR)) && (direction & LIBNBD_AIO_DIRECTION_WRITE))
		r = nbd_aio_notify_write(line->nbd);
	if (r < 0 || nbd_aio_is_dead(line->nbd) || nbd_aio_is_closed(line->nbd)) {
		finish(line->dial, -ECONNRESET, r < 0 ? nbd_get_error() : "the server closed the connection");
		return 0;
	}
	if (nbd_aio_is_ready(line->nbd) && !line->ready) {
		line->ready = true;
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		if (++line->dial->n_ready == line->dial->n)
			finish(line->dial, 0, NULL);
		return 0;
	}
	return sd_event_source_set_io_events(source, wanted_events(line->nbd));
}

/* The kernel's client knows simple replies only. */
static int configure(struct nbd_handle *nbd)
{
#ifdef LIBNBD_HAVE_NBD_SET_REQUEST_EXTENDED_HEADERS
	if (nbd_set_request_extended_headers(nbd, false) < 0)
		return -1;
#endif
	return nbd_set_request_structured_replies(nbd, false) < 0 || nbd_set_tls(nbd, LIBNBD_TLS_DISABLE) < 0 ||
			       nbd_set_export_name(nbd, "") < 0
		       ? -1
		       : 0;
}

static int start_line(struct line *line, const char *path)
{
	int fd, r;

	line->nbd = nbd_create();
	if (!line->nbd || configure(line->nbd) < 0)
		return -ENOMEM;
	fd = folder_connect(path, SOCK_STREAM);
	if (fd < 0)
		return fd;
	/* From here on the descriptor is libnbd's. */
	if (nbd_aio_connect_socket(line->nbd, fd) < 0)
		return nbd_get_errno() ? -nbd_get_errno() : -EIO;
	r = sd_event_add_io(line->dial->loop, &line->source, nbd_aio_get_fd(line->nbd), wanted_events(line->nbd),
			    line_event, line);
	if (r < 0)
		return r;
	return 0;
}

int dial_start(struct dial **result, struct sd_event *loop, const char *path, unsigned n, dial_done_fn *done,
	       void *opaque)
{
	struct dial *dial = calloc(1, sizeof *dial + n * sizeof dial->lines[0]);
	int r = 0;

	if (!dial)
		return -ENOMEM;
	*dial = (struct dial){.loop = loop, .done = done, .opaque = opaque, .n = n};
	for (unsigned i = 0; i < n && !r; i++) {
		dial->lines[i].dial = dial;
		r = start_line(&dial->lines[i], path);
	}
	if (r < 0) {
		dial_end(dial);
		return r;
	}
	*result = dial;
	return 0;
}

int dial_fd(const struct dial *dial, unsigned i)
{
	return nbd_aio_get_fd(dial->lines[i].nbd);
}

void dial_server(const struct dial *dial, struct dial_server *server)
{
	struct nbd_handle *nbd = dial->lines[0].nbd;

	server->size = (uint64_t)nbd_get_size(nbd);
	server->flags = FLAG_HAS_FLAGS | (nbd_can_flush(nbd) > 0 ? FLAG_SEND_FLUSH : 0) |
			(nbd_can_fua(nbd) > 0 ? FLAG_SEND_FUA : 0) | (nbd_can_trim(nbd) > 0 ? FLAG_SEND_TRIM : 0) |
			(nbd_can_multi_conn(nbd) > 0 ? FLAG_CAN_MULTI_CONN : 0);
}

struct nbd_handle *dial_take(struct dial *dial, unsigned i)
{
	struct nbd_handle *nbd = dial->lines[i].nbd;

	dial->lines[i].nbd = NULL;
	return nbd;
}

void dial_end(struct dial *dial)
{
	if (!dial)
		return;
	for (unsigned i = 0; i < dial->n; i++) {
		sd_event_source_disable_unref(dial->lines[i].source);
		nbd_close(dial->lines[i].nbd);
	}
	free(dial);
}

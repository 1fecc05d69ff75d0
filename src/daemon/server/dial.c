/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections to a server. See dial.h. */
#include "daemon/server/dial.h"

#include "daemon/instance/folder.h"
#include "daemon/server/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libnbd.h>

/* The transmission flags of the NBD protocol (doc/proto.md), as linux/nbd.h has them. */
#define FLAG_HAS_FLAGS      (1u << 0)
#define FLAG_SEND_FLUSH     (1u << 2)
#define FLAG_SEND_FUA       (1u << 3)
#define FLAG_SEND_TRIM      (1u << 5)
#define FLAG_CAN_MULTI_CONN (1u << 8)

struct line {
	struct dial *dial;
	struct nbd_handle *nbd;
	struct pump *pump;
	bool ready;
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

	for (unsigned i = 0; i < dial->n; i++) {
		pump_stop(dial->lines[i].pump);
		dial->lines[i].pump = NULL;
	}
	dial->done = NULL;
	if (done)
		done(dial->opaque, r, why);
}

static void moved(void *opaque, int r, const char *why)
{
	struct line *line = opaque;

	if (r) {
		finish(line->dial, r, why);
	} else if (nbd_aio_is_ready(line->nbd) && !line->ready) {
		line->ready = true;
		pump_pause(line->pump);
		if (++line->dial->n_ready == line->dial->n)
			finish(line->dial, 0, NULL);
	}
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
	int fd;

	line->nbd = nbd_create();
	if (!line->nbd || configure(line->nbd) < 0)
		return -ENOMEM;
	/* libnbd waits for nothing either. */
	fd = folder_connect(path, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	/* From here on the descriptor is libnbd's. */
	if (nbd_aio_connect_socket(line->nbd, fd) < 0)
		return nbd_get_errno() ? -nbd_get_errno() : -EIO;
	return pump_start(&line->pump, line->dial->loop, line->nbd, moved, line);
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
		pump_stop(dial->lines[i].pump);
		nbd_close(dial->lines[i].nbd);
	}
	free(dial);
}

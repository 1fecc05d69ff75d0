/* SPDX-License-Identifier: BSD-3-Clause */
/* A libnbd handle in the event loop. See pump.h. */
#include "daemon/server/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <libnbd.h>
#include <systemd/sd-event.h>

struct pump {
	struct nbd_handle *nbd;
	sd_event_source *source;
	int fd; /* our own copy; closed after `source` is gone */
	pump_fn *moved;
	void *opaque;
};

/* What libnbd waits for, in epoll's terms. */
static uint32_t wanted_events(struct nbd_handle *nbd)
{
	unsigned direction = nbd_aio_get_direction(nbd);

	return (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0u) |
	       (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0u);
}

static int ready_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct pump *pump = opaque;
	unsigned direction = nbd_aio_get_direction(pump->nbd);
	int r = 0;

	if ((events & (POLLIN | POLLHUP | POLLERR)) && (direction & LIBNBD_AIO_DIRECTION_READ))
		r = nbd_aio_notify_read(pump->nbd);
	else if ((events & (POLLOUT | POLLHUP | POLLERR)) && (direction & LIBNBD_AIO_DIRECTION_WRITE))
		r = nbd_aio_notify_write(pump->nbd);
	if (r < 0 || nbd_aio_is_dead(pump->nbd) || nbd_aio_is_closed(pump->nbd)) {
		pump_pause(pump);
		pump->moved(pump->opaque, -ECONNRESET, r < 0 ? nbd_get_error() : "the server closed the connection");
		return 0;
	}
	pump_rearm(pump);
	pump->moved(pump->opaque, 0, NULL);
	return 0;
}

int pump_start(struct pump **result, struct sd_event *loop, struct nbd_handle *nbd, pump_fn *moved, void *opaque)
{
	struct pump *pump = calloc(1, sizeof *pump);
	int r;

	if (!pump)
		return -ENOMEM;
	*pump = (struct pump){.nbd = nbd, .moved = moved, .opaque = opaque};
	pump->fd = fcntl(nbd_aio_get_fd(nbd), F_DUPFD_CLOEXEC, 0);
	/* The handshake can be through in one go with the connecting. Then an event that is always the case tells the caller. */
	r = pump->fd < 0 ? -errno
			 : sd_event_add_io(loop, &pump->source, pump->fd,
					   nbd_aio_is_ready(nbd) ? (uint32_t)POLLOUT : wanted_events(nbd), ready_event,
					   pump);
	if (r < 0) {
		pump_stop(pump);
		return r;
	}
	*result = pump;
	return 0;
}

void pump_rearm(struct pump *pump)
{
	sd_event_source_set_io_events(pump->source, wanted_events(pump->nbd));
	sd_event_source_set_enabled(pump->source, SD_EVENT_ON);
}

void pump_pause(struct pump *pump)
{
	sd_event_source_set_enabled(pump->source, SD_EVENT_OFF);
}

void pump_stop(struct pump *pump)
{
	if (!pump)
		return;
	sd_event_source_disable_unref(pump->source);
	if (pump->fd >= 0)
		close(pump->fd);
	free(pump);
}

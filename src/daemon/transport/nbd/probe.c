/* SPDX-License-Identifier: BSD-3-Clause */
/* The health probe. See probe.h. */
#include "daemon/transport/nbd/probe.h"

#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "daemon/transport/nbd/connection.h"
#include "daemon/transport/watch.h"
#include "zsblk.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-event.h>

struct probe {
	struct connection connection;
	struct device *device;
	sd_event_source *timer;
	sd_event_source *source; /* of the connection */
	probe_hung_fn *hung;
	void *opaque;
	struct watch watch;
	bool has_failed; /* an answer was an error, and that was said */
	uint64_t blocks;
	uint64_t stride; /* from one block to the next */
	uint64_t block;  /* the next one to be read */
};

static void report(struct probe *probe, const char *why)
{
	probe_hung_fn *hung = probe->hung;

	sd_event_source_set_enabled(probe->timer, SD_EVENT_OFF);
	sd_event_source_set_enabled(probe->source, SD_EVENT_OFF);
	probe->hung = NULL;
	if (hung)
		hung(probe->opaque, why);
}

static void answered(struct probe *probe)
{
	int error = probe->connection.error;

	watch_answered(&probe->watch, clock_us());
	/* A server that answers with an error is alive. A new server would read the same from the segment. */
	if (error && !probe->has_failed) {
		say(SAY_ERROR, "a probe of block %" PRIu64 " was answered with an error: %s", probe->block,
		    strerror(error));
		probe->has_failed = true;
	}
}

/* Send and receive what can be. */
static void move(struct probe *probe)
{
	int r = connection_move(&probe->connection);

	if (r < 0) {
		char why[sizeof probe->connection.why];

		/* The handler may end the probe. */
		strcpy(why, probe->connection.why);
		report(probe, r == -EPROTO ? why : NULL);
		return;
	}
	if (r == 1 && probe->watch.is_out)
		answered(probe);
	sd_event_source_set_io_events(probe->source, (uint32_t)connection_events(&probe->connection));
}

static int connection_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	move(opaque);
	return 0;
}

static void ask(struct probe *probe)
{
	probe->block = (probe->block + probe->stride) % probe->blocks;
	watch_asked(&probe->watch, clock_us());
	connection_read(&probe->connection, probe->block * ZSBLK_BLOCK_SIZE, ZSBLK_BLOCK_SIZE);
	move(probe);
}

/* True if an answer has come and was not read yet: then the daemon was late, and not the server. */
static bool answer_is_there(struct probe *probe)
{
	struct pollfd fd = {.fd = probe->connection.fd, .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static int look(sd_event_source *source, uint64_t when, void *opaque)
{
	struct probe *probe = opaque;
	struct watch_device device = {0};
	char why[80];

	device.is_known = device_progress(probe->device, &device.in_flight, &device.completed) == 0;
	clock_set(source, watch_interval(&probe->watch));
	switch (watch_look(&probe->watch, clock_us(), &device, answer_is_there(probe), why, sizeof why)) {
	case WATCH_HUNG:
		report(probe, why);
		break;
	case WATCH_ASK:
		ask(probe);
		break;
	case WATCH_WAIT:
		break;
	}
	return 0;
}

int probe_start(struct probe **result, struct sd_event *loop, const struct connection *connection, unsigned timeout_ms,
		unsigned stuck_ms, struct device *device, probe_hung_fn *hung, void *opaque)
{
	struct probe *probe = calloc(1, sizeof *probe);
	int r;

	if (!probe) {
		close(connection->fd);
		return -ENOMEM;
	}
	*probe = (struct probe){
		.connection = *connection,
		.device = device,
		.hung = hung,
		.opaque = opaque,
		.blocks = connection->size > ZSBLK_BLOCK_SIZE ? connection->size / ZSBLK_BLOCK_SIZE : 1,
	};
	watch_init(&probe->watch, timeout_ms, stuck_ms, clock_us());
	probe->stride = watch_stride(probe->blocks);
	r = sd_event_add_io(loop, &probe->source, connection->fd, (uint32_t)connection_events(connection),
			    connection_event, probe);
	if (r >= 0)
		r = sd_event_add_time(loop, &probe->timer, CLOCK_MONOTONIC, clock_us() + watch_interval(&probe->watch),
				      1000, look, probe);
	/* The timer comes after the connection's events: an answer is read before the probe looks whether there is one. */
	if (r >= 0)
		r = sd_event_source_set_priority(probe->timer, SD_EVENT_PRIORITY_NORMAL + 1);
	if (r < 0) {
		probe_stop(probe);
		return r;
	}
	*result = probe;
	return 0;
}

void probe_stop(struct probe *probe)
{
	if (!probe)
		return;
	sd_event_source_disable_unref(probe->timer);
	sd_event_source_disable_unref(probe->source);
	connection_close(&probe->connection);
	free(probe);
}

uint64_t probe_longest_us(const struct probe *probe)
{
	return probe ? probe->watch.longest : 0;
}

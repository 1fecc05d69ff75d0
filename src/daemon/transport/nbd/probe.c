/* SPDX-License-Identifier: BSD-3-Clause */
/* The health probe. See probe.h. */
#include "daemon/transport/nbd/probe.h"

#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "daemon/transport/nbd/connection.h"
#include "zsblk.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-event.h>

/* The probe looks so often in each timeout: a hang is noticed a sixth of the timeout late, at most. */
#define LOOKS 6u

struct probe {
	struct connection connection;
	struct device *device;
	sd_event_source *timer;
	sd_event_source *source; /* of the connection */
	probe_hung_fn *hung;
	void *opaque;
	uint64_t timeout; /* microseconds, as all times here */
	uint64_t stuck;   /* with nothing completed for so long */
	uint64_t looked;  /* when we last did */
	uint64_t asked;   /* when the request that is out was sent */
	uint64_t longest;
	bool is_out;
	bool has_failed; /* an answer was an error, and that was said */
	uint64_t blocks;
	uint64_t stride;    /* from one block to the next */
	uint64_t block;     /* the next one to be read */
	uint64_t completed; /* requests of the device, and since when no more */
	uint64_t stuck_since;
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
	uint64_t took = clock_us() - probe->asked;
	int error = probe->connection.error;

	probe->is_out = false;
	if (took > probe->longest)
		probe->longest = took;
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
	if (r == 1 && probe->is_out)
		answered(probe);
	sd_event_source_set_io_events(probe->source, (uint32_t)connection_events(&probe->connection));
}

static int connection_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	move(opaque);
	return 0;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

uint64_t probe_stride(uint64_t blocks)
{
	uint64_t stride = blocks / 3 * 2 + 1;

	while (common_divisor(stride, blocks) != 1)
		stride++;
	return stride;
}

static void ask(struct probe *probe)
{
	probe->block = (probe->block + probe->stride) % probe->blocks;
	probe->asked = clock_us();
	probe->is_out = true;
	connection_read(&probe->connection, probe->block * ZSBLK_BLOCK_SIZE, ZSBLK_BLOCK_SIZE);
	move(probe);
}

/* True if an answer has come and was not read yet: then the daemon was late, and not the server. */
static bool answer_is_there(struct probe *probe)
{
	struct pollfd fd = {.fd = probe->connection.fd, .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

/* True if the device has requests, and the server has completed none for too long. */
static bool is_stuck(struct probe *probe, uint64_t now)
{
	uint64_t in_flight, completed;

	if (device_progress(probe->device, &in_flight, &completed) < 0)
		return false;
	if (!in_flight || completed != probe->completed) {
		probe->completed = completed;
		probe->stuck_since = now;
	}
	return now > probe->stuck_since + probe->stuck;
}

static int look(sd_event_source *source, uint64_t when, void *opaque)
{
	struct probe *probe = opaque;
	uint64_t now = clock_us(), interval = probe->timeout / LOOKS, late = now - probe->looked;
	char why[80];

	probe->looked = now;
	/* The machine or the daemon stood still. That time does not count. */
	if (late > 2 * interval) {
		probe->asked += late - interval;
		probe->stuck_since += late - interval;
	}
	clock_set(source, interval);
	if (probe->is_out && now > probe->asked + probe->timeout && !answer_is_there(probe)) {
		snprintf(why, sizeof why, "did not answer for %.1f seconds", (double)(now - probe->asked) / 1e6);
		report(probe, why);
	} else if (is_stuck(probe, now)) {
		snprintf(why, sizeof why, "completed none of the device's requests for %.1f seconds",
			 (double)(now - probe->stuck_since) / 1e6);
		report(probe, why);
	} else if (!probe->is_out) {
		ask(probe);
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
		.timeout = (uint64_t)timeout_ms * 1000,
		.stuck = (uint64_t)stuck_ms * 1000,
		.looked = clock_us(),
		.stuck_since = clock_us(),
		.blocks = connection->size > ZSBLK_BLOCK_SIZE ? connection->size / ZSBLK_BLOCK_SIZE : 1,
	};
	probe->stride = probe_stride(probe->blocks);
	r = sd_event_add_io(loop, &probe->source, connection->fd, (uint32_t)connection_events(connection),
			    connection_event, probe);
	if (r >= 0)
		r = sd_event_add_time(loop, &probe->timer, CLOCK_MONOTONIC, clock_us() + probe->timeout / LOOKS, 1000,
				      look, probe);
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
	return probe ? probe->longest : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is the server well? A connection of our own reads a block now and then. A server that is stopped, deadlocked
 * or spinning does not answer; one that answers is not what others wait for.
 */
#ifndef PROBE_H
#define PROBE_H

#include "daemon/kernel/device.h"

struct sd_event;
struct connection;
struct probe;

/* It did not answer for too long, or not as it should: why, for people. Or it closed the connection: NULL. Called once. */
typedef void probe_hung_fn(void *opaque, const char *why);

/*
 * Begin to probe, over a connection that is ready and becomes the probe's. `timeout_ms`: longest that an answer
 * may take. The requests of `device` are watched as well: the server hangs, too, when there are some and none
 * is completed for `stuck_ms`, however well it answers us. An answer that is an error is said, once.
 */
int probe_start(struct probe **probe, struct sd_event *loop, const struct connection *connection, unsigned timeout_ms,
		unsigned stuck_ms, struct device *device, probe_hung_fn *hung, void *opaque);
/* NULL is allowed. */
void probe_stop(struct probe *probe);

/* The longest that an answer took so far, in microseconds. */
uint64_t probe_longest_us(const struct probe *probe);

#endif

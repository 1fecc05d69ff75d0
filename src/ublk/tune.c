/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings of the kernel's queue. See tune.h.
 *
 * Before Linux 6.15 the driver learns that a server has died from the tags that it holds ready for requests: their commands are
 * cancelled. A queue all of whose tags are with the server has none. Then only the timer of a request that waits for its answer
 * (queue/io_timeout, 30 s) tells the driver. So
 *
 *   - the block layer gets one tag less than the driver has (queue/nr_requests): one is always ready, and always cancelled;
 *   - where that cannot be set, the timer is short. It does no harm to a server that lives: the driver starts the timer again.
 */
#include "ublk/tune.h"

#include "ublk/why.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIMER_MS 1000

/* Tests have a folder of their own. */
#ifndef SYS_BLOCK
#define SYS_BLOCK "/sys/block"
#endif

static int set(uint32_t device, const char *name, const char *value)
{
	char path[100];
	int fd, r = 0;

	snprintf(path, sizeof path, SYS_BLOCK "/ublkb%" PRIu32 "/queue/%s", device, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int set_number(uint32_t device, const char *name, unsigned value)
{
	char text[20];

	snprintf(text, sizeof text, "%u", value);
	return set(device, name, text);
}

int tune_queue(uint32_t device, unsigned depth, struct zsblk_why *why)
{
	int spare, timer;

	/* A scheduler has tags of its own, so this comes first. Kernels that have no scheduler or no throttling do without. */
	set(device, "scheduler", "none");
	set(device, "wbt_lat_usec", "0");
	timer = set_number(device, "io_timeout", TIMER_MS);
	spare = set_number(device, "nr_requests", depth - 1);
	if (!spare || !timer)
		return 0;
	return why_say(why, spare,
		       "queue/nr_requests and queue/io_timeout of /dev/ublkb%" PRIu32
		       " cannot be set: %s; if the server dies, requests "
		       "may wait for 30 seconds more",
		       device, strerror(-spare));
}

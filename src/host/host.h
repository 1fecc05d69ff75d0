/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host of a device: the process that serves it, and what that process asks of its system. The same behind every front
 * end, which adds how requests come, and speaks to people. host_params.h has the parameters.
 *
 *   host_prepare()   while all rights are there: limits and flags that are inherited; the device is opened
 *     fork, change of user
 *   host_start()     memory is locked; the device is started, with the statistics file and the watch over the segment
 *     requests
 *   host_stop()      the last statistics
 *   host_close()     the device is closed
 *
 * One thread calls these, in this order. Functions that return int give 0 or a negative errno, and have said why.
 */
#ifndef HOST_H
#define HOST_H

#include "host/host_params.h"
#include "zsblk.h"

enum host_says {
	HOST_ERROR,  /* why a call fails, or what goes wrong later */
	HOST_NOTICE, /* what whoever starts the server should know */
	HOST_DEBUG,
};

struct host {
	/* Set by the front end. */
	const struct host_params *params; /* lent for as long as the host is there */
	/* One line, without a newline. Called from any thread. */
	void (*say)(enum host_says how, const char *text);

	/* The host's; all zeroes at first. */
	struct zsblk *device; /* for requests between host_start() and host_stop() */
	struct stats_file *stats_file;
	struct ticker *watch;
	unsigned lock_can; /* what host_prepare() saw that can be had */
};

/* Without being told, take no more ahead of demand than a small part of what may ever be used: bytes for engine->reserve. */
uint64_t host_default_reserve(const struct zsblk_params *engine);

/*
 * `reopen`: close the device again once it has been checked. host_start() opens it then. For a server that locks all that is
 * mapped in between, and would so fill the sparse segment to its end.
 */
int host_prepare(struct host *host, bool reopen);
/* -EINTR: params->engine.interrupted said so. */
int host_start(struct host *host);
/* Both also after a failure, and when there is nothing to do. */
void host_stop(struct host *host);
void host_close(struct host *host);

#endif

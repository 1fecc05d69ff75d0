/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host of a device: the process that serves it, and what that process asks of its system. The host is the same
 * behind every front end. A front end adds how requests come in and how people are told. host_params.h has the
 * parameters.
 *
 *   host_prepare()   with all rights: sets limits and flags that are inherited, and opens the device
 *     fork, change of user
 *   host_start()     locks memory, starts the device, the statistics file, the policy of cold blocks, the control
 *                    socket and the watch over the segment
 *     requests
 *   host_stop()      ends all of these but the device, and writes the last statistics
 *   host_close()     closes the device
 *
 * One thread calls these, in this order. Functions that return int give 0, or a negative errno after the reason was
 * passed to `say`.
 */
#ifndef HOST_H
#define HOST_H

#include "host/host_params.h"
#include "zsblk.h"

enum host_says {
	HOST_ERROR,  /* why a call fails, or what goes wrong later */
	HOST_NOTICE, /* what the person who starts the server should know */
	HOST_DEBUG,
};

struct host {
	/* Set by the front end before host_prepare(). */
	const struct host_params *params; /* owned by the front end, until host_close() */
	/* Tells people one line, without a newline. Called from any thread. */
	void (*say)(enum host_says how, const char *text);
	/* Further lines of the statistics file (stats_file.h); NULL: none. */
	size_t (*more_statistics)(char *text, size_t size);
	const char *transport; /* "nbdkit" or "ublk" */
	/* All of these may be NULL, and are called by threads of the host. */
	/* Where the device is, such as /dev/ublkb0; false: it is nowhere yet. */
	bool (*device_name)(char *text, size_t size);
	/* True if a client is connected. */
	bool (*has_clients)(void);
	/*
	 * Keep the device from being used until unclaim(). 0, or a negative errno with the reason: -EBUSY if it is used, with by whom. Without
	 * it nobody can use the device.
	 */
	int (*claim)(struct zsblk_why *why);
	void (*unclaim)(void);
	/* In place of zsblk_resize(), with its errors, where the kernel has to be told as well. Refuses to make a device smaller that is used. */
	int (*resize)(struct zsblk *dev, uint64_t size, struct zsblk_why *why);

	/* Belongs to the host; all zeroes at first. */
	struct zsblk *device; /* for requests between host_start() and host_stop() */
	struct stats_file *stats_file;
	struct ticker *watch;
	struct control *control;
	struct jobs *jobs;     /* if somebody may have work for them: a control socket, or the policy of cold blocks */
	struct cold *cold;     /* with the jobs */
	struct tracer *tracer; /* as long as there is a control socket */
	char name[ZSBLK_NAME_MAX + 1]; /* the segment's; empty: none */
	uint64_t started_s;            /* seconds since 1970 */
	bool locked;                   /* what swap needs of protect.h is had */
	unsigned lock_can;             /* PROTECT_... bits that host_prepare() found can be had */
};

/*
 * The reserve in bytes for a device that was given none: 16 MiB, but no more than a 16th of what the device can ever
 * use below its size, mem_limit and the limits of control groups.
 */
uint64_t host_default_reserve(const struct zsblk_params *engine);

/*
 * `reopen`: close the device again after the checks; host_start() then opens it. For a server that locks all its
 * mappings in between, which would fill the sparse segment to its end.
 */
int host_prepare(struct host *host, bool reopen);
/* -EINTR: params->engine.interrupted returned true. */
int host_start(struct host *host);
/* Both may be called after a failure, and when there is nothing to do. */
void host_stop(struct host *host);
void host_close(struct host *host);

#endif

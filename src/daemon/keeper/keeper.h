/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper: a server behind the device, always. It starts one, attaches the device, watches the server, and
 * when that dies or hangs puts another in its place, on the same segment. While it does, the kernel holds the
 * requests; nothing is lost.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "daemon/keeper/attachment.h"
#include "daemon/resources/ballast.h"
#include "daemon/server/server.h"
#include "daemon/state/folder.h"

struct sd_event;
struct keeper;

struct keeper_spec {
	struct sd_event *loop;
	struct folder *folder;
	struct server_command *command;
	struct ballast *ballast;
	struct attachment_spec attachment; /* the device, and how the kernel is connected to servers */
	unsigned probe_timeout;            /* milliseconds */
	unsigned
		start_timeout; /* milliseconds, for a server in place of another to come into service at the first try */
	/* A server serves the device: for the first time, or again. */
	void (*serving)(void *opaque);
	/* The first server did not come up, or the device could not be attached. There is no second try. */
	void (*failed)(void *opaque, const char *why);
	void *opaque;
};

struct keeper_figures {
	unsigned replaced;       /* servers so far */
	unsigned hung;           /* of these, those that the probe found to hang */
	uint64_t last_outage_us; /* from the death of a server until the next one served */
	uint64_t longest_outage_us;
};

/* -ENOENT and others of netlink_open(). *spec stays the caller's, and must stay. */
int keeper_create(struct keeper **keeper, const struct keeper_spec *spec, struct wrong *wrong);

/*
 * Begin: with a new server, or with that of an earlier daemon if `adopted` is its process number (0: none). The
 * device is attached, or if it is already its dead connections are replaced.
 */
int keeper_start(struct keeper *keeper, pid_t adopted, struct wrong *wrong);

/* Put a new server in place of the one there is. -EAGAIN: that is already going on. */
int keeper_replace(struct keeper *keeper, const char *why);

/*
 * Is the kernel connected to the server still? It tells when it shuts a connection down by itself, but not when somebody had it
 * do so: nbd-client -d while the device is in use. The server is replaced, and if the kernel does not take the new one,
 * which is so on 6.1 and 6.12, that is said instead of all being well.
 */
void keeper_check(struct keeper *keeper);

/* The device is about to be detached: it is not attached again, whatever its server does. Or it is not, after all. */
void keeper_detaching(struct keeper *keeper, bool detaching);

/* The device is detached: end the server for good. `ended` is called when it has. */
void keeper_end(struct keeper *keeper, void (*ended)(void *opaque), void *opaque);

/* The servers go on. NULL is allowed. */
void keeper_free(struct keeper *keeper);

struct device *keeper_device(struct keeper *keeper);
pid_t keeper_server(const struct keeper *keeper);
/* Was it started from files that were kept, since what is installed did not work? */
bool keeper_server_is_old(const struct keeper *keeper);
bool keeper_is_serving(const struct keeper *keeper);
void keeper_get_figures(const struct keeper *keeper, struct keeper_figures *figures);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper: a server behind the device, always. The keeper starts a server, attaches the device, watches the server, and puts another
 * one in its place, on the same segment, when it dies or hangs. Meanwhile the kernel holds the requests, so nothing is lost.
 *
 * One thread, in the event loop. Nothing blocks but what K4 in keeper.c says.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "daemon/keeper/history.h"
#include "daemon/resources/ballast.h"
#include "daemon/server/server.h"
#include "daemon/state/folder.h"
#include "daemon/transport/transport.h"

struct sd_event;
struct keeper;

struct keeper_spec {
	struct sd_event *loop;
	struct folder *folder;
	struct server_command *command;
	struct ballast *ballast;
	const struct transport *kind;
	struct transport_spec transport; /* but for `news`, `may_fork` and `opaque`, which are the keeper's */
	/* Milliseconds that a server in place of another may take to come into service, at the first try. */
	unsigned start_timeout;
	/* The size of the device in the segment, in bytes, for the next server. */
	uint64_t (*size)(void *opaque);
	/* A server serves the device: for the first time, or again. */
	void (*serving)(void *opaque);
	/* The first server did not come up, or the device could not be attached. There is no second try. */
	void (*failed)(void *opaque, const char *why);
	void *opaque;
};

/*
 * 0, -ENOMEM, an error of transport_open() or of sd_event_add_io(3), with the reason. *spec stays the caller's, and has to
 * live as long.
 */
int keeper_create(struct keeper **keeper, const struct keeper_spec *spec, struct wrong *wrong);

/*
 * Begin, once: with a new server, or with that of an earlier daemon (`adopted`: its process number; 0: none). The device is attached; or
 * its dead connections are replaced, if it is attached already. 0; what fails later comes to spec->failed(). Or, with the reason, a
 * negative errno: the adopted server cannot be looked at.
 */
int keeper_start(struct keeper *keeper, pid_t adopted, struct wrong *wrong);

/* Put a new server in place of the one there is: HISTORY_UPGRADED or HISTORY_RESIZED. 0, or -EAGAIN: that is going on already. */
int keeper_replace(struct keeper *keeper, enum history_event event);

/* As transport_set_size(). */
int keeper_set_size(struct keeper *keeper, uint64_t size, struct wrong *wrong);

/*
 * Look whether the server is still behind the device. The kernel does not tell when somebody else has taken it away there (as nbd-client
 * -d does, while the device is in use). Then the server is replaced. If the device does not take the new one, the log says so.
 */
void keeper_check(struct keeper *keeper);

/* true: the device is about to be detached, and is not attached again, whatever its server does. false: it stays after all. */
void keeper_detaching(struct keeper *keeper, bool detaching);

/* The device is detached: end the server for good. `ended` is called once the server has ended; at once, if there is none. */
void keeper_end(struct keeper *keeper, void (*ended)(void *opaque), void *opaque);

/* Servers go on. NULL is allowed. */
void keeper_free(struct keeper *keeper);

/* The device; the keeper's, until keeper_free(). It is none until a device is attached, unless one was asked for. */
struct device *keeper_device(struct keeper *keeper);
/* The process number of the server; 0: there is none. */
pid_t keeper_server(const struct keeper *keeper);
/* Was the server started from files that were kept, since what is installed did not work? */
bool keeper_server_is_from_kept(const struct keeper *keeper);
bool keeper_is_serving(const struct keeper *keeper);
/* Does a server serve that has done so for long, or whose files are those that are kept? Another daemon can keep its files then, and loses nothing. */
bool keeper_server_has_proved(const struct keeper *keeper);
/* The keeper's, until keeper_free(). */
const struct history *keeper_history(const struct keeper *keeper);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pump: it moves what a libnbd handle sends and receives, whenever its connection is ready, from inside the event loop.
 *
 * The loop watches a copy of the connection's descriptor that is the pump's own. libnbd closes its descriptor by itself when
 * the peer is gone. The kernel forgets a watched descriptor only when the last copy of it is closed, and a child that was just
 * forked has copies of all of them. Then the loop could not take the watch back, and would be told of a source that is freed.
 */
#ifndef PUMP_H
#define PUMP_H

struct nbd_handle;
struct sd_event;
struct pump;

/*
 * The connection did what it could. r: 0, or -ECONNRESET when the connection is of no more use; `why` says why then, and is
 * libnbd's until the next call of it. The handler may stop the pump.
 */
typedef void pump_fn(void *opaque, int r, const char *why);

/*
 * Pump for a handle that has a connection. The handle stays the caller's, and has to live until pump_stop(). A handle that is
 * ready already is told to `moved` once. -EMFILE and others of fcntl(2), -ENOMEM and others of sd_event_add_io(3).
 */
int pump_start(struct pump **pump, struct sd_event *loop, struct nbd_handle *nbd, pump_fn *moved, void *opaque);

/* Watch for what the handle waits for now. To be called after each nbd_aio_* call that was not made by the pump. */
void pump_rearm(struct pump *pump);

/* Watch for nothing, until pump_rearm(). */
void pump_pause(struct pump *pump);

/* NULL is allowed. */
void pump_stop(struct pump *pump);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NBD as a transport: nbdkit is the server, and the kernel's nbd client has one socket or several to it.
 *
 *   transport_reach()     the server makes its socket       dial.c
 *                         handshakes, one more than the     connection.c
 *                         kernel needs
 *                         sockets to the kernel             attachment.c, netlink.c
 *   TRANSPORT_SERVES      the last connection is the        probe.c
 *                         probe's
 *
 * N1 The kernel gets sockets of a server only once that server has claimed the segment and answered a handshake.
 * N2 With one connection the kernel sends a request again only if its connection was replaced, which is safe, as the server before has
 *    ended by then (K1 in keeper.c). (With more, it does so after a timeout by itself, also to the server that still has it.)
 * N3 One thing can block. The kernel carries out a netlink request within sendmsg(2), under a lock that all generic netlink requests
 *    share, and under its lock on the device. No timeout of a socket ends that wait; what is received afterwards is there by then. The
 *    watchdog ends a daemon that waits for too long, and the next one goes on. What is allocated on the way comes from the heap that
 *    rights_take() has in memory.
 */
#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "daemon/state/folder.h"
#include "daemon/transport/nbd/attachment.h"
#include "daemon/transport/nbd/backing.h"
#include "daemon/transport/nbd/connection.h"
#include "daemon/transport/nbd/dial.h"
#include "daemon/transport/nbd/nbdkit.h"
#include "daemon/transport/nbd/probe.h"
#include "daemon/transport/nbd/rehearse.h"
#include "daemon/transport/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <systemd/sd-event.h>

/*
 * A server hangs if it completes none of the device's requests for so many probe timeouts. The kernel must have had the time to send the
 * requests of the server before again, so a hang takes so many periods of the kernel's timer at least: a period may have begun just
 * before that server died, and the kernel rounds it up.
 */
#define STUCK_PROBES 3u
#define STUCK_TIMERS 3u
/* How often to look whether a new server has made its socket. */
#define SOCKET_LOOK_US 2000u
/* A device that somebody has open (udev, a partition tool) cannot be attached. It is tried for so long, and so often. */
#ifndef BUSY_LIMIT_US /* shorter in tests/daemon's build */
#define BUSY_LIMIT_US (10u * 1000000u)
#endif
#define BUSY_LOOK_US 100000u

/* What the timer waits for. */
enum nbd_wait {
	NBD_WAIT_SOCKET,    /* the server's socket */
	NBD_WAIT_HANDSHAKE, /* nothing: events come from the dial */
	NBD_WAIT_DEVICE,    /* the device, which somebody has open */
	NBD_WAIT_RECEIVERS, /* the kernel's receivers, after one has reported a dead connection */
};

struct nbd_end {
	struct transport_end end; /* first: it is what others have of this */
	struct transport_spec spec;
	struct attachment_spec attachment_spec;
	struct attachment attachment;
	sd_event_source *link_events;
	sd_event_source *timer;
	enum nbd_wait wait;
	struct transport_server server; /* pid 0: none */
	bool adopted;                   /* the kernel has an earlier daemon's connection to the server */
	bool serves;
	struct dial *dial;
	struct probe *probe;
	uint64_t busy_until; /* how long the device may stay busy; 0: it is not */
};

static struct nbd_end *nbd_of(struct transport_end *end)
{
	return (struct nbd_end *)end;
}

static void nbd_wait_for(struct nbd_end *nbd, enum nbd_wait wait, uint64_t us)
{
	nbd->wait = wait;
	clock_set(nbd->timer, us);
}

static void nbd_let_go(struct transport_end *end)
{
	struct nbd_end *nbd = nbd_of(end);

	dial_end(nbd->dial);
	nbd->dial = NULL;
	probe_stop(nbd->probe);
	nbd->probe = NULL;
	nbd->serves = false;
	nbd->server.pid = 0;
	nbd->busy_until = 0;
	sd_event_source_set_enabled(nbd->timer, SD_EVENT_OFF);
}

/* The last that is told of this server. */
static void nbd_tell_end(struct nbd_end *nbd, enum transport_news news, const char *text)
{
	nbd->serves = false;
	sd_event_source_set_enabled(nbd->timer, SD_EVENT_OFF);
	nbd->spec.news(nbd->spec.opaque, news, text);
}

/* ------------------------------------------------------------------ the way into service */

/* Without a reason the connection was closed. */
static void nbd_probe_says(void *opaque, const char *why)
{
	nbd_tell_end(opaque, why ? TRANSPORT_HUNG : TRANSPORT_ENDS, why);
}

/* The kernel has the server's connections. The one that it did not get is for the probe. */
static void nbd_serve(struct nbd_end *nbd)
{
	unsigned timeout = nbd->spec.settings->probe_timeout;
	unsigned stuck = STUCK_PROBES * timeout, resent = STUCK_TIMERS * nbd->attachment.timer_ms;
	struct connection connection;
	int r;

	dial_take(nbd->dial, nbd->attachment_spec.connections, &connection);
	r = probe_start(&nbd->probe, nbd->spec.loop, &connection, timeout, stuck > resent ? stuck : resent,
			&nbd->end.device, nbd_probe_says, nbd);
	if (r < 0) {
		nbd_tell_end(nbd, TRANSPORT_FAILED, "cannot be probed");
		return;
	}
	dial_end(nbd->dial);
	nbd->dial = NULL;
	nbd->serves = true;
	nbd->spec.news(nbd->spec.opaque, TRANSPORT_SERVES, NULL);
}

/* The device could not be attached. True if that is since somebody has it open, and it is to be tried again soon. */
static bool nbd_may_wait_for_device(struct nbd_end *nbd)
{
	uint64_t now = clock_us();

	if (backing_of(&nbd->end.device, nbd->spec.backend) != TRANSPORT_BACKING_NONE)
		return false;
	if (!nbd->busy_until) {
		say(SAY_NOTICE, "%s cannot be attached while somebody has it open; it is tried again for %u seconds",
		    nbd->end.device.path, BUSY_LIMIT_US / 1000000);
		nbd->busy_until = now + BUSY_LIMIT_US;
	}
	return now < nbd->busy_until;
}

/* All handshakes are done: give the kernel its connections. */
static void nbd_hand_over(struct nbd_end *nbd)
{
	struct wrong wrong = {""};
	int r = attachment_hand_over(&nbd->attachment, nbd->dial, nbd->server.pid, nbd->adopted, nbd->end.detaching,
				     &wrong);

	if (r == -EBUSY && nbd_may_wait_for_device(nbd)) {
		nbd_wait_for(nbd, NBD_WAIT_DEVICE, BUSY_LOOK_US);
		return;
	}
	nbd->busy_until = 0;
	if (r)
		nbd_tell_end(nbd, TRANSPORT_REFUSED, wrong.text);
	else
		nbd_serve(nbd);
}

static void nbd_dialled(void *opaque, int r, const char *why)
{
	struct nbd_end *nbd = opaque;

	if (r)
		nbd_tell_end(nbd, TRANSPORT_FAILED, why);
	else
		nbd_hand_over(nbd);
}

/* Connect to the server, once it has made its socket. */
static void nbd_try_to_dial(struct nbd_end *nbd)
{
	int r = dial_start(&nbd->dial, nbd->spec.loop, nbd->server.contact, nbd->attachment_spec.connections + 1,
			   nbd_dialled, nbd);

	/* nbdkit has a umask of its own. (Nobody else gets into the folder anyway.) The socket is there for certain only now. */
	if (!r)
		chmod(nbd->server.contact, 0600);
	/* -EAGAIN: too many others wait to be accepted. */
	if (r == -ENOENT || r == -ECONNREFUSED || r == -EAGAIN)
		nbd_wait_for(nbd, NBD_WAIT_SOCKET, SOCKET_LOOK_US);
	else if (r)
		nbd_tell_end(nbd, TRANSPORT_FAILED, "cannot be connected to");
	else
		nbd->wait = NBD_WAIT_HANDSHAKE;
}

static void nbd_reach(struct transport_end *end, const struct transport_server *server, bool adopted)
{
	struct nbd_end *nbd = nbd_of(end);

	nbd->server = *server;
	nbd->adopted = adopted;
	say(SAY_DEBUG, "connecting to process %d at %s", (int)server->pid, server->contact);
	nbd_try_to_dial(nbd);
}

static int nbd_set_size(struct transport_end *end, uint64_t size, struct wrong *wrong)
{
	return attachment_set_size(&nbd_of(end)->attachment, size, wrong);
}

/* ------------------------------------------------------------------ in service */

static void nbd_check(struct transport_end *end)
{
	struct nbd_end *nbd = nbd_of(end);

	if (nbd->serves && attachment_is_cut(&nbd->attachment))
		nbd_tell_end(nbd, TRANSPORT_FAILED, "lost its connection to the kernel");
}

static void nbd_offer_again(struct nbd_end *nbd)
{
	nbd_check(&nbd->end);
	if (nbd->serves && attachment_offer_again(&nbd->attachment))
		nbd_tell_end(nbd, TRANSPORT_FAILED, "cannot be connected to the kernel again");
}

static int nbd_timer_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct nbd_end *nbd = opaque;

	switch (nbd->wait) {
	case NBD_WAIT_SOCKET:
		nbd_try_to_dial(nbd);
		break;
	case NBD_WAIT_DEVICE:
		nbd_hand_over(nbd);
		break;
	case NBD_WAIT_RECEIVERS:
		nbd_offer_again(nbd);
		break;
	case NBD_WAIT_HANDSHAKE:
		break;
	}
	return 0;
}

/*
 * The kernel has given up a connection. If it was the server's before, the kernel takes the present one when that is offered again. If the
 * receiver for the old one came late with its verdict, the kernel shuts the present one down, and its server is replaced: what came over
 * it must not land after what comes over the next. An adopted server's cannot be offered again: an earlier daemon had it.
 */
static int nbd_link_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct nbd_end *nbd = opaque;

	if (!attachment_link_died(&nbd->attachment) || !nbd->serves)
		return 0;
	if (!nbd->attachment.links.n)
		nbd_tell_end(nbd, TRANSPORT_FAILED, "lost its connection to the kernel");
	else
		nbd_wait_for(nbd, NBD_WAIT_RECEIVERS, ATTACHMENT_RECEIVERS_US);
	return 0;
}

/* ------------------------------------------------------------------ the kernel's end */

static void nbd_close(struct transport_end *end)
{
	struct nbd_end *nbd = nbd_of(end);

	dial_end(nbd->dial);
	probe_stop(nbd->probe);
	sd_event_source_disable_unref(nbd->timer);
	sd_event_source_disable_unref(nbd->link_events);
	attachment_close(&nbd->attachment);
	device_close(&nbd->end.device);
	free(nbd);
}

static int nbd_open(struct transport_end **result, const struct transport_spec *spec, struct wrong *wrong)
{
	struct nbd_end *nbd = calloc(1, sizeof *nbd);
	int r;

	if (!nbd)
		return -ENOMEM;
	nbd->end.transport = &nbd_transport;
	nbd->spec = *spec;
	nbd->attachment_spec = (struct attachment_spec){.backend = spec->backend,
							.connections = spec->settings->connections,
							.request_timeout = spec->settings->request_timeout,
							.dead_timeout = spec->settings->dead_timeout};
	device_init(&nbd->end.device, spec->device->path);
	r = attachment_open(&nbd->attachment, &nbd->attachment_spec, &nbd->end.device, wrong);
	if (!r)
		r = sd_event_add_io(spec->loop, &nbd->link_events, attachment_events_fd(&nbd->attachment), EPOLLIN,
				    nbd_link_event, nbd);
	if (r >= 0)
		r = sd_event_add_time(spec->loop, &nbd->timer, CLOCK_MONOTONIC, 0, 1000, nbd_timer_event, nbd);
	if (r >= 0)
		r = sd_event_source_set_enabled(nbd->timer, SD_EVENT_OFF);
	if (r < 0) {
		nbd_close(&nbd->end);
		return r;
	}
	*result = &nbd->end;
	return 0;
}

static int nbd_detach(const struct settings *settings, const struct device *device, struct wrong *wrong)
{
	struct netlink netlink;
	int r = netlink_open(&netlink, wrong);

	if (r)
		return r;
	r = netlink_disconnect(&netlink, device_number(device->path, BACKING_START));
	if (r)
		wrong_say(wrong, "%s cannot be detached: %s", device->path, strerror(-r));
	return r;
}

static int nbd_find(const struct settings *settings, const char *backend, struct device *device)
{
	return backing_find(backend, device);
}

static bool nbd_has_others(const struct settings *settings, const struct device *device)
{
	return backing_has_others(device);
}

static uint64_t nbd_longest_probe_us(const struct transport_end *end)
{
	return probe_longest_us(((const struct nbd_end *)end)->probe);
}

const struct transport nbd_transport = {
	.name = "NBD",
	.device_start = BACKING_START,
	.server_name = "nbdkit",
	.contact = FOLDER_CONTACT_SOCKET,
	.pause_us = ATTACHMENT_RECEIVERS_US,
	.backing = backing_of,
	.is_attached = backing_is_attached,
	.find = nbd_find,
	.has_others = nbd_has_others,
	.detach = nbd_detach,
	.open = nbd_open,
	.close = nbd_close,
	.reach = nbd_reach,
	.set_size = nbd_set_size,
	.let_go = nbd_let_go,
	.check = nbd_check,
	.longest_probe_us = nbd_longest_probe_us,
	.program = nbdkit_program,
	.module_file = nbdkit_module_file,
	.arguments = nbdkit_arguments,
	.rehearse = rehearse_server,
};

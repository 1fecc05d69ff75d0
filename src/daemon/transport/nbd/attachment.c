/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's end of a device. See attachment.h. */
#include "daemon/transport/nbd/attachment.h"

#include "daemon/base/say.h"
#include "daemon/transport/nbd/backing.h"
#include "daemon/transport/nbd/dial.h"
#include "zsblk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * With one connection: how often the kernel looks whether the connection of a request that was sent was replaced.
 * The kernel rounds this up to about a second. With less it would look before the next server is connected.
 */
#define KERNEL_TIMER_MS 500u

/* ------------------------------------------------------------------ copies of the kernel's sockets */

static void links_close(struct attachment_links *links)
{
	for (unsigned i = 0; i < links->n; i++)
		close(links->fds[i]);
	links->n = 0;
}

static void links_keep(struct attachment *attachment, const int *sockets, unsigned n)
{
	links_close(&attachment->links_before);
	attachment->links_before = attachment->links;
	attachment->links.n = 0;
	for (unsigned i = 0; i < n; i++) {
		int fd = fcntl(sockets[i], F_DUPFD_CLOEXEC, 0);

		if (fd >= 0)
			attachment->links.fds[attachment->links.n++] = fd;
	}
}

static bool links_are_up(const struct attachment_links *links)
{
	for (unsigned i = 0; i < links->n; i++) {
		struct pollfd link = {.fd = links->fds[i]};

		if (poll(&link, 1, 0) > 0 && link.revents & (POLLHUP | POLLERR))
			return false;
	}
	return links->n;
}

/* ------------------------------------------------------------------ the kernel's request timer */

/* With several connections the timer is the one of the request timeout. */
static unsigned kernel_timer_ms(const struct attachment *attachment)
{
	return attachment->spec->connections > 1 ? attachment->spec->request_timeout * 1000 : KERNEL_TIMER_MS;
}

/*
 * The daemon that attached the device may have died before it set the timer, or have had another one to set. It cannot be set
 * now: the kernel (6.12) would wait until nothing is in flight, and with it the one who brings the next server.
 */
static void look_at_timer(struct attachment *attachment)
{
	unsigned wanted = kernel_timer_ms(attachment);

	attachment->timer_ms = device_timer_ms(attachment->device);
	if (!attachment->timer_ms)
		attachment->timer_ms = wanted;
	if (attachment->timer_ms != wanted)
		say(SAY_WARNING,
		    "%s: when a server dies, requests in flight may wait up to %.1f seconds, not %.1f (io_timeout of the "
		    "kernel's queue, which cannot be set while the device is attached); to set it, stop this instance and start "
		    "it again",
		    attachment->device->path, attachment->timer_ms / 1000.0, wanted / 1000.0);
}

/* ------------------------------------------------------------------ handing over */

static int index_of(const struct device *device)
{
	return device_number(device->path, BACKING_START);
}

static void init_device(struct device *device, int index)
{
	char path[DEVICE_PATH];

	snprintf(path, sizeof path, BACKING_START "%d", index);
	device_init(device, path);
}

/* May the kernel have the server's connections? */
static int check_server(const struct attachment *attachment, enum transport_backing backing, pid_t server,
			bool detaching, struct wrong *wrong)
{
	if (backing == TRANSPORT_BACKING_OTHER || backing == TRANSPORT_BACKING_UNNAMED) {
		wrong_say(wrong, "%s is attached to another server now; process %d is not given to it",
			  attachment->device->path, (int)server);
		return -EBUSY;
	}
	if (backing == TRANSPORT_BACKING_UNKNOWN) {
		wrong_say(wrong, "%s: it cannot be told whose it is; process %d is not given to it yet",
			  attachment->device->path, (int)server);
		return -EAGAIN;
	}
	if (backing == TRANSPORT_BACKING_NONE && detaching) {
		wrong_say(wrong, "%s is being detached; process %d is not given to it", attachment->device->path,
			  (int)server);
		return -ESHUTDOWN;
	}
	return 0;
}

/* Is the device that was just attached known as ours? If it is not, it would be attached a second time by the next daemon. */
static int check_attached(struct attachment *attachment, int index, struct wrong *wrong)
{
	struct device device;
	enum transport_backing backing;

	init_device(&device, index);
	backing = backing_of(&device, attachment->spec->backend);

	if (backing == TRANSPORT_BACKING_OURS)
		return 0;
	wrong_say(wrong, "%s was attached, and the kernel does not say that it is ours (Linux 5.14 and later do)%s",
		  device.path,
		  backing == TRANSPORT_BACKING_UNNAMED || backing == TRANSPORT_BACKING_UNKNOWN
			  ? "; it is detached again"
			  : "");
	/* Otherwise it is in other hands already. */
	if (backing == TRANSPORT_BACKING_UNNAMED || backing == TRANSPORT_BACKING_UNKNOWN)
		netlink_disconnect(&attachment->netlink, index);
	return -EOPNOTSUPP;
}

/* With these sockets: attach the device, whose number goes to *index, or give the attached one new connections. */
static int connect_device(struct attachment *attachment, const struct dial_server *server, const int *sockets,
			  bool attached, int *index, struct wrong *wrong)
{
	const struct attachment_spec *spec = attachment->spec;
	struct netlink_setup setup = {
		.index = *index,
		.size = server->size,
		.block_size = ZSBLK_BLOCK_SIZE,
		/* 0: the kernel only looks whether the connection was replaced (K3 in keeper.c). */
		.timeout = spec->connections > 1 ? spec->request_timeout : 0,
		.dead_timeout = spec->dead_timeout,
		.flags = server->flags,
		.backend = spec->backend,
		.sockets = sockets,
		.n_sockets = spec->connections,
	};
	int r = attached ? netlink_reconfigure(&attachment->netlink, &setup)
			 : netlink_connect(&attachment->netlink, &setup, index);

	if (r)
		wrong_say(wrong, "/dev/nbd%d cannot be %s: %s%s", *index < 0 ? 0 : *index,
			  attached ? "given its new connections" : "attached", strerror(-r),
			  r == -EBUSY                ? " (somebody has it open, or another server is attached to it)"
			  : attached && r == -EINVAL ? " (was it detached while it is in use, as by nbd-client -d? "
						       "Then it gives errors until nobody uses it any more)"
						     : "");
	return r ? r : attached ? 0 : check_attached(attachment, *index, wrong);
}

/* The device has just been attached. */
static void take_device(struct attachment *attachment, int index)
{
	struct wrong wrong;

	device_close(attachment->device);
	init_device(attachment->device, index);
	if (device_tune(attachment->device, kernel_timer_ms(attachment), &wrong))
		say(SAY_WARNING, "%s", wrong.text);
}

int attachment_set_size(struct attachment *attachment, uint64_t size, struct wrong *wrong)
{
	uint64_t has = device_size(attachment->device);
	int r = has == size ? 0
			    : netlink_resize(&attachment->netlink, index_of(attachment->device),
					     attachment->spec->backend, size);

	if (r)
		wrong_say(wrong, "%s has %" PRIu64 " bytes and cannot be given %" PRIu64 ": %s",
			  attachment->device->path, has, size, strerror(-r));
	else if (has != size)
		say(SAY_NOTICE, "%s has %" PRIu64 " bytes now, and had %" PRIu64, attachment->device->path, size, has);
	return r;
}

int attachment_hand_over(struct attachment *attachment, const struct dial *dial, pid_t server, bool adopted,
			 bool detaching, struct wrong *wrong)
{
	int sockets[ATTACHMENT_MAX_CONNECTIONS], index = index_of(attachment->device), r;
	unsigned n = attachment->spec->connections;
	enum transport_backing backing = backing_of(attachment->device, attachment->spec->backend);
	bool attached = backing == TRANSPORT_BACKING_OURS;
	struct wrong size_wrong;
	struct dial_server facts;

	dial_server(dial, &facts);
	r = check_server(attachment, backing, server, detaching, wrong);
	if (r)
		return r;
	for (unsigned i = 0; i < n; i++)
		sockets[i] = dial_fd(dial, i);
	r = connect_device(attachment, &facts, sockets, attached, &index, wrong);
	if (r)
		return r;
	/* An adopted server still has its connections, so the kernel has taken none of the new sockets. */
	links_keep(attachment, sockets, adopted ? 0 : n);
	if (!attached)
		take_device(attachment, index);
	if (!attachment->timer_ms)
		look_at_timer(attachment);
	/*
	 * The size was changed, and the kernel was not told yet: with the size it has, the device works. The connection of an adopted server
	 * may be from before the change, and nbdkit keeps to the size that a connection began with.
	 */
	if (attached && !adopted && attachment_set_size(attachment, facts.size, &size_wrong))
		say(SAY_ERROR, "%s", size_wrong.text);
	return 0;
}

/* ------------------------------------------------------------------ afterwards */

bool attachment_is_cut(const struct attachment *attachment)
{
	return attachment->links.n && !links_are_up(&attachment->links);
}

int attachment_events_fd(const struct attachment *attachment)
{
	return netlink_events_fd(&attachment->netlink);
}

bool attachment_link_died(struct attachment *attachment)
{
	return netlink_link_died(&attachment->netlink, index_of(attachment->device));
}

int attachment_offer_again(struct attachment *attachment)
{
	const struct netlink_setup setup = {
		.index = index_of(attachment->device),
		.backend = attachment->spec->backend,
		.sockets = attachment->links.fds,
		.n_sockets = attachment->links.n,
	};

	return netlink_reconfigure(&attachment->netlink, &setup);
}

int attachment_open(struct attachment *attachment, const struct attachment_spec *spec, struct device *device,
		    struct wrong *wrong)
{
	*attachment = (struct attachment){.spec = spec, .device = device};
	return netlink_open(&attachment->netlink, wrong);
}

void attachment_close(struct attachment *attachment)
{
	links_close(&attachment->links);
	links_close(&attachment->links_before);
	netlink_close(&attachment->netlink);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's end: the device /dev/nbdN, and the sockets over which the kernel reaches a server. The device is attached once; later
 * servers get the kernel new connections for it. One thread. A netlink request may block, see K4 in keeper.c.
 */
#ifndef ATTACHMENT_H
#define ATTACHMENT_H

#include "daemon/kernel/device.h"
#include "daemon/transport/nbd/netlink.h"

#include <sys/types.h>

struct dial;

#define ATTACHMENT_MAX_CONNECTIONS 64u

/*
 * Microseconds between the end of a server and the start of the next one. The kernel's receiver for a connection is an ordinary
 * thread, which reads from the socket that its connection has at that moment. A receiver that is kept from running until its
 * connection has a new socket marks that one as dead, or, between the header of a reply and the data, takes the data from the new
 * socket: a page is wrong. Servers and the daemon are of a real-time class. So there is a moment in which none of them runs, and
 * the receiver sees the end of the old socket. 20 ms is several times what an ordinary thread has to wait for a processor.
 */
#define ATTACHMENT_RECEIVERS_US 20000u

struct attachment_spec {
	const char *backend; /* the device's identifier */
	unsigned connections;
	unsigned request_timeout; /* seconds, with several connections */
	unsigned dead_timeout;    /* seconds */
};

/*
 * Copies of the sockets that the kernel has. They tell whether the kernel has shut one down. And Linux 6.12 dereferences a null
 * pointer when the last reference to a socket goes while the kernel's receiver still uses it, so the copies are kept until the
 * receiver has had the time of a whole server to get away.
 */
struct attachment_links {
	int fds[ATTACHMENT_MAX_CONNECTIONS];
	unsigned n; /* 0: not ours, an earlier daemon's */
};

struct attachment {
	const struct attachment_spec *spec;
	struct device *device; /* the caller's; none, until it is attached at a place of the kernel's choice */
	struct netlink netlink;
	struct attachment_links links, links_before;
	unsigned timer_ms; /* the kernel's, which the device has; 0: not known yet */
};

/* 0, or an error of netlink_open() with the reason. *spec and *device stay the caller's, and must stay. */
int attachment_open(struct attachment *attachment, const struct attachment_spec *spec, struct device *device,
		    struct wrong *wrong);
/* What the kernel has stays as it is. Harmless on a zeroed struct. */
void attachment_close(struct attachment *attachment);

/*
 * Give the kernel the connections of a server, process `server`, all of which are ready; the device is attached if it is not yet.
 * `adopted`: the kernel has connections to that server already, and takes none. `detaching`: the device must not be attached. A device that is attached gets the size that the server has. 0, or with the reason: -EBUSY: the device is attached to
 * somebody else's server, or cannot be attached while somebody has it open; -EAGAIN: that cannot be told now; -ESHUTDOWN: the device is
 * being detached; -EOPNOTSUPP: the kernel does not remember whose a device is; or an error of the
 * kernel.
 */
int attachment_hand_over(struct attachment *attachment, const struct dial *dial, pid_t server, bool adopted,
			 bool detaching, struct wrong *wrong);

/* Have the attached device this size, in bytes. 0 or an error of the kernel, with the reason. */
int attachment_set_size(struct attachment *attachment, uint64_t size, struct wrong *wrong);

/* Has the kernel shut down a connection that it got from us? */
bool attachment_is_cut(const struct attachment *attachment);

/* Readable when the kernel has something to tell of any device. */
int attachment_events_fd(const struct attachment *attachment);
/* Read what the kernel tells: has a connection of this device died? */
bool attachment_link_died(struct attachment *attachment);
/* Offer the kernel the connections that it got before. 0 or a negative errno. */
int attachment_offer_again(struct attachment *attachment);

#endif

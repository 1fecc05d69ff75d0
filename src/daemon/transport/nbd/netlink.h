/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's nbd client, over generic netlink (linux/nbd-netlink.h). Messages are built in the caller's
 * frame: nothing is allocated. Functions return 0 or a negative errno, the kernel's own.
 */
#ifndef NETLINK_H
#define NETLINK_H

#include "daemon/base/wrong.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mnl_socket;

struct netlink {
	struct mnl_socket *requests;
	struct mnl_socket *events; /* subscribed to nbd's multicast group */
	uint16_t family;
};

#define NETLINK_ANY_DEVICE (-1)

/* What to connect, or to connect again. Times are in seconds; 0 has the meaning the kernel gives it. */
struct netlink_setup {
	int index; /* of /dev/nbdN */
	uint64_t size;
	uint64_t block_size;
	uint64_t timeout;      /* of requests that were sent */
	uint64_t dead_timeout; /* that those not sent wait for a new connection */
	uint64_t flags;        /* NBD_FLAG_..., as the server told them */
	const char *backend;   /* identifier; a later reconfigure must name the same */
	const int *sockets;
	unsigned n_sockets;
};

/* -ENOENT: this kernel has no nbd, or its module is not loaded. -EOPNOTSUPP: it cannot tell whose a device is. */
int netlink_open(struct netlink *netlink, struct wrong *wrong);
void netlink_close(struct netlink *netlink);

/* Attach a device; *index is the one it became. -EBUSY: that one is in use. */
int netlink_connect(struct netlink *netlink, const struct netlink_setup *setup, int *index);
/* Give an attached device new sockets for those that are dead. Of the setup only index, backend and sockets count. */
int netlink_reconfigure(struct netlink *netlink, const struct netlink_setup *setup);
/* Give an attached device another size, in bytes. */
int netlink_resize(struct netlink *netlink, int index, const char *backend, uint64_t size);
int netlink_disconnect(struct netlink *netlink, int index);

/*
 * What messages say, for netlink.c and tests: nothing is asked of the kernel, and any bytes may be given. `bytes` of
 * messages, aligned as nlmsghdr is.
 */
struct netlink_family {
	uint16_t id;        /* 0: not told */
	uint32_t multicast; /* the group of nbd's events; 0: not told */
	uint32_t most;      /* the highest attribute that it knows; 0: not told */
};

struct nlmsghdr;

/* The answer to CTRL_CMD_GETFAMILY. What it does not tell stays as it was. */
void netlink_parse_family(const struct nlmsghdr *message, struct netlink_family *family);
/* Does it know identifiers of devices, without which nobody can tell whose a device is? 0 or -EOPNOTSUPP. */
int netlink_check_family(const struct netlink_family *family, struct wrong *wrong);
/* The device that a message of nbd's is about, or NETLINK_ANY_DEVICE. */
int netlink_parse_index(const struct nlmsghdr *message);
/* Do these events tell that a connection of the device died? */
bool netlink_parse_link_died(const void *messages, size_t bytes, uint16_t family, int index);

/* To be polled: */
int netlink_events_fd(const struct netlink *netlink);
/* Read what is there: was a connection of this device reported dead? */
bool netlink_link_died(struct netlink *netlink, int index);

#endif

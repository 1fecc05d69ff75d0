/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's nbd client. See netlink.h. */
#include "daemon/transport/nbd/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>

#define BUFFER_BYTES 8192

/* ------------------------------------------------------------------ talking */

/* Send a request and read the answers up to the acknowledgement. */
static int talk(struct mnl_socket *socket, struct nlmsghdr *message, mnl_cb_t callback, void *opaque)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	unsigned port = mnl_socket_get_portid(socket), sequence = message->nlmsg_seq;
	int r;

	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t got = mnl_socket_recvfrom(socket, buffer, sizeof buffer);

		if (got < 0) {
			if (errno == EINTR) {
				r = MNL_CB_OK;
				continue;
			}
			return -errno;
		}
		r = mnl_cb_run(buffer, (size_t)got, sequence, port, callback, opaque);
	} while (r > MNL_CB_STOP);
	return r < 0 ? -errno : 0;
}

static struct nlmsghdr *begin_message(char *buffer, uint16_t family, uint8_t command, uint8_t version)
{
	static unsigned sequence;
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *generic;

	message->nlmsg_type = family;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = ++sequence;
	generic = mnl_nlmsg_put_extra_header(message, sizeof *generic);
	generic->cmd = command;
	generic->version = version;
	return message;
}

/* ------------------------------------------------------------------ finding the family */

/* True if the attribute has this type, and is long enough for what it is to hold. */
static bool attribute_is(const struct nlattr *attribute, uint16_t type, enum mnl_attr_data_type data)
{
	return mnl_attr_get_type(attribute) == type && mnl_attr_validate(attribute, data) == 0;
}

static void parse_group(const struct nlattr *group, struct netlink_family *family)
{
	const struct nlattr *attribute;
	const char *name = "";
	uint32_t id = 0;

	mnl_attr_for_each_nested (attribute, group) {
		if (attribute_is(attribute, CTRL_ATTR_MCAST_GRP_NAME, MNL_TYPE_NUL_STRING))
			name = mnl_attr_get_str(attribute);
		else if (attribute_is(attribute, CTRL_ATTR_MCAST_GRP_ID, MNL_TYPE_U32))
			id = mnl_attr_get_u32(attribute);
	}
	if (strcmp(name, NBD_GENL_MCAST_GROUP_NAME) == 0)
		family->multicast = id;
}

void netlink_parse_family(const struct nlmsghdr *message, struct netlink_family *family)
{
	const struct nlattr *attribute, *group;

	mnl_attr_for_each (attribute, message, sizeof(struct genlmsghdr)) {
		if (attribute_is(attribute, CTRL_ATTR_FAMILY_ID, MNL_TYPE_U16))
			family->id = mnl_attr_get_u16(attribute);
		else if (attribute_is(attribute, CTRL_ATTR_MAXATTR, MNL_TYPE_U32))
			family->most = mnl_attr_get_u32(attribute);
		else if (attribute_is(attribute, CTRL_ATTR_MCAST_GROUPS, MNL_TYPE_NESTED))
			mnl_attr_for_each_nested (group, attribute)
				parse_group(group, family);
	}
}

int netlink_check_family(const struct netlink_family *family, struct wrong *wrong)
{
	if (family->most >= NBD_ATTR_BACKEND_IDENTIFIER)
		return 0;
	wrong_say(
		wrong,
		"this kernel's nbd client does not remember whose a device is (it knows %u attributes, and %u are needed); use Linux "
		"5.14 or later",
		(unsigned)family->most, (unsigned)NBD_ATTR_BACKEND_IDENTIFIER);
	return -EOPNOTSUPP;
}

static int read_family(const struct nlmsghdr *message, void *opaque)
{
	netlink_parse_family(message, opaque);
	return MNL_CB_OK;
}

static int find_family(struct mnl_socket *socket, struct netlink_family *found)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	struct nlmsghdr *message = begin_message(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);

	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME);
	return talk(socket, message, read_family, found);
}

static struct mnl_socket *open_socket(int flags)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC | flags);

	if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int error = errno;

		mnl_socket_close(socket);
		errno = error;
		socket = NULL;
	}
	return socket;
}

static int fail(struct wrong *wrong, int error, const char *what)
{
	wrong_say(wrong, "%s: %s", what, strerror(-error));
	return error;
}

int netlink_open(struct netlink *netlink, struct wrong *wrong)
{
	struct netlink_family found = {0};
	int r;

	*netlink = (struct netlink){0};
	netlink->requests = open_socket(0);
	if (!netlink->requests)
		return fail(wrong, -errno, "no generic netlink socket");
	r = find_family(netlink->requests, &found);
	if (r == -ENOENT) {
		wrong_say(
			wrong,
			"this kernel has no nbd client: load its module (modprobe nbd), or use a kernel that has one");
		return r;
	}
	if (r)
		return fail(wrong, r, "the kernel does not tell about its nbd client");
	r = netlink_check_family(&found, wrong);
	if (r)
		return r;
	netlink->family = found.id;
	netlink->events = open_socket(SOCK_NONBLOCK);
	if (!netlink->events || mnl_socket_setsockopt(netlink->events, NETLINK_ADD_MEMBERSHIP, &found.multicast,
						      sizeof found.multicast) < 0)
		return fail(wrong, -errno, "the nbd client's events cannot be had");
	return 0;
}

void netlink_close(struct netlink *netlink)
{
	if (netlink->requests)
		mnl_socket_close(netlink->requests);
	if (netlink->events)
		mnl_socket_close(netlink->events);
	*netlink = (struct netlink){0};
}

/* ------------------------------------------------------------------ requests */

int netlink_parse_index(const struct nlmsghdr *message)
{
	const struct nlattr *attribute;
	int index = NETLINK_ANY_DEVICE;

	mnl_attr_for_each (attribute, message, sizeof(struct genlmsghdr))
		if (attribute_is(attribute, NBD_ATTR_INDEX, MNL_TYPE_U32))
			index = (int)mnl_attr_get_u32(attribute);
	return index;
}

static int read_index(const struct nlmsghdr *message, void *opaque)
{
	int index = netlink_parse_index(message);

	if (index != NETLINK_ANY_DEVICE)
		*(int *)opaque = index;
	return MNL_CB_OK;
}

/* What both requests have. */
static void put_geometry(struct nlmsghdr *message, const struct netlink_setup *setup)
{
	mnl_attr_put_u64(message, NBD_ATTR_SIZE_BYTES, setup->size);
	mnl_attr_put_u64(message, NBD_ATTR_BLOCK_SIZE_BYTES, setup->block_size);
	mnl_attr_put_u64(message, NBD_ATTR_TIMEOUT, setup->timeout);
	mnl_attr_put_u64(message, NBD_ATTR_DEAD_CONN_TIMEOUT, setup->dead_timeout);
	mnl_attr_put_u64(message, NBD_ATTR_SERVER_FLAGS, setup->flags);
}

static void put_connections(struct nlmsghdr *message, const struct netlink_setup *setup)
{
	struct nlattr *sockets, *item;

	if (setup->index != NETLINK_ANY_DEVICE)
		mnl_attr_put_u32(message, NBD_ATTR_INDEX, (uint32_t)setup->index);
	mnl_attr_put_strz(message, NBD_ATTR_BACKEND_IDENTIFIER, setup->backend);
	sockets = mnl_attr_nest_start(message, NBD_ATTR_SOCKETS);
	for (unsigned i = 0; i < setup->n_sockets; i++) {
		item = mnl_attr_nest_start(message, NBD_SOCK_ITEM);
		mnl_attr_put_u32(message, NBD_SOCK_FD, (uint32_t)setup->sockets[i]);
		mnl_attr_nest_end(message, item);
	}
	mnl_attr_nest_end(message, sockets);
}

int netlink_connect(struct netlink *netlink, const struct netlink_setup *setup, int *index)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	struct nlmsghdr *message = begin_message(buffer, netlink->family, NBD_CMD_CONNECT, NBD_GENL_VERSION);

	put_connections(message, setup);
	put_geometry(message, setup);
	*index = setup->index;
	return talk(netlink->requests, message, read_index, index);
}

int netlink_reconfigure(struct netlink *netlink, const struct netlink_setup *setup)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	struct nlmsghdr *message = begin_message(buffer, netlink->family, NBD_CMD_RECONFIGURE, NBD_GENL_VERSION);

	/* Nothing else is sent: NBD_ATTR_TIMEOUT would take back what was written to queue/io_timeout. */
	put_connections(message, setup);
	return talk(netlink->requests, message, NULL, NULL);
}

int netlink_resize(struct netlink *netlink, int index, const char *backend, uint64_t size)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	struct nlmsghdr *message = begin_message(buffer, netlink->family, NBD_CMD_RECONFIGURE, NBD_GENL_VERSION);

	mnl_attr_put_u32(message, NBD_ATTR_INDEX, (uint32_t)index);
	mnl_attr_put_strz(message, NBD_ATTR_BACKEND_IDENTIFIER, backend);
	mnl_attr_put_u64(message, NBD_ATTR_SIZE_BYTES, size);
	return talk(netlink->requests, message, NULL, NULL);
}

int netlink_disconnect(struct netlink *netlink, int index)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	struct nlmsghdr *message = begin_message(buffer, netlink->family, NBD_CMD_DISCONNECT, NBD_GENL_VERSION);

	mnl_attr_put_u32(message, NBD_ATTR_INDEX, (uint32_t)index);
	return talk(netlink->requests, message, NULL, NULL);
}

/* ------------------------------------------------------------------ events */

int netlink_events_fd(const struct netlink *netlink)
{
	return mnl_socket_get_fd(netlink->events);
}

/*
 * mnl_nlmsg_ok() takes a length of more than 2 GiB for a negative one, which fits anywhere. And attributes are read up to
 * the length rounded up.
 */
static bool message_fits(const struct nlmsghdr *message, int left)
{
	return mnl_nlmsg_ok(message, left) && message->nlmsg_len <= INT_MAX &&
	       MNL_ALIGN((int)message->nlmsg_len) <= left;
}

bool netlink_parse_link_died(const void *messages, size_t bytes, uint16_t family, int index)
{
	const struct nlmsghdr *message = messages;
	int left = (int)bytes;

	for (; message_fits(message, left); message = mnl_nlmsg_next(message, &left)) {
		const struct genlmsghdr *generic = mnl_nlmsg_get_payload(message);

		if (message->nlmsg_type == family && mnl_nlmsg_get_payload_len(message) >= sizeof *generic &&
		    generic->cmd == NBD_CMD_LINK_DEAD && index >= 0 && netlink_parse_index(message) == index)
			return true;
	}
	return false;
}

bool netlink_link_died(struct netlink *netlink, int index)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	bool died = false;
	ssize_t got;

	while ((got = mnl_socket_recvfrom(netlink->events, buffer, sizeof buffer)) >= 0 || errno == ENOBUFS) {
		/* Events were lost, so there may have been one of this device: the caller looks. */
		if (got < 0)
			died = true;
		else
			died |= netlink_parse_link_died(buffer, (size_t)got, netlink->family, index);
	}
	return died;
}

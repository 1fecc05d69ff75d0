/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is at the other end of a Unix socket, as the kernel tells it. */
#ifndef PEER_H
#define PEER_H

#include <sys/types.h>

enum varlink_rights {
	VARLINK_NOTHING,
	VARLINK_LOOK,
	VARLINK_CHANGE,
};

/* No group. */
#define VARLINK_NO_GROUP ((gid_t)-1)

/*
 * What the peer of a connected socket may do: user 0 and the calling process's own user may change things; whoever is in
 * `group` may look. Users and groups are those that the peer had when it connected. A peer with more than 1024 supplementary
 * groups is only in its primary one. Allocates nothing.
 */
enum varlink_rights varlink_peer_rights(int fd, gid_t group);

#endif

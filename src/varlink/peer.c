/* SPDX-License-Identifier: BSD-3-Clause */
/* The other end of a socket. See peer.h. Sources: unix(7) on SO_PEERCRED, socket(7) on SO_PEERGROUPS (Linux 4.13). */
#include "varlink/peer.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS_MAX 1024u

static bool has_group(int fd, gid_t wanted)
{
	gid_t groups[GROUPS_MAX];
	socklen_t size = sizeof groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (unsigned i = 0; i < size / sizeof groups[0]; i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

enum varlink_rights varlink_peer_rights(int fd, gid_t group)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return VARLINK_NOTHING;
	if (peer.uid == 0 || peer.uid == geteuid())
		return VARLINK_CHANGE;
	if (group != VARLINK_NO_GROUP && (peer.gid == group || has_group(fd, group)))
		return VARLINK_LOOK;
	return VARLINK_NOTHING;
}

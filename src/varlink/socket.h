/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Unix socket that a server listens on, by a name that others could have taken first.
 */
#ifndef SOCKET_H
#define SOCKET_H

#include "varlink/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

struct varlink_socket {
	struct sockaddr_un address;
	int fd; /* -1: there is none */
	dev_t device;
	ino_t inode; /* of its file, with `device` */
};

/* Why it failed, for people: one line without a newline. */
struct varlink_why {
	char text[320];
};

/*
 * Verify that a socket could be made at this absolute path: its folder is root's or ours, nobody else can put anything
 * in it or take anything out of it, and what has the name is a socket of ours without a listener, or nothing.
 * 0, or a negative errno with the reason: -ENAMETOOLONG, -EPERM (the folder, or what is there, is not ours), -EEXIST (it is no
 * socket), -EADDRINUSE (a server listens there), or what the system says of the path.
 */
int varlink_socket_check(const char *path, struct varlink_why *why);

/*
 * Check the same, and listen there: mode 0600, or 0660 with `group`. A socket that nobody listens on is replaced. The
 * descriptor does not block, and is closed on exec. On failure *socket has no descriptor.
 */
int varlink_socket_listen(struct varlink_socket *socket, const char *path, gid_t group, struct varlink_why *why);

/* True if its file is still there, by its name. */
bool varlink_socket_is_there(const struct varlink_socket *socket);

/* Stop listening, and remove the file if it is still the one that was made. Harmless without a descriptor. */
void varlink_socket_close(struct varlink_socket *socket);

#endif

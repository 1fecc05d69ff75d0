/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /run/zsblk/NAME: where an instance of zsblkd keeps its sockets and its lock. Nobody else may write
 * there. What a restarted daemon has to find again: the segment knows the server that has claimed it, the kernel
 * knows the device's backend, and each server is here by its name, also while it has claimed nothing yet.
 *
 *   lock             held by the daemon while it lives; its number is in it
 *   daemon           the daemon's socket, see control.h
 *   control          the server's, see host/control.h; daemons before 0.1 had theirs there
 *   PID-START.server there is such a server: its process number and start time; from before it becomes one
 *   PID-START.sock   its socket, if it has one
 *   PID-START.ready  or a link to nothing, with the name of the disk that it serves
 *   disk             a link to nothing, with that name and the kernel's number of the disk: see transport/ublk/disk.h
 *   segment          a link to nothing, with the name of the segment that the device was attached with
 *   nbdkit or such   once a server was started from files that are held open: a link, which gives it its name
 *   stats            the server's statistics
 *   rehearsal.sock   while an upgrade tries whether a new server would come up
 */
#ifndef FOLDER_H
#define FOLDER_H

#include "daemon/base/wrong.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FOLDER_PATH_MAX 100 /* what fits a socket's address */

struct folder {
	char path[FOLDER_PATH_MAX];
	int fd;
	int lock; /* -1: not held */
};

#ifndef FOLDER_TOP
#define FOLDER_TOP "/run/zsblk"
#endif

/*
 * Open the folder of `name` in `top`, making it if it does not exist and `make`; 0700 and `top` 0711, and refused with -EPERM when it
 * belongs to another user or others may write to it. -ENOENT if it does not exist.
 */
int folder_open(struct folder *folder, const char *top, const char *name, bool make, struct wrong *wrong);
/*
 * Let members of a group come by the names of its sockets, whose own modes say what they may do; nobody sees what else is there. 0 or a
 * negative errno.
 */
int folder_let_in(const struct folder *folder, gid_t group);
/* Become its daemon. -EBUSY, with the number of the live one in the reason and in *holder (0: not known; may be NULL). */
int folder_lock(struct folder *folder, pid_t *holder, struct wrong *wrong);
void folder_close(struct folder *folder);
/*
 * Remove all that is in it but the note `keep` (NULL: none), and the folder if it is empty then. To be called by its daemon, or
 * by whoever made it and nobody has locked it since: another daemon's is left alone.
 */
void folder_remove(struct folder *folder, const char *keep);

/* The server's control socket (its parameter control=), and the daemon's. */
#define FOLDER_CONTROL "control"
#define FOLDER_DAEMON  "daemon"

/* "FOLDER/NAME" into `path`. */
void folder_file(const struct folder *folder, const char *name, char path[FOLDER_PATH_MAX + 60]);
/* What a server makes there once it has started, by which it is met; `kind`: one of FOLDER_CONTACTS. */
#define FOLDER_CONTACT_SOCKET "sock"
#define FOLDER_CONTACT_READY  "ready"
#define FOLDER_CONTACTS       FOLDER_CONTACT_SOCKET, FOLDER_CONTACT_READY
void folder_server_contact(const struct folder *folder, pid_t pid, uint64_t start, const char *kind,
			   char path[FOLDER_PATH_MAX + 60]);

/*
 * Note down something short under this name, in place of what was there / read it; empty if there is nothing. As where a
 * symbolic link leads: what a file holds may be swapped out on tmpfs, to a device that is down.
 */
int folder_note(const struct folder *folder, const char *name, const char *text);
void folder_read_note(const struct folder *folder, const char *name, char *text, size_t size);

/*
 * A listening socket there, mode 0600, in place of what had that name: SOCK_STREAM or SOCK_SEQPACKET. The
 * descriptor or a negative errno.
 */
int folder_listen(const struct folder *folder, const char *name, int type);
/*
 * A connection to such a socket. -ECONNREFUSED or -ENOENT: nobody listens. -EAGAIN: too many others wait to be accepted; `seconds`: how
 * long to wait for that, 0: for ever. With SOCK_NONBLOCK in `type` not at all.
 */
int folder_connect(const char *path, int type, unsigned seconds);

/*
 * Note down a server / that there is none any more, with what it left. For a server that is about to be: 0 or a negative
 * errno.
 */
int folder_add_server(const struct folder *folder, pid_t pid, uint64_t start);
void folder_remove_server(const struct folder *folder, pid_t pid, uint64_t start);
/* Is it one of those that were noted down here? */
bool folder_has_server(const struct folder *folder, pid_t pid, uint64_t start);
/* Is that the name of such a note? Of which server? */
bool folder_parse_server(const char *file, pid_t *pid, uint64_t *start);
/* Call `each` for all that were noted down, alive or not, until it returns non-zero. */
int folder_each_server(struct folder *folder, int (*each)(void *opaque, pid_t pid, uint64_t start), void *opaque);

#endif

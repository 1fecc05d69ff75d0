/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program files of a server that works, held open: a package may replace them under their names with others that do
 * not work, and the names are all that the next server would be started by.
 */
#ifndef KEPT_H
#define KEPT_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* A process has a number and a start time (process_start_time()): numbers alone are used again. */
struct kept {
	uint64_t of_start, user_start;
	pid_t of;    /* the process whose files these are; 0: nobody's */
	pid_t user;  /* the last server that was started from these files; 0: none */
	int program; /* -1: the server's is not the one that we run, which starts it in a way of its own */
	int module;  /* what the program loads; -1: it loads nothing */
};

void kept_init(struct kept *kept);
void kept_close(struct kept *kept);

/*
 * Open the program of this server and the module that it has loaded. `program` is what we run for it; `module` is the last part of the
 * module's path; NULL: it loads none. `held`: the program that is kept already; NULL: none. 0, and *found is to be closed; -ENOENT: there is none that could be kept.
 * Reads what /proc tells of the server's mappings, and waits for whoever holds the lock on its memory: for a child.
 */
int kept_find(struct kept *found, pid_t pid, uint64_t start, const char *program, const char *module,
	      const struct stat *held);

/*
 * Send a copy of *kept, with copies of its descriptors, over a connected SOCK_SEQPACKET socket. Does not wait. 0 or a negative
 * errno.
 */
int kept_send(const struct kept *kept, int socket);

/*
 * Receive what kept_send() sent, in place of what *kept was, which is closed. `sender`: the only process it may come from; the socket
 * has SO_PASSCRED. Does not wait. 0: received; -EAGAIN: nothing is there; -ENOTCONN: nothing will come any more; -EBADMSG: what came
 * is not what kept_send() sends, or came from another process, and *kept is as it was.
 */
int kept_receive(struct kept *kept, int socket, pid_t sender);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server, started by this daemon or by an earlier one. A server outlives its daemon, and only SIGKILL ends it. Told to end in any
 * other way, a server may first answer the requests that it has with errors (nbdkit does), which swap takes for the loss of its pages.
 *
 * One thread. Nothing here blocks.
 */
#ifndef SERVER_H
#define SERVER_H

#include "daemon/state/folder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct server {
	pid_t pid;      /* 0: none */
	uint64_t start; /* process_start_time(): a number alone may be used again */
	int pidfd;      /* readable once the server has ended; -1: none */
	bool from_kept; /* started from files that were kept */
	const struct folder *folder;
};

struct server_command;

/*
 * Start a server. `device`: the argument that tells it its device (struct transport, device_argument); empty: none. `from_kept`: from the files that were kept, if any were. The child notes itself down in *folder before it
 * becomes a server; if the daemon dies before that, the child does, too. *folder must stay until the server is reaped or
 * forgotten. 0, or an error of fork(2) or pidfd_of().
 */
int server_spawn(struct server *server, struct server_command *command, const struct folder *folder, const char *device,
		 bool from_kept);

/* Take over a server that an earlier daemon started. 0; -ESRCH: it is not alive; any other error: that cannot be told. */
int server_adopt(struct server *server, const struct folder *folder, pid_t pid);

/* Send SIGKILL. The pidfd becomes readable once the server does nothing any more. */
void server_kill(const struct server *server);

/*
 * The server has ended: remove its note and its contact, and forget it. How it ended is written to `how`: "ended with exit status 1", "was
 * ended by signal 9 (Killed)", or "has ended" if it was not our child. True if SIGKILL ended it, as far as is known.
 */
bool server_reap(struct server *server, char *how, size_t size);

/* Let go of a server without touching it. */
void server_forget(struct server *server);

#endif

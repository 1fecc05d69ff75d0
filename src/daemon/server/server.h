/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server: nbdkit with the zsblk plugin, started by us or by an earlier zsblkd. It outlives us, and only SIGKILL ends
 * it: told to end in any other way, nbdkit first answers the requests that it has with errors, and swap takes those
 * for the loss of its pages.
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
	uint64_t start; /* when it was started, which makes the number unique */
	int pidfd;      /* readable once it has ended */
	bool of_kept;   /* started from files that were kept */
	const struct folder *folder;
	char socket[FOLDER_PATH_MAX + 60]; /* it is there once the server has read its parameters */
};

struct server_command;

/*
 * Start one. `of_kept`: from the files that were kept, if any were. 0 or a negative errno of fork, pidfd_of. *folder must stay until
 * it was reaped or forgotten; the server is noted down there before it becomes one, and if we die before that, it does.
 */
int server_spawn(struct server *server, struct server_command *command, const struct folder *folder, bool of_kept);

/* Take over one that an earlier zsblkd started. -ESRCH if it is not alive; any other error: that cannot be told. */
int server_adopt(struct server *server, const struct folder *folder, pid_t pid);

/* SIGKILL. Its pidfd becomes readable when it does no more. */
void server_kill(const struct server *server);

/*
 * It has ended: forget it, remove its note and its socket, and say how it ended in `how` ("killed by signal 9", "exit
 * status 1", or nothing is known when it was not our child). True if it was SIGKILL, as far as is known.
 */
bool server_reap(struct server *server, char *how, size_t size);

/* Let go of it without touching it. */
void server_forget(struct server *server);

#endif

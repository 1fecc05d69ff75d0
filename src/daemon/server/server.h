/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server: nbdkit with the zsblk plugin, started by us or by an earlier zsblkd. It outlives us, and only SIGKILL ends
 * it: told to end in any other way, nbdkit first answers the requests that it has with errors, and swap takes those
 * for the loss of its pages.
 */
#ifndef SERVER_H
#define SERVER_H

#include "daemon/instance/folder.h"
#include "daemon/server/kept.h"
#include "daemon/settings/settings.h"

#include <stdbool.h>

struct server {
	pid_t pid;      /* 0: none */
	uint64_t start; /* when it was started, which makes the number unique */
	int pidfd;      /* readable once it has ended */
	bool of_kept;   /* started from files that were kept */
	const struct folder *folder;
	char socket[FOLDER_PATH_MAX + 60]; /* it is there once the server has read its parameters */
};

/*
 * The command line of every server to come. Made once, since a recovery is not the time to allocate. `stats`:
 * path of the statistics file.
 */
struct server_command;
int server_command_make(struct server_command **command, const struct settings *settings, const char *memory,
			const char *stats);
/*
 * Begin with these files, which an earlier daemon kept; they become the command's. `changed` is told of every change: what it gets is
 * what the next daemon is to begin with.
 */
typedef void server_kept_fn(const struct kept *kept);
void server_command_inherit(struct server_command *command, const struct kept *kept, server_kept_fn *changed);
void server_command_free(struct server_command *command);
/*
 * What is asked of a running server is asked by a child, and waited for so long at most: to answer, the kernel takes the lock on the
 * server's memory, and a server that hangs can hold that lock.
 */
#define SERVER_ASK_MS 500

/*
 * Keep the program files of this server, which works; not if it was started from such files itself. 0: they are kept, or were; -ENOENT:
 * there are none that could be; any other error: that could not be found out now, as errand_run() says.
 */
int server_command_keep(struct server_command *command, const struct server *server);
/*
 * The lines of the server's /proc/PID/maps that are of programs and libraries, as text up to the next call of one of these functions.
 * 0 or an error of errand_run().
 */
int server_command_programs(struct server_command *command, const struct server *server, const char **lines);
/* Was this server started with the same command? False as well if it does not answer. */
bool server_command_is_of(struct server_command *command, pid_t pid);
/* The same, of the bytes of /proc/PID/cmdline: arguments, each ended by a NUL. For tests. */
bool server_command_matches(const struct server_command *command, const char *text, size_t bytes);

/*
 * Start one. `of_kept`: from the files that were kept, if any were. 0 or a negative errno of fork, pidfd_of. *folder must stay until
 * it was reaped or forgotten; the server is noted down there before it becomes one, and if we die before that, it does.
 */
int server_spawn(struct server *server, struct server_command *command, const struct folder *folder, bool of_kept);

/* Was this server, which was adopted, started from the files that are kept? */
bool server_command_kept_runs(const struct server_command *command, const struct server *server);

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

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command by which every server is started, with the program files that are kept of one that worked; and what is asked of running
 * servers. One thread.
 */
#ifndef SERVER_COMMAND_H
#define SERVER_COMMAND_H

#include "daemon/server/kept.h"
#include "daemon/server/server.h"
#include "daemon/settings/settings.h"

struct transport;

/*
 * The command line of every server to come. Made once, since a recovery is not the time to allocate. `stats`: path of the statistics file; `control`: of
 * the control socket.
 */
struct server_command;
int server_command_make(struct server_command **command, const struct transport *transport,
			const struct settings *settings, const char *memory, const char *stats, const char *control);
/*
 * Begin with these files, which an earlier daemon kept; they become the command's. `changed` is told of every change: what it gets is
 * what the next daemon is to begin with.
 */
typedef void server_kept_fn(const struct kept *kept);
void server_command_inherit(struct server_command *command, const struct kept *kept, server_kept_fn *changed);
/* The size of the device, in bytes, that servers are started with from now on. */
void server_command_set_size(struct server_command *command, uint64_t bytes);
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

/* Was this server, which was adopted, started from the files that are kept? */
bool server_command_kept_runs(const struct server_command *command, const struct server *server);

/* Are the files that are kept those that this server itself began with? */
bool server_command_kept_is_of(const struct server_command *command, const struct server *server);

/* Are there files that were kept? */
bool server_command_has_kept(const struct server_command *command);
/* This server was started from them. */
void server_command_used_kept(struct server_command *command, const struct server *server);

/*
 * In the child that becomes a server, started at `start`, for the device that the argument `device` tells (empty: none does): run the command, with nothing open but the standard descriptors and the files
 * that were kept, if it is to be from those.
 */
__attribute__((noreturn)) void server_command_exec(const struct server_command *command, const struct folder *folder,
						   uint64_t start, const char *device, bool from_kept);

#endif

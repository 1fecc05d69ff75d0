/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of zsblkd and its servers to people, on standard error: with the journal's level prefixes under
 * systemd. A message never blocks: whoever reads them may be waiting for the device that this daemon keeps
 * alive, and a file on tmpfs may be swapped out to it. So they go through a pipe to a process of their own, which
 * may wait; what does not fit the pipe is dropped, and the next message says how many were.
 */
#ifndef SAY_H
#define SAY_H

#include <stdbool.h>
#include <sys/types.h>

/* syslog(3)'s. */
enum say_level { SAY_ERROR = 3, SAY_WARNING = 4, SAY_NOTICE = 5, SAY_INFO = 6, SAY_DEBUG = 7 };

/* Call once, first. `verbose`: debug messages too. */
void say_init(const char *name, int verbose);
/*
 * From now on through the pipe; the messages of processes started later, too. To be called before the process
 * takes what its children are not to have. 0 or a negative errno.
 */
int say_through_pipe(void);
/* In the process that called say_through_pipe(): has a child ended that handed messages on? */
bool say_relay_ended(pid_t pid);
/*
 * In that process: see to it that there is somebody who hands messages on. What is in the pipe is kept for the next one. Returns
 * the milliseconds after which to call again, or -1.
 */
int say_keep_relay(void);
/* In a child of that process: it only writes messages. */
void say_as_child(void);
/* At the end: see to it that what was said is out, unless its reader waits for too long. */
void say_end(void);
__attribute__((format(printf, 2, 3))) void say(enum say_level level, const char *format, ...);

#endif

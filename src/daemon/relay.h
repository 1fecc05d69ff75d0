/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process that hands messages on, from a pipe to where they go. Whoever reads messages may be waiting for the device that the daemon
 * keeps alive, and a file on tmpfs may be swapped out to it. This process may wait for that; who writes to the pipe does not. Where
 * messages go to a file, it puts the time before each line.
 */
#ifndef RELAY_H
#define RELAY_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * From now on standard error is the pipe, for this process and those that it starts. To be called before the process takes what its
 * children are not to have. 0 or a negative errno.
 */
int relay_start(void);
/* In that process: was this child, which has ended, the one that handed messages on? */
bool relay_ended(pid_t pid);
/*
 * In that process: see to it that there is somebody who hands messages on. What is in the pipe is kept for the next one. Returns
 * the milliseconds after which to call again, or -1.
 */
int relay_keep(void);
/* In a child of that process: it only writes messages. */
void relay_forget(void);
/* At the end: see to it that what was said is out, unless its reader waits for too long. */
void relay_finish(void);

#endif

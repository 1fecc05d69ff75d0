/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What zsblkd does for itself before anything depends on it: its memory is locked, and in memory; it is
 * an I/O flusher, left alone by the OOM killer, and in a real-time class, below which no page fault
 * or socket buffer has to wait for reclaim. The servers it starts inherit all but the memory locks.
 */
#ifndef RIGHTS_H
#define RIGHTS_H

#include "daemon/base/wrong.h"

/* Can all of it be had here? 0, or -EPERM with what is missing and what it is needed for. */
int rights_check(struct wrong *wrong);

/* Take it all. 0 or a negative errno with the reason. */
int rights_take(struct wrong *wrong);

/*
 * In a child that does work for people and not for the device, such as swapoff: become an ordinary
 * process again, which the kernel may swap for, and kill.
 */
void rights_drop(void);

/* In a child that becomes a server: its scheduling priority is just below ours. */
void rights_for_server(void);

#endif

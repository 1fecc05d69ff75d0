/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What zsblkd takes for itself before anything depends on it. Its memory is locked, and is there. It is an I/O flusher, the
 * OOM killer leaves it alone, and it is in a real-time class, in which page faults and socket buffers need not wait for
 * reclaim. Servers inherit all of that but the memory locks.
 */
#ifndef RIGHTS_H
#define RIGHTS_H

#include "daemon/base/wrong.h"

/* Can all of that be had here? 0, or -EPERM with what is missing and what it is needed for. */
int rights_check(struct wrong *wrong);

/* Take all of that. 0 or a negative errno with the reason. */
int rights_take(struct wrong *wrong);

/*
 * After a fork of a process that stays: what is shared with it becomes this process's own at once, and not when it is first written to, which
 * may be when there is no memory. What is not in memory, as in a range that is only reserved, stays so.
 */
void rights_own_memory(void);

/*
 * In a child that does work for people and not for the device, such as swapoff: become an ordinary
 * process again, which the kernel may swap for, and kill.
 */
void rights_drop(void);

/* In a child that becomes a server: its scheduling priority is just below ours. */
void rights_for_server(void);

/*
 * Around a wait for a server's end. The threads of a process that was killed remove their folders from /proc after their
 * parent has been told. Whoever reaps the process removes the rest, and the kernel tries again and again for as long as
 * another thread is in the middle of it. On the only CPU of a machine, a caller of higher priority keeps that thread from
 * going on, for ever. So the caller lets all threads of the servers' priority go first, and has that priority itself until
 * it ends with rights_go_on(). Without a real-time class both do nothing.
 */
void rights_let_servers_end(void);
void rights_go_on(void);

#endif

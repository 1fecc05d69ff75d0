/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two processes that keep each other's work going: the supervisor, which the world knows as zsblkd and which does next to
 * nothing, and its child, the daemon. The daemon may die: the supervisor has all that it takes in memory, and forks another
 * one, which inherits the program files that were kept (kept.h). The process that hands messages on may die: the supervisor
 * forks another one of those, too. The supervisor may die: the daemon goes on, until another supervisor's asks it to make
 * way. Only when both are killed at once does it take somebody else, whose memory may be swapped out.
 */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include "daemon/resources/ballast.h"
#include "daemon/server/kept.h"

/* A child that exits so wants a successor: what it could not do, and is needed, may be possible soon (EX_TEMPFAIL). */
#define SUPERVISE_AGAIN 75
/* Not at once, since what is in the way may take a moment: seconds. */
#define SUPERVISE_AGAIN_S 2

/*
 * The child's work. Any other exit status ends the supervisor; so does that of the first child, whoever started it may
 * do so again. A death by signal has another one started.
 */
typedef int supervise_fn(void *opaque, struct ballast *ballast);

/* From now on the signals that supervise() handles wait for it. Call first: what is half prepared is not to end by them. */
void supervise_hold_signals(void);

/*
 * Be the supervisor. SIGTERM, SIGINT and SIGHUP are passed on, systemd's SIGTERM also to each later child. SIGABRT,
 * systemd's watchdog, means that the child hangs: it is killed, and we with it. Returns the child's exit status. Call with
 * memory locked.
 */
int supervise(supervise_fn *fn, void *opaque, struct ballast *ballast);

/*
 * In the child: the supervisor's process, as a pidfd. Readable once the supervisor has ended. Negative: it has ended, or
 * cannot be watched.
 */
int supervise_parent(void);
/*
 * In the child: have the supervisor hold these files as well, for the child that comes next. Does not wait; what cannot be sent is
 * not kept.
 */
void supervise_keep(const struct kept *files);
/* In the child: what the one before has sent, or nobody's files. The caller's from now on. */
void supervise_inherit(struct kept *files);
/* In the child: is it the first one? The others have everything from the one before. */
bool supervise_is_first(void);

#endif

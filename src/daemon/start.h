/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The start of an instance, up to its first server: rights, folder and lock; what is there (found.h); the segment, if there is none; and
 * servers of earlier daemons that do not serve. And what is left of a start that failed.
 */
#ifndef START_H
#define START_H

#include "daemon/found.h"
#include "daemon/instance.h"

struct start {
	struct found found;
	bool has_lock;
	bool is_alone; /* no other daemon has the lock */
};

/*
 * Fill in *instance as far as the command of its servers: settings and ballast are there, zeroed otherwise. 0, or a negative errno with
 * the reason, and start_failed() is to be called.
 */
int start_instance(struct start *start, struct instance *instance, struct wrong *wrong);

/* End servers that were noted down and do not serve. 0 or a negative errno with the reason. Then *start says who serves still. */
int start_end_leftovers(struct start *start, struct instance *instance, struct wrong *wrong);

/*
 * The start has failed before a server was started or adopted: leave nothing that was not there before. The exit status of
 * the daemon.
 */
int start_failed(struct start *start, struct instance *instance);

/*
 * The first server did not come into service: end it, and leave nothing that was not there before. `asked`: somebody wanted
 * a stop.
 */
void start_undo(struct instance *instance, bool asked);

#endif

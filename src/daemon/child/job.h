/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Work that may have to wait for the device, or for memory: swapon, swapoff, making a signature, detaching. It
 * is done in a child process, so that the daemon is free to bring the server back meanwhile: it never
 * touches its own device, nor files on tmpfs, which may be swapped out to it.
 */
#ifndef JOB_H
#define JOB_H

#include "daemon/base/wrong.h"

#include <stdbool.h>

struct sd_event;
struct job;

/* In the child: do the work. 0, or a negative errno with the reason. */
typedef int job_fn(const void *what, struct wrong *wrong);
/* In the loop, when the job is done: its result and its text. */
typedef void job_done_fn(void *opaque, int r, const char *text);

/* Make a place where one job at a time can be done, in the event loop. 0 or -ENOMEM. */
int job_create(struct job **job, struct sd_event *loop);
/* Nobody is told of the end of a job that is at work; its child ends with this process. NULL is allowed. */
void job_free(struct job *job);

/*
 * Have a child do `fn`. 0, and `done` is called later; -EBUSY: another job is at work; or an error of fork(2), pidfd_of() or
 * sd_event_add_io(3). The child sees *what as it is now.
 */
int job_start(struct job *job, job_fn *fn, const void *what, job_done_fn *done, void *opaque);
bool job_is_running(const struct job *job);
/*
 * Have the job that is at work ended, with the programs that it runs: it is done with -ECANCELED once its child has ended. The first call
 * asks the child, which ends its program (SIGTERM); a second one kills it. Nothing happens if no job is at work.
 */
void job_cancel(struct job *job);

#endif

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

/* In the child: do it. 0, or a negative errno with the reason. */
typedef int job_fn(const void *what, struct wrong *wrong);
/* It is done: its result, and the text it left. In the loop. */
typedef void job_done_fn(void *opaque, int r, const char *text);

/* Make a place where one job at a time can be done. */
int job_create(struct job **job, struct sd_event *loop);
void job_free(struct job *job);

/* -EBUSY: another one is at work; others of fork and pidfd_of. `what` is the caller's until it is done. */
int job_start(struct job *job, job_fn *fn, const void *what, job_done_fn *done, void *opaque);
bool job_is_running(const struct job *job);
/*
 * Have it and the programs that it runs killed: it is done with -ECANCELED when it has ended. Called again, whatever it does there.
 * Nothing if there is none.
 */
void job_cancel(struct job *job);

#endif

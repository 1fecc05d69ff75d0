/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads one block of a disk by way of each of the disk's queues, in a process of its own.
 *
 * The driver never times a server out, and there is no second way to a server than the disk. So the disk is read, past all caches
 * (O_DIRECT). A request goes to the queue of the processor that it is made on, so the process moves from one to the next. If a server
 * hangs, the process waits in the kernel, and nothing can end it before the server, or the next one, has answered. That is why it is a
 * process, and not a thread: a daemon with a thread that cannot be ended would not end either, and nobody would start the next daemon. It
 * is made once, while there is memory, and serves for all servers of a disk. It holds nothing of the daemon's open, opens the disk for
 * each sweep anew, so that it keeps nobody from removing it, and ends with the daemon.
 *
 * One thread, in the event loop. Nothing here waits.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include "daemon/kernel/device.h"

struct sd_event;
struct sweep;

/*
 * A queue has answered: 0, or the negative errno of its read. `is_last`: the sweep has ended with that. In the loop. Each queue is told by
 * itself: all of them together may take long on a device that has many queues and much to do, although none of them hangs.
 */
typedef void sweep_answer_fn(void *opaque, int r, bool is_last);

/* 0, or a negative errno. The process is made by sweep_start(). */
int sweep_create(struct sweep **sweep, struct sd_event *loop, sweep_answer_fn *answer, void *opaque);
/* Ends the process, as soon as it can be ended. NULL is allowed. */
void sweep_free(struct sweep *sweep);

/*
 * Have the block at `offset` read once by each queue. 0, and `answer` is called later; -EBUSY: the sweep before has not ended; or an error of
 * fork(2) or send(2).
 */
int sweep_start(struct sweep *sweep, const struct device *device, uint64_t offset);
/* Is the process there? If not, sweep_start() makes it, which takes memory. */
bool sweep_has_process(const struct sweep *sweep);
/* Has a sweep been started that has not ended yet? */
bool sweep_is_out(const struct sweep *sweep);
/* A queue has answered, and `answer` only was not called yet. */
bool sweep_answer_is_there(const struct sweep *sweep);

/*
 * The first processor of a list as sysfs has it ("2, 3" or "0-3"), or -1. For tests.
 */
int sweep_first_cpu(const char *list);

#endif

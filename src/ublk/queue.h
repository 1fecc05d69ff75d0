/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hardware queue of the device, with the thread that serves it. The thread runs on the processors whose requests come to the
 * queue, and serves each request where it arrives: handing it to another thread would take longer than the request.
 *
 *   queue_create()   all that takes memory: thread, stack, ring, buffer
 *   queue_fetch()    the threads of all queues ask the driver for the requests of all tags
 *   queue_map()      the descriptors are there; requests may come
 *   queue_join()     waits for the end of the thread, which comes when the device is stopped
 *
 * One thread calls these. The driver lets nobody but the thread that has fetched a tag answer for it.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "process/processors.h"
#include "ublk/gate.h"
#include "ublk/request.h"

struct queue;

struct queue_params {
	struct zsblk *device;
	uint16_t number;
	uint16_t depth;
	struct processors processors;
	struct gate *gate;               /* one for all queues of a device, shut: queue_fetch() opens it */
	int ended_fd;                    /* an eventfd, which gets 1 when the thread ends, for whatever reason */
	_Atomic uint64_t *swap_requests; /* counts requests of swap: the kernel marks them when it writes */
};

/* Returns 0, or a negative errno with the reason. */
int queue_create(struct queue **queue, const struct queue_params *params, struct zsblk_why *why);
/*
 * `fd`: of /dev/ublkcN. All queues begin at the same moment, and each fetches all of its tags in one system call: a process that is killed
 * meanwhile has, but for microseconds, fetched all of them or none. 0 once the driver has all; else a negative errno, with the reason. Queues
 * whose tags were all refused (queue_is_refused()) may be called again for.
 */
int queue_fetch(struct queue *const *queues, unsigned n, int fd, struct zsblk_why *why);
/* The driver has refused all of the queue's tags, and has none of them. */
bool queue_is_refused(struct queue *queue);
/* After queue_fetch(), and before the device is started. Returns 0, or a negative errno with the reason. */
int queue_map(struct queue *queue, struct zsblk_why *why);
/* What ended the thread, as a negative errno; 0 if it has not ended, or with the device. */
int queue_error(struct queue *queue);
/* Call only when the device was stopped, or the queue has fetched nothing. NULL is allowed. */
void queue_join(struct queue *queue);

#endif

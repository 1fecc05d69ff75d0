/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ublk device and its queues, from the first command to the last.
 *
 *   host_prepare()
 *   service_open()    the driver; with `recover`, the device of a server that has died, which is checked and waited for
 *   host_start()
 *   service_start()   the device is made or taken over, and served
 *   service_stop()    the device is removed, if nobody uses it
 *   service_close()   what is left of an attempt; a device that this process has made and not started is removed
 *
 * One thread calls these, in this order. Functions that return int give 0 or a negative errno, with the reason in *why.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "host/host.h"
#include "ublk/uapi.h"

struct service;

struct service_params {
	const struct host *host;
	uint32_t number; /* of the device; UAPI_ANY_NUMBER: the kernel's choice */
	unsigned queues; /* 0: the default; with `recover`, what the device has */
	unsigned depth;  /* the same */
	bool recover;
	_Atomic uint64_t *swap_requests; /* counts requests of swap; lent until service_close() */
};

#define SERVICE_DEPTH_DEFAULT 256u
/* Less than the kernel's largest, so that one tag can be kept free (tune.c). */
#define SERVICE_DEPTH_LEAST 8u
#define SERVICE_QUEUES_MOST 4096u
/* One for each processor, but no more than this many by themselves: each holds 400 KiB. */
#define SERVICE_QUEUES_DEFAULT_MOST 32u

/* Is there a driver, and may the caller use it? For an early answer, before anything else is made. */
int service_check(struct zsblk_why *why);

int service_open(struct service **service, const struct service_params *params, struct zsblk_why *why);
int service_start(struct service *service, struct zsblk_why *why);
/*
 * Stop serving, and remove the device. -EBUSY: somebody uses the device; it goes on being served. After an error that leaves nothing that is
 * served (service_serves()) the device is there without its disk, and the process has nothing more to do.
 */
int service_stop(struct service *service, struct zsblk_why *why);
/* From the end of service_start() on, until service_stop() has ended the queues. */
bool service_serves(const struct service *service);
/* NULL is allowed. Not while the device is served: service_stop() has ended that, or service_start() has failed or was not called. */
void service_close(struct service *service);

/*
 * Becomes readable when the thread of a queue has ended, although the device was not stopped. Then service_why_ended() gives
 * -ENODEV, if somebody else has removed the device; or what went wrong. The process has to end: a device that waits for a next server
 * gets none as long as this process lives.
 */
int service_ended_fd(const struct service *service);
int service_why_ended(struct service *service, struct zsblk_why *why);

uint32_t service_number(const struct service *service);
unsigned service_queues(const struct service *service);
unsigned service_depth(const struct service *service);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's ublk driver, by its control device: commands about devices. Each command goes through an io_uring of its own kind,
 * and the driver works on it in a kernel thread that belongs to the ring. Both are there from driver_open() on, so that no later
 * command waits for the memory for them.
 *
 * One thread at a time for one struct driver. Functions that return int give 0 or a negative errno; *why then says what was
 * wrong and what would be right. They wait for the kernel: `limit_s` seconds at most where there is such a parameter, and
 * otherwise DRIVER_PATIENCE_S.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include "process/processors.h"
#include "ublk/uapi.h"
#include "zsblk.h"

/* Some kernels never answer a control command (machine/kernels.c has a list). A healthy one answers within milliseconds. */
#define DRIVER_PATIENCE_S 20

struct driver;

/* -ENOENT: there is no such driver; -EPERM or -EACCES: no right; -EOPNOTSUPP: the driver or io_uring is too old. */
int driver_open(struct driver **driver, struct zsblk_why *why);
/* NULL is allowed. */
void driver_close(struct driver *driver);

/* Why io_uring_queue_init() gave `error`. Returns that. */
int driver_ring_refused(int error, struct zsblk_why *why);

/*
 * Between driver_add() and the open of its /dev/ublkcN a new device looks like one that was left behind. Whoever makes a device, or removes
 * one that looks so, has this lock meanwhile. -EBUSY: another process still has it, after some seconds.
 */
int driver_lock(struct driver *driver, struct zsblk_why *why);
/* Also where the lock was not taken. */
void driver_unlock(struct driver *driver);

/* Make a device of what *info asks for. *info gets what was made: the device's number is in it, and there may be fewer queues. */
int driver_add(struct driver *driver, struct uapi_info *info, struct zsblk_why *why);
/* -ENODEV: there is no such device. */
int driver_info(struct driver *driver, uint32_t device, struct uapi_info *info, struct zsblk_why *why);
int driver_set_params(struct driver *driver, uint32_t device, struct uapi_params *params, struct zsblk_why *why);
int driver_params(struct driver *driver, uint32_t device, struct uapi_params *params, struct zsblk_why *why);
/* The processors whose requests come to this queue. */
int driver_affinity(struct driver *driver, uint32_t device, uint16_t queue, struct processors *set,
		    struct zsblk_why *why);

/*
 * All tags of all queues have been fetched: /dev/ublkbN is made, and the kernel looks for partitions on it, so that the queues have
 * to be served by now.
 */
int driver_start(struct driver *driver, uint32_t device, unsigned limit_s, struct zsblk_why *why);
/*
 * /dev/ublkbN is removed, and all requests end. What has been written to its page cache is written out before, so that the queues
 * have to be served meanwhile.
 */
int driver_stop(struct driver *driver, uint32_t device, unsigned limit_s, struct zsblk_why *why);
/* Remove the device. Whoever has /dev/ublkcN open keeps its number from being used again for as long. */
int driver_delete(struct driver *driver, uint32_t device, struct zsblk_why *why);

/* Does the driver know driver_set_size()? */
bool driver_can_set_size(const struct driver *driver);
/* Give a device that is started another size: a multiple of 512 bytes. Requests may be in flight. */
int driver_set_size(struct driver *driver, uint32_t device, uint64_t bytes, struct zsblk_why *why);

/* -EBUSY: the old server is not gone, or somebody has its /dev/ublkcN open. */
int driver_start_recovery(struct driver *driver, uint32_t device, struct zsblk_why *why);
/* All tags of all queues have been fetched by the calling process. */
int driver_end_recovery(struct driver *driver, uint32_t device, unsigned limit_s, struct zsblk_why *why);

#endif

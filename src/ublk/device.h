/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ublk device by its number, whoever serves it: its nodes, the end of its server, its users, its removal.
 *
 * Any thread, one at a time for a struct driver. Functions that return int give 0 or a negative errno, with the reason in *why.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "ublk/driver.h"

#include <sys/types.h>

/* The numbers of /dev/ublkcN and /dev/ublkbN; the latter is 0 before the device is started. */
int device_numbers(struct driver *driver, uint32_t number, dev_t *chr, dev_t *disk, struct zsblk_why *why);

/*
 * Wait until the kernel is done with the server. *info gets what there is then. -EBUSY: the server is alive, or another process
 * has its ublkcN open. Waits for seconds, and for 45 where the kernel has to notice a death by its timer.
 */
int device_wait_until_free(struct driver *driver, uint32_t number, struct uapi_info *info, struct zsblk_why *why);
/* Who keeps the device from a next server, in *why. Returns -EBUSY. */
int device_say_not_free(struct driver *driver, const struct uapi_info *info, struct zsblk_why *why);

/* use_claim() of /dev/ublkbN. Programs that only look at a new device are waited for. */
int device_claim(struct driver *driver, uint32_t number, int *fd, struct zsblk_why *why);

/*
 * Remove a device that zsblk has made. `served`: also while it has a server. `sequence`: only if the disk has this number among all disks
 * of the boot (diskseq), or 0: whichever it is. -EBUSY: it has a server, or somebody uses it; -ENODEV: there is no such device.
 */
int device_remove(uint32_t number, bool served, uint64_t sequence, struct zsblk_why *why);

/* Call `each` for all devices that zsblk has made. `segment`: of its data; TARGET_NO_SEGMENT: none. */
typedef void device_each_fn(const struct uapi_info *info, int segment);
int device_each(device_each_fn *each, struct zsblk_why *why);

#endif

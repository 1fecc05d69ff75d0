/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's settings of the queue of /dev/ublkbN, in /sys/block. */
#ifndef TUNE_H
#define TUNE_H

#include "zsblk.h"

#include <stdint.h>

/*
 * For a device that nobody uses yet: no scheduler and no throttling of writes, which are for disks; and what it takes that a
 * dead server is noticed at once (tune.c says how). Returns 0; or a negative errno, with the reason, if it will be noticed later.
 * The device works all the same.
 */
int tune_queue(uint32_t device, unsigned depth, struct zsblk_why *why);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disk that this process serves, for the threads of the control socket: what its name is, that nobody uses it, how large it is.
 *
 * The driver knows a device by its number, and once the device is removed, another process's device may get the number. So nobody works on
 * the disk while the disk is being removed, and nobody finds the disk afterwards. A device that others remove keeps its number for as
 * long as this process has /dev/ublkcN open.
 *
 * Any thread, but only one at a time is in own_disk_claim(), own_disk_unclaim() or own_disk_resize(). Functions that return int give 0 or a
 * negative errno, and *why then says what was wrong. -EBUSY: there is no disk yet, or it is being removed.
 */
#ifndef OWN_DISK_H
#define OWN_DISK_H

#include "zsblk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct service;

/* The disk is there, and has this number. Once. */
void own_disk_is(uint32_t number);
/* service_stop(), after what others are just doing with the disk. */
int own_disk_stop(struct service *service, struct zsblk_why *why);

/* "/dev/ublkbN". False: there is no disk. */
bool own_disk_name(char *text, size_t size);
/* use_claim(), until own_disk_unclaim(). */
int own_disk_claim(struct zsblk_why *why);
void own_disk_unclaim(void);
/* resize_device() */
int own_disk_resize(struct zsblk *device, uint64_t size, struct zsblk_why *why);

#endif

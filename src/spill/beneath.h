/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lies beneath a store: does it lie on a given device, directly or through a partition, a loop device, device
 * mapper, md or a file system? A device that waits for a store which waits for the device waits for ever.
 *
 * Functions read /sys and /proc, and may be called from any thread. They do not see through a network, or into a
 * virtual machine's host.
 */
#ifndef SPILL_BENEATH_H
#define SPILL_BENEATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum spill_beneath {
	SPILL_BENEATH_APART,
	SPILL_BENEATH_ON_DEVICE,
	SPILL_BENEATH_IN_MEMORY, /* in a file system that is in memory, which the system may page out to the device */
	SPILL_BENEATH_UNKNOWN,
};

/* A block device by its number. */
enum spill_beneath spill_beneath_device(dev_t store, dev_t device);
/* An open file or block device. */
enum spill_beneath spill_beneath_fd(int fd, dev_t device);

/* For tests: read these instead of /sys and /proc/self/mountinfo. The strings stay the caller's, and must stay. */
void spill_beneath_use(const char *sys, const char *mountinfo);

#endif

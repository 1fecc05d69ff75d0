/* SPDX-License-Identifier: BSD-3-Clause */
/* Swap on a device. */
#ifndef JOB_SWAP_H
#define JOB_SWAP_H

#include "daemon/child/job.h"
#include "daemon/kernel/device.h"

struct job_swap {
	const struct device *device;
	const char *backend; /* its identifier, without which it is not ours */
	int priority;        /* -1: the kernel's choice */
	bool tune;           /* make the kernel's settings */
	bool managed;        /* by systemd: it must not have a link in /dev/disk */
};

/* mkswap, the kernel's settings, and swapon with discard. -ENODEV: it is not our device. */
job_fn job_swap_on;

/*
 * Give back the memory of what was swapped out to a device (struct job_swap) that is swap no more: discard all but the header. Not if
 * somebody uses the device, or has written something else to its first block: 0, and nothing is done. -ENODEV: it is not our device.
 */
job_fn job_swap_forget;

/*
 * In a child: swapoff of all areas on the device and its partitions, if there is room for what is swapped out to them. 0;
 * -ENOMEM: there is no room, or the kernel ended it for lack of memory; -EBUSY: somebody else's swapoff does not end; or an
 * error of swapoff(2). With the reason.
 */
int job_swap_off(const struct device *device, struct wrong *wrong);

#endif

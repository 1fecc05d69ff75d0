/* SPDX-License-Identifier: BSD-3-Clause */
/* File systems on a device. */
#ifndef JOB_MOUNT_H
#define JOB_MOUNT_H

#include "daemon/child/job.h"
#include "daemon/kernel/device.h"

struct job_mount {
	const struct device *device;
	const char *backend;
	const char *path;    /* made if it does not exist */
	const char *fs_type; /* what mkfs makes */
	const char *options;
};

/* Make a file system, if nothing is on the device yet, and mount it. -ENODEV: it is not our device. */
job_fn job_mount;

/*
 * In a child: unmount the device wherever it is mounted. 0; -EBUSY with the reason: something else is made of it, or mounted over it;
 * or an error of umount(8).
 */
int job_mount_undo(const struct device *device, struct wrong *wrong);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a device: nobody uses it any more, and it is detached. */
#ifndef JOB_DETACH_H
#define JOB_DETACH_H

#include "daemon/child/job.h"
#include "daemon/kernel/device.h"
#include "daemon/settings/settings.h"

struct job_detach {
	const struct settings *settings;
	const struct device *device;
	const char *backend;
	bool may_swapoff;
	bool may_umount;
	bool managed;  /* by systemd */
	bool has_data; /* what is on it may be wanted when it is not in use */
};

/*
 * swapoff or umount, if allowed; then make sure that nobody uses the device, and detach it. -EBUSY: it is in
 * use; -ENOMEM: there is no memory for what is swapped out; -ESHUTDOWN: one of these, and the machine goes down;
 * -ERESTART: one of these, or it has data, and systemd is to start the service again. -ENODEV: it is not our device any more, and
 * nothing was done to it; the kernel's settings are undone.
 */
job_fn job_detach;

/* The same for a device (a struct job_detach) that seems not to be ours any more: -EEXIST if it is. Nothing is done to it. */
job_fn job_detach_lost;

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose device it is, for jobs. */
#ifndef JOB_DEVICE_H
#define JOB_DEVICE_H

#include "daemon/base/wrong.h"
#include "daemon/kernel/device.h"

/*
 * First of all in each job that does something to the device: others can have detached it, and attached another server to
 * it. 0: the device is ours, and stays so as long as this process lives. -ENODEV: it is not ours any more; -EIO: that
 * cannot be told. With the reason.
 */
int job_device_hold(const struct device *device, const char *backend, struct wrong *wrong);
/* Let go of it again. */
void job_device_let_go(void);

#endif

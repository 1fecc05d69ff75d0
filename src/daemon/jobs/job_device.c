/* SPDX-License-Identifier: BSD-3-Clause */
/* The device of a job. See job_device.h. */
#include "daemon/jobs/job_device.h"

#include "daemon/transport/transport.h"

#include <errno.h>
#include <unistd.h>

/* A job is a process, and has one device. */
static int held = -1;

void job_device_let_go(void)
{
	if (held >= 0)
		close(held);
	held = -1;
}

/*
 * First of all in each job that does something to the device: others can have detached it, and attached another server to it. What
 * holds it (*held) stays open to the end of the process.
 */
int job_device_hold(const struct device *device, const char *backend, struct wrong *wrong)
{
	switch (transport_hold(device, backend, &held)) {
	case TRANSPORT_BACKING_OURS:
		return 0;
	case TRANSPORT_BACKING_UNKNOWN:
		wrong_say(wrong, "%s: it cannot be told whose it is, so nothing is done to it", device->path);
		return -EIO;
	case TRANSPORT_BACKING_NONE:
		wrong_say(wrong, "%s is not attached any more", device->path);
		break;
	case TRANSPORT_BACKING_OTHER:
	case TRANSPORT_BACKING_UNNAMED:
		wrong_say(wrong, "%s is attached to another server now, and is left alone", device->path);
		break;
	}
	job_device_let_go();
	return -ENODEV;
}

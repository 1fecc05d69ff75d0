/* SPDX-License-Identifier: BSD-3-Clause */
/* Another size for a device, which its server is asked for. */
#ifndef JOB_RESIZE_H
#define JOB_RESIZE_H

#include "daemon/child/job.h"

#include <stdint.h>

struct job_resize {
	const char *control; /* path of the server's control socket */
	uint64_t size;       /* bytes */
	bool is_smaller;     /* than it was; over NBD the kernel knows that already */
};

/*
 * Have the server give the segment, and over ublk the kernel's device, another size. -EREMOTEIO: the server refuses, with its reason;
 * any other error: the segment has the old size or the new one.
 */
job_fn job_resize;

#endif

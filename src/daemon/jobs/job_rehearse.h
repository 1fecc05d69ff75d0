/* SPDX-License-Identifier: BSD-3-Clause */
/* The trial of a new server. */
#ifndef JOB_REHEARSE_H
#define JOB_REHEARSE_H

#include "daemon/child/job.h"
#include "daemon/transport/transport.h"

struct job_rehearsal {
	const struct transport *transport;
	const struct settings *settings;
	const char *memory;  /* the instance's segment: "shm:id=N" */
	const char *contact; /* path for the server's contact, which is removed again */
};

/*
 * Would a new server come up? Starts one with the parameters there are, but on memory of its own, and has it end. -EINVAL: it
 * does not know the format that the segment has now, or lacks a feature or an algorithm that the segment needs; or zsblkd does not know
 * such a feature itself.
 */
job_fn job_rehearse;

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* The trial of a new server, a job. See job_rehearse.h. */
#include "daemon/jobs/job_rehearse.h"

int job_rehearse(const void *what, struct wrong *wrong)
{
	const struct job_rehearsal *rehearsal = what;

	return rehearsal->transport->rehearse(rehearsal->settings, rehearsal->contact, wrong);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The trial of a new server, a job. See job_rehearse.h. */
#include "daemon/jobs/job_rehearse.h"

#include "zsblk.h"

#include <errno.h>

int job_rehearse(const void *what, struct wrong *wrong)
{
	const struct job_rehearsal *rehearsal = what;
	struct zsblk_segment segment;
	struct zsblk_why why = {""};
	int r = zsblk_inspect(rehearsal->memory, &segment, &why);

	/* What a feature is called that is not known here, no program can be asked. */
	if (!r && segment.refused)
		r = -EINVAL;
	if (r) {
		wrong_say(wrong, "%s", why.text);
		return r;
	}
	/* A segment of an older format than ours keeps it for as long as it can, so that the server before can go on with it. */
	return rehearsal->transport->rehearse(rehearsal->settings, &segment, rehearsal->contact, wrong);
}

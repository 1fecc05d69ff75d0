/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kinds of jobs, for jobs.c alone: a job, and what is done with one of each kind. All of this runs in the jobs' thread.
 *
 * The beginning and each step work on a copy of the job's report, which the others see when the step is over.
 */
#ifndef JOBS_KINDS_H
#define JOBS_KINDS_H

#include "host/jobs.h"

struct jobs_job {
	struct jobs_report report;
	uint64_t began_ms;
	bool cancel;
	struct jobs_what what;
	/* The thread's: where the next step of a check goes on, the recompression, the groups. */
	uint64_t at;
	struct zsblk_recompression *recompression;
	struct zsblk_grouping *grouping;
	uint64_t tried, recompressed, failed;
};

struct jobs_row {
	const char *name;
	/* In the thread, before the first step. A negative errno: the job has failed, and report->text says why. */
	int (*begin)(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report);
	bool (*step)(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report);
	void (*end)(struct jobs_job *job); /* after the last step, or in place of one; NULL: there is nothing to do */
	void (*tell)(const struct jobs_job *job, struct jobs_report *report); /* what was done */
};

extern const struct jobs_row jobs_rows[JOBS_KINDS];

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* The figures of a server, for people. */
#ifndef JOB_FIGURES_H
#define JOB_FIGURES_H

#include "daemon/child/job.h"

struct job_figures {
	const char *stats; /* path of the server's statistics */
};

/*
 * Read the server's statistics: "2048 MiB, 512.0 MiB of data in 140.1 MiB of memory (ratio 3.65) at 14:32:05", the time of
 * day when these were the figures.
 */
job_fn job_figures_read;
/* What that says of a text as the server writes it; figures that are missing are 0. */
void job_figures_describe(const char *stats, struct wrong *text);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* The kinds of jobs: how each of them begins, what a step of it is, and what people are told in the end. See jobs_kinds.h. */
#include "host/jobs_kinds.h"

#include <inttypes.h>
#include <stdio.h>

/* Blocks that one step verifies: a fraction of a millisecond. */
#define CHECK_BLOCKS 32u

static int begin_compact(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	for (unsigned i = 0; i < zsblk_class_count(dev); i++) {
		struct zs_class_stats class;

		if (zsblk_class_stats(dev, i, &class) == 0)
			report->total += class.freeable;
	}
	return 0;
}

static bool step_compact(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	bool more;

	report->pages_freed += zsblk_compact_step(dev, &more);
	/* Settling frees more than classes can free by themselves, and writers free some. */
	if (report->pages_freed > report->total || !more)
		report->total = report->pages_freed;
	report->done = report->pages_freed;
	report->bytes_saved = report->pages_freed * ZSBLK_BLOCK_SIZE;
	return more;
}

static void tell_compact(const struct jobs_job *job, struct jobs_report *report)
{
	snprintf(report->text.text, sizeof report->text.text, "%" PRIu64 " pages were freed", report->pages_freed);
}

static int begin_check(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	report->total = zsblk_size(dev) / ZSBLK_BLOCK_SIZE;
	return 0;
}

static bool step_check(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	int r = zsblk_check_blocks(dev, job->at, CHECK_BLOCKS, &job->at, &report->text);

	report->total = zsblk_size(dev) / ZSBLK_BLOCK_SIZE;
	report->done = job->at < report->total ? job->at : report->total;
	if (r < 0)
		report->state = JOBS_FAILED;
	return r == 0 && job->at < report->total;
}

static void tell_check(const struct jobs_job *job, struct jobs_report *report)
{
	snprintf(report->text.text, sizeof report->text.text,
		 "%" PRIu64 " of %" PRIu64 " blocks were verified, and all are whole", report->done, report->total);
}

static int begin_recompress(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	report->total = zsblk_size(dev) / ZSBLK_BLOCK_SIZE;
	return zsblk_recompress_begin(dev, &job->what.recompress, &job->recompression, &report->text);
}

static bool step_recompress(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	struct zsblk_recompress_figures figures;
	bool more;

	(void)dev;
	zsblk_recompress_step(job->recompression, &figures, &more);
	report->done = figures.done;
	report->total = figures.total;
	report->bytes_saved = figures.bytes_saved;
	job->tried = figures.tried;
	job->recompressed = figures.recompressed;
	job->failed = figures.failed;
	return more;
}

static void end_recompress(struct jobs_job *job)
{
	zsblk_recompress_end(job->recompression);
	job->recompression = NULL;
}

static void tell_recompress(const struct jobs_job *job, struct jobs_report *report)
{
	int n = snprintf(report->text.text, sizeof report->text.text,
			 "%" PRIu64 " blocks were compressed again, %" PRIu64 " of them take less now, and %" PRIu64
			 " bytes were saved",
			 job->tried, job->recompressed, report->bytes_saved);

	if (job->failed)
		snprintf(report->text.text + n, sizeof report->text.text - (size_t)n,
			 "; %" PRIu64 " blocks are damaged, or had no room", job->failed);
}

static int begin_group(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	report->total = zsblk_size(dev) / ZSBLK_BLOCK_SIZE;
	return zsblk_group_begin(dev, &job->what.group, &job->grouping, &report->text);
}

static bool step_group(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	struct zsblk_group_figures figures;
	bool more;

	(void)dev;
	zsblk_group_step(job->grouping, &figures, &more);
	report->done = figures.done;
	report->total = figures.total;
	report->bytes_saved = figures.bytes_saved;
	report->groups = figures.groups;
	report->blocks = figures.blocks;
	job->failed = figures.failed;
	return more;
}

static void end_group(struct jobs_job *job)
{
	zsblk_group_end(job->grouping);
	job->grouping = NULL;
}

static void tell_group(const struct jobs_job *job, struct jobs_report *report)
{
	int n = snprintf(report->text.text, sizeof report->text.text,
			 "%" PRIu64 " groups of %" PRIu64 " blocks were made, and %" PRIu64 " bytes were saved",
			 report->groups, report->blocks, report->bytes_saved);

	if (job->failed)
		snprintf(report->text.text + n, sizeof report->text.text - (size_t)n,
			 "; %" PRIu64 " blocks are damaged, or had no room", job->failed);
}

/* The policy's: what it does is another kind's. */
static int begin_cold(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	return jobs_rows[job->what.does].begin(dev, job, report);
}

static bool step_cold(struct zsblk *dev, struct jobs_job *job, struct jobs_report *report)
{
	return jobs_rows[job->what.does].step(dev, job, report);
}

static void end_cold(struct jobs_job *job)
{
	if (jobs_rows[job->what.does].end)
		jobs_rows[job->what.does].end(job);
}

static void tell_cold(const struct jobs_job *job, struct jobs_report *report)
{
	jobs_rows[job->what.does].tell(job, report);
}

const struct jobs_row jobs_rows[JOBS_KINDS] = {
	[JOBS_COMPACT] = {"compact", begin_compact, step_compact, NULL, tell_compact},
	[JOBS_CHECK] = {"check", begin_check, step_check, NULL, tell_check},
	[JOBS_RECOMPRESS] = {"recompress", begin_recompress, step_recompress, end_recompress, tell_recompress},
	[JOBS_GROUP] = {"group", begin_group, step_group, end_group, tell_group},
	[JOBS_COLD] = {"cold", begin_cold, step_cold, end_cold, tell_cold},
};

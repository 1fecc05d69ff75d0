/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs and errands. See jobs.h.
 *
 * Lock: `lock` protects all but what the thread alone uses. No step and no errand runs under it.
 */
#include "host/jobs.h"

#include "host/errands.h"
#include "process/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Blocks that one step verifies: a fraction of a millisecond. */
#define CHECK_BLOCKS 32u
/* Steps of a job follow each other for so long, of the thread's own time, before it pauses. */
#define BURST_NS 500000u
#define FOR_EVER UINT64_MAX

struct job {
	struct jobs_report report;
	uint64_t began_ms;
	bool cancel;
	struct zsblk_recompress what; /* of a recompression */
	/* The thread's: where the next step of a check goes on, and the recompression. */
	uint64_t at;
	struct zsblk_recompression *recompression;
	uint64_t tried, recompressed, failed;
};

struct jobs {
	struct zsblk *dev;
	void (*changed)(void *opaque);
	void *opaque;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* something to do, or the end */
	bool stop;
	unsigned percent;
	uint64_t last_id;
	struct job job[JOBS_KINDS];
	struct errands errands;
	/* When the last look was over, and how long it has worked. */
	uint64_t looked_ns, look_ns;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t now_ms(void)
{
	return now_ns(CLOCK_MONOTONIC) / 1000000;
}

/* ------------------------------------------------------------------ the kinds
 *
 * A step works on a copy of the job's report, which the others see when the step is over. False: it was the last one.
 */

static int begin_compact(struct zsblk *dev, struct job *job)
{
	for (unsigned i = 0; i < zsblk_class_count(dev); i++) {
		struct zs_class_stats class;

		if (zsblk_class_stats(dev, i, &class) == 0)
			job->report.total += class.freeable;
	}
	return 0;
}

static bool step_compact(struct zsblk *dev, struct job *job, struct jobs_report *report)
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

static void tell_compact(const struct job *job, struct jobs_report *report)
{
	snprintf(report->text.text, sizeof report->text.text, "%" PRIu64 " pages were freed", report->pages_freed);
}

static int begin_check(struct zsblk *dev, struct job *job)
{
	job->report.total = zsblk_size(dev) / ZSBLK_BLOCK_SIZE;
	return 0;
}

static bool step_check(struct zsblk *dev, struct job *job, struct jobs_report *report)
{
	int r = zsblk_check_blocks(dev, job->at, CHECK_BLOCKS, &job->at, &report->text);

	report->total = zsblk_size(dev) / ZSBLK_BLOCK_SIZE;
	report->done = job->at < report->total ? job->at : report->total;
	if (r < 0)
		report->state = JOBS_FAILED;
	return r == 0 && job->at < report->total;
}

static void tell_check(const struct job *job, struct jobs_report *report)
{
	snprintf(report->text.text, sizeof report->text.text,
		 "%" PRIu64 " of %" PRIu64 " blocks were verified, and all are whole", report->done, report->total);
}

static int begin_recompress(struct zsblk *dev, struct job *job)
{
	job->report.total = zsblk_size(dev) / ZSBLK_BLOCK_SIZE;
	return zsblk_recompress_begin(dev, &job->what, &job->recompression, &job->report.text);
}

static bool step_recompress(struct zsblk *dev, struct job *job, struct jobs_report *report)
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

static void end_recompress(struct job *job)
{
	zsblk_recompress_end(job->recompression);
	job->recompression = NULL;
}

static void tell_recompress(const struct job *job, struct jobs_report *report)
{
	int n = snprintf(report->text.text, sizeof report->text.text,
			 "%" PRIu64 " blocks were compressed again, %" PRIu64 " of them take less now, and %" PRIu64
			 " bytes were saved",
			 job->tried, job->recompressed, report->bytes_saved);

	if (job->failed)
		snprintf(report->text.text + n, sizeof report->text.text - (size_t)n,
			 "; %" PRIu64 " blocks are damaged, or had no room", job->failed);
}

static const struct kind {
	const char *name;
	/* In the thread, before the first step. A negative errno: the job has failed, and job->report.text says why. */
	int (*begin)(struct zsblk *dev, struct job *job);
	bool (*step)(struct zsblk *dev, struct job *job, struct jobs_report *report);
	void (*end)(struct job *job); /* after the last step, or in place of one; NULL: there is nothing to do */
	void (*tell)(const struct job *job, struct jobs_report *report); /* what was done */
} kinds[] = {
	[JOBS_COMPACT] = {"compact", begin_compact, step_compact, NULL, tell_compact},
	[JOBS_CHECK] = {"check", begin_check, step_check, NULL, tell_check},
	[JOBS_RECOMPRESS] = {"recompress", begin_recompress, step_recompress, end_recompress, tell_recompress},
};
_Static_assert(sizeof kinds / sizeof kinds[0] == JOBS_KINDS, "each kind has its row");

const char *jobs_kind_name(enum jobs_kind kind)
{
	return kinds[kind].name;
}

const char *jobs_state_name(enum jobs_state state)
{
	static const char *const names[] = {
		[JOBS_RUNNING] = "running",
		[JOBS_DONE] = "done",
		[JOBS_CANCELLED] = "cancelled",
		[JOBS_FAILED] = "failed",
	};

	return names[state];
}

/* ------------------------------------------------------------------ the thread */

static bool is_running(const struct job *job)
{
	return job->report.id && job->report.state == JOBS_RUNNING;
}

/* Let a job go on for a moment. False: it was its last step, or it cannot begin. */
static bool work(struct jobs *jobs, struct job *job, struct jobs_report *report)
{
	const struct kind *kind = &kinds[report->kind];
	uint64_t began = now_ns(CLOCK_THREAD_CPUTIME_ID);
	bool more = true;

	if (!job->began_ms) {
		job->began_ms = now_ms();
		if (kind->begin(jobs->dev, job) < 0)
			job->report.state = JOBS_FAILED;
		*report = job->report;
	}
	while (report->state == JOBS_RUNNING && more && now_ns(CLOCK_THREAD_CPUTIME_ID) - began < BURST_NS)
		more = kind->step(jobs->dev, job, report);
	report->seconds = (now_ms() - job->began_ms) / 1000;
	return more;
}

/* `lock` is held, but not while the job works. */
static void step(struct jobs *jobs, struct job *job)
{
	const struct kind *kind = &kinds[job->report.kind];
	struct jobs_report report = job->report;
	bool more;

	pthread_mutex_unlock(&jobs->lock);
	/* Only this thread changes a job that runs, other than `cancel`. */
	more = work(jobs, job, &report);
	pthread_mutex_lock(&jobs->lock);
	if (report.state == JOBS_RUNNING && !more)
		report.state = JOBS_DONE;
	else if (report.state == JOBS_RUNNING && job->cancel)
		report.state = JOBS_CANCELLED;
	if (report.state == JOBS_DONE || report.state == JOBS_CANCELLED)
		kind->tell(job, &report);
	if (report.state != JOBS_RUNNING && kind->end)
		kind->end(job);
	job->report = report;
	if (report.state != JOBS_RUNNING)
		jobs->changed(jobs->opaque);
}

/* The pause after work of so many ns, which leaves others their share of the processor. */
static uint64_t pause_ns(const struct jobs *jobs, uint64_t worked_ns)
{
	return worked_ns * (100 - jobs->percent) / jobs->percent;
}

/* When the next look may begin. */
static uint64_t next_look_ns(const struct jobs *jobs)
{
	return jobs->looked_ns + pause_ns(jobs, jobs->look_ns);
}

/* Do an errand whose time has come; false: there is none. */
static bool run_errand(struct jobs *jobs)
{
	struct errand *errand = errands_next(&jobs->errands, now_ns(CLOCK_MONOTONIC) >= next_look_ns(jobs));
	uint64_t began = now_ns(CLOCK_THREAD_CPUTIME_ID);
	int r;

	if (!errand)
		return false;
	errand->state = ERRANDS_AT_WORK;
	pthread_mutex_unlock(&jobs->lock);
	r = errand->run(jobs->dev, errand->memory, &errand->why);
	pthread_mutex_lock(&jobs->lock);
	if (errand->kind == JOBS_LOOK) {
		jobs->looked_ns = now_ns(CLOCK_MONOTONIC);
		jobs->look_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - began;
	}
	errands_end(errand, r);
	jobs->changed(jobs->opaque);
	return true;
}

/* Do an errand, or wait for something to do, at most until this time. False: that has come. */
static bool wait_until(struct jobs *jobs, uint64_t until)
{
	bool has_look = errands_next(&jobs->errands, true);
	uint64_t wake = has_look && next_look_ns(jobs) < until ? next_look_ns(jobs) : until;
	struct timespec when = {.tv_sec = (time_t)(wake / 1000000000), .tv_nsec = (long)(wake % 1000000000)};

	if (run_errand(jobs))
		return true;
	if (wake != FOR_EVER)
		return pthread_cond_timedwait(&jobs->wake, &jobs->lock, &when) != ETIMEDOUT || wake != until;
	pthread_cond_wait(&jobs->wake, &jobs->lock);
	return true;
}

/* Let others have their share of the processor. Errands need not wait for that. */
static void pause_after(struct jobs *jobs, uint64_t worked_ns)
{
	uint64_t until = now_ns(CLOCK_MONOTONIC) + pause_ns(jobs, worked_ns);

	while (!jobs->stop && wait_until(jobs, until))
		;
}

static bool step_all(struct jobs *jobs)
{
	bool any = false;

	for (unsigned kind = 0; kind < JOBS_KINDS && !jobs->stop; kind++) {
		uint64_t began = now_ns(CLOCK_THREAD_CPUTIME_ID);

		if (!is_running(&jobs->job[kind]))
			continue;
		any = true;
		step(jobs, &jobs->job[kind]);
		pause_after(jobs, now_ns(CLOCK_THREAD_CPUTIME_ID) - began);
	}
	return any;
}

static void *run(void *opaque)
{
	struct jobs *jobs = opaque;

	pthread_mutex_lock(&jobs->lock);
	while (!jobs->stop)
		if (!step_all(jobs) && !jobs->stop)
			wait_until(jobs, FOR_EVER);
	for (unsigned kind = 0; kind < JOBS_KINDS; kind++)
		if (kinds[kind].end)
			kinds[kind].end(&jobs->job[kind]);
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* ------------------------------------------------------------------ life */

static void destroy(struct jobs *jobs)
{
	pthread_cond_destroy(&jobs->wake);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}

int jobs_start(struct jobs **result, struct zsblk *dev, unsigned percent, void (*changed)(void *opaque), void *opaque)
{
	struct jobs *jobs = calloc(1, sizeof *jobs);
	pthread_condattr_t attr;
	int r;

	if (!jobs)
		return -ENOMEM;
	jobs->dev = dev;
	jobs->percent = percent;
	jobs->changed = changed;
	jobs->opaque = opaque;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&jobs->wake, &attr);
	pthread_condattr_destroy(&attr);
	r = thread_start_background(&jobs->thread, "zsblk-jobs", run, jobs);
	if (r) {
		destroy(jobs);
		return r;
	}
	*result = jobs;
	return 0;
}

void jobs_stop(struct jobs *jobs)
{
	if (!jobs)
		return;
	pthread_mutex_lock(&jobs->lock);
	jobs->stop = true;
	pthread_cond_signal(&jobs->wake);
	pthread_mutex_unlock(&jobs->lock);
	pthread_join(jobs->thread, NULL);
	destroy(jobs);
}

void jobs_set_cpu(struct jobs *jobs, unsigned percent)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->percent = percent;
	pthread_cond_signal(&jobs->wake);
	pthread_mutex_unlock(&jobs->lock);
}

unsigned jobs_cpu(struct jobs *jobs)
{
	unsigned percent;

	pthread_mutex_lock(&jobs->lock);
	percent = jobs->percent;
	pthread_mutex_unlock(&jobs->lock);
	return percent;
}

/* ------------------------------------------------------------------ jobs */

int jobs_begin(struct jobs *jobs, enum jobs_kind kind, const struct zsblk_recompress *recompress, uint64_t *id)
{
	struct job *job = &jobs->job[kind];
	int r = 0;

	pthread_mutex_lock(&jobs->lock);
	if (is_running(job)) {
		r = -EBUSY;
	} else {
		*job = (struct job){.report = {.id = ++jobs->last_id, .kind = kind}};
		if (recompress)
			job->what = *recompress;
		pthread_cond_signal(&jobs->wake);
	}
	*id = job->report.id;
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

static struct job *find(struct jobs *jobs, uint64_t id)
{
	for (unsigned kind = 0; kind < JOBS_KINDS; kind++)
		if (id && jobs->job[kind].report.id == id)
			return &jobs->job[kind];
	return NULL;
}

int jobs_cancel(struct jobs *jobs, uint64_t id)
{
	struct job *job;
	int r = -ENOENT;

	pthread_mutex_lock(&jobs->lock);
	job = find(jobs, id);
	if (job && is_running(job)) {
		job->cancel = true;
		r = 0;
	}
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

int jobs_find(struct jobs *jobs, uint64_t id, struct jobs_report *report)
{
	struct job *job;

	pthread_mutex_lock(&jobs->lock);
	job = find(jobs, id);
	if (job)
		*report = job->report;
	pthread_mutex_unlock(&jobs->lock);
	return job ? 0 : -ENOENT;
}

void jobs_last(struct jobs *jobs, enum jobs_kind kind, struct jobs_report *report)
{
	pthread_mutex_lock(&jobs->lock);
	*report = jobs->job[kind].report;
	pthread_mutex_unlock(&jobs->lock);
}

/* ------------------------------------------------------------------ errands */

uint64_t jobs_send(struct jobs *jobs, enum jobs_errand_kind kind, jobs_errand_fn *what, const void *memory,
		   size_t bytes)
{
	uint64_t ticket = 0;

	pthread_mutex_lock(&jobs->lock);
	if (errands_add(&jobs->errands, jobs->last_id + 1, kind, what, memory, bytes)) {
		ticket = ++jobs->last_id;
		pthread_cond_signal(&jobs->wake);
	}
	pthread_mutex_unlock(&jobs->lock);
	return ticket;
}

int jobs_collect(struct jobs *jobs, uint64_t ticket, void *memory, size_t bytes, struct zsblk_why *why)
{
	int r;

	pthread_mutex_lock(&jobs->lock);
	r = errands_collect(&jobs->errands, ticket, memory, bytes, why);
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

void jobs_drop(struct jobs *jobs, uint64_t ticket)
{
	pthread_mutex_lock(&jobs->lock);
	errands_drop(&jobs->errands, ticket);
	pthread_mutex_unlock(&jobs->lock);
}

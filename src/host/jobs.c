/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs and errands. See jobs.h.
 *
 * Lock: `lock` protects all but what the thread alone uses. No step and no errand runs under it.
 */
#include "host/jobs.h"

#include "host/errands.h"
#include "host/jobs_kinds.h"
#include "process/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Steps of a job follow each other for so long, of the thread's own time, before it pauses. */
#define BURST_NS 500000u
#define FOR_EVER UINT64_MAX

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
	struct jobs_job job[JOBS_KINDS];
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

const char *jobs_kind_name(enum jobs_kind kind)
{
	return jobs_rows[kind].name;
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

static bool is_running(const struct jobs_job *job)
{
	return job->report.id && job->report.state == JOBS_RUNNING;
}

static void tell(struct jobs *jobs)
{
	if (jobs->changed)
		jobs->changed(jobs->opaque);
}

/* Does a job of this kind make new objects of old ones? */
static bool reworks(enum jobs_kind kind)
{
	return kind == JOBS_RECOMPRESS || kind == JOBS_GROUP || kind == JOBS_COLD;
}

/* A job that the policy's is about to give way to waits for its end. */
static bool may_step(const struct jobs *jobs, enum jobs_kind kind)
{
	return is_running(&jobs->job[kind]) &&
	       (kind == JOBS_COLD || !reworks(kind) || !is_running(&jobs->job[JOBS_COLD]));
}

/* Let a job go on for a moment. False: it was its last step, or it cannot begin. */
static bool work(struct jobs *jobs, struct jobs_job *job, struct jobs_report *report)
{
	const struct jobs_row *kind = &jobs_rows[report->kind];
	uint64_t began = now_ns(CLOCK_THREAD_CPUTIME_ID);
	bool more = true;

	if (!job->began_ms) {
		job->began_ms = now_ms();
		if (kind->begin(jobs->dev, job, report) < 0)
			report->state = JOBS_FAILED;
	}
	while (report->state == JOBS_RUNNING && more && now_ns(CLOCK_THREAD_CPUTIME_ID) - began < BURST_NS)
		more = kind->step(jobs->dev, job, report);
	report->seconds = (now_ms() - job->began_ms) / 1000;
	return more;
}

/* `lock` is held, but not while the job works. */
static void step(struct jobs *jobs, struct jobs_job *job)
{
	const struct jobs_row *kind = &jobs_rows[job->report.kind];
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
	/* What others have changed meanwhile. */
	report.gave_way = job->report.gave_way;
	job->report = report;
	if (report.state != JOBS_RUNNING)
		tell(jobs);
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
	tell(jobs);
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

		if (!may_step(jobs, (enum jobs_kind)kind))
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
		if (jobs_rows[kind].end)
			jobs_rows[kind].end(&jobs->job[kind]);
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

int jobs_start(struct jobs **result, struct zsblk *dev, unsigned percent)
{
	struct jobs *jobs = calloc(1, sizeof *jobs);
	pthread_condattr_t attr;
	int r;

	if (!jobs)
		return -ENOMEM;
	jobs->dev = dev;
	jobs->percent = percent;
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

void jobs_tell(struct jobs *jobs, void (*changed)(void *opaque), void *opaque)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->changed = changed;
	jobs->opaque = opaque;
	pthread_mutex_unlock(&jobs->lock);
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

/* The job that keeps one of this kind from beginning; NULL: there is none. */
static struct jobs_job *in_the_way(struct jobs *jobs, enum jobs_kind kind)
{
	static const enum jobs_kind reworking[] = {JOBS_RECOMPRESS, JOBS_GROUP};

	if (is_running(&jobs->job[kind]))
		return &jobs->job[kind];
	for (size_t i = 0; reworks(kind) && i < sizeof reworking / sizeof reworking[0]; i++)
		if (is_running(&jobs->job[reworking[i]]))
			return &jobs->job[reworking[i]];
	return NULL;
}

static void let_give_way(struct jobs_job *job)
{
	if (!is_running(job) || job->cancel)
		return;
	job->cancel = true;
	job->report.gave_way = true;
}

int jobs_begin(struct jobs *jobs, enum jobs_kind kind, const struct jobs_what *what, uint64_t *id)
{
	struct jobs_job *job;
	int r = 0;

	pthread_mutex_lock(&jobs->lock);
	job = in_the_way(jobs, kind);
	if (job) {
		r = -EBUSY;
	} else {
		if (reworks(kind))
			let_give_way(&jobs->job[JOBS_COLD]);
		job = &jobs->job[kind];
		*job = (struct jobs_job){.report = {.id = ++jobs->last_id, .kind = kind}};
		if (what)
			job->what = *what;
		pthread_cond_signal(&jobs->wake);
	}
	*id = job->report.id;
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

static struct jobs_job *find(struct jobs *jobs, uint64_t id)
{
	for (unsigned kind = 0; kind < JOBS_KINDS; kind++)
		if (id && jobs->job[kind].report.id == id)
			return &jobs->job[kind];
	return NULL;
}

int jobs_cancel(struct jobs *jobs, uint64_t id)
{
	struct jobs_job *job;
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
	struct jobs_job *job;

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

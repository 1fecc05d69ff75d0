/* SPDX-License-Identifier: BSD-3-Clause */
/* Upkeep of runs, in the background: the reserve is filled, and surplus pages go back to the system. See runs.h. */
#include "zsmalloc/runs_parts.h"

#include <errno.h>
#include <time.h>

/*
 * Free hot pages that may stay beyond the reserve, so that memory goes back in large pieces: 1 MiB and an eighth of the
 * reserve.
 */
static uint64_t slack(const struct runs *runs)
{
	return 4 * RUNS_CHUNK + runs->reserve / 8;
}

static bool wants_refill(const struct runs *runs)
{
	return figure_get(&runs->hot_free) < runs->reserve;
}

bool runs_wants_trim(const struct runs *runs)
{
	return figure_get(&runs->hot_free) > runs->reserve + slack(runs) && runs->nonempty[chunk_trim_list(runs)];
}

static bool wants(const struct runs *runs, enum runs_work work)
{
	return work == RUNS_REFILL ? wants_refill(runs) : runs_wants_trim(runs);
}

void runs_wake(struct runs *runs)
{
	if (!runs->has_worker)
		return;
	if (runs_wants_trim(runs))
		pthread_cond_signal(&runs->wake[RUNS_TRIM]);
	else if (figure_get(&runs->hot_free) < runs->reserve - runs->reserve / 8)
		pthread_cond_signal(&runs->wake[RUNS_REFILL]);
}

int runs_populate(struct runs *runs, uint32_t page, unsigned pages)
{
	uint64_t offset = runs->offset + (uint64_t)page * SEGMENT_PAGE;
	uint64_t len = (uint64_t)pages * SEGMENT_PAGE;
	int r;

	do
		r = segment_populate(runs->seg, offset, len);
	while (r == -EAGAIN);
	if (r)
		(void)segment_release(runs->seg, offset, len);
	return r;
}

static int refill_piece(struct runs *runs)
{
	uint64_t missing = runs->reserve - figure_get(&runs->hot_free);
	unsigned want = missing < RUNS_CHUNK ? (unsigned)missing : RUNS_CHUNK;
	struct run run;
	int r;

	if (!chunk_take(runs, RUNS_COLD, want, 16, &run) &&
	    !(runs_open_chunk(runs) && chunk_take(runs, RUNS_COLD, want, 1, &run)) &&
	    !chunk_take(runs, RUNS_COLD, want, 1, &run))
		return -ENOSPC;
	figure_add(&runs->in_hand, run.pages);
	pthread_mutex_unlock(&runs->lock);
	r = runs_populate(runs, run.page, run.pages);
	pthread_mutex_lock(&runs->lock);
	figure_sub(&runs->in_hand, run.pages);
	chunk_put_back(runs, run.page, run.pages, r ? 0 : bits_below(run.pages));
	return r;
}

int runs_trim_piece(struct runs *runs)
{
	uint64_t excess = figure_get(&runs->hot_free) - runs->reserve;
	unsigned want = excess < RUNS_CHUNK ? (unsigned)excess / runs->group * runs->group : RUNS_CHUNK;
	struct run run;
	int r;

	if (!want || !chunk_take(runs, chunk_trim_list(runs), want, 1, &run))
		return -ENOSPC;
	figure_add(&runs->in_hand, run.pages);
	pthread_mutex_unlock(&runs->lock);
	r = segment_release(runs->seg, runs->offset + (uint64_t)run.page * SEGMENT_PAGE,
			    (uint64_t)run.pages * SEGMENT_PAGE);
	pthread_mutex_lock(&runs->lock);
	figure_sub(&runs->in_hand, run.pages);
	chunk_put_back(runs, run.page, run.pages, r ? bits_below(run.pages) : 0);
	return r;
}

static struct timespec deadline(unsigned timeout_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return until;
}

bool runs_upkeep(struct runs *runs, enum runs_work work, int *error)
{
	bool more;

	*error = 0;
	pthread_mutex_lock(&runs->lock);
	if (wants(runs, work))
		*error = work == RUNS_REFILL ? refill_piece(runs) : runs_trim_piece(runs);
	more = !*error && wants(runs, work);
	pthread_mutex_unlock(&runs->lock);
	return more;
}

bool runs_wants(struct runs *runs, enum runs_work work)
{
	bool wanted;

	pthread_mutex_lock(&runs->lock);
	wanted = wants(runs, work);
	pthread_mutex_unlock(&runs->lock);
	return wanted;
}

bool runs_pause(struct runs *runs, unsigned timeout_ms)
{
	struct timespec until = deadline(timeout_ms);
	bool stopping;

	pthread_mutex_lock(&runs->lock);
	while (!runs->stopping)
		if (pthread_cond_timedwait(&runs->stopped, &runs->lock, &until) == ETIMEDOUT)
			break;
	stopping = runs->stopping;
	pthread_mutex_unlock(&runs->lock);
	return !stopping;
}

void runs_start(struct runs *runs)
{
	pthread_mutex_lock(&runs->lock);
	runs->has_worker = true;
	runs->stopping = false;
	pthread_mutex_unlock(&runs->lock);
}

void runs_stop(struct runs *runs)
{
	pthread_mutex_lock(&runs->lock);
	runs->has_worker = false;
	runs->stopping = true;
	for (enum runs_work work = 0; work < RUNS_WORKS; work++)
		pthread_cond_broadcast(&runs->wake[work]);
	pthread_cond_broadcast(&runs->stopped);
	pthread_mutex_unlock(&runs->lock);
}

bool runs_wait(struct runs *runs, enum runs_work work, unsigned timeout_ms)
{
	struct timespec until = deadline(timeout_ms);
	bool stopping;

	pthread_mutex_lock(&runs->lock);
	while (!runs->stopping && !wants(runs, work))
		if (pthread_cond_timedwait(&runs->wake[work], &runs->lock, &until) == ETIMEDOUT)
			break;
	stopping = runs->stopping;
	pthread_mutex_unlock(&runs->lock);
	return !stopping;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that start together.
 *
 * They live as long as the team, so that no pass pays for making them. Blocks are handed out in
 * spans from one counter: two threads on two processors get done together even when one of them
 * has the harder blocks.
 */
#include "bench/bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct member {
	_Alignas(64) struct team *team;
	unsigned index;
	pthread_t thread;
	uint64_t start, end, cpu; /* nanoseconds */
	int error;
};

struct team {
	unsigned threads;
	pthread_barrier_t begin, done;
	/* Set between `done` and the next `begin`. */
	unsigned active; /* 0: end */
	uint64_t count;
	team_fn *fn;
	void *opaque;
	_Alignas(64) _Atomic uint64_t next;
	struct member members[];
};

static uint64_t ns_on(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t now_ns(void)
{
	return ns_on(CLOCK_MONOTONIC);
}

double seconds_since(uint64_t start_ns)
{
	return (double)(now_ns() - start_ns) / 1e9;
}

static void take_part(struct member *me)
{
	struct team *team = me->team;
	uint64_t first;

	me->error = 0;
	me->start = now_ns();
	me->cpu = ns_on(CLOCK_THREAD_CPUTIME_ID);
	while (!me->error && (first = atomic_fetch_add(&team->next, TEAM_SPAN)) < team->count) {
		uint64_t end = first + TEAM_SPAN < team->count ? first + TEAM_SPAN : team->count;

		me->error = team->fn(team->opaque, me->index, first, end);
	}
	if (me->error == TEAM_ENOUGH)
		me->error = 0;
	me->cpu = ns_on(CLOCK_THREAD_CPUTIME_ID) - me->cpu;
	me->end = now_ns();
}

static void *live(void *opaque)
{
	struct member *me = opaque;
	struct team *team = me->team;

	for (;;) {
		pthread_barrier_wait(&team->begin);
		if (!team->active)
			return NULL;
		if (me->index < team->active)
			take_part(me);
		pthread_barrier_wait(&team->done);
	}
}

int team_create(struct team **result, unsigned threads, struct zsblk_why *why)
{
	size_t bytes = sizeof(struct team) + threads * sizeof(struct member);
	struct team *team = aligned_alloc(64, (bytes + 63) / 64 * 64);

	if (!team)
		return because(why, -ENOMEM, "no memory for %u threads", threads);
	memset(team, 0, bytes);
	team->threads = threads;
	pthread_barrier_init(&team->begin, NULL, threads + 1);
	pthread_barrier_init(&team->done, NULL, threads + 1);
	for (unsigned i = 0; i < threads; i++) {
		struct member *member = &team->members[i];
		int error;

		member->team = team;
		member->index = i;
		error = pthread_create(&member->thread, NULL, live, member);
		/* The program ends; the threads that wait for this one end with it. */
		if (error)
			return because(why, -error, "cannot start thread %u of %u: %s", i + 1, threads,
				       strerror(error));
	}
	*result = team;
	return 0;
}

void team_destroy(struct team *team)
{
	if (!team)
		return;
	team->active = 0;
	pthread_barrier_wait(&team->begin);
	for (unsigned i = 0; i < team->threads; i++)
		pthread_join(team->members[i].thread, NULL);
	pthread_barrier_destroy(&team->begin);
	pthread_barrier_destroy(&team->done);
	free(team);
}

int team_run(struct team *team, unsigned threads, uint64_t count, team_fn *fn, void *opaque, struct team_time *time)
{
	uint64_t start, end, cpu = 0;
	int error = 0;

	team->active = threads;
	team->count = count;
	team->fn = fn;
	team->opaque = opaque;
	atomic_store(&team->next, 0);
	pthread_barrier_wait(&team->begin);
	pthread_barrier_wait(&team->done);

	start = team->members[0].start;
	end = team->members[0].end;
	for (unsigned i = 0; i < threads; i++) {
		struct member *member = &team->members[i];

		if (member->start < start)
			start = member->start;
		if (member->end > end)
			end = member->end;
		cpu += member->cpu;
		if (!error)
			error = member->error;
	}
	time->seconds = (double)(end - start) / 1e9;
	time->cpu_seconds = (double)cpu / 1e9;
	return error;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latency histograms: how long requests take, and codecs.
 *
 * One call in latency_every() is timed, since two looks at the clock, some 75 ns, cost more than is to be spent on a call
 * that takes less than a microsecond: 2 %. A write of a same-filled block takes 60 ns, so writes are timed less often.
 * Which calls are timed depends on a random number alone. A fixed step would, in a workload that repeats itself, meet the
 * same kind of block every time.
 *
 * Each context has histograms of its own. The thread that holds the context writes to them, so threads share no cache
 * line for it, and no locked instruction is needed. Any thread may read.
 */
#ifndef LATENCY_H
#define LATENCY_H

#include "zsblk.h"

#include <stdatomic.h>

#define LATENCY_EVERY       16u
#define LATENCY_EVERY_WRITE 64u

struct latency_histogram {
	_Atomic uint64_t sum_ns, max_ns;
	_Atomic uint64_t buckets[ZSBLK_LATENCY_BUCKETS];
};

struct latencies {
	uint32_t left[ZSBLK_LATENCY_KINDS]; /* calls that are not timed before the next one that is */
	uint32_t random;
	struct latency_histogram of[ZSBLK_LATENCY_KINDS];
};

/* `seed`: any number; histograms with the same one time the same calls. */
void latency_init(struct latencies *latencies, uint32_t seed);

/* One call of this kind in so many is timed. */
static inline unsigned latency_every(enum zsblk_latency_kind kind)
{
	return kind == ZSBLK_LATENCY_WRITE ? LATENCY_EVERY_WRITE : LATENCY_EVERY;
}

/* The time on the clock, never 0. */
uint64_t latency_now(void);
/* Choose the next call to be timed. */
void latency_gap(struct latencies *latencies, enum zsblk_latency_kind kind);
/* A call took so many nanoseconds. */
void latency_note(struct latencies *latencies, enum zsblk_latency_kind kind, uint64_t ns);
/* Add these histograms of one kind to *sum, which was zeroed first. */
void latency_add(struct zsblk_latency *sum, const struct latencies *latencies, enum zsblk_latency_kind kind);

/* Before a call: the time, or 0 if this call is not timed. */
static inline uint64_t latency_begin(struct latencies *latencies, enum zsblk_latency_kind kind)
{
	if (__builtin_expect(latencies->left[kind]-- != 0, 1))
		return 0;
	latency_gap(latencies, kind);
	return latency_now();
}

/* After the call. `began`: what latency_begin() returned. */
static inline void latency_end(struct latencies *latencies, enum zsblk_latency_kind kind, uint64_t began)
{
	if (__builtin_expect(began != 0, 0))
		latency_note(latencies, kind, latency_now() - began);
}

#endif

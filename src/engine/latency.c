/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latency histograms. See latency.h.
 *
 * Buckets are log-linear, as in HdrHistogram (Tene): from 8 ns on, each doubling is cut into 8 equal parts. So the upper
 * end of a bucket is at most an eighth above any value in it. Both ends of a doubling, and its middle, are ends of
 * buckets, so a coarser histogram is a sum of buckets and nothing is guessed.
 *
 *   ns       1 2 ... 8 | 9 10 ... 16 | 18 20 ... 32 | 36 40 ... 64 | ... | 2^36 (69 s) | more
 *   bucket   0 1 ... 7 | 8  9 ... 15 | 16 17 ... 23 | 24 25 ... 31 | ... | 271         | 272
 */
#include "engine/engine.h"

#include <time.h>

#define PART_BITS  3u
#define PARTS      (1u << PART_BITS)
#define LAST_POWER 36u
_Static_assert(ZSBLK_LATENCY_BUCKETS == (LAST_POWER - PART_BITS + 1) * PARTS + 1, "the buckets of the drawing");

uint64_t latency_now(void)
{
	struct timespec now;

	/* Without a system call where the system's clock is the processor's (vDSO): 20 ns where 9 is the least. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The bucket whose upper end is the next one from `ns` on. */
static unsigned bucket_of(uint64_t ns)
{
	unsigned power;

	/* Ends are inclusive: 8 is in the bucket that ends with 8. */
	ns -= ns != 0;
	if (ns < PARTS)
		return (unsigned)ns;
	power = 63u - (unsigned)__builtin_clzll(ns);
	if (power >= LAST_POWER)
		return ZSBLK_LATENCY_BUCKETS - 1;
	return (power - PART_BITS + 1) * PARTS + (unsigned)(ns >> (power - PART_BITS) & (PARTS - 1));
}

uint64_t zsblk_latency_bucket(unsigned bucket)
{
	if (bucket < PARTS)
		return bucket + 1;
	if (bucket >= ZSBLK_LATENCY_BUCKETS - 1)
		return UINT64_MAX;
	return (uint64_t)(PARTS + bucket % PARTS + 1) << (bucket / PARTS - 1);
}

const char *zsblk_latency_name(enum zsblk_latency_kind kind)
{
	static const char *const names[ZSBLK_LATENCY_KINDS] = {
		[ZSBLK_LATENCY_READ] = "read",
		[ZSBLK_LATENCY_WRITE] = "write",
		[ZSBLK_LATENCY_DISCARD] = "discard",
		[ZSBLK_LATENCY_COMPRESS] = "compress",
		[ZSBLK_LATENCY_DECOMPRESS] = "decompress",
	};

	return kind < ZSBLK_LATENCY_KINDS ? names[kind] : NULL;
}

/* ------------------------------------------------------------------ the writer's side */

/* Marsaglia, "Xorshift RNGs", 2003. */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* 0 to 2 * (latency_every() - 1) calls in between, each as likely: latency_every() - 1 on average. */
void latency_gap(struct latencies *latencies, enum zsblk_latency_kind kind)
{
	uint32_t random = next_random(&latencies->random) >> 16;

	latencies->left[kind] = random % (2 * latency_every(kind) - 1);
}

void latency_init(struct latencies *latencies, uint32_t seed)
{
	/* Neighbouring numbers become distant ones, and none becomes 0, from which the generator never gets away. */
	latencies->random = (seed + 1) * UINT32_C(0x9e3779b1) | 1;
	for (enum zsblk_latency_kind kind = 0; kind < ZSBLK_LATENCY_KINDS; kind++)
		latency_gap(latencies, kind);
}

void latency_note(struct latencies *latencies, enum zsblk_latency_kind kind, uint64_t ns)
{
	struct latency_histogram *histogram = &latencies->of[kind];

	count(&histogram->buckets[bucket_of(ns)], 1);
	count(&histogram->sum_ns, ns);
	if (ns > atomic_load_explicit(&histogram->max_ns, memory_order_relaxed))
		atomic_store_explicit(&histogram->max_ns, ns, memory_order_relaxed);
}

/* ------------------------------------------------------------------ the readers' side */

void zsblk_latency_merge(struct zsblk_latency *sum, const struct zsblk_latency *other)
{
	for (unsigned i = 0; i < ZSBLK_LATENCY_BUCKETS; i++)
		sum->buckets[i] += other->buckets[i];
	sum->count += other->count;
	sum->sum_ns += other->sum_ns;
	sum->max_ns = other->max_ns > sum->max_ns ? other->max_ns : sum->max_ns;
	sum->sampled = other->sampled > sum->sampled ? other->sampled : sum->sampled;
}

void latency_add(struct zsblk_latency *sum, const struct latencies *latencies, enum zsblk_latency_kind kind)
{
	const struct latency_histogram *histogram = &latencies->of[kind];
	uint64_t max_ns = atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);

	for (unsigned i = 0; i < ZSBLK_LATENCY_BUCKETS; i++) {
		uint64_t n = atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);

		sum->buckets[i] += n;
		sum->count += n;
	}
	sum->sum_ns += atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
	sum->max_ns = max_ns > sum->max_ns ? max_ns : sum->max_ns;
}

void zsblk_get_latency(struct zsblk *dev, enum zsblk_latency_kind kind, struct zsblk_latency *latency)
{
	*latency = (struct zsblk_latency){.sampled = latency_every(kind)};
	for (unsigned i = 0; i < dev->contexts.n; i++)
		latency_add(latency, &dev->contexts.all[i].latencies, kind);
}

uint64_t zsblk_latency_percentile(const struct zsblk_latency *latency, double percent)
{
	double wanted = (double)latency->count * percent / 100;
	uint64_t seen = 0;

	for (unsigned i = 0; i < ZSBLK_LATENCY_BUCKETS; i++) {
		uint64_t end = zsblk_latency_bucket(i);

		seen += latency->buckets[i];
		if (latency->buckets[i] && (double)seen >= wanted)
			return end < latency->max_ns ? end : latency->max_ns;
	}
	return latency->max_ns;
}

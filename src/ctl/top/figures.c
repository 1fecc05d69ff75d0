/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures between two looks. See figures.h. */
#include "ctl/top/figures.h"

#include <stdlib.h>

bool figures_belong_together(const struct sample *before, const struct sample *now)
{
	return before->pid == now->pid && before->started_s == now->started_s && before->taken_ms < now->taken_ms &&
	       before->reads <= now->reads && before->writes <= now->writes && before->discards <= now->discards &&
	       before->read_bytes <= now->read_bytes && before->write_bytes <= now->write_bytes;
}

/* ------------------------------------------------------------------ histograms */

/* What a histogram has gained: its buckets less those of an earlier one, of which *at is the first that may be the same. */
static uint64_t gained(const struct sample_histogram *before, size_t *at, const struct sample_bucket *bucket)
{
	while (*at < before->n && before->buckets[*at].upper_ns < bucket->upper_ns)
		(*at)++;
	if (*at == before->n || before->buckets[*at].upper_ns != bucket->upper_ns)
		return bucket->count;
	return bucket->count > before->buckets[*at].count ? bucket->count - before->buckets[*at].count : 0;
}

static uint64_t all_gained(const struct sample_histogram *before, const struct sample_histogram *now)
{
	uint64_t sum = 0;
	size_t at = 0;

	for (size_t i = 0; i < now->n; i++)
		sum += gained(before, &at, &now->buckets[i]);
	return sum;
}

/* The time within which a share of what was gained was done: the upper end of the bucket that holds the last one of it. */
static uint64_t percentile(const struct sample_histogram *before, const struct sample_histogram *now, uint64_t of,
			   double share)
{
	double wanted = share * (double)of;
	uint64_t sum = 0, upper = 0;
	size_t at = 0;

	for (size_t i = 0; i < now->n && (!sum || (double)sum < wanted); i++) {
		uint64_t more = gained(before, &at, &now->buckets[i]);

		sum += more;
		if (more)
			upper = now->buckets[i].upper_ns;
	}
	/* A bucket ends behind the longest of all. */
	return now->max_ns && upper > now->max_ns ? now->max_ns : upper;
}

static void make_latency(struct figures_latency *latency, const struct sample_histogram *before,
			 const struct sample_histogram *now, double seconds)
{
	uint64_t timed = all_gained(before, now);

	latency->rate = (double)timed * (double)(now->sampled ? now->sampled : 1) / seconds;
	if (!timed)
		return;
	/* The sum is of what was timed, as the buckets are. */
	latency->mean_ns = now->sum_ns > before->sum_ns ? (now->sum_ns - before->sum_ns) / timed : 0;
	latency->p50_ns = percentile(before, now, timed, 0.5);
	latency->p90_ns = percentile(before, now, timed, 0.9);
	latency->p99_ns = percentile(before, now, timed, 0.99);
	latency->p999_ns = percentile(before, now, timed, 0.999);
	latency->max_ns = percentile(before, now, timed, 1);
}

/* ------------------------------------------------------------------ all of it */

static double rate(uint64_t before, uint64_t now, double seconds)
{
	return (double)(now - before) / seconds;
}

void figures_make(struct figures *figures, const struct sample *before, const struct sample *now)
{
	*figures = (struct figures){.ratio = now->total ? (double)now->data / (double)now->total : 0};
	if (!before || !figures_belong_together(before, now))
		return;
	figures->has_rates = true;
	figures->seconds = (double)(now->taken_ms - before->taken_ms) / 1000;
	figures->reads = rate(before->reads, now->reads, figures->seconds);
	figures->writes = rate(before->writes, now->writes, figures->seconds);
	figures->discards = rate(before->discards, now->discards, figures->seconds);
	figures->read_bytes = rate(before->read_bytes, now->read_bytes, figures->seconds);
	figures->write_bytes = rate(before->write_bytes, now->write_bytes, figures->seconds);
	for (enum sample_work work = 0; work < SAMPLE_WORKS; work++)
		make_latency(&figures->work[work], &before->work[work], &now->work[work], figures->seconds);
}

double figures_class_change(const struct sample *before, const struct sample *now, const struct sample_class *of)
{
	if (!before || !figures_belong_together(before, now))
		return 0;
	for (size_t i = 0; i < before->n_classes; i++)
		if (before->classes[i].index == of->index)
			return ((double)of->objects - (double)before->classes[i].objects) * 1000 /
			       (double)(now->taken_ms - before->taken_ms);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Small statistics, and the random numbers they rest on. */
#include "bench/bench.h"

#include <stdarg.h>
#include <stdlib.h>

/* splitmix64 (Steele, Lea, Flood 2014; public domain reference by Vigna). */
uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void shuffle(uint32_t *order, uint64_t count, uint64_t seed)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = random_next(&seed) % (i + 1);

		order[i] = order[at];
		order[at] = (uint32_t)i;
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int compare_words(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

double median(double *values, unsigned count)
{
	qsort(values, count, sizeof *values, compare_doubles);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

double median_ratio(const double *values, const double *base, unsigned count, double *scratch)
{
	for (unsigned i = 0; i < count; i++)
		scratch[i] = ratio_of(values[i], base[i]);
	return median(scratch, count);
}

/* The smallest value that `share` of all are not above. */
static double quantile(const uint32_t *sorted, uint64_t count, double share)
{
	uint64_t at = (uint64_t)((double)count * share);

	return sorted[at < count ? at : count - 1] / 1e3;
}

struct latency latency_of(uint32_t *ns, uint64_t count)
{
	qsort(ns, count, sizeof *ns, compare_words);
	return (struct latency){
		.p50 = quantile(ns, count, 0.5),
		.p90 = quantile(ns, count, 0.9),
		.p99 = quantile(ns, count, 0.99),
		.p999 = quantile(ns, count, 0.999),
		.max = quantile(ns, count, 1),
	};
}

double ratio_of(double a, double b)
{
	return b > 0 ? a / b : 0;
}

int because(struct zsblk_why *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
	return error;
}

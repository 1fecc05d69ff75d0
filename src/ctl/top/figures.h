/* SPDX-License-Identifier: BSD-3-Clause */
/* What happened between two looks at a device: rates, and how long work took. Pure functions over samples. */
#ifndef TOP_FIGURES_H
#define TOP_FIGURES_H

#include "ctl/top/sample.h"

#include <stdbool.h>
#include <stdint.h>

/* Of one kind of work, between two looks. Times are the upper ends of buckets; 0 if there was none. */
struct figures_latency {
	double rate; /* a second */
	uint64_t mean_ns, p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
};

struct figures {
	bool has_rates;                                          /* there were two looks at the same server */
	double seconds;                                          /* between them */
	double reads, writes, discards, read_bytes, write_bytes; /* a second */
	struct figures_latency work[SAMPLE_WORKS];
	double ratio; /* data / memory for it; 0: there is none */
};

/*
 * Are these two looks at the same server, which has counted on? Not if the server was replaced meanwhile, or its statistics were set back.
 */
bool figures_belong_together(const struct sample *before, const struct sample *now);

/* `before`: NULL, or an earlier look. If the two do not belong together, there are no rates. */
void figures_make(struct figures *figures, const struct sample *before, const struct sample *now);

/* Objects that a class has gained a second, or lost. 0 if `before` has no classes. */
double figures_class_change(const struct sample *before, const struct sample *now, const struct sample_class *of);

#endif

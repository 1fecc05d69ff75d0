/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A day that nobody recorded: how long swapped-out pages rest before they are asked for again, continued from minutes to a day.
 *
 * Source: the swap trace of docs/trace.md (Linux 6.18, zram as swap of a control group of 300 MB with python, node, redis and gcc; 117 s, 373,336
 * pages swapped out). 49 % rested longer than 5 s, 31 % longer than 20 s, 20 % longer than 50 s: an estimate that takes in pages that were dropped, or
 * still rested in the end (Kaplan and Meier, Journal of the American Statistical Association 53, 1958). From 5 to 100 s that is a power law to within
 * 6 %; its two numbers are a fit by least squares of the logarithms. That it goes on like this for a day is an assumption.
 *
 * In the same trace, of the pages within 16 slots of one that is read, and that rested as long, 77 % are read within 10 seconds of it where both had rested
 * for 5 s, 67 % for 20 s, and 52 % for 40 s. So pages rest in runs of SHAPE_RUN neighbours. When a run has rested, each of its pages is read with the
 * probability SHAPE_TOGETHER, and is at once swapped out again with other contents; then the run rests anew.
 *
 * All pages are swapped out within SHAPE_FILL_S, neighbours one after the other.
 */
#ifndef SHAPE_H
#define SHAPE_H

#include "bench/trace.h"

#define SHAPE_FILL_S 600u
#define SHAPE_END_S  86400u
/* Of all times that a run rests, (SHAPE_LEAST_S / t) ^ SHAPE_EXPONENT are longer than t. */
#define SHAPE_EXPONENT 0.36
#define SHAPE_LEAST_S  0.68
#define SHAPE_RUN      16u
#define SHAPE_TOGETHER 0.5

struct shape;

/* A day of so many blocks, at least 1; the same one for the same seed. -ENOMEM. */
int shape_create(struct shape **shape, uint32_t blocks, uint64_t seed);
void shape_destroy(struct shape *shape);
/* The next event, or false behind the last one. Times do not decrease. */
bool shape_next(struct shape *shape, struct trace_event *event);

#endif

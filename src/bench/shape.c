/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A day that nobody recorded. See shape.h. Runs are in a heap by the time of their next event: the run that comes next is its root.
 *
 *   a run    |<-- filled: all written -->|  rests  |  some read, and the same ones written  |  rests  | ...
 */
#include "bench/shape.h"

#include "bench/bench.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define SECOND UINT64_C(1000000)

_Static_assert(SHAPE_RUN <= 16, "a run's pages are bits");

struct run {
	uint64_t us;
	uint32_t number;
	bool is_filled;
};

struct shape {
	uint64_t seed;
	uint32_t blocks, runs;
	/* Of the root, bits from the first page on: what is still to be read, and to be written after that. */
	uint16_t to_read, to_write;
	struct run heap[];
};

/* True if `a` comes before `b`. At the same time the lower number is first, so that a day is the same everywhere. */
static bool is_before(const struct run *a, const struct run *b)
{
	return a->us != b->us ? a->us < b->us : a->number < b->number;
}

/* The root has another time: it goes down to its place. */
static void sift(struct shape *shape)
{
	struct run moved = shape->heap[0];
	uint32_t at = 0;

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < shape->runs && is_before(&shape->heap[child + 1], &shape->heap[child]))
			child++;
		if (child >= shape->runs || !is_before(&shape->heap[child], &moved))
			break;
		shape->heap[at] = shape->heap[child];
		at = child;
	}
	shape->heap[at] = moved;
}

/* Above 0 and at most 1. */
static double random_share(struct shape *shape)
{
	return (double)((random_next(&shape->seed) >> 11) + 1) / (double)(UINT64_C(1) << 53);
}

/* How long a run rests: never longer than a day, where it does not matter any more. */
static uint64_t rest(struct shape *shape)
{
	double seconds = SHAPE_LEAST_S * pow(random_share(shape), -1 / SHAPE_EXPONENT);

	return (uint64_t)(fmin(seconds, SHAPE_END_S) * (double)SECOND);
}

/* The pages of a run; the last run may be shorter. */
static unsigned pages_of(const struct shape *shape, const struct run *run)
{
	uint32_t left = shape->blocks - run->number * SHAPE_RUN;

	return left < SHAPE_RUN ? left : SHAPE_RUN;
}

/* What happens to the run that has become the root. It may be nothing. */
static void choose(struct shape *shape)
{
	const struct run *run = &shape->heap[0];

	shape->to_read = shape->to_write = 0;
	for (unsigned i = 0; i < pages_of(shape, run); i++)
		if (!run->is_filled || random_share(shape) <= SHAPE_TOGETHER)
			shape->to_write |= (uint16_t)(1u << i);
	if (run->is_filled)
		shape->to_read = shape->to_write;
}

int shape_create(struct shape **result, uint32_t blocks, uint64_t seed)
{
	uint32_t runs = (blocks + SHAPE_RUN - 1) / SHAPE_RUN;
	struct shape *shape = calloc(1, sizeof *shape + runs * sizeof shape->heap[0]);

	if (!shape)
		return -ENOMEM;
	shape->seed = seed;
	shape->blocks = blocks;
	shape->runs = runs;
	/* Times rise, so this is a heap already. */
	for (uint32_t i = 0; i < runs; i++)
		shape->heap[i] = (struct run){.us = SHAPE_FILL_S * SECOND * i / runs, .number = i};
	choose(shape);
	*result = shape;
	return 0;
}

void shape_destroy(struct shape *shape)
{
	free(shape);
}

/* The lowest bit, which is cleared. */
static unsigned take(uint16_t *bits)
{
	unsigned at = 0;

	while (!(*bits >> at & 1))
		at++;
	*bits &= (uint16_t)(*bits - 1);
	return at;
}

bool shape_next(struct shape *shape, struct trace_event *event)
{
	struct run *run = &shape->heap[0];
	bool is_read;

	while (!shape->to_write && run->us < SHAPE_END_S * SECOND) {
		run->is_filled = true;
		run->us += rest(shape);
		sift(shape);
		choose(shape);
	}
	if (run->us >= SHAPE_END_S * SECOND)
		return false;
	is_read = shape->to_read;
	*event = (struct trace_event){
		.us = run->us, .op = is_read ? TRACE_READ : TRACE_WRITE, .first = run->number * SHAPE_RUN, .blocks = 1};
	event->first += take(is_read ? &shape->to_read : &shape->to_write);
	return true;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traces: what was asked of a device, request by request, without contents. docs/trace.md has the format.
 *
 * One thread at a time for one trace.
 */
#ifndef TRACE_H
#define TRACE_H

#include "zsblk.h"

#include <stdbool.h>
#include <stdint.h>

/* A device has fewer blocks than this. */
#define TRACE_BLOCKS_MAX (UINT64_C(1) << 32)

enum trace_op {
	TRACE_READ = 'R',
	TRACE_WRITE = 'W',
	TRACE_DISCARD = 'D',
	TRACE_ZEROES = 'Z',
	TRACE_LOST = 'L', /* `blocks` is how many requests were not recorded before this event */
};

struct trace_event {
	uint64_t
		us; /* microseconds since the trace began, at most UINT64_MAX / 2; never less than that of the event before */
	enum trace_op op;
	bool ragged;            /* the request begins or ends within a block */
	uint64_t first, blocks; /* blocks that it touches: at least 1, all of them below TRACE_BLOCKS_MAX */
};

struct trace;

/*
 * Open a file, or standard input if `path` is "-". What begins as a file of xz, gzip or zstd does is read through that program. The
 * reason of an error is in *why, here and below.
 */
int trace_open(struct trace **trace, const char *path, struct zsblk_why *why);
/* The next event: 1, or 0 behind the last one, or a negative errno. -EINVAL: a line is no event. */
int trace_next(struct trace *trace, struct trace_event *event, struct zsblk_why *why);
/* Close it, and end the program that it was read through. NULL is allowed. */
void trace_close(struct trace *trace);

#endif

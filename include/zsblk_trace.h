/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of zsblk.h that records which requests a device gets. zsblk.h includes it, and says what holds for units, errors, ownership
 * and threads.
 */
#ifndef ZSBLK_TRACE_H
#define ZSBLK_TRACE_H

#include "zsblk.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ------------------------------------------------------------------ traces
 *
 * A trace has what was asked of a device, request by request, and no contents. Each context keeps the events of its requests in a ring of
 * its own, until they are taken. No request waits for that: while a ring is full, requests are not recorded, and counted as lost. Without
 * a trace a request costs one look at memory that no other thread changes; with one it costs a look at the clock more.
 */

enum zsblk_event_op {
	ZSBLK_EVENT_READ,
	ZSBLK_EVENT_WRITE,
	ZSBLK_EVENT_DISCARD,
	ZSBLK_EVENT_ZEROES,
};

/* A request that succeeded. */
struct zsblk_event {
	uint64_t time_ns; /* when it ended, on CLOCK_MONOTONIC */
	uint64_t offset;  /* bytes, as the request had them */
	uint64_t len;
	enum zsblk_event_op op;
};

/*
 * Begin to record. Each context has room for `room` events that were not taken yet, a power of 2 from 16 to 2^20; an event takes 24 bytes.
 * All of that memory is made here. The caller then has *trace until zsblk_trace_end(), which comes before zsblk_close(). May wait for
 * memory.
 *
 * Errors: -EBUSY (there is a trace already), -EINVAL (room), -ENOMEM (the system has no memory to spare), -EINTR (params->interrupted
 * returned true).
 */
struct zsblk_trace;
int zsblk_trace_begin(struct zsblk *dev, unsigned room, struct zsblk_trace **trace, struct zsblk_why *why);

/*
 * Take up to `n` events, in the order of their times, and tell in *lost how many were lost since the beginning. Returns how many were taken. Events of the
 * last millisecond are left for the next call, so that those of all contexts get into order; one that its thread took longer than
 * that to note comes late. After zsblk_trace_stop() all are taken. One thread at a time; waits for nothing.
 */
unsigned zsblk_trace_take(struct zsblk_trace *trace, struct zsblk_event *events, unsigned n, uint64_t *lost);

/* End to record. Waits for requests that run. What was recorded can still be taken. */
void zsblk_trace_stop(struct zsblk_trace *trace);

/* The same, if that was not done, and free all. NULL is allowed. */
void zsblk_trace_end(struct zsblk_trace *trace);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traces. See zsblk_trace.h.
 *
 *   request, holds a context:  event -> ring of the context -> taken, in the order of times, by one thread
 *
 * 1. A ring has one thread that adds, the holder of its context, and one that takes. So it needs no lock.
 * 2. A context changes its ring, like its encoder, between two requests (context.c). So when all contexts have let go of their rings, no
 *    request has one, and they can be freed.
 * 3. All memory is in place before the first context gets its ring.
 *
 * change_lock: one trace begins or ends at a time.
 */
#include "engine/engine.h"

#include <errno.h>
#include <string.h>

#define ROOM_MIN 16u
#define ROOM_MAX (1u << 20)
/* A thread may be held up between the look at the clock and its event. */
#define LATE_NS 1000000u

struct zsblk_trace {
	struct zsblk *dev;
	unsigned n; /* rings */
	size_t bytes;
	bool stopped;
	struct recorder_ring rings[];
};

/* ------------------------------------------------------------------ requests */

void recorder_add(struct recorder_ring *ring, enum zsblk_event_op op, uint64_t offset, uint64_t len)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	struct recorder_event *event = &ring->events[head & ring->mask];

	if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) > ring->mask) {
		count(&ring->lost, 1);
		return;
	}
	event->time_ns = latency_now();
	event->offset = offset;
	event->len_op = len << RECORDER_OP_BITS | op;
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

/* ------------------------------------------------------------------ who takes events */

static const struct recorder_event *oldest_of(const struct recorder_ring *ring)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	return tail == atomic_load_explicit(&ring->head, memory_order_acquire) ? NULL
									       : &ring->events[tail & ring->mask];
}

/* The ring with the oldest event, of those up to `until`. NULL: there is none. */
static struct recorder_ring *oldest(struct zsblk_trace *trace, uint64_t until)
{
	struct recorder_ring *found = NULL;

	for (unsigned i = 0; i < trace->n; i++) {
		const struct recorder_event *event = oldest_of(&trace->rings[i]);

		if (event && event->time_ns <= until) {
			until = event->time_ns;
			found = &trace->rings[i];
		}
	}
	return found;
}

unsigned zsblk_trace_take(struct zsblk_trace *trace, struct zsblk_event *events, unsigned n, uint64_t *lost)
{
	uint64_t until = trace->stopped ? UINT64_MAX : latency_now() - LATE_NS;
	struct recorder_ring *ring;
	unsigned taken = 0;

	while (taken < n && (ring = oldest(trace, until))) {
		const struct recorder_event *event = oldest_of(ring);

		events[taken++] = (struct zsblk_event){
			.time_ns = event->time_ns,
			.offset = event->offset,
			.len = event->len_op >> RECORDER_OP_BITS,
			.op = (enum zsblk_event_op)(event->len_op & ((1u << RECORDER_OP_BITS) - 1)),
		};
		atomic_store_explicit(&ring->tail, atomic_load_explicit(&ring->tail, memory_order_relaxed) + 1,
				      memory_order_release);
	}
	*lost = 0;
	for (unsigned i = 0; i < trace->n; i++)
		*lost += atomic_load_explicit(&trace->rings[i].lost, memory_order_relaxed);
	return taken;
}

/* ------------------------------------------------------------------ life */

static size_t head_bytes(unsigned n)
{
	/* Events begin on a page of their own. */
	size_t bytes = sizeof(struct zsblk_trace) + n * sizeof(struct recorder_ring);

	return (bytes + BLOCK - 1) / BLOCK * BLOCK;
}

/* With change_lock. */
static int create(struct zsblk *dev, unsigned room, struct zsblk_trace **result, struct zsblk_why *why)
{
	unsigned n = dev->contexts.n;
	size_t events = room * sizeof(struct recorder_event), bytes = head_bytes(n) + n * events;
	struct zsblk_trace *trace;
	int r;

	if (dev->trace)
		return why_fail(why, -EBUSY, "a trace is being recorded already; end it first");
	trace = segment_private_map(bytes);
	if (!trace)
		return why_fail(why, -ENOMEM, "no address space for a trace of %u events for each of %u contexts", room,
				n);
	r = upkeep_populate_private(dev, trace, bytes);
	if (r) {
		segment_private_unmap(trace, bytes);
		return why_fail(why, r, "there are no %zu bytes of memory to spare for a trace", bytes);
	}
	trace->dev = dev;
	trace->n = n;
	trace->bytes = bytes;
	for (unsigned i = 0; i < n; i++) {
		trace->rings[i].mask = room - 1;
		trace->rings[i].events = (void *)((uint8_t *)trace + head_bytes(n) + i * events);
	}
	dev->trace = *result = trace;
	contexts_record(&dev->contexts, trace->rings);
	return 0;
}

int zsblk_trace_begin(struct zsblk *dev, unsigned room, struct zsblk_trace **trace, struct zsblk_why *why)
{
	int r;

	if (room < ROOM_MIN || room > ROOM_MAX || (room & (room - 1)))
		return why_fail(why, -EINVAL, "room for %u events; a power of 2 from %u to %u is needed", room,
				ROOM_MIN, ROOM_MAX);
	pthread_mutex_lock(&dev->change_lock);
	r = create(dev, room, trace, why);
	pthread_mutex_unlock(&dev->change_lock);
	return r;
}

void zsblk_trace_stop(struct zsblk_trace *trace)
{
	struct zsblk *dev = trace->dev;

	pthread_mutex_lock(&dev->change_lock);
	if (!trace->stopped)
		contexts_record(&dev->contexts, NULL);
	trace->stopped = true;
	pthread_mutex_unlock(&dev->change_lock);
}

void zsblk_trace_end(struct zsblk_trace *trace)
{
	if (!trace)
		return;
	zsblk_trace_stop(trace);
	pthread_mutex_lock(&trace->dev->change_lock);
	trace->dev->trace = NULL;
	pthread_mutex_unlock(&trace->dev->change_lock);
	segment_private_unmap(trace, trace->bytes);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What requests do for a trace (zsblk_trace.h). See recorder.c. */
#ifndef RECORDER_H
#define RECORDER_H

#include "zsblk.h"

#include <stdatomic.h>

/* The length of an event is kept with its operation. */
#define RECORDER_OP_BITS 2u

struct recorder_event {
	uint64_t time_ns, offset, len_op;
};

/*
 * A ring of one context. Who holds the context adds at `head`; who takes events does so at `tail`. Both only grow; the place of an event is
 * its number modulo the room.
 */
struct recorder_ring {
	_Alignas(64) _Atomic uint64_t head;
	_Atomic uint64_t lost;
	uint64_t mask; /* the room, less 1 */
	struct recorder_event *events;
	_Alignas(64) _Atomic uint64_t tail;
};

/* For the holder of the ring's context. */
void recorder_add(struct recorder_ring *ring, enum zsblk_event_op op, uint64_t offset, uint64_t len);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Room for objects that replace larger ones, of recompression and of groups. The new object is stored before the old one is freed, so
 * such work needs room for a while even though it gains some in the end.
 *
 *   limit                    limit + ROOM_BEYOND
 *     |  new objects  ---------->|  used up: compact the pool, and try again
 *
 * A limit that was lowered may lie below what the pool has. Then the pages that the pool had at that moment take the limit's place.
 *
 * Compaction gives back what the freed objects have left. It is not begun anew until something was replaced.
 *
 * Locks: recompress_lock, as for the work that has the room.
 */
#ifndef ROOM_H
#define ROOM_H

#include "engine/engine.h"

/*
 * So many pages above the limit, or above what the pool had, may be taken before old objects are freed. Otherwise a full device, which needs such work most, could
 * gain nothing. 256 KiB.
 */
#define ROOM_BEYOND 64u

struct room {
	struct zsblk *dev;
	struct spare spare;
	struct progress compaction;
	uint64_t limit,
		used; /* the pool's limit as it was seen last, and pages in use when it was first seen to be that */
	bool is_made; /* the pool is being compacted */
	uint64_t made_for; /* what was replaced when the pool was compacted last, and one more; 0: it was not */
};

void room_open(struct room *room, struct zsblk *dev);
/* Harmless on a struct that was zeroed. */
void room_close(struct room *room);

/* So many pages above the limit may be taken now. */
unsigned room_beyond(struct room *room);
/*
 * There is no room: compact the pool, unless fewer than `least` were replaced since that was done last. `replaced`: how many were
 * so far. Returns whether it is compacted: go on with room_step() until room->is_made is false, and try again.
 */
bool room_make(struct room *room, uint64_t replaced, uint64_t least);
/* A bounded piece of that. */
void room_step(struct room *room);

/* May the next object take a page of the reserve? */
enum room_reserve {
	ROOM_RESERVE_YES,
	ROOM_RESERVE_LATER, /* the pool is compacted first, as after room_make() */
	ROOM_RESERVE_NO,    /* what is left is for requests */
};

/*
 * While the system has no memory to spare, nobody refills the reserve, and new objects take pages of it before the old ones
 * give theirs back. So below half of the reserve the pool is compacted once in `least` objects. Below a quarter the answer is no.
 */
enum room_reserve room_in_reserve(struct room *room, uint64_t replaced, uint64_t least);

#endif

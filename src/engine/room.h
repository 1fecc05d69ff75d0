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
 * Compaction gives back what the freed objects have left. It is not begun anew until something was replaced. It also begins when new objects
 * have taken ROOM_HELD pages more than was given back, and near the limit after half of ROOM_BEYOND: so the work holds no more.
 *
 * Writers beside the work are not to be refused because of what it holds. So it lends them as many pages above the limit as it
 * holds, up to ROOM_BEYOND. With these, and with what it takes itself, no more than ROOM_BEYOND are in use above the limit.
 *
 * Locks: recompress_lock, as for the work that has the room.
 */
#ifndef ROOM_H
#define ROOM_H

#include "engine/engine.h"

/*
 * So many pages above the limit, or above what the pool had, may be taken before old objects are freed. Otherwise a full device,
 * which needs such work most, could gain nothing. 256 KiB.
 */
#define ROOM_BEYOND 64u
/* So many pages may be held before the pool is compacted: 1 MiB. */
#define ROOM_HELD 256u
/* The most pages that one new object takes: those of a group, with the first ones of a new zspage for its last piece. */
#define ROOM_OBJECT 24u

struct room {
	struct zsblk *dev;
	struct spare spare;
	struct progress compaction;
	bool is_made;         /* the pool is being compacted */
	uint64_t made_for;    /* what was replaced when that was done last, and one more; 0: it was not */
	uint64_t limit;       /* the pool's, as it was seen last */
	uint64_t used;        /* pages in use when it was first seen to be that, or less */
	uint64_t before;      /* pages in use when the present object began */
	unsigned held, grown; /* pages taken and not given back; those taken since the pool was compacted last */
	unsigned lent;
};

void room_open(struct room *room, struct zsblk *dev);
/* Harmless on a struct that was zeroed. */
void room_close(struct room *room);

/* A new object is about to be stored: so many pages above the limit may be taken for it. */
unsigned room_begin(struct room *room);
/* It was, with so many bytes, and what it replaces is free; or it could not be, and `bytes` is 0. */
void room_end(struct room *room, size_t bytes);
/* Is so much held that the pool is to be compacted, with room_make()? `at_end`: no more objects follow. */
bool room_is_due(const struct room *room, bool at_end);
/*
 * There is no room: compact the pool, unless fewer than `least` were replaced since that was done last. `replaced`: how many were
 * so far. Returns whether it is compacted: go on with room_step() until room->is_made is false, and try again.
 */
bool room_make(struct room *room, uint64_t replaced, uint64_t least);
/* A bounded piece of that. */
void room_step(struct room *room);

/*
 * The work ends, perhaps before its time: what writers were lent, and may have taken, is theirs no more. So the pool is compacted until it is
 * below its limit, or the work holds nothing. Takes as long as that takes, with recompress_lock.
 */
void room_give_back(struct room *room);

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

/* SPDX-License-Identifier: BSD-3-Clause */
/* Room for objects that replace larger ones. See room.h. */
#include "engine/room.h"

void room_open(struct room *room, struct zsblk *dev)
{
	*room = (struct room){.dev = dev};
	spare_open(&room->spare, dev->cgroup);
}

void room_close(struct room *room)
{
	spare_close(&room->spare);
}

unsigned room_beyond(struct room *room)
{
	uint64_t limit = runs_limit(room->dev->runs);

	if (limit != room->limit) {
		room->limit = limit;
		room->used = runs_used(room->dev->runs);
	}
	return limit && room->used > limit ? (unsigned)(room->used - limit) + ROOM_BEYOND : ROOM_BEYOND;
}

bool room_make(struct room *room, uint64_t replaced, uint64_t least)
{
	/* Without anything that was replaced since, nothing is free that was not the last time. */
	if (room->made_for && replaced + 1 < room->made_for + least)
		return false;
	room->made_for = replaced + 1;
	room->compaction = (struct progress){0};
	room->is_made = true;
	return true;
}

void room_step(struct room *room)
{
	uint64_t used;

	upkeep_compact_step(room->dev, &room->compaction, &room->is_made);
	/* What is above the limit only gets less. */
	used = runs_used(room->dev->runs);
	room->used = used < room->used ? used : room->used;
}

enum room_reserve room_in_reserve(struct room *room, uint64_t replaced, uint64_t least)
{
	uint64_t reserve = zsblk_reserve(room->dev), left = runs_hot_free(room->dev->runs) * BLOCK;

	/* The system is asked last, since that takes some 50 us. */
	if (left >= reserve / 2 || spare_memory_for(&room->spare, false))
		return ROOM_RESERVE_YES;
	if (room_make(room, replaced, least))
		return ROOM_RESERVE_LATER;
	return left >= reserve / 4 ? ROOM_RESERVE_YES : ROOM_RESERVE_NO;
}

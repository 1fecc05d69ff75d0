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
	if (room->lent)
		runs_lend(room->dev->runs, 0);
	spare_close(&room->spare);
}

static void lend(struct room *room, unsigned pages)
{
	pages = pages < ROOM_BEYOND ? pages : ROOM_BEYOND;
	if (pages != room->lent)
		runs_lend(room->dev->runs, pages);
	room->lent = pages;
}

unsigned room_begin(struct room *room)
{
	uint64_t limit = runs_limit(room->dev->runs);

	if (limit != room->limit) {
		room->limit = limit;
		room->used = runs_used(room->dev->runs);
	}
	lend(room, room->held + ROOM_OBJECT);
	room->before = runs_used(room->dev->runs);
	return (limit && room->used > limit ? (unsigned)(room->used - limit) : 0) + ROOM_BEYOND - room->lent;
}

void room_end(struct room *room, size_t bytes)
{
	uint64_t now = runs_used(room->dev->runs), most = bytes ? ROOM_OBJECT : 0;

	/* Writers take and free pages meanwhile: what is more than an object can take is theirs. */
	if (now > room->before) {
		uint64_t more = now - room->before;

		more = more < most ? more : most;
		room->held += (unsigned)more;
		room->grown += (unsigned)more;
	}
	lend(room, room->held);
}

bool room_is_due(const struct room *room, bool at_end)
{
	uint64_t limit = runs_limit(room->dev->runs);
	bool is_near = limit && runs_used(room->dev->runs) + ROOM_HELD > limit;

	if (at_end)
		return room->grown >= (is_near ? 1 : ROOM_BEYOND);
	return room->grown >= (is_near ? ROOM_BEYOND / 2 : ROOM_HELD);
}

bool room_make(struct room *room, uint64_t replaced, uint64_t least)
{
	/* Without anything that was replaced since, nothing is free that was not the last time. */
	if (room->made_for && replaced + 1 < room->made_for + least)
		return false;
	room->made_for = replaced + 1;
	room->grown = 0;
	room->compaction = (struct progress){0};
	room->is_made = true;
	return true;
}

void room_step(struct room *room)
{
	uint64_t freed = upkeep_compact_step(room->dev, &room->compaction, &room->is_made), used;

	room->held -= freed < room->held ? (unsigned)freed : room->held;
	lend(room, room->held);
	/* What is above the limit only gets less. */
	used = runs_used(room->dev->runs);
	room->used = used < room->used ? used : room->used;
}

void room_give_back(struct room *room)
{
	uint64_t limit = runs_limit(room->dev->runs);

	if (!limit || !room->lent)
		return;
	room->compaction = (struct progress){0};
	room->is_made = true;
	while (room->lent && room->is_made && runs_used(room->dev->runs) > limit)
		room_step(room);
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

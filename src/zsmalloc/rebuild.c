/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rebuilding: all state of the allocator is derived from the owner's table (I1), in two scans.
 *
 * The first scan notes where zspages start, and their classes. A zspage reaches to its class's ideal length, to the
 * next zspage or to the end of its chunk, whichever comes first. So a zspage that was made short, when memory was
 * short, may come back longer, over pages that are free anyway. The second scan sets the slots.
 *
 * The table is not trusted. A location out of range, two objects in one place, and zspages that overlap end the
 * rebuilding with a reason.
 */
#include "zsmalloc/zspage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_ZSPAGE 0
#define PENDING   16u
#define NOBODY    UINT64_MAX

struct rebuild {
	struct zs_core *core;
	struct start {
		uint16_t class; /* of the zspage that starts at this page, + 1; or NO_ZSPAGE */
		uint16_t slots; /* the slots that it must have: the highest in use, + 1 */
	} * start;              /* for each page of the pool */
	uint32_t highest;       /* the last page where a zspage starts, or RUNS_NONE */
	/* Slots to be set. Each waits here until its header, which is prefetched, is in the cache. */
	struct pending {
		uint64_t owner; /* or NOBODY */
		struct zs_loc loc;
	} pending[PENDING];
	unsigned next; /* place of the next one, where the oldest is now */
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 2, 3))) static int damaged(struct rebuild *rb, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (rb->why)
		vsnprintf(rb->why, rb->why_size, format, args);
	va_end(args);
	return -EUCLEAN;
}

static int note_start(void *opaque, uint32_t owner, struct zs_loc loc)
{
	struct rebuild *rb = opaque;
	const struct zs_core *core = rb->core;
	struct start *here;

	if (loc.page >= core->runs.pages)
		return damaged(rb, "entry %u: page %u is beyond the pool's %u", owner, loc.page, core->runs.pages);
	if (loc.class_index >= core->classes || loc.slot >= core->class[loc.class_index].geo.objects)
		return damaged(rb, "entry %u: slot %u of class %u does not exist", owner, loc.slot, loc.class_index);
	here = &rb->start[loc.page];
	if (here->class != NO_ZSPAGE && here->class != loc.class_index + 1)
		return damaged(rb, "entry %u: page %u starts zspages of classes %u and %u", owner, loc.page,
			       here->class - 1u, loc.class_index);
	if (here->class != NO_ZSPAGE && zs_core_is_huge(core, loc.class_index))
		return damaged(rb, "entry %u: page %u holds two huge objects", owner, loc.page);
	here->class = (uint16_t)(loc.class_index + 1);
	if (loc.slot >= here->slots)
		here->slots = (uint16_t)(loc.slot + 1);
	if (rb->highest == RUNS_NONE || loc.page > rb->highest)
		rb->highest = loc.page;
	return 0;
}

/* How long the zspage that starts here is. */
static unsigned length_at(const struct rebuild *rb, uint32_t page)
{
	unsigned ideal = rb->core->class[rb->start[page].class - 1].geo.pages;
	uint32_t end = (page / RUNS_CHUNK + 1) * RUNS_CHUNK;
	unsigned n = 1;

	if (end > rb->core->runs.pages)
		end = rb->core->runs.pages;
	while (n < ideal && page + n < end && rb->start[page + n].class == NO_ZSPAGE)
		n++;
	return n;
}

/* Make sure that no zspage overlaps another one. Before that nothing is written: a header could destroy an object. */
static int verify_zspages(struct rebuild *rb)
{
	for (uint32_t page = 0; rb->highest != RUNS_NONE && page <= rb->highest; page++) {
		const struct zs_class *class;

		if (rb->start[page].class == NO_ZSPAGE)
			continue;
		class = &rb->core->class[rb->start[page].class - 1];
		if (!class->geo.huge && rb->start[page].slots > zspage_slots_in(class, length_at(rb, page)))
			return damaged(rb, "slot %u of the zspage at page %u overlaps the next one",
				       rb->start[page].slots - 1u, page);
	}
	return 0;
}

static void make_zspages(struct rebuild *rb)
{
	struct zs_core *core = rb->core;

	for (uint32_t page = 0; rb->highest != RUNS_NONE && page <= rb->highest; page++) {
		struct run run = {.page = page};
		struct zs_class *class;

		if (rb->start[page].class == NO_ZSPAGE)
			continue;
		class = &core->class[rb->start[page].class - 1];
		run.pages = length_at(rb, page);
		runs_rebuild_mark(&core->runs, page, run.pages, &run.hot);
		if (class->geo.huge) {
			magazine_note_taken(&core->runs.magazines);
			core->runs.used++;
		} else {
			zspage_format(core, class, (unsigned)(class - core->class), &run);
		}
		page += run.pages - 1;
	}
}

static int set_slot(struct rebuild *rb, uint32_t owner, struct zs_loc loc)
{
	struct zs_class *class = &rb->core->class[loc.class_index];
	struct zspage *z;

	z = zspage_at(rb->core, loc.page);
	if (zspage_slot_live(z, loc.slot))
		return damaged(rb,
			       "entry %u: slot %u of the zspage at page %u has another owner, "
			       "entry %u, too",
			       owner, loc.slot, loc.page, zspage_owners(class, z)[loc.slot]);
	z->live[loc.slot / 64] |= UINT64_C(1) << (loc.slot % 64);
	zspage_owners(class, z)[loc.slot] = owner;
	z->inuse++;
	if (loc.slot >= z->ready)
		z->ready = (uint16_t)(loc.slot + 1);
	return 0;
}

static int set_oldest(struct rebuild *rb)
{
	struct pending *oldest = &rb->pending[rb->next++ % PENDING];
	struct pending p = *oldest;

	oldest->owner = NOBODY;
	return p.owner == NOBODY ? 0 : set_slot(rb, (uint32_t)p.owner, p.loc);
}

static int set_later(void *opaque, uint32_t owner, struct zs_loc loc)
{
	struct rebuild *rb = opaque;
	struct zs_class *class = &rb->core->class[loc.class_index];
	struct zspage *z;
	int r;

	if (class->geo.huge)
		return 0;
	z = zspage_at(rb->core, loc.page);
	__builtin_prefetch(z, 1);
	__builtin_prefetch(&z->live[loc.slot / 64], 1);
	__builtin_prefetch(&zspage_owners(class, z)[loc.slot], 1);
	r = set_oldest(rb);
	rb->pending[(rb->next - 1) % PENDING] = (struct pending){owner, loc};
	return r;
}

static int set_rest(struct rebuild *rb)
{
	int r = 0;

	for (unsigned i = 0; i < PENDING && !r; i++)
		r = set_oldest(rb);
	return r;
}

/* Count what was found, and put every zspage on its list. */
static void enlist_all(struct rebuild *rb)
{
	struct zs_core *core = rb->core;

	for (uint32_t page = 0; rb->highest != RUNS_NONE && page <= rb->highest; page++) {
		struct zs_class *class;
		struct zspage *z;

		if (rb->start[page].class == NO_ZSPAGE || core->class[rb->start[page].class - 1].geo.huge)
			continue;
		class = &core->class[rb->start[page].class - 1];
		z = zspage_at(core, page);
		z->touched = (uint8_t)zspage_pages_for(class, z->ready - 1u);
		z->ready = (uint16_t)zspage_slots_in(class, z->touched);
		if (z->ready > z->capacity)
			z->ready = z->capacity;
		z->hot &= ~bits_below(z->touched);
		z->group = (uint8_t)zspage_fullness(z);
		figure_add(&class->inuse, z->inuse);
		figure_add(&class->capacity, z->capacity);
		figure_add(&class->touched, z->touched);
		figure_add(&class->zspages[z->group], 1);
		core->runs.used += z->touched;
		core->runs.tails += (unsigned)__builtin_popcountll(z->hot);
		zspage_enlist(core, class, page);
	}
	core->runs.used_max = core->runs.used;
}

int zs_core_rebuild(struct zs_core *core, zs_scan_fn *scan, void *owner_table, char *why, size_t why_size)
{
	size_t bytes = (size_t)core->runs.pages * sizeof(struct start);
	struct rebuild rb = {
		.core = core,
		.start = segment_private_map(bytes),
		.highest = RUNS_NONE,
		.why = why,
		.why_size = why_size,
	};
	int r = rb.start ? 0 : -ENOMEM;

	for (unsigned i = 0; i < PENDING; i++)
		rb.pending[i].owner = NOBODY;
	if (!r)
		r = scan(owner_table, note_start, &rb);
	if (!r)
		r = verify_zspages(&rb);
	if (!r)
		r = runs_rebuild_begin(&core->runs, rb.highest);
	if (!r) {
		make_zspages(&rb);
		r = scan(owner_table, set_later, &rb);
	}
	if (!r)
		r = set_rest(&rb);
	if (!r) {
		enlist_all(&rb);
		runs_rebuild_finish(&core->runs);
	}
	segment_private_unmap(rb.start, bytes);
	return r;
}

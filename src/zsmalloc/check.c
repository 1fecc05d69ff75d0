/* SPDX-License-Identifier: BSD-3-Clause */
/* Every invariant of the allocator, checked: Z1 to Z4 of core.c here, R1 to R4 of runs.c in runs_check.c. */
#include "zsmalloc/zspage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* What was found of a class. */
struct found {
	uint64_t inuse, capacity, touched, zspages[ZS_FULLNESS_GROUPS];
};

struct check {
	struct zs_core *core;
	uint64_t *pages;     /* a bit for each page that belongs to a zspage */
	struct found *found; /* of each class */
	uint64_t used, tails, huge, entries, objects;
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct check *ck, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (ck->why)
		vsnprintf(ck->why, ck->why_size, format, args);
	va_end(args);
	return -EUCLEAN;
}

static int claim_pages(struct check *ck, uint32_t page, unsigned pages)
{
	for (uint32_t p = page; p < page + pages; p++) {
		if (p >= ck->core->runs.pages)
			return wrong(ck, "page %u is beyond the pool", p);
		if (ck->pages[p / 64] >> (p % 64) & 1)
			return wrong(ck, "page %u belongs to two zspages", p);
		ck->pages[p / 64] |= UINT64_C(1) << (p % 64);
	}
	return 0;
}

/* Z2 and Z3 for one zspage. */
static int check_zspage(struct check *ck, const struct zs_class *class, uint32_t page, unsigned list)
{
	const struct zspage *z = zspage_at(ck->core, page);
	struct found *found = &ck->found[class - ck->core->class];
	unsigned live = 0, highest = 0, lowest_free = z->capacity, ready;

	for (unsigned slot = 0; slot < class->geo.objects; slot++) {
		if (zspage_slot_live(z, slot)) {
			live++;
			highest = slot;
		} else if (slot < lowest_free) {
			lowest_free = slot;
		}
	}
	ready = zspage_slots_in(class, z->touched);
	if (ready > z->capacity)
		ready = z->capacity;
	if (&ck->core->class[z->class_index] != class)
		return wrong(ck, "the zspage at page %u is in another class's list", page);
	if (z->list != list)
		return wrong(ck, "the zspage at page %u is on list %u and says %u", page, list, z->list);
	if (live != z->inuse || live == 0 || z->inuse > z->ready || z->ready > z->capacity)
		return wrong(ck,
			     "the zspage at page %u has %u live objects, %u in use, %u ready, room "
			     "for %u",
			     page, live, z->inuse, z->ready, z->capacity);
	if (z->ready != ready || highest >= z->ready || z->touched > z->pages)
		return wrong(ck, "the zspage at page %u touched %u pages of %u: slots up to %u, and %u ready", page,
			     z->touched, z->pages, highest, z->ready);
	if (z->hint > lowest_free)
		return wrong(ck, "the zspage at page %u has slot %u free, and a hint of %u", page, lowest_free,
			     z->hint);
	if (z->group != zspage_fullness(z) || (z->hot & bits_below(z->touched)))
		return wrong(ck, "the zspage at page %u is in the wrong fullness group", page);
	if ((list == ZS_INUSE_RATIO_100) != (z->inuse == z->capacity) ||
	    (list == ZSL_GROWING) != (z->inuse == z->ready && z->inuse != z->capacity) ||
	    (list < ZS_INUSE_RATIO_100 && list != z->group))
		return wrong(ck, "the zspage at page %u is on the wrong list, %u", page, list);
	found->inuse += z->inuse;
	found->capacity += z->capacity;
	found->touched += z->touched;
	found->zspages[z->group]++;
	ck->tails += (unsigned)__builtin_popcountll(z->hot);
	return claim_pages(ck, page, z->pages);
}

static int check_lists(struct check *ck, unsigned index)
{
	struct zs_class *class = &ck->core->class[index];

	for (unsigned list = 0; list < ZSL_LISTS; list++) {
		uint32_t prev = RUNS_NONE;

		if ((class->nonempty >> list & 1) != (class->head[list] != RUNS_NONE))
			return wrong(ck, "class %u: the map of lists disagrees with list %u", index, list);
		for (uint32_t page = class->head[list]; page != RUNS_NONE;) {
			const struct zspage *z = zspage_at(ck->core, page);
			int r;

			if (page > ck->core->runs.pages - zspage_least_pages(class))
				return wrong(ck, "class %u: list %u leads to page %u, beyond the pool", index, list,
					     page);
			r = check_zspage(ck, class, page, list);
			if (r)
				return r;
			if (z->prev != prev)
				return wrong(ck, "class %u: list %u is broken at page %u", index, list, page);
			prev = page;
			page = z->next;
		}
	}
	return 0;
}

/* Z4, when all zspages were seen. */
static int check_sums(struct check *ck, unsigned index)
{
	const struct zs_class *class = &ck->core->class[index];
	const struct found *found = &ck->found[index];

	if (found->inuse != class->inuse || found->capacity != class->capacity || found->touched != class->touched)
		return wrong(ck, "class %u: the sums are wrong", index);
	for (unsigned g = 0; g < ZS_FULLNESS_GROUPS; g++)
		if (found->zspages[g] != class->zspages[g])
			return wrong(ck, "class %u: fullness group %u counts wrong", index, g);
	ck->used += found->touched;
	ck->objects += found->inuse;
	return 0;
}

/* Z1: the entry names a live slot that names the entry. A full zspage, which is on no list, is found by its first slot. */
static int check_entry(void *opaque, uint32_t owner, struct zs_loc loc)
{
	struct check *ck = opaque;
	struct zs_core *core = ck->core;
	struct zspage *z;

	ck->entries++;
	if (loc.class_index >= core->classes || loc.page >= core->runs.pages ||
	    loc.slot >= core->class[loc.class_index].geo.objects)
		return wrong(ck, "entry %u: no such place", owner);
	if (zs_core_is_huge(core, loc.class_index)) {
		ck->huge++;
		ck->used++;
		return claim_pages(ck, loc.page, 1);
	}
	z = zspage_at(core, loc.page);
	if (z->class_index != loc.class_index || loc.slot >= z->capacity || !zspage_slot_live(z, loc.slot))
		return wrong(ck, "entry %u: its slot %u of the zspage at page %u is not in use", owner, loc.slot,
			     loc.page);
	if (zspage_owners(&core->class[loc.class_index], z)[loc.slot] != owner)
		return wrong(ck, "entry %u: its slot says it belongs to entry %u", owner,
			     zspage_owners(&core->class[loc.class_index], z)[loc.slot]);
	if (loc.slot == 0 && z->list == ZS_INUSE_RATIO_100)
		return check_zspage(ck, &core->class[loc.class_index], loc.page, ZS_INUSE_RATIO_100);
	return 0;
}

const char *zs_core_check_object(struct zs_core *core, uint32_t owner, struct zs_loc loc)
{
	const char *wrong = NULL;
	struct zs_class *class;
	struct zspage *z;

	if (loc.class_index >= core->classes || loc.page >= core->runs.pages ||
	    loc.slot >= core->class[loc.class_index].geo.objects)
		return "its object has no place in the pool";
	if (zs_core_is_huge(core, loc.class_index))
		return NULL;
	class = &core->class[loc.class_index];
	z = zspage_at(core, loc.page);
	pthread_mutex_lock(&class->lock);
	if (z->class_index != loc.class_index || loc.slot >= z->capacity || !zspage_slot_live(z, loc.slot))
		wrong = "its object is in a slot that is not in use";
	else if (zspage_owners(class, z)[loc.slot] != owner)
		wrong = "its object belongs to another block";
	pthread_mutex_unlock(&class->lock);
	return wrong;
}

/*
 * Pages in magazines are in no zspage, and each is in one of them. They are counted as in use. All magazines are held.
 */
static int check_magazines(struct check *ck)
{
	const struct magazines *magazines = &ck->core->runs.magazines;
	int r = 0;

	for (unsigned i = 0; i < magazines->n && !r; i++) {
		struct magazine *magazine = &magazines->all[i];

		if (magazine->count > MAGAZINE_PAGES)
			r = wrong(ck, "magazine %u holds %u pages", i, magazine->count);
		for (unsigned n = 0; n < magazine->count && !r; n++)
			r = claim_pages(ck, magazine->page[n], 1);
		ck->used += magazine->count;
	}
	return r;
}

static int check_held(struct check *ck, zs_scan_fn *scan, void *owner_table)
{
	const char *why;
	int r = 0;

	for (unsigned i = 0; i + 1 < ck->core->classes && !r; i++)
		r = check_lists(ck, i);
	if (!r)
		r = scan(owner_table, check_entry, ck);
	for (unsigned i = 0; i + 1 < ck->core->classes && !r; i++)
		r = check_sums(ck, i);
	if (!r)
		r = check_magazines(ck);
	if (r)
		return r;
	/* Each entry has its own live slot, and there are as many entries as slots: none is orphaned. */
	if (ck->entries != ck->objects + ck->huge || ck->huge != zs_core_huge_objects(ck->core))
		return wrong(ck, "%llu entries, %llu objects and %llu huge ones (counted: %llu)",
			     (unsigned long long)ck->entries, (unsigned long long)ck->objects,
			     (unsigned long long)ck->huge, (unsigned long long)zs_core_huge_objects(ck->core));
	if (ck->used != ck->core->runs.used || ck->tails != ck->core->runs.tails)
		return wrong(ck, "%llu pages are in use, and %llu are counted", (unsigned long long)ck->used,
			     (unsigned long long)ck->core->runs.used);
	why = runs_check(&ck->core->runs, ck->pages);
	return why ? wrong(ck, "%s", why) : 0;
}

static int check_all(struct check *ck, zs_scan_fn *scan, void *owner_table)
{
	int r;

	/* Threads in the background empty magazines, also while nothing is allocated or freed. */
	magazines_hold(&ck->core->runs.magazines);
	r = check_held(ck, scan, owner_table);
	magazines_release(&ck->core->runs.magazines);
	return r;
}

int zs_core_check(struct zs_core *core, zs_scan_fn *scan, void *owner_table, char *why, size_t why_size)
{
	size_t words = ((size_t)core->runs.pages + 63) / 64;
	size_t bytes = words * sizeof(uint64_t) + core->classes * sizeof(struct found);
	struct check ck = {
		.core = core,
		.pages = segment_private_map(bytes),
		.why = why,
		.why_size = why_size,
	};
	int r;

	if (!ck.pages)
		return wrong(&ck, "no memory for the check");
	ck.found = (struct found *)(ck.pages + words);
	/* Compaction has zspages on no list while it works on them. */
	pthread_mutex_lock(&core->compaction);
	r = check_all(&ck, scan, owner_table);
	pthread_mutex_unlock(&core->compaction);
	segment_private_unmap(ck.pages, bytes);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compaction: from the emptiest zspage to the fullest.
 *
 *   1 isolate the emptiest zspage of the class: nothing is allocated from it any more, unless memory is short;
 *   2 move its objects, one by one, to the fullest zspages that have room in touched pages;
 *   3 if it is empty now, give it back; if there is no room left elsewhere, move its objects to
 *     its own start, and give back the pages behind them.
 *
 * So a class ends with full zspages, the last of them a short one. The last page of each class is half full on average,
 * which is much for a small pool with some hundred classes. Settling, the end of a compaction, empties such pages: it
 * moves their objects to the next larger classes.
 *
 * No request waits for longer than the move of one object: its owner holds that one object still while it is copied.
 *
 * An object that is overwritten or freed meanwhile is no longer in the zspage, and is not moved. A class is done when
 * there is no room left, when an object that is held keeps the zspage from shrinking, or after as many steps as the
 * class has zspages. The last rule ends the work in a class where writers keep making holes.
 */
#include "zsmalloc/zspage.h"

#include <errno.h>

struct resident {
	uint16_t slot;
	uint16_t reach; /* for settling: how many classes up it may go */
	uint32_t owner;
};

/*
 * List the objects of an isolated zspage. Some may be freed later. Others may come in if memory is short: they stay, and
 * with them the zspage. Under the lock.
 */
static unsigned list_residents(struct zs_class *class, struct zspage *z, struct resident *list)
{
	const uint32_t *owners = zspage_owners(class, z);
	unsigned n = 0;

	for (unsigned slot = 0; slot < z->capacity; slot++)
		if (zspage_slot_live(z, slot))
			list[n++] = (struct resident){.slot = (uint16_t)slot, .owner = owners[slot]};
	return n;
}

/* The emptiest zspage with room. */
static uint32_t emptiest(const struct zs_class *class)
{
	uint32_t groups = class->nonempty & ((1u << ZS_INUSE_RATIO_100) - 1);

	return groups ? class->head[__builtin_ctz(groups)] : RUNS_NONE;
}

/* Take a zspage off its list, until reinstate(). One of each class at a time. Under the lock. */
static void isolate(struct zs_core *core, struct zs_class *class, uint32_t page)
{
	zspage_delist(core, class, page);
	class->isolated = page;
}

static unsigned highest_live(const struct zspage *z)
{
	for (unsigned slot = z->ready; slot-- > 0;)
		if (zspage_slot_live(z, slot))
			return slot;
	return 0;
}

/*
 * Shorten an isolated zspage to its last object. The pages behind go back as a run of their own, and those that are
 * populated stay so: the upkeep of runs decides what the system gets back. Returns pages freed.
 */
static unsigned cut_tail(struct zs_core *core, struct zs_class *class, uint32_t page)
{
	struct zspage *z = zspage_at(core, page);
	unsigned keep, gone, capacity;
	struct run tail;

	pthread_mutex_lock(&class->lock);
	keep = zspage_pages_for(class, highest_live(z));
	gone = z->touched - keep;
	tail = (struct run){.page = page + keep,
			    .pages = z->pages - keep,
			    .hot = keep == 64 ? 0 : (z->hot | bits_below(z->touched)) >> keep};
	atomic_fetch_sub_explicit(&core->runs.tails, (uint64_t)__builtin_popcountll(z->hot), memory_order_relaxed);
	capacity = zspage_slots_in(class, keep);
	capacity = capacity < z->capacity ? capacity : z->capacity;
	figure_sub(&class->capacity, z->capacity - capacity);
	figure_sub(&class->touched, gone);
	z->capacity = z->ready = (uint16_t)capacity;
	z->pages = z->touched = (uint8_t)keep;
	z->hot = 0;
	zspage_relist(core, class, page);
	pthread_mutex_unlock(&class->lock);

	runs_uncharge(&core->runs, gone);
	if (tail.pages)
		runs_give(&core->runs, &tail);
	return gone;
}

/* Put an isolated zspage back on its list, or give its pages back if it is empty now. Returns pages freed. */
static unsigned reinstate(struct zs_core *core, struct zs_class *class, uint32_t page)
{
	struct zspage *z = zspage_at(core, page);
	struct run run;
	unsigned touched;
	bool empty;

	pthread_mutex_lock(&class->lock);
	class->isolated = RUNS_NONE;
	empty = z->inuse == 0;
	if (empty) {
		run = zspage_unlink(core, class, page, &touched);
	} else {
		zspage_enlist(core, class, page);
	}
	pthread_mutex_unlock(&class->lock);
	if (!empty)
		return 0;
	zspage_release(core, &run, touched);
	return touched;
}

static void slide(struct zs_core *core, struct zs_class *class, uint32_t page, zs_move_fn *move, void *opaque)
{
	struct resident list[ZS_MAX_OBJS];
	struct zspage *z = zspage_at(core, page);
	uint16_t class_index = z->class_index;
	unsigned n;

	pthread_mutex_lock(&class->lock);
	z->list = ZSL_SLIDING;
	n = list_residents(class, z, list);
	pthread_mutex_unlock(&class->lock);
	/* From the last object down. An object that has no free slot below its own stays where it is. */
	while (n-- > 0) {
		struct zs_loc from = {page, list[n].slot, class_index};

		move(opaque, list[n].owner, from);
	}
}

/* Is there room in touched pages of zspages that are on a list? */
static bool has_room(const struct zs_class *class)
{
	return class->nonempty & ((1u << ZS_INUSE_RATIO_100) - 1);
}

/* Returns pages freed; *done when the class has nothing more to gain. */
static uint64_t compact_one(struct zs_core *core, struct zs_class *class, zs_move_fn *move, void *opaque, bool *done)
{
	struct resident list[ZS_MAX_OBJS];
	uint64_t freed = 0;
	uint16_t class_index = (uint16_t)(class - core->class);
	unsigned n, moved = 0;
	struct zspage *z;
	bool empty, room;
	uint32_t page;

	pthread_mutex_lock(&class->lock);
	page = zs_class_freeable(class) ? emptiest(class) : RUNS_NONE;
	if (page == RUNS_NONE) {
		pthread_mutex_unlock(&class->lock);
		*done = true;
		return 0;
	}
	z = zspage_at(core, page);
	isolate(core, class, page);
	n = list_residents(class, z, list);
	pthread_mutex_unlock(&class->lock);

	for (unsigned i = 0; i < n; i++) {
		struct zs_loc from = {page, list[i].slot, class_index};

		moved += move(opaque, list[i].owner, from);
	}
	pthread_mutex_lock(&class->lock);
	empty = z->inuse == 0;
	room = has_room(class);
	pthread_mutex_unlock(&class->lock);
	*done = !empty && (!room || !moved);
	if (*done) {
		slide(core, class, page, move, opaque);
		freed = cut_tail(core, class, page);
	}
	return freed + reinstate(core, class, page);
}

/* A cursor has the class, and the number of steps that are left in it; 0: the class is not begun. */
#define CURSOR_CLASSES (1u << ZS_LOC_CLASS_BITS)

/* One step for each zspage, and one more. What could still be gained then was made by writers meanwhile. */
static unsigned steps_for(struct zs_class *class)
{
	const unsigned most = UINT32_MAX / CURSOR_CLASSES;
	uint64_t zspages;

	pthread_mutex_lock(&class->lock);
	zspages = zspage_count(class);
	pthread_mutex_unlock(&class->lock);
	return zspages < most ? (unsigned)zspages + 1 : most;
}

uint64_t zs_core_compact_step(struct zs_core *core, unsigned *cursor, zs_move_fn *move, void *opaque, bool *more)
{
	unsigned index = *cursor % CURSOR_CLASSES, left = *cursor / CURSOR_CLASSES;
	uint64_t freed = 0;
	bool done = true;

	pthread_mutex_lock(&core->compaction);
	if (index + 1 < core->classes) {
		left = left ? left : steps_for(&core->class[index]);
		freed = compact_one(core, &core->class[index], move, opaque, &done);
		left--;
		*cursor = done || !left ? index + 1 : index + left * CURSOR_CLASSES;
	}
	/* The last class is huge: each of its objects has a page of its own, so there is nothing to gain. */
	*more = *cursor % CURSOR_CLASSES + 1 < core->classes;
	if (!*more)
		magazines_drain(&core->runs);
	atomic_fetch_add_explicit(&core->pages_compacted, freed, memory_order_relaxed);
	pthread_mutex_unlock(&core->compaction);
	return freed;
}

/* ------------------------------------------------------------------ settling */

/*
 * Two ways, in each class from the smallest up:
 *
 *   join    all objects of the class's last zspage go to one larger class, where they take fewer new pages
 *           than they leave;
 *   spread  the objects in its last page go to free slots of the ZS_BORROW next larger classes.
 */

/*
 * The most objects that are moved for one page. Each wastes the difference to its new class, up to ZS_BORROW steps:
 * together no more than half of the page that is gained.
 */
#define SETTLE_MOST (ZS_PAGE_SIZE / 2 / (ZS_BORROW * ZS_CLASS_STEP))

/* The zspage with the class's last page, if that page is not full; RUNS_NONE otherwise. Under the lock. */
static uint32_t last_zspage(const struct zs_class *class)
{
	uint32_t page = emptiest(class);

	return page == RUNS_NONE ? class->head[ZSL_GROWING] : page;
}

/* Isolate that zspage for settling, if compaction has nothing to gain in the class. Under the lock. */
static uint32_t isolate_last(struct zs_core *core, struct zs_class *class)
{
	uint32_t page = zs_class_freeable(class) ? RUNS_NONE : last_zspage(class);

	if (page == RUNS_NONE)
		return RUNS_NONE;
	isolate(core, class, page);
	zspage_at(core, page)->list = ZSL_SETTLING;
	zspage_at(core, page)->target = 0;
	return page;
}

/* Objects that are to go from one zspage to larger classes. */
struct leaving {
	struct zs_core *core;
	const struct zs_settler *settler;
	void *opaque;
	unsigned class_index;
	uint32_t page;
	struct resident *list;
	unsigned n;
};

static struct zs_loc leaving_from(const struct leaving *leaving, unsigned i)
{
	return (struct zs_loc){leaving->page, leaving->list[i].slot, (uint16_t)leaving->class_index};
}

/* Objects that can go only to near classes go first. */
static void leave(const struct leaving *leaving)
{
	for (unsigned reach = 1; reach <= ZS_BORROW; reach++) {
		for (unsigned i = 0; i < leaving->n; i++) {
			const struct resident *object = &leaving->list[i];

			/* If somebody was here meanwhile the page stays, and moving the rest is of no use. */
			if (object->reach == reach &&
			    !leaving->settler->move(leaving->opaque, object->owner, leaving_from(leaving, i)))
				return;
		}
	}
}

/* ---------------- join */

/*
 * What it takes for n more objects to fit the class's last zspage: returns the number of slots that have to be ready
 * there, and in *pages the number of pages that have to be touched for that. 0: the objects do not fit. Under the lock.
 */
static unsigned ready_for(const struct zs_core *core, const struct zs_class *class, unsigned n, bool hot_only,
			  unsigned *pages)
{
	const struct zspage *z;
	unsigned ready, touched;

	*pages = 0;
	if (last_zspage(class) == RUNS_NONE)
		return 0;
	z = zspage_at(core, last_zspage(class));
	if (z->inuse + n > z->capacity)
		return 0;
	if (z->inuse + n <= z->ready)
		return z->ready;
	ready = z->inuse + n;
	touched = zspage_pages_for(class, ready - 1);
	/* An object is moved while its block is held still, and that must not wait for memory. */
	if (hot_only && (bits_below(touched) & ~bits_below(z->touched) & ~z->hot))
		return 0;
	*pages = touched - z->touched;
	return ready;
}

/* Touch those pages. False: the room is not there any more. */
static bool make_ready(struct zs_core *core, struct zs_class *class, unsigned n, bool hot_only, unsigned *pages)
{
	unsigned ready;

	pthread_mutex_lock(&class->lock);
	ready = ready_for(core, class, n, hot_only, pages);
	if (ready && *pages) {
		uint32_t page = last_zspage(class);

		if (zspage_grow(core, class, zspage_at(core, page), ready - 1, 0))
			ready = *pages = 0;
		else
			zspage_relist(core, class, page);
	}
	pthread_mutex_unlock(&class->lock);
	return ready != 0;
}

/* The class where the objects take the fewest new pages, if those are fewer than `most`; 0: there is none. */
static unsigned best_target(const struct leaving *leaving, unsigned most, bool hot_only)
{
	unsigned reach = ZS_BORROW, best = 0;

	for (unsigned i = 0; i < leaving->n; i++)
		reach = leaving->list[i].reach < reach ? leaving->list[i].reach : reach;
	for (unsigned up = 1; up <= reach && leaving->class_index + up < leaving->core->classes - 1; up++) {
		struct zs_class *class = &leaving->core->class[leaving->class_index + up];
		unsigned pages, ready;

		pthread_mutex_lock(&class->lock);
		ready = ready_for(leaving->core, class, leaving->n, hot_only, &pages);
		pthread_mutex_unlock(&class->lock);
		/* Near the limit the last pages are the writers'. */
		if (ready && pages < most && (!pages || runs_has_room(&leaving->core->runs, pages + RUNS_CHUNK, 0))) {
			most = pages;
			best = leaving->class_index + up;
		}
	}
	return best;
}

/*
 * After objects that did not come: give back the class's last pages, as far as no object uses them. Returns pages
 * freed.
 */
static unsigned take_back(struct zs_core *core, struct zs_class *class)
{
	unsigned freed = 0;
	uint32_t page;

	pthread_mutex_lock(&class->lock);
	page = last_zspage(class);
	if (page != RUNS_NONE)
		isolate(core, class, page);
	pthread_mutex_unlock(&class->lock);
	if (page == RUNS_NONE)
		return 0;
	freed = cut_tail(core, class, page);
	return freed + reinstate(core, class, page);
}

/* Move the objects to that class. False: not all of them have moved. */
static bool leave_for(const struct leaving *leaving, unsigned target)
{
	struct zs_class *class = &leaving->core->class[leaving->class_index];
	struct zspage *z = zspage_at(leaving->core, leaving->page);
	bool all;

	pthread_mutex_lock(&class->lock);
	z->target = (uint16_t)target;
	pthread_mutex_unlock(&class->lock);
	leave(leaving);
	pthread_mutex_lock(&class->lock);
	z->target = 0;
	all = z->inuse == 0;
	pthread_mutex_unlock(&class->lock);
	return all;
}

/* `touched`: pages of the zspage. False: there is no such class. *taken: pages touched there, 0 at the start. */
static bool join(const struct leaving *leaving, unsigned touched, unsigned *taken)
{
	struct zs_core *core = leaving->core;
	bool hot_only = runs_has_reserve(&core->runs);
	unsigned target = leaving->n <= SETTLE_MOST ? best_target(leaving, touched, hot_only) : 0;
	bool ready = target && make_ready(core, &core->class[target], leaving -> n, hot_only, taken);

	if (!ready)
		return false;
	if (!leave_for(leaving, target) && *taken) {
		unsigned back = take_back(core, &core->class[target]);

		*taken -= back < *taken ? back : *taken;
	}
	return true;
}

/* ---------------- spread */

/* Free slots in touched pages of one zspage of each fullness group. After a compaction there is seldom another. */
static unsigned ready_room(struct zs_core *core, struct zs_class *class)
{
	unsigned room = 0;

	pthread_mutex_lock(&class->lock);
	for (unsigned group = ZS_INUSE_RATIO_10; group < ZS_INUSE_RATIO_100; group++) {
		if (class->head[group] != RUNS_NONE) {
			const struct zspage *z = zspage_at(core, class->head[group]);

			room += z->ready - z->inuse;
		}
	}
	pthread_mutex_unlock(&class->lock);
	return room;
}

/* True if there is room for all of the objects. Those that can go only to near classes have the first choice there. */
static bool others_have_room(const struct leaving *leaving)
{
	unsigned room = 0, objects = 0, at_most[ZS_BORROW + 1] = {0};

	for (unsigned i = 0; i < leaving->n; i++)
		at_most[leaving->list[i].reach]++;
	for (unsigned reach = 0; reach <= ZS_BORROW && room >= objects; reach++) {
		if (reach && leaving->class_index + reach < leaving->core->classes - 1)
			room += ready_room(leaving->core, &leaving->core->class[leaving->class_index + reach]);
		objects += at_most[reach];
	}
	return room >= objects;
}

/* `first`: the first slot that lies in the last page, wholly or in part. Returns pages freed. */
static unsigned spread(const struct leaving *all, unsigned first)
{
	struct zs_class *class = &all->core->class[all->class_index];
	const struct zspage *z = zspage_at(all->core, all->page);
	struct leaving leaving = *all;
	bool gained;

	while (leaving.n && leaving.list->slot < first) {
		leaving.list++;
		leaving.n--;
	}
	if (leaving.n > SETTLE_MOST || !others_have_room(&leaving))
		return 0;
	leave(&leaving);
	pthread_mutex_lock(&class->lock);
	gained = z->inuse && highest_live(z) < first;
	pthread_mutex_unlock(&class->lock);
	return gained ? cut_tail(all->core, class, all->page) : 0;
}

/* ---------------- both */

/* Returns pages freed. */
static uint64_t settle_one(struct zs_core *core, unsigned class_index, const struct zs_settler *settler, void *opaque)
{
	struct zs_class *class = &core->class[class_index];
	struct resident list[ZS_MAX_OBJS];
	struct leaving leaving = {core, settler, opaque, class_index, RUNS_NONE, list, 0};
	unsigned first, touched, taken = 0;
	uint64_t freed = 0;
	struct zspage *z;

	pthread_mutex_lock(&class->lock);
	leaving.page = isolate_last(core, class);
	if (leaving.page == RUNS_NONE) {
		pthread_mutex_unlock(&class->lock);
		return 0;
	}
	z = zspage_at(core, leaving.page);
	leaving.n = list_residents(class, z, list);
	touched = z->touched;
	first = zspage_slots_in(class, touched - 1);
	pthread_mutex_unlock(&class->lock);
	for (unsigned i = 0; i < leaving.n; i++)
		list[i].reach = (uint16_t)settler->reach(opaque, list[i].owner, leaving_from(&leaving, i));
	if (!join(&leaving, touched, &taken))
		freed = spread(&leaving, first);
	freed += reinstate(core, class, leaving.page);
	return freed > taken ? freed - taken : 0;
}

/*
 * The most steps in one class. The free slots in the last pages of the ZS_BORROW classes above are less than ZS_BORROW
 * pages. What further steps could gain was made by writers meanwhile.
 */
#define SETTLE_STEPS (ZS_BORROW + 1u)

uint64_t zs_core_settle_step(struct zs_core *core, unsigned *cursor, const struct zs_settler *settler, void *opaque,
			     bool *more)
{
	unsigned index = *cursor % CURSOR_CLASSES, left = *cursor / CURSOR_CLASSES;
	uint64_t freed = 0;

	pthread_mutex_lock(&core->compaction);
	/*
	 * From the smallest class up: an object that came from a smaller class can move up again. The last class is
	 * huge.
	 */
	if (index + 2 < core->classes) {
		left = left ? left : SETTLE_STEPS;
		freed = settle_one(core, index, settler, opaque);
		left--;
		/* A class that gave a page back may have another one to give. */
		*cursor = !freed || !left ? index + 1 : index + left * CURSOR_CLASSES;
	}
	*more = *cursor % CURSOR_CLASSES + 2 < core->classes;
	atomic_fetch_add_explicit(&core->pages_compacted, freed, memory_order_relaxed);
	pthread_mutex_unlock(&core->compaction);
	return freed;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compaction: from the emptiest zspage to the fullest.
 *
 *   1 isolate the emptiest zspage of the class: nothing is allocated from it any more;
 *   2 move its objects, one by one, to the fullest zspages that have room in touched pages;
 *   3 if it is empty now, give it back; if there is no room left elsewhere, move its objects to
 *     its own start, and give back the pages behind them.
 *
 * So a class ends with full zspages, the last of them a short one. Some hundred classes with half a page each are more than a
 * small pool can bear; settling moves what is in such a page to free slots of the next larger classes. Requests are never held up
 * for longer than the move of one object: its owner holds that one object still while it is copied.
 *
 * Objects that are overwritten or freed meanwhile leave the zspage by themselves. The class is done when no room is
 * left, when an object that is held keeps the zspage from shrinking, or after as many steps as the class has
 * zspages: writers that keep making holes do not keep compaction in one class for ever.
 */
#include "zsmalloc/zspage.h"

#include <errno.h>

struct resident {
	uint16_t slot;
	uint16_t reach; /* for settling: how many classes up it may go */
	uint32_t owner;
};

/* What is alive in an isolated zspage now; it can only become less. Under the lock. */
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

static unsigned highest_live(const struct zspage *z)
{
	for (unsigned slot = z->ready; slot-- > 0;)
		if (zspage_slot_live(z, slot))
			return slot;
	return 0;
}

/*
 * Shorten an isolated zspage to its last object: the pages behind go back as a run of their own,
 * populated as they are, so that what is ready stays ready and the reserve decides what the system
 * gets. Returns pages freed.
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
	class->capacity -= z->capacity - capacity;
	class->touched -= gone;
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

/* Put an isolated zspage back to its list, or give its pages back if it became empty. Returns pages freed. */
static unsigned reinstate(struct zs_core *core, struct zs_class *class, uint32_t page)
{
	struct zspage *z = zspage_at(core, page);
	struct run run;
	unsigned touched;
	bool empty;

	pthread_mutex_lock(&class->lock);
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
	/* From the last one down; those that are low already find no free slot below their own, and stay. */
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
	zspage_delist(core, class, page);
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

/* A cursor: the class, and how many steps may still be done in it; 0: it is not begun. */
#define CURSOR_CLASSES (1u << ZS_LOC_CLASS_BITS)

/* As many as it has zspages: what can be gained after that was made by writers meanwhile. */
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
	/* The last class is huge: its objects have nowhere better to be. */
	*more = *cursor % CURSOR_CLASSES + 1 < core->classes;
	if (!*more)
		magazines_drain(&core->runs);
	atomic_fetch_add_explicit(&core->pages_compacted, freed, memory_order_relaxed);
	pthread_mutex_unlock(&core->compaction);
	return freed;
}

/* ------------------------------------------------------------------ settling */

/* More objects are not moved for one page: each wastes the difference between two classes, up to three times. */
#define SETTLE_MOST (ZS_PAGE_SIZE / 2 / (ZS_BORROW * ZS_CLASS_STEP))

/* Free slots in touched pages of one zspage of each fullness group: most of the time there is no other. */
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

/* Is there room for all of these? Whoever can go to a near class only has the first choice there. */
static bool others_have_room(struct zs_core *core, unsigned class_index, const struct resident *list, unsigned n)
{
	unsigned room = 0, objects = 0, at_most[ZS_BORROW + 1] = {0};

	for (unsigned i = 0; i < n; i++)
		at_most[list[i].reach]++;
	for (unsigned reach = 0; reach <= ZS_BORROW && room >= objects; reach++) {
		if (reach && class_index + reach < core->classes - 1)
			room += ready_room(core, &core->class[class_index + reach]);
		objects += at_most[reach];
	}
	return room >= objects;
}

/* Move all of these to the next larger classes, where there was room for them when they were looked at. */
static void spread(struct zs_core *core, uint32_t page, const struct resident *list, unsigned n, zs_move_fn *move,
		   void *opaque)
{
	uint16_t class_index = zspage_at(core, page)->class_index;

	for (unsigned reach = 1; reach <= ZS_BORROW; reach++) {
		for (unsigned i = 0; i < n; i++) {
			struct zs_loc from = {page, list[i].slot, class_index};

			/* Somebody was here meanwhile. Then the page stays, and moving the rest is of no use. */
			if (list[i].reach == reach && !move(opaque, list[i].owner, from))
				return;
		}
	}
}

/* Isolate the zspage with the class's last page, if it is not a full one. Under the lock. */
static uint32_t isolate_last(struct zs_core *core, struct zs_class *class)
{
	uint32_t page = zs_class_freeable(class) ? RUNS_NONE : emptiest(class);

	if (page == RUNS_NONE && !zs_class_freeable(class))
		page = class->head[ZSL_GROWING];
	if (page == RUNS_NONE)
		return RUNS_NONE;
	zspage_delist(core, class, page);
	zspage_at(core, page)->list = ZSL_SETTLING;
	return page;
}

/* Returns pages freed. */
static uint64_t settle_one(struct zs_core *core, unsigned class_index, const struct zs_settler *settler, void *opaque)
{
	struct zs_class *class = &core->class[class_index];
	struct resident list[ZS_MAX_OBJS];
	unsigned n, first, kept = 0;
	uint64_t freed = 0;
	struct zspage *z;
	uint32_t page;
	bool gained;

	pthread_mutex_lock(&class->lock);
	page = isolate_last(core, class);
	if (page == RUNS_NONE) {
		pthread_mutex_unlock(&class->lock);
		return 0;
	}
	z = zspage_at(core, page);
	n = list_residents(class, z, list);
	/* Those that lie in its last page, wholly or in part. */
	first = zspage_slots_in(class, z->touched - 1u);
	pthread_mutex_unlock(&class->lock);
	while (kept < n && list[kept].slot < first)
		kept++;
	for (unsigned i = kept; i < n; i++)
		list[i].reach = (uint16_t)settler->reach(opaque, list[i].owner,
							 (struct zs_loc){page, list[i].slot, (uint16_t)class_index});
	if (n - kept <= SETTLE_MOST && others_have_room(core, class_index, list + kept, n - kept)) {
		spread(core, page, list + kept, n - kept, settler->move, opaque);
		pthread_mutex_lock(&class->lock);
		gained = z->inuse && highest_live(z) < first;
		pthread_mutex_unlock(&class->lock);
		if (gained)
			freed = cut_tail(core, class, page);
	}
	return freed + reinstate(core, class, page);
}

/*
 * The free slots in the last pages of the classes above are less than ZS_BORROW pages: what more steps in one class could gain
 * was made by writers meanwhile.
 */
#define SETTLE_STEPS (ZS_BORROW + 1u)

uint64_t zs_core_settle_step(struct zs_core *core, unsigned *cursor, const struct zs_settler *settler, void *opaque,
			     bool *more)
{
	unsigned index = *cursor % CURSOR_CLASSES, left = *cursor / CURSOR_CLASSES;
	uint64_t freed = 0;

	pthread_mutex_lock(&core->compaction);
	/* From the smallest class up: what came from below can go on upwards. The last class is huge. */
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

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The allocator's core: allocation and freeing. See core.h; layout and lists: zspage.h.
 *
 * Invariants
 *   Z1 a live slot belongs to exactly one table entry of the owner, whose number it carries;
 *   Z2 inuse <= ready <= capacity, all live slots are below ready, and no slot below hint is free;
 *   Z3 a zspage is on the list that its counts say, on none if it is full, or isolated by compaction;
 *   Z4 the sums in struct zs_class and runs.used are those of the zspages.
 *
 * Locks: compaction, then (the owner's own locks,) then one class, then one magazine, then runs. Never two classes.
 * Under a class lock there is no system call but the page fault of a first touch, and no waiting.
 */
#include "zsmalloc/zspage.h"

#include "process/lock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ life */

static int make_classes(struct zs_core *core, unsigned chain)
{
	struct class_geometry geo[ZS_MAX_CLASSES];
	struct class_rules rules = class_rules_default(chain);
	int n = class_table(&rules, geo, ZS_MAX_CLASSES, core->map);

	if (n < 0)
		return n;
	core->class = aligned_alloc(64, (size_t)n * sizeof *core->class);
	if (!core->class)
		return -ENOMEM;
	memset(core->class, 0, (size_t)n * sizeof *core->class);
	core->classes = (unsigned)n;
	for (unsigned i = 0; i < core->classes; i++) {
		lock_init(&core->class[i].lock);
		memset(core->class[i].head, 0xff, sizeof core->class[i].head);
		core->class[i].isolated = RUNS_NONE;
		core->class[i].geo = geo[i];
		core->place[i].size = (uint16_t)geo[i].size;
		core->place[i].first = (uint16_t)geo[i].first_object;
	}
	return 0;
}

int zs_core_create(struct zs_core **result, struct segment *seg, uint64_t offset, uint64_t pages, unsigned chain)
{
	struct zs_core *core;
	int r;

	*result = NULL;
	if (chain < 1 || chain > ZS_MAX_CHAIN || pages < 1 || pages > ZS_MAX_POOL_PAGES)
		return -EINVAL;
	core = aligned_alloc(64, sizeof *core);
	if (!core)
		return -ENOMEM;
	memset(core, 0, sizeof *core);
	core->base = seg->base + offset;
	core->chain = chain;
	pthread_mutex_init(&core->compaction, NULL);
	r = runs_init(&core->runs, seg, offset, (uint32_t)pages);
	if (!r)
		r = make_classes(core, chain);
	if (r) {
		zs_core_destroy(core);
		return r;
	}
	*result = core;
	return 0;
}

void zs_core_destroy(struct zs_core *core)
{
	if (!core)
		return;
	for (unsigned i = 0; i < core->classes; i++)
		pthread_mutex_destroy(&core->class[i].lock);
	free(core->class);
	runs_destroy(&core->runs);
	pthread_mutex_destroy(&core->compaction);
	free(core);
}

/* ------------------------------------------------------------------ places */

unsigned zs_core_class_of(const struct zs_core *core, unsigned size)
{
	assert(size >= 1 && size <= ZS_MAX_OBJECT);
	return core->map[(size + ZS_CLASS_STEP - 1) / ZS_CLASS_STEP];
}

unsigned zs_core_class_size(const struct zs_core *core, unsigned class_index)
{
	return core->place[class_index].size;
}

bool zs_core_is_huge(const struct zs_core *core, unsigned class_index)
{
	return class_index == core->classes - 1;
}

unsigned zs_core_huge_watermark(const struct zs_core *core)
{
	return core->place[core->classes - 2].size;
}

void zs_core_prefetch_free(const struct zs_core *core, struct zs_loc loc)
{
	const struct zspage *z = zspage_at(core, loc.page);

	if (zs_core_is_huge(core, loc.class_index))
		return;
	__builtin_prefetch(z, 1);
	__builtin_prefetch(&z->live[loc.slot / 64], 1);
}

void *zs_core_address(const struct zs_core *core, struct zs_loc loc)
{
	return (uint8_t *)zs_core_page(core, loc.page) + core->place[loc.class_index].first +
	       (uint32_t)loc.slot * core->place[loc.class_index].size;
}

/* ------------------------------------------------------------------ allocation */

static int alloc_huge(struct zs_core *core, unsigned class_index, unsigned beyond, struct zs_loc *loc)
{
	*loc = (struct zs_loc){.class_index = (uint16_t)class_index};
	return magazine_take(&core->runs, beyond, &loc->page);
}

static struct zs_loc slot_from(struct zs_core *core, struct zs_class *class, uint32_t page, uint32_t owner)
{
	struct zspage *z = zspage_at(core, page);
	struct zs_loc loc = {
		.page = page, .slot = (uint16_t)zspage_take_slot(class, z, owner), .class_index = z->class_index};

	zspage_relist(core, class, page);
	return loc;
}

/* The fullest zspage with room in pages already touched. */
static bool alloc_ready(struct zs_core *core, struct zs_class *class, uint32_t owner, struct zs_loc *loc)
{
	uint32_t groups = class->nonempty & ((1u << ZS_INUSE_RATIO_100) - 1);

	if (!groups)
		return false;
	*loc = slot_from(core, class, class->head[31 - __builtin_clz(groups)], owner);
	return true;
}

/* A zspage with pages not touched yet: touch the next one. -EAGAIN if there is no such zspage. */
static int alloc_growing(struct zs_core *core, struct zs_class *class, uint32_t owner, unsigned beyond,
			 struct zs_loc *loc)
{
	uint32_t page = class->head[ZSL_GROWING];
	struct zspage *z;
	int r;

	if (page == RUNS_NONE)
		return -EAGAIN;
	z = zspage_at(core, page);
	r = zspage_grow(core, class, z, z->ready, beyond);
	if (!r)
		*loc = slot_from(core, class, page, owner);
	return r;
}

/* From a zspage that the class has. Under the lock. -EAGAIN: there is none with room. */
static int alloc_existing(struct zs_core *core, struct zs_class *class, uint32_t owner, unsigned beyond,
			  struct zs_loc *loc)
{
	return alloc_ready(core, class, owner, loc) ? 0 : alloc_growing(core, class, owner, beyond, loc);
}

/* Allocate from a zspage that was formatted, and make it one of the class. Under the lock. -ENOSPC: it is not. */
static int use_zspage(struct zs_core *core, struct zs_class *class, const struct run *run, uint32_t owner,
		      unsigned beyond, struct zs_loc *loc)
{
	struct zspage *z = zspage_at(core, run->page);
	int r;

	atomic_fetch_add_explicit(&core->runs.tails, (uint64_t)__builtin_popcountll(run->hot), memory_order_relaxed);
	r = zspage_grow(core, class, z, 0, beyond);
	if (r) {
		atomic_fetch_sub_explicit(&core->runs.tails, (uint64_t)__builtin_popcountll(run->hot),
					  memory_order_relaxed);
		return r;
	}
	figure_add(&class->capacity, z->capacity);
	figure_add(&class->zspages[ZS_INUSE_RATIO_0], 1);
	zspage_enlist(core, class, run->page);
	*loc = slot_from(core, class, run->page, owner);
	return 0;
}

/* Take a new zspage for the class and allocate from it. Without the lock, which is taken here. */
static int alloc_new(struct zs_core *core, unsigned class_index, uint32_t owner, unsigned beyond, struct zs_loc *loc)
{
	struct zs_class *class = &core->class[class_index];
	struct run run;
	bool used = false;
	int r;

	/* At the limit no page is touched for a zspage that could not be used. */
	if (!runs_has_room(&core->runs, zspage_least_pages(class), beyond))
		return -ENOSPC;
	r = runs_take(&core->runs, class->geo.pages, zspage_least_pages(class), &run);
	if (r)
		return r;
	zspage_format(core, class, class_index, &run);
	pthread_mutex_lock(&class->lock);
	/* Another thread may have made a zspage since the lock was released. One is enough. */
	r = alloc_existing(core, class, owner, beyond, loc);
	if (r) {
		r = use_zspage(core, class, &run, owner, beyond, loc);
		used = !r;
	}
	pthread_mutex_unlock(&class->lock);
	if (!used) {
		/* Formatting it has populated at least the pages of its header. */
		run.hot |= bits_below(zspage_header_pages(class));
		runs_give(&core->runs, &run);
	}
	return r;
}

static int alloc_in_class(struct zs_core *core, unsigned class_index, uint32_t owner, unsigned beyond,
			  struct zs_loc *loc)
{
	struct zs_class *class = &core->class[class_index];
	int r;

	pthread_mutex_lock(&class->lock);
	r = alloc_existing(core, class, owner, beyond, loc);
	pthread_mutex_unlock(&class->lock);
	return r == -EAGAIN ? alloc_new(core, class_index, owner, beyond, loc) : r;
}

/*
 * From the zspage that compaction has. Compaction then gains less, and nobody is told that there is no room where there is
 * some. Under the lock.
 */
static bool alloc_isolated(struct zs_core *core, struct zs_class *class, uint32_t owner, struct zs_loc *loc)
{
	uint32_t page = class->isolated;

	if (page == RUNS_NONE || zspage_at(core, page)->inuse >= zspage_at(core, page)->ready)
		return false;
	*loc = slot_from(core, class, page, owner);
	return true;
}

/* A free slot in touched pages, from the first of these classes that has one. */
static bool alloc_borrowed(struct zs_core *core, unsigned first, unsigned last, uint32_t owner, struct zs_loc *loc)
{
	bool done = false;

	for (unsigned i = first; i <= last && i < core->classes - 1 && !done; i++) {
		struct zs_class *class = &core->class[i];

		pthread_mutex_lock(&class->lock);
		done = alloc_ready(core, class, owner, loc) || alloc_isolated(core, class, owner, loc);
		pthread_mutex_unlock(&class->lock);
	}
	return done;
}

int zs_core_alloc(struct zs_core *core, unsigned size, uint32_t owner, struct zs_loc *loc)
{
	return zs_core_alloc_beyond(core, size, owner, 0, loc);
}

int zs_core_alloc_beyond(struct zs_core *core, unsigned size, uint32_t owner, unsigned beyond, struct zs_loc *loc)
{
	unsigned class_index = zs_core_class_of(core, size);
	int r;

	if (zs_core_is_huge(core, class_index))
		return alloc_huge(core, class_index, beyond, loc);
	r = alloc_in_class(core, class_index, owner, beyond, loc);
	/*
	 * Memory is short. Try the next larger classes, and the class itself, where other threads may have freed slots.
	 */
	if (r && alloc_borrowed(core, class_index, class_index + ZS_BORROW, owner, loc))
		return 0;
	return r;
}

int zs_core_move_to(struct zs_core *core, uint32_t owner, struct zs_loc from, struct zs_loc *to)
{
	struct zs_class *class = &core->class[from.class_index];
	struct zspage *z = zspage_at(core, from.page);
	unsigned first = from.class_index + 1u, last = from.class_index + ZS_BORROW;
	bool settling;
	int r = -ENOSPC;

	pthread_mutex_lock(&class->lock);
	settling = z->list == ZSL_SETTLING;
	if (settling && z->target)
		first = last = z->target;
	if (z->list == ZSL_SLIDING) {
		/* The lowest free slot of its own zspage, if that is below. */
		unsigned word = z->hint / 64;

		while (word <= from.slot / 64u && z->live[word] == ~UINT64_C(0))
			word++;
		if (word <= from.slot / 64u && word * 64 + (unsigned)__builtin_ctzll(~z->live[word]) < from.slot) {
			*to = slot_from(core, class, from.page, owner);
			r = 0;
		}
	} else if (!settling && alloc_ready(core, class, owner, to)) {
		r = 0;
	}
	pthread_mutex_unlock(&class->lock);
	if (settling && alloc_borrowed(core, first, last, owner, to))
		r = 0;
	return r;
}

/* ------------------------------------------------------------------ freeing */

void zs_core_free(struct zs_core *core, struct zs_loc loc)
{
	struct zs_class *class = &core->class[loc.class_index];
	struct zspage *z;
	struct run run = {0};
	unsigned touched;

	if (zs_core_is_huge(core, loc.class_index)) {
		magazine_give(&core->runs, loc.page);
		return;
	}
	z = zspage_at(core, loc.page);
	pthread_mutex_lock(&class->lock);
	assert(z->class_index == loc.class_index && zspage_slot_live(z, loc.slot));
	zspage_put_slot(class, z, loc.slot);
	if (z->inuse == 0 && z->list < ZSL_LISTS) {
		zspage_delist(core, class, loc.page);
		run = zspage_unlink(core, class, loc.page, &touched);
	} else {
		zspage_relist(core, class, loc.page);
	}
	pthread_mutex_unlock(&class->lock);
	if (run.pages)
		zspage_release(core, &run, touched);
}

/* ------------------------------------------------------------------ memory */

struct runs *zs_core_runs(struct zs_core *core)
{
	return &core->runs;
}

void zs_core_inject_failures(struct zs_core *core, unsigned every)
{
	atomic_store_explicit(&core->runs.fail_every, every, memory_order_relaxed);
	__atomic_store_n(&core->runs.seg->fail_every, every, __ATOMIC_RELAXED);
}

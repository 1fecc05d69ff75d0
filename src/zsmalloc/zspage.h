/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A zspage: a run of pages that one class is filled from. Private to the allocator.
 *
 *   page 0                              page 1                 ...   page n-1
 *   +--------+--------+----------------+----------------------- - - ------------+
 *   | struct | live[] | owner[]        | object 0 | object 1 | ...       | tail |
 *   | zspage | bits   | 4 bytes each   |  (may cross page boundaries)   |      |
 *   +--------+--------+----------------+----------------------- - - ------------+
 *   |<-------- first_object ---------->|
 *   |<-- touched: pages that an object or the header reached -->|<- not yet --->|
 *
 * The lowest free slot is taken first, so that the pages of a new zspage are touched one by one. Everything before
 * first_object is derived from the owner's table, and is rebuilt when a segment is opened. It lies in the zspage so
 * that it comes and goes with the memory of the objects: no request allocates memory for it. Huge objects have a page
 * each, and no header.
 */
#ifndef ZSPAGE_H
#define ZSPAGE_H

#include "zsmalloc/core.h"
#include "zsmalloc/runs.h"

#include <pthread.h>

/*
 * Lists of zspages of a class. Those with room in pages already touched are on the list of their
 * fullness group; allocation takes the fullest of these, and only then touches further pages. Full ones are on no list, since
 * nobody looks for one: `list` is ZS_INUSE_RATIO_100. A list would cost each overwrite a look at the headers of two neighbours,
 * far away in the pool and in no cache.
 */
enum zspage_list {
	ZSL_GROWING = ZS_FULLNESS_GROUPS, /* all touched pages are full, there are more to touch */
	ZSL_LISTS,
	/* On no list: compaction has it. Objects are allocated from it only if memory is short: `isolated` of its class. */
	ZSL_ISOLATED = ZSL_LISTS,
	ZSL_SLIDING,  /* likewise, and its own objects are moved to its start */
	ZSL_SETTLING, /* likewise, and its last objects are moved to larger classes: `target` */
};

struct zspage {
	uint32_t prev, next; /* on its list, by page number; RUNS_NONE at the ends */
	uint64_t hot;        /* bit n: page n is populated and not touched yet */
	uint16_t class_index;
	uint16_t capacity; /* objects it has room for */
	uint16_t inuse;    /* objects alive */
	uint16_t ready;    /* slots that lie in touched pages */
	uint8_t pages;
	uint8_t touched; /* pages, from the first on */
	uint8_t list;    /* enum zspage_list or zs_fullness */
	uint8_t group;   /* enum zs_fullness, for statistics */
	uint16_t hint;   /* no slot below this one is free */
	uint16_t target; /* settling: the class its objects go to; 0: any of the ZS_BORROW next ones */
	uint64_t live[]; /* bit n: slot n is in use; then the owners */
};
_Static_assert(sizeof(struct zspage) == 32, "class_rules_default() counts this header");

struct zs_class {
	_Alignas(64) pthread_mutex_t lock; /* guards all below and the headers of its zspages */
	uint32_t head[ZSL_LISTS];
	uint32_t nonempty; /* bit n: head[n] has a zspage */
	uint32_t isolated; /* the zspage that compaction has, by page number; or RUNS_NONE */
	struct class_geometry geo;
	/* Figures: see figure.h. */
	_Atomic uint64_t inuse, capacity; /* objects in all zspages, those in isolated ones included */
	_Atomic uint64_t touched;         /* pages */
	_Atomic uint64_t zspages[ZS_FULLNESS_GROUPS];
};

struct zs_core {
	/* Read by every request, and never written. */
	uint8_t *base; /* of the pool */
	unsigned chain;
	unsigned classes;
	struct zs_class *class;
	uint16_t map[ZS_MAX_OBJECT / ZS_CLASS_STEP + 1]; /* size in steps to class */
	/* For addresses: what of a class's geometry is needed, close together. */
	struct {
		uint16_t size, first;
	} place[ZS_MAX_CLASSES];
	_Alignas(64) pthread_mutex_t compaction; /* one at a time; the outermost lock of the allocator */
	_Atomic uint64_t pages_compacted;
	struct runs runs;
};

static inline void *zs_core_page(const struct zs_core *core, uint32_t page)
{
	return core->base + (uint64_t)page * ZS_PAGE_SIZE;
}

/* Huge objects: each has a page that was taken singly. */
static inline uint64_t zs_core_huge_objects(const struct zs_core *core)
{
	return magazines_taken(&core->runs.magazines);
}

static inline struct zspage *zspage_at(const struct zs_core *core, uint32_t page)
{
	return zs_core_page(core, page);
}

static inline uint32_t *zspage_owners(const struct zs_class *class, struct zspage *z)
{
	return (uint32_t *)(z->live + (class->geo.objects + 63) / 64);
}

static inline bool zspage_slot_live(const struct zspage *z, unsigned slot)
{
	return z->live[slot / 64] >> (slot % 64) & 1;
}

/* Slots that lie wholly in the first `pages` pages. */
unsigned zspage_slots_in(const struct zs_class *class, unsigned pages);
/* Pages needed for the header and slots up to and including this one. */
unsigned zspage_pages_for(const struct zs_class *class, unsigned slot);
/* Pages of the header itself. */
unsigned zspage_header_pages(const struct zs_class *class);
/* The shortest run that is still worth a zspage of this class: it has room for one object. */
unsigned zspage_least_pages(const struct zs_class *class);
enum zs_fullness zspage_fullness(const struct zspage *z);
/* Write the header of a new zspage. */
struct zspage *zspage_format(struct zs_core *core, struct zs_class *class, unsigned class_index, const struct run *run);

/* List work and slots: the class's lock is held. */
void zspage_enlist(struct zs_core *core, struct zs_class *class, uint32_t page);
void zspage_delist(struct zs_core *core, struct zs_class *class, uint32_t page);
/* After a change of inuse or touched: to the list where it belongs, unless it is isolated. */
void zspage_relist(struct zs_core *core, struct zs_class *class, uint32_t page);
unsigned zspage_take_slot(struct zs_class *class, struct zspage *z, uint32_t owner);
void zspage_put_slot(struct zs_class *class, struct zspage *z, unsigned slot);
/* Touch the pages a slot needs; -ENOSPC if they would exceed the limit by more than `beyond`. */
int zspage_grow(struct zs_core *core, struct zs_class *class, struct zspage *z, unsigned slot, unsigned beyond);
/*
 * Give back the pages of an empty zspage that is on no list. `touched` of them were in use: they are taken off the
 * figures. Without the lock.
 */
void zspage_release(struct zs_core *core, struct run *run, unsigned touched);
/* Zspages of the class. Under the lock. */
uint64_t zspage_count(const struct zs_class *class);
/* Pages that compaction could free at best. Under the lock. */
uint64_t zs_class_freeable(const struct zs_class *class);
/* Take an empty zspage out of its class: under the lock, before zspage_release(). */
struct run zspage_unlink(struct zs_core *core, struct zs_class *class, uint32_t page, unsigned *touched);

#endif

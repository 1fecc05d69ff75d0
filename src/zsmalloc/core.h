/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The allocator's core: objects at locations, named by their owners.
 *
 * A location says where an object lies now. The owner of objects keeps their locations in its table: the sector table
 * of a device, or the handle table of a plain pool. That table is the only truth about the objects (I1). Each object
 * carries the number of its table entry. Compaction asks the owner before it moves an object. After a restart the owner
 * tells the core which objects are alive.
 *
 * Functions that return int give 0 or a negative errno. Every function may be called from any number of threads at
 * once, except create, destroy and rebuild. During check nothing may be allocated or freed; compaction waits.
 */
#ifndef ZS_CORE_H
#define ZS_CORE_H

#include "segment/segment.h"
#include "zsmalloc.h"
#include "zsmalloc/class.h"
#include "zsmalloc/runs.h"

/* Ranges: page < 2^30, slot < 2^10, class_index < 2^9. */
struct zs_loc {
	uint32_t page; /* where its zspage starts */
	uint16_t slot;
	uint16_t class_index;
};

#define ZS_LOC_PAGE_BITS  30
#define ZS_LOC_SLOT_BITS  10
#define ZS_LOC_CLASS_BITS 9
#define ZS_MAX_POOL_PAGES (UINT64_C(1) << ZS_LOC_PAGE_BITS)
/* When memory is short, an object may be put into one of this many next larger classes. */
#define ZS_BORROW        3u
#define ZS_DEFAULT_CHAIN 32u

_Static_assert(ZS_PAGE_SIZE == SEGMENT_PAGE, "pages of the pool are pages of the segment");
_Static_assert(ZS_MAX_OBJECT == ZS_PAGE_SIZE, "an object of the huge class is a page");

struct zs_core;

/*
 * A core over `pages` pages of the segment from `offset` on, all of them taken as free. The segment
 * stays the caller's. -EINVAL for a chain or a number of pages out of range, or an offset that is not a
 * multiple of the system page; or -ENOMEM.
 */
int zs_core_create(struct zs_core **core, struct segment *seg, uint64_t offset, uint64_t pages, unsigned chain);
/* Frees the core's own memory, not the segment's. NULL is allowed. */
void zs_core_destroy(struct zs_core *core);

/*
 * Allocate an object of 1 to 4096 bytes that belongs to table entry `owner`. Its class is zs_core_class_of() its size,
 * or one of the ZS_BORROW classes above. -ENOSPC (the limit, or the pool's address space), -ENOMEM (the system has no
 * memory): nothing was taken.
 */
int zs_core_alloc(struct zs_core *core, unsigned size, uint32_t owner, struct zs_loc *loc);
/*
 * The same, up to `beyond` pages above the limit: for who is about to free more than that.
 */
int zs_core_alloc_beyond(struct zs_core *core, unsigned size, uint32_t owner, unsigned beyond, struct zs_loc *loc);
void zs_core_free(struct zs_core *core, struct zs_loc loc);
/* Prefetch what zs_core_free() will touch. `loc` may be free by now. */
void zs_core_prefetch_free(const struct zs_core *core, struct zs_loc loc);
/* The address of an object, valid as long as its owner holds it still. */
void *zs_core_address(const struct zs_core *core, struct zs_loc loc);
/* The class of objects of this size, 1 to 4096 bytes, unless memory is short. */
unsigned zs_core_class_of(const struct zs_core *core, unsigned size);
unsigned zs_core_class_size(const struct zs_core *core, unsigned class_index);
bool zs_core_is_huge(const struct zs_core *core, unsigned class_index);
/* The largest object that is not stored in a page of its own. */
unsigned zs_core_huge_watermark(const struct zs_core *core);

/* ------------------------------------------------------------------ compaction */

/*
 * Called for each object that compaction wants to move. The owner
 *   1 holds its table entry still, and looks whether the entry's object still lies at `from`;
 *   2 takes a new place with zs_core_move_to(), copies the bytes, and stores the new place in the entry;
 *   3 lets go of the entry, and calls zs_core_free(from).
 * False: the object was not moved, because it is gone, held, or there was no place.
 */
typedef bool zs_move_fn(void *opaque, uint32_t owner, struct zs_loc from);
int zs_core_move_to(struct zs_core *core, uint32_t owner, struct zs_loc from, struct zs_loc *to);
/*
 * One step of a compaction: at most one zspage of the class that *cursor stands for. *cursor is 0 before the first
 * step; *more is false after the last one. Returns pages freed.
 */
uint64_t zs_core_compact_step(struct zs_core *core, unsigned *cursor, zs_move_fn *move, void *opaque, bool *more);

/*
 * Settling: objects in the last page of a class move to the ZS_BORROW next larger classes, if that frees a page.
 * Compaction cannot gain this page, since a class with objects has a last one, filled in part. Settling saves a quarter
 * and more of a small pool's overhead. It is for a pool at rest, since the next objects of the class begin a new page.
 *
 * To be called after a compaction, in the same way, with a cursor of its own. A step empties at most one page, and each
 * class has at most ZS_BORROW + 1 steps.
 */
struct zs_settler {
	zs_move_fn *move;
	/*
	 * How many classes above its present one the object may move, 0 to ZS_BORROW; 0 also if the object is gone. The
	 * answer may be out of date at once.
	 */
	unsigned (*reach)(void *opaque, uint32_t owner, struct zs_loc from);
};
uint64_t zs_core_settle_step(struct zs_core *core, unsigned *cursor, const struct zs_settler *settler, void *opaque,
			     bool *more);

/* ------------------------------------------------------------------ rebuilding */

typedef int zs_each_fn(void *opaque, uint32_t owner, struct zs_loc loc);
/* Calls each(opaque, owner, loc) for every live object, in any order; ends with its first value that is not 0. */
typedef int zs_scan_fn(void *owner_table, zs_each_fn *each, void *opaque);
/*
 * Derive all state of a core just created from its owner's table. 0; -EUCLEAN with the
 * reason if the table contradicts itself; -ENOMEM.
 */
int zs_core_rebuild(struct zs_core *core, zs_scan_fn *scan, void *owner_table, char *why, size_t why_size);
/*
 * NULL if `owner` has an object at this location, which the caller holds still; otherwise what is wrong. For a huge class nothing
 * but the place itself can be told. Takes the lock of the class.
 */
const char *zs_core_check_object(struct zs_core *core, uint32_t owner, struct zs_loc loc);
/* Verify every invariant, and that the table and the core know the same objects. 0 or -EUCLEAN. */
int zs_core_check(struct zs_core *core, zs_scan_fn *scan, void *owner_table, char *why, size_t why_size);

/* ------------------------------------------------------------------ memory and figures */

/* Where the core's pages come from: limits, reserve, background work. */
struct runs *zs_core_runs(struct zs_core *core);

struct zs_core_stats {
	uint64_t pages_used, pages_used_max;
	uint64_t pages_compacted;
	uint64_t pages_reserved; /* populated, not in use: the sum of the next three */
	uint64_t pages_free;     /* of that: free */
	uint64_t pages_kept;     /* of that: in magazines */
	uint64_t pages_tails;    /* of that: in zspages, and not touched yet */
	uint64_t pages_moving;   /* being populated or given back now; they are in no other sum */
	uint64_t reserve_misses;
	uint64_t objects;
	uint64_t slot_bytes;       /* of pages_used: slots of objects, each as large as its class says */
	uint64_t header_bytes;     /* of pages_used: headers, bit maps, back-references */
	uint64_t descriptor_bytes; /* of process memory: page-run descriptors */
};
/* These take no lock: see figure.h. */
void zs_core_stats(struct zs_core *core, struct zs_core_stats *stats);
/* Pages that compaction could free at best, over all classes. */
uint64_t zs_core_freeable(struct zs_core *core);
unsigned zs_core_class_count(const struct zs_core *core);
int zs_core_class_stats(struct zs_core *core, unsigned index, struct zs_class_stats *stats);

/* Objects alive, told class by class and group by group to `leak` (may be NULL); returns their number. */
uint64_t zs_core_leaks(struct zs_core *core, zs_leak_fn *leak, void *opaque);

/* For tests: every n-th new page, or every n-th populate, fails. 0: none. */
void zs_core_inject_failures(struct zs_core *core, unsigned every);

#endif

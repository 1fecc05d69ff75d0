/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsmalloc: an allocator for compressed pages, in user space.
 *
 * The allocator packs objects of 1 to 4096 bytes into zspages. A zspage is a run of pages that holds objects of one
 * size class; an object may cross a page boundary. A handle names an object, never an address, so compaction can move
 * the object. Source of the design (size classes, merged classes, the huge class, fullness groups, compaction, map
 * modes): the kernel's documentation, Documentation/mm/zsmalloc.rst. No code comes from the kernel.
 *
 * Units: sizes are bytes unless a name says otherwise; a page is 4096 bytes.
 * Errors: functions that return int give 0 or a negative errno; zs_malloc gives 0 and sets errno. Nothing is printed.
 * Threads: every function may be called from any number of threads at once, except zs_destroy_pool() and zs_check(),
 * during which no other call on the same pool may be in flight.
 */
#ifndef ZSMALLOC_H
#define ZSMALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define ZS_PAGE_SIZE     4096u
#define ZS_MAX_OBJECT    4096u
#define ZS_MAX_CHAIN     64u
#define ZS_POOL_NAME_MAX 32u

struct zs_pool;

/* Names an object for as long as it lives, wherever it moves. Never 0. */
typedef uint64_t zs_handle;

/* ------------------------------------------------------------------ pools */

struct zs_params {
	/*
	 * The most pages that the pool can ever hold, up to 2^30: address space, not memory. 0: 2^23, or 2^16 on 32-bit
	 * systems.
	 */
	uint64_t max_pages;
	/* The most objects alive at once, up to 2^31. 0: 2^26, or 2^20 on 32-bit systems. */
	uint32_t max_objects;
	/* The longest zspage in pages, 1 to ZS_MAX_CHAIN. 0: 32. */
	unsigned chain;
	/* The most pages to take from the system; 0: no limit. */
	uint64_t page_limit;
	/* "anon" (also NULL), "shm:KEY" or "shm:id=N", as in zsblk.h. The segment of a pool is not locked in memory. */
	const char *memory;
};

/*
 * Make a pool. If the shared segment `params->memory` already holds one, attach that pool: every object and every
 * handle in it is there again, also after its process was killed. max_pages, max_objects and chain must then be those
 * that it was made with. One live process at a time uses a segment.
 *
 * `params` may be NULL: all defaults. `name` is for people. It is copied, cut to ZS_POOL_NAME_MAX - 1 bytes; a pool
 * that exists keeps its own. On success *pool is the caller's until zs_destroy_pool().
 *
 * Errors: -EINVAL (a parameter is out of range; or the segment holds no pool, is damaged, or was made with other
 * parameters), -EBUSY (a live process, or another pool in this process, uses the segment), -EPERM (another user made or
 * owns the segment, or its mode lets others in), -ENOMEM, and others of mmap, shmget and shmat.
 */
int zs_create_pool(const char *name, const struct zs_params *params, struct zs_pool **pool);

/* Objects that a pool still held when it was destroyed, for one class and fullness group. */
struct zs_leak {
	unsigned class_index;
	unsigned object_size; /* of the class, in bytes */
	unsigned fullness;    /* enum zs_fullness */
	uint64_t objects;
};
typedef void zs_leak_fn(void *opaque, const struct zs_leak *leak);

/*
 * Give the pool's memory back, and return the number of objects that it still held. `leak`, if it is not NULL, is
 * called for each class and fullness group that has some. A pool in shared memory is only detached: its objects stay
 * for the next zs_create_pool(), and are counted and reported all the same. NULL is allowed.
 */
uint64_t zs_destroy_pool(struct zs_pool *pool, zs_leak_fn *leak, void *opaque);

/* The name that the pool was made with; valid until the pool is destroyed. */
const char *zs_pool_name(const struct zs_pool *pool);

/* ------------------------------------------------------------------ objects */

/*
 * Allocate an object of `size` bytes, whose contents are undefined. Returns its handle, or 0 with errno: EINVAL (size
 * 0), EMSGSIZE (more than ZS_MAX_OBJECT), ENOSPC (page_limit or max_pages is reached), ENOMEM (max_objects is reached,
 * or the system has no more memory).
 */
zs_handle zs_malloc(struct zs_pool *pool, size_t size);

/* Free an object, which must not be mapped. Handle 0 is ignored. Waits only while compaction moves this object. */
void zs_free(struct zs_pool *pool, zs_handle handle);

enum zs_mapmode {
	ZS_MM_RO, /* the caller reads */
	ZS_MM_WO, /* the caller writes, and reads no byte that it has not written */
	ZS_MM_RW, /* the caller reads and writes */
};

/*
 * The address of an object, valid until zs_unmap_object(). The object lies in one piece, and does not move while it is
 * mapped. Neither function fails.
 *
 * Any thread may map any number of objects and unmap them in any order, also those that another thread has mapped. The
 * caller sees to two rules: an object has at most 30 read-only mappings at once, and a WO or RW mapping is its only
 * mapping. Debug builds abort when a rule is broken, when a mapped object is freed, and when more is unmapped than was
 * mapped. Waits only while compaction moves this object, which is one memcpy().
 */
void *zs_map_object(struct zs_pool *pool, zs_handle handle, enum zs_mapmode mode);
void zs_unmap_object(struct zs_pool *pool, zs_handle handle);

/*
 * Map for reading only the first `len` bytes, at most the size of the object. An allocator of this kind may copy them
 * to `copy`, for which the caller lends `len` bytes. This one never copies, and accepts NULL; a caller that is to run
 * over others lends the memory. The mapping counts as read-only. zs_obj_read_end() ends it, and gets the pointer that
 * begin returned.
 */
const void *zs_obj_read_begin(struct zs_pool *pool, zs_handle handle, size_t len, void *copy);
void zs_obj_read_end(struct zs_pool *pool, zs_handle handle, const void *mem);
/* Copy `len` bytes, at most the size of the object, to its start. Counts as a write-only mapping for that time. */
void zs_obj_write(struct zs_pool *pool, zs_handle handle, const void *mem, size_t len);

/* ------------------------------------------------------------------ upkeep */

/*
 * Move objects from the emptiest zspages to the fullest, and give empty zspages back. Returns the number of pages
 * freed. Other threads may allocate, free and map meanwhile; mapped objects stay where they are. Two compactions of one
 * pool run one after the other.
 */
uint64_t zs_compact(struct zs_pool *pool);

/*
 * One step of a compaction: at most one zspage. Returns the pages freed. The caller sets *cursor to 0 before the first
 * step and keeps it between steps. *more is false after the last step.
 */
uint64_t zs_compact_step(struct zs_pool *pool, unsigned *cursor, bool *more);

/* Pages taken from the system for zspages now: those that a header or an object has reached. And the same in bytes. */
uint64_t zs_get_total_pages(struct zs_pool *pool);
uint64_t zs_get_total_bytes(struct zs_pool *pool);

struct zs_pool_stats {
	uint64_t pages_compacted; /* pages freed by compaction so far */
	uint64_t objects;         /* alive now */
	uint64_t pages_used;      /* zs_get_total_pages() */
	uint64_t pages_used_max;  /* its highest value so far */
	uint64_t bytes_headers;   /* of pages_used: zspage headers and back-references */
};
void zs_pool_stats(struct zs_pool *pool, struct zs_pool_stats *stats);

/* ------------------------------------------------------------------ classes */

/*
 * Fullness groups: zspages of a class with a similar share of live objects. The groups are those of the kernel since
 * 6.4: empty, under 10 %, under 20 % and so on, under 100 %, full.
 */
enum zs_fullness {
	ZS_INUSE_RATIO_0,
	ZS_INUSE_RATIO_10,
	ZS_INUSE_RATIO_20,
	ZS_INUSE_RATIO_30,
	ZS_INUSE_RATIO_40,
	ZS_INUSE_RATIO_50,
	ZS_INUSE_RATIO_60,
	ZS_INUSE_RATIO_70,
	ZS_INUSE_RATIO_80,
	ZS_INUSE_RATIO_90,
	ZS_INUSE_RATIO_99,
	ZS_INUSE_RATIO_100,
	ZS_FULLNESS_GROUPS,
};

/* One row of the table that zram shows in debugfs (zsmalloc/NAME/classes). */
struct zs_class_stats {
	unsigned index;            /* of the class */
	unsigned size;             /* bytes of an object, rounding included */
	unsigned pages_per_zspage; /* of a zspage of the ideal length */
	unsigned objs_per_zspage;  /* of a zspage of the ideal length */
	bool huge;                 /* each object has a page of its own */
	uint64_t zspages[ZS_FULLNESS_GROUPS];
	uint64_t almost_full;   /* zspages 70 % and more full, not full */
	uint64_t almost_empty;  /* zspages less than 70 % full, not empty */
	uint64_t obj_allocated; /* objects its zspages have room for */
	uint64_t obj_used;
	uint64_t pages_used;
	uint64_t freeable; /* pages that compaction could free at best */
};

/* The number of size classes; sizes that are merged count once. */
unsigned zs_class_count(const struct zs_pool *pool);
/*
 * Fill in the row of class `index`. -ERANGE past the last one. No request waits for it. While requests are in flight, the
 * figures of a row may be of different moments.
 */
int zs_class_stats(struct zs_pool *pool, unsigned index, struct zs_class_stats *stats);

/*
 * Verify every invariant. 0, or -EUCLEAN with the reason in `why`, which may be NULL. No other call may be in flight.
 */
int zs_check(struct zs_pool *pool, char *why, size_t why_size);

/* ------------------------------------------------------------------ zpool
 *
 * One table of operations for allocators of this kind, as the kernel's zpool was: a caller can run over either driver.
 */
struct zpool_driver {
	const char *type;
	/* NULL with errno on failure. */
	void *(*create)(const char *name);
	/* Frees the pool and the objects that are still alive in it. */
	void (*destroy)(void *pool);
	/* 0 and *handle, or a negative errno with the meaning that zs_malloc() gives it. */
	int (*malloc)(void *pool, size_t size, uint64_t *handle);
	void (*free)(void *pool, uint64_t handle);
	/*
	 * Try to give `pages` pages back; *reclaimed says how many were. 0, or -EOPNOTSUPP from a driver that cannot.
	 */
	int (*shrink)(void *pool, unsigned pages, unsigned *reclaimed);
	void *(*map)(void *pool, uint64_t handle, enum zs_mapmode mode);
	void (*unmap)(void *pool, uint64_t handle);
	/* Bytes taken from the system. */
	uint64_t (*total_size)(void *pool);
};

/*
 * The driver "zsmalloc" is this allocator with default parameters. "malloc" is the C library's, with which memory
 * checkers see a caller's mistakes. NULL for other names. The result is static.
 */
const struct zpool_driver *zpool_driver(const char *type);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

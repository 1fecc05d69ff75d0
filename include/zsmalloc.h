/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsmalloc: an allocator for compressed pages, in user space.
 *
 * Objects of 1 to 4096 bytes are packed into zspages: runs of pages that one size class
 * is filled from, where an object may cross a page boundary. An object is named by a handle,
 * never by an address, so compaction can move it. What makes it zsmalloc (size classes, merged
 * classes, the huge class, fullness groups, compaction, map modes) follows the
 * kernel's documentation (Documentation/mm/zsmalloc.rst); the code is our own.
 *
 * Units: sizes are bytes unless a name says otherwise; a page is 4096 bytes.
 * Errors: functions that return int give 0 or a negative errno; zs_malloc gives 0 and sets errno.
 * Threads: every function may be called from any number of threads at once, except create,
 * open, destroy and check, which want the pool to themselves.
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
	/* Most pages the pool can ever hold (address space, not memory). 0: a default. */
	uint64_t max_pages;
	/* Most objects alive at once, up to 2^31. 0: a default. */
	uint32_t max_objects;
	/* Longest zspage in pages, 1 to ZS_MAX_CHAIN. 0: a default. */
	unsigned chain;
	/* The most memory to take, in pages; 0: no limit. */
	uint64_t page_limit;
	/* "anon" (default when NULL), "shm:KEY" or "shm:id=N": see zsblk.h. */
	const char *memory;
};

/*
 * Make a pool, or re-attach to the one that the shared segment `params->memory` already holds:
 * every object and handle in it is there again. `params` may be NULL for the defaults; `name` is for
 * people, and kept with the pool.
 * -EINVAL: params out of range, or a segment that is not a pool, is damaged, or was made with other
 * params. -EBUSY: the segment is in use by a live process. -ENOMEM and others of mmap and shmget.
 */
int zs_create_pool(const char *name, const struct zs_params *params, struct zs_pool **pool);

/* Objects that a pool still held when it was destroyed, for one class and fullness group. */
struct zs_leak {
	unsigned class_index;
	unsigned object_size;
	unsigned fullness; /* enum zs_fullness */
	uint64_t objects;
};
typedef void zs_leak_fn(void *opaque, const struct zs_leak *leak);

/*
 * Give a pool's memory back and return the number of objects it still held, calling `leak` (may be
 * NULL) for each class and fullness group that has some. A pool in shared memory is only let go of:
 * its objects stay for the next zs_create_pool, and are reported all the same. NULL is allowed.
 */
uint64_t zs_destroy_pool(struct zs_pool *pool, zs_leak_fn *leak, void *opaque);

const char *zs_pool_name(const struct zs_pool *pool);

/* ------------------------------------------------------------------ objects */

/*
 * Store room for `size` bytes. 0 with errno: EINVAL (size 0), EMSGSIZE (more than ZS_MAX_OBJECT),
 * ENOSPC (page_limit or max_pages reached), ENOMEM (the system has no more memory, or max_objects
 * reached). The bytes of a new object are undefined.
 */
zs_handle zs_malloc(struct zs_pool *pool, size_t size);

/* Free an object. Handle 0 is ignored. The object must not be mapped. */
void zs_free(struct zs_pool *pool, zs_handle handle);

enum zs_mapmode {
	ZS_MM_RO, /* the bytes are read only */
	ZS_MM_WO, /* every byte that is read later is written first: the old bytes are not read */
	ZS_MM_RW, /* old bytes are read, some are written */
};

/*
 * The address of an object, until zs_unmap_object. A mapped object is not moved.
 *
 * Any thread may map, any object, any number of objects at a time, and unmap in any order; an
 * object mapped in one thread may be unmapped in another. One object may be mapped read-only up to
 * 30 times at once; a WO or RW mapping excludes every other mapping of that object: keeping to that
 * is the caller's task. Debug builds abort when it is broken, when a mapped object is freed, and
 * when more is unmapped than was mapped. Blocks only while compaction moves this very object (one
 * memcpy).
 */
void *zs_map_object(struct zs_pool *pool, zs_handle handle, enum zs_mapmode mode);
void zs_unmap_object(struct zs_pool *pool, zs_handle handle);

/*
 * The same by intent. Read: a pointer to the first `len` bytes of the object, either in the pool
 * or, where they do not lie in one piece, copied to `copy` (at least `len` bytes, lent by the
 * caller; may be NULL here, since in this implementation an object always lies in one piece, and
 * portable callers lend it all the same). zs_obj_read_end takes that pointer back.
 */
const void *zs_obj_read_begin(struct zs_pool *pool, zs_handle handle, size_t len, void *copy);
void zs_obj_read_end(struct zs_pool *pool, zs_handle handle, const void *mem);
/* Write: copy `len` bytes to the start of the object. */
void zs_obj_write(struct zs_pool *pool, zs_handle handle, const void *mem, size_t len);

/* ------------------------------------------------------------------ upkeep */

/*
 * Move objects from the emptiest zspages to the fullest and give the emptied ones back. Returns
 * pages freed. Safe while other threads allocate, free and map.
 */
uint64_t zs_compact(struct zs_pool *pool);

/*
 * One bounded step of the same: one zspage at most. `*cursor` starts at 0 and is kept between
 * steps; `*more` tells whether another step can help.
 */
uint64_t zs_compact_step(struct zs_pool *pool, unsigned *cursor, bool *more);

/* Pages now taken from the system for zspages, and the same in bytes. */
uint64_t zs_get_total_pages(struct zs_pool *pool);
uint64_t zs_get_total_bytes(struct zs_pool *pool);

struct zs_pool_stats {
	uint64_t pages_compacted; /* pages freed by compaction so far */
	uint64_t objects;         /* alive now */
	uint64_t pages_used;      /* zs_get_total_pages */
	uint64_t pages_used_max;  /* its highest value so far */
	uint64_t bytes_headers;   /* of pages_used: zspage headers and back-references */
};
void zs_pool_stats(struct zs_pool *pool, struct zs_pool_stats *stats);

/* ------------------------------------------------------------------ classes */

/*
 * Fullness groups: zspages of a class with a similar share of live objects. The bands are those of the
 * kernel since 6.4: none, up to 10 %, up to 20 % and so on, under 100 %, full.
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
	unsigned index;            /* class */
	unsigned size;             /* bytes of an object, rounding included */
	unsigned pages_per_zspage; /* of a zspage of the ideal length */
	unsigned objs_per_zspage;  /* likewise */
	bool huge;                 /* one object, its own page */
	uint64_t zspages[ZS_FULLNESS_GROUPS];
	uint64_t almost_full;   /* zspages 70 % and more full, not full */
	uint64_t almost_empty;  /* zspages less than 70 % full, not empty */
	uint64_t obj_allocated; /* objects its zspages have room for */
	uint64_t obj_used;
	uint64_t pages_used;
	uint64_t freeable; /* pages that compaction could free at best */
};

/* Classes of the pool; merged sizes count once. */
unsigned zs_class_count(const struct zs_pool *pool);
/* Fill in row `index`; -ERANGE past the last one. */
int zs_class_stats(struct zs_pool *pool, unsigned index, struct zs_class_stats *stats);

/* Verify every invariant. No other call may be in flight. 0 or -EUCLEAN; `why` (may be NULL) gets the reason. */
int zs_check(struct zs_pool *pool, char *why, size_t why_size);

/* ------------------------------------------------------------------ zpool
 *
 * Allocators of this kind behind one table, so that callers can be run over either.
 */
struct zpool_driver {
	const char *type;
	/* NULL with errno on failure. */
	void *(*create)(const char *name);
	/* Objects still alive are freed. */
	void (*destroy)(void *pool);
	/* 0 and *handle, or a negative errno as zs_malloc's. */
	int (*malloc)(void *pool, size_t size, uint64_t *handle);
	void (*free)(void *pool, uint64_t handle);
	/* Try to give `pages` pages back; *reclaimed says how many were. 0 or a negative errno. */
	int (*shrink)(void *pool, unsigned pages, unsigned *reclaimed);
	void *(*map)(void *pool, uint64_t handle, enum zs_mapmode mode);
	void (*unmap)(void *pool, uint64_t handle);
	/* Bytes taken from the system. */
	uint64_t (*total_size)(void *pool);
};

/* "zsmalloc", over this allocator, and "malloc", over the C library's; NULL for others. */
const struct zpool_driver *zpool_driver(const char *type);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

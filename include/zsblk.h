/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsblk: a compressed block device in memory. The engine: blocks in, blocks out.
 *
 * A device is a row of 4096-byte blocks. Each block that was written is kept
 * compressed in a pool, found through a sector table of one 64-bit word per
 * block. Table and pool live in one memory segment, which may outlive the
 * process. The engine knows nothing of NBD, never prints, and can be driven by
 * any front end.
 *
 * Units: sizes, offsets and lengths are bytes unless a name says otherwise.
 * Errors: functions that return int give 0 or a negative errno.
 * Threads: every function taking a struct zsblk may be called from any number
 * of threads at once, except where it is said otherwise. Overlapping requests
 * in flight together may land in either order, block by block.
 */
#ifndef ZSBLK_H
#define ZSBLK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zsmalloc.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define ZSBLK_BLOCK_SIZE   4096u
#define ZSBLK_MAX_CONTEXTS 65536u
/* The largest device: 2^32 blocks, what a 32-bit back-reference can name. */
#define ZSBLK_MAX_SIZE (UINT64_C(1) << 44)
/*
 * The largest pool: 4 TiB of compressed data, what a table word can address. A device of more than
 * 4 TiB can take what compresses to that; a write beyond it fails with -ENOSPC.
 */
#define ZSBLK_MAX_POOL (UINT64_C(1) << 42)

struct zsblk;

/* Why something failed, for people: what was wrong, with which value, and what would be right. */
struct zsblk_why {
	char text[320];
};

/* ------------------------------------------------------------------ algorithms */

struct zsblk_algorithm {
	const char *name;    /* "lz4", "lz4hc", "zstd" */
	const char *summary; /* one line for people */
	int level_min;
	int level_max;
	int level_default;
};

/* The algorithm at `index`, or NULL past the last one. Index 0 is the default. */
const struct zsblk_algorithm *zsblk_algorithm(unsigned index);
/* The algorithm called `name`, or NULL. */
const struct zsblk_algorithm *zsblk_algorithm_by_name(const char *name);

/* ------------------------------------------------------------------ life */

struct zsblk_params {
	/* Device size: a multiple of 4096, 4096 to ZSBLK_MAX_SIZE. No default. */
	uint64_t size;
	/* The largest size that zsblk_resize() can give it later: a multiple of 4096, size to ZSBLK_MAX_SIZE. Table and pool of
	 * a new segment get the addresses for it, which take no memory until they are used. For a segment that exists:
	 * what it was made with. 0, the default: size; or for a segment that exists, what it has. */
	uint64_t max_size;
	/* Name of the algorithm for blocks written from now on; NULL, the default: "lz4". */
	const char *algorithm;
	/* Level; in force only when has_level, else the algorithm's default. */
	int level;
	bool has_level;
	/* The most memory the pool may take for objects; 0: no limit. */
	uint64_t mem_limit;
	/* Populated memory kept ahead of demand by a background thread; 0: none. For a new segment no more
	 * than the system can provide. */
	uint64_t reserve;
	/*
	 * "anon": memory that ends with the process.
	 * "shm:KEY": a System V shared memory segment with that key (a number, 0x for
	 * hexadecimal), created if it does not exist, re-attached if it does.
	 * "shm:id=N": an existing segment, by its identifier. Default "anon".
	 */
	const char *memory;
	/*
	 * Lock a shared segment in memory (SHM_LOCK), so that it is never swapped out, whoever is
	 * alive. Needs CAP_IPC_LOCK or a sufficient RLIMIT_MEMLOCK. Default true.
	 */
	bool lock_shared;
	/* How many requests may be compressing or decompressing at the same time; each
	 * costs one set of codec contexts. Further ones wait their turn. At most ZSBLK_MAX_CONTEXTS. 0: a default. */
	unsigned contexts;
	/* Longest zspage in pages, 1 to 64. 0: a default. */
	unsigned chain;
	/*
	 * Asked now and then while zsblk_start() fills memory, by the calling thread: true ends the call
	 * with -EINTR. NULL, the default: nobody asks to stop.
	 */
	bool (*interrupted)(void);
};

/* Fill in the defaults; size is left 0. */
void zsblk_params_init(struct zsblk_params *params);

/*
 * Check everything that can be checked without touching memory: 0, or -EINVAL with the
 * reason. zsblk_open() does the same first.
 */
int zsblk_params_check(const struct zsblk_params *params, struct zsblk_why *why);

/*
 * Open a device: create its segment, or re-attach to an existing one, verify its
 * superblock and rebuild the pool's state from the table.
 *
 * Errors: -EINVAL (parameters; a segment that is not ours, is damaged, or does not match
 * them), -EBUSY (segment in use by a live process), -EPERM (no right to lock a
 * shared segment), -ENOMEM (a reserve for a new segment that is more than the memory there is),
 * and others of mmap, shmget and shmat.
 * Starts no threads, so it may be followed by fork(); then only one of the two
 * processes may go on using the device, after zsblk_start().
 *
 * In a process that locks all its future mappings (mlockall(MCL_FUTURE)) that becomes lock on fault
 * (MCL_FUTURE | MCL_ONFAULT), and stays so: otherwise the system would fill the whole sparse segment.
 */
int zsblk_open(const struct zsblk_params *params, struct zsblk **dev, struct zsblk_why *why);

/*
 * Claim the device for the calling process, fill the reserve, and start the background threads: one
 * keeps the reserve filled; the other compacts and gives free memory back. Both have the scheduling
 * class of the caller. Where the segment existed before, the reserve is filled only as
 * far as the system has memory to spare. Call once, after the last fork() and before the first
 * request; if it failed, it may be called again. A process that locks its memory with mlockall()
 * does so before this: memory that is shared and locked by a mapping cannot be given back.
 *
 * Errors: -EBUSY (another live process has claimed the segment), -ENOMEM (the reserve cannot be
 * filled, or there is no memory for the table), -EINTR (params->interrupted said so), and others of
 * madvise and pthread_create.
 */
int zsblk_start(struct zsblk *dev, struct zsblk_why *why);

/*
 * Stop the background threads and let go of the segment; data in shared memory stays.
 * No other call may be in flight. NULL is allowed.
 */
void zsblk_close(struct zsblk *dev);

/*
 * The format of shared segments that are made. One of format 1 is opened as well, and stays one until it is resized. Others
 * are refused. docs/format.md.
 */
#define ZSBLK_SEGMENT_VERSION 2u
/* The oldest one that is opened. */
#define ZSBLK_SEGMENT_OLDEST 1u

#define ZSBLK_NAME_MAX 32u

/*
 * Make a shared segment for a device of these parameters that bears a name of 1 to ZSBLK_NAME_MAX bytes. With memory =
 * "shm:KEY" it has that key. Otherwise it has none: nobody can have made it first, or open it by guessing. Nobody uses it
 * yet; "shm:id=N" with *id opens it. It stays until it is removed: note the identifier before it is used, or look for the
 * name with zsblk_find(). -EEXIST: a segment has that key; other errors are those of zsblk_open().
 */
int zsblk_create(const struct zsblk_params *params, const char *name, int *id, struct zsblk_why *why);

/*
 * Find the shared segment that bears this name among those that the calling user made and keeps to itself: what others
 * made is not looked into. 0, with its identifier; -ENOENT if there is none; -EEXIST if there are
 * several.
 */
int zsblk_find(const char *name, int *id, struct zsblk_why *why);

/* What is in a shared segment. */
struct zsblk_segment {
	uint64_t size;     /* of the device in it; 0: none yet */
	uint64_t max_size; /* that zsblk_resize() can give it */
	uint64_t used;     /* bytes of memory that it takes */
	int id;            /* as ipcs -m prints it */
	int holder;        /* process that has claimed it and is alive, or may be; 0: none */
	bool in_service;   /* a server has come into service with it at some time */
	bool removed;      /* somebody removed it (ipcrm): it ends with the last process that has it attached */
	char name[ZSBLK_NAME_MAX + 1]; /* that zsblk_create() gave it; empty: none */
};

/*
 * Look at the shared segment that `memory` ("shm:...") names, without using it: a process that uses it
 * is not disturbed, and none is made. -ENOENT if there is none, -EPERM if another user made or owns it or it is open to
 * others, -EINVAL if it holds something else than a device, is damaged, or is of another version.
 */
int zsblk_inspect(const char *memory, struct zsblk_segment *found, struct zsblk_why *why);

/*
 * Remove the shared segment that `memory` ("shm:...") names, with its contents. Refused with -EBUSY
 * while a live process uses it, with -EINVAL if zsblk did not make it, and with -EPERM if another user did.
 */
int zsblk_remove(const char *memory, struct zsblk_why *why);

/*
 * Keep a shared segment attached without using it, so that it outlasts its removal by others (ipcrm,
 * kernel.shm_rmid_forced) for as long as the caller lives. Children do not inherit this. Errors are those of
 * zsblk_inspect(). zsblk_keep_end() takes NULL.
 */
struct zsblk_keep;
int zsblk_keep(const char *memory, struct zsblk_keep **keep, struct zsblk_why *why);
void zsblk_keep_end(struct zsblk_keep *keep);
/* Has somebody removed the segment? It ends with the last process that has it attached. */
bool zsblk_keep_is_removed(const struct zsblk_keep *keep);
/* The same of the segment of an open device. */
bool zsblk_is_removed(const struct zsblk *dev);

/*
 * Does the kernel remove shared segments that no process has attached (kernel.shm_rmid_forced = 1)? Then a segment ends with
 * its server, and what is stored is lost.
 */
bool zsblk_segments_are_removed(void);

/* The size now; the largest that zsblk_resize() can give it. */
uint64_t zsblk_size(const struct zsblk *dev);
uint64_t zsblk_max_size(const struct zsblk *dev);
/* "lz4" and so on, and the level, for blocks written from now on. */
const char *zsblk_algorithm_name(const struct zsblk *dev);
int zsblk_level(const struct zsblk *dev);

/* ------------------------------------------------------------------ requests
 *
 * Offsets and lengths may be any bytes within the device; -EINVAL beyond its end. A request
 * covers its blocks one after the other: when it fails, each block is either old or
 * new. Acknowledged changes survive the death of the process when the segment is shared.
 * None allocates memory other than from the pool.
 */

/* -EIO: a stored object is damaged. */
int zsblk_read(struct zsblk *dev, void *buf, size_t len, uint64_t offset);

/* -ENOSPC: over mem_limit, or the system has no memory; the old data of that block stays.
 * -EIO: a partly overwritten block could not be read. */
int zsblk_write(struct zsblk *dev, const void *buf, size_t len, uint64_t offset);

/* Make the range read as zeroes and free the blocks it covers. Ragged edges are written after
 * that, and can fail as writes do; the blocks are free then all the same. Both are the same here and
 * count apart. */
int zsblk_discard(struct zsblk *dev, uint64_t len, uint64_t offset);
int zsblk_write_zeroes(struct zsblk *dev, uint64_t len, uint64_t offset);

/* Data is in memory once a write returns, so there is nothing to do. */
int zsblk_flush(struct zsblk *dev);

/*
 * Tell which parts of the range hold data and which are holes that read as zeroes, in order,
 * without gaps, and merged as far as nothing changes meanwhile. `extent` returns 0 to go on; any
 * other value ends the walk and is returned.
 */
typedef int zsblk_extent_fn(void *opaque, uint64_t offset, uint64_t len, bool hole);
int zsblk_extents(struct zsblk *dev, uint64_t len, uint64_t offset, zsblk_extent_fn *extent, void *opaque);

/* ------------------------------------------------------------------ size */

/*
 * Change the size of a device, a multiple of 4096 up to zsblk_max_size(), beside requests in flight. What is new
 * reads as zeroes. What is cut off must hold nothing: discard it first. A request that lies behind the new end
 * fails with -EINVAL from then on; one that is in flight meanwhile either succeeds, and then the device is not
 * cut off there, or fails with -EINVAL. The size stays for the next zsblk_open() of a shared segment, also if
 * the process is killed meanwhile: then it is the old one or the new one.
 *
 * A segment of format 1 becomes one of the present format, which older versions of zsblk refuse.
 *
 * May wait for requests on blocks behind the new end, and for the time it takes to look through the table
 * there. Any thread; one change at a time, others wait. Errors, with nothing changed: -EINVAL (not a multiple, 0,
 * or too large), -ENOTEMPTY (data would be cut off), -ENOMEM (no memory for the larger table), -EINTR
 * (params->interrupted said so).
 */
int zsblk_resize(struct zsblk *dev, uint64_t size, struct zsblk_why *why);

/* ------------------------------------------------------------------ upkeep */

/*
 * Move objects together and give whole pages back. The background thread does so by itself once
 * more than a quarter of the pool, and 4 MiB, could be freed; this is for those who want it now.
 * Safe beside requests, which are never held up for longer than the move of one object. Returns the
 * pages freed (0 and more).
 */
uint64_t zsblk_compact(struct zsblk *dev);
/* One bounded step of the same: at most one zspage. `*more` says whether another step can help. */
uint64_t zsblk_compact_step(struct zsblk *dev, bool *more);

/* Statistics in zram's terms. Bytes unless noted; each figure is exact once no request is in
 * flight, and otherwise a sum of per-thread counts taken one after another. */
struct zsblk_stats {
	uint64_t orig_data_size;  /* uncompressed bytes: same-filled blocks included, zero ones not */
	uint64_t compr_data_size; /* bytes of the objects in the pool, without rounding */
	uint64_t mem_used_total;  /* memory the pool takes from the system for objects and their headers */
	uint64_t mem_limit;       /* 0: none */
	uint64_t mem_cap;         /* what the limits of control groups leave to the pool now; 0: they have none */
	uint64_t
		mem_used_max; /* highest mem_used_total so far; can miss 64 KiB for each thread that writes raw blocks */
	uint64_t same_pages;  /* blocks now held as same-filled, zero blocks not counted: those of a repeated
				    * 32-bit word take no memory, others an object of 8 bytes, about 21 in all */
	uint64_t pages_compacted;  /* pages freed by compaction so far */
	uint64_t huge_pages;       /* blocks now stored raw */
	uint64_t huge_pages_since; /* blocks stored raw so far */

	uint64_t blocks_stored;  /* blocks held compressed or raw; same-filled ones left out */
	uint64_t pool_bytes;     /* mem_used_total without headers and back-references */
	uint64_t metadata_bytes; /* table, back-references, zspage and page-run descriptors */
	uint64_t reserved_bytes; /* populated and not in use: the reserve and up to an eighth and 1 MiB more,
				    * and the populated ends of zspages, of which each class has one or so */
	uint64_t reserve_misses; /* times a request found the reserve empty */

	uint64_t reads, writes, discards, zeroes;              /* requests */
	uint64_t read_bytes, write_bytes;                      /* bytes asked for and done */
	uint64_t failed_reads, failed_writes, failed_discards; /* failed; the last: zeroes, too */
};
void zsblk_get_stats(struct zsblk *dev, struct zsblk_stats *stats);
/* Set mem_used_max back to the present use. */
void zsblk_reset_mem_used_max(struct zsblk *dev);
/* Change the limit; 0: none. Memory already taken above it stays until it is freed. */
void zsblk_set_mem_limit(struct zsblk *dev, uint64_t mem_limit);

/* Statistics for each class of the allocator under the device: see zs_class_stats() in zsmalloc.h. */
unsigned zsblk_class_count(const struct zsblk *dev);
int zsblk_class_stats(struct zsblk *dev, unsigned index, struct zs_class_stats *stats);

/*
 * Verify every invariant of table and pool. No request may be in flight; the background threads may be at
 * work, and compaction waits meanwhile. 0, or -EUCLEAN with the first violation.
 */
int zsblk_check(struct zsblk *dev, struct zsblk_why *why);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif

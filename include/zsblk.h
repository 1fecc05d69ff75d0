/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsblk: a compressed block device in memory. The engine: blocks in, blocks out.
 *
 * A device is a row of 4096-byte blocks. The engine compresses each block that is written, and keeps it in a pool. The
 * sector table has one 64-bit word for each block, which says where the block is. Table and pool lie in one memory
 * segment, which can outlive the process. The engine knows nothing of NBD and never prints; any front end can drive it.
 *
 * Units: sizes, offsets and lengths are bytes unless a name says otherwise.
 * Errors: functions that return int give 0 or a negative errno. On failure a function with a parameter `why`, which may
 * be NULL, writes the reason there.
 * Ownership: the library copies what it needs of its arguments. A pointer that it returns stays valid as long as the
 * object that was asked.
 * Threads: functions may be called from any number of threads at once. zsblk_open() makes an object that only the
 * caller knows; zsblk_start(), zsblk_close(), zsblk_check() and zsblk_keep_end() say what they exclude. Requests that
 * overlap and are in flight together may land in either order, block by block.
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
/* The largest device: 2^32 blocks, since an object names its block with 32 bits. */
#define ZSBLK_MAX_SIZE (UINT64_C(1) << 44)
/*
 * The largest pool: 2^30 pages of 4096 bytes, since a table word names a page with 30 bits. So a device of more than 4
 * TiB can store what compresses to 4 TiB; further writes fail with -ENOSPC.
 */
#define ZSBLK_MAX_POOL (UINT64_C(1) << 42)

struct zsblk;

/*
 * Why a call failed, for people: what was wrong, with which value, and what would be right. One line without a newline.
 */
struct zsblk_why {
	char text[320];
};

/* ------------------------------------------------------------------ algorithms */

struct zsblk_algorithm {
	const char *name;    /* "lz4", "lz4hc", "zstd", "lzma" */
	const char *summary; /* one line for people */
	int level_min;
	int level_max;
	int level_default;
	bool makes_groups; /* it compresses several blocks together: zsblk_group_begin() takes it */
};

/* The algorithm at `index`, or NULL past the last one. Index 0 is the default. The result is static. */
const struct zsblk_algorithm *zsblk_algorithm(unsigned index);
/* The algorithm called `name`, or NULL. The result is static. */
const struct zsblk_algorithm *zsblk_algorithm_by_name(const char *name);

/* ------------------------------------------------------------------ life */

struct zsblk_params {
	/* Device size: a multiple of 4096, 4096 to ZSBLK_MAX_SIZE. No default. */
	uint64_t size;
	/*
	 * The largest size that zsblk_resize() can give the device later: a multiple of 4096, from size to
	 * ZSBLK_MAX_SIZE. A new segment gets addresses for a table and a pool of that size; addresses take no memory
	 * until they are used. A segment that exists must have been made with the same value. 0, the default: size for
	 * a new segment, any value for a segment that exists.
	 */
	uint64_t max_size;
	/* Name of the algorithm for blocks written from now on. NULL, the default: "lz4". */
	const char *algorithm;
	/* The algorithm's level. Used only if has_level is true; otherwise the level is the algorithm's default. */
	int level;
	bool has_level;
	/*
	 * The most memory that the pool may take for objects and zspage headers, rounded up to whole pages. At least
	 * one zspage of the largest class: 128 KiB with the default chain. 0, the default: no limit.
	 */
	uint64_t mem_limit;
	/*
	 * Populated memory that a background thread keeps ahead of demand; at most mem_limit. A new segment is refused
	 * if the system cannot provide that much. 0, the default: none.
	 */
	uint64_t reserve;
	/*
	 * The reserve was worked out, and nobody asked for this value. Then a reserve that is set in use stays under the
	 * next server, whatever value that works out. Default false.
	 */
	bool reserve_by_default;
	/*
	 * "anon", the default, also for NULL: memory that ends with the process.
	 * "shm:KEY": the System V shared memory segment with that key, a number other than 0 (hexadecimal after 0x).
	 * The segment is made if it does not exist.
	 * "shm:id=N": the segment with that identifier, which must exist.
	 *
	 * A shared segment is refused unless the calling user made it and owns it, and its mode keeps others out.
	 */
	const char *memory;
	/*
	 * Lock a shared segment in memory (SHM_LOCK). Then the segment is never swapped out, even while no process has
	 * it attached. Takes CAP_IPC_LOCK or a sufficient RLIMIT_MEMLOCK. Default true.
	 */
	bool lock_shared;
	/*
	 * How many requests can run at the same time; further ones wait. Each takes the memory of one set of codec
	 * contexts. At most ZSBLK_MAX_CONTEXTS. 0, the default: 16, or twice the number of processors if there are more
	 * than 8.
	 */
	unsigned contexts;
	/* The longest zspage in pages, 1 to 64. 0, the default: 32; or for a segment that exists, what it has. */
	unsigned chain;
	/*
	 * Called now and then, by the calling thread, while zsblk_start(), zsblk_resize(), zsblk_set_algorithm() or
	 * zsblk_set_reserve() fills memory. If it returns true, the call ends with -EINTR. NULL, the default: such a call cannot be ended.
	 */
	bool (*interrupted)(void);
};

/* Fill in the defaults; size is left 0. */
void zsblk_params_init(struct zsblk_params *params);

/*
 * Check all that can be checked without memory. 0, or -EINVAL with the reason. zsblk_open() begins with the same
 * checks.
 */
int zsblk_params_check(const struct zsblk_params *params, struct zsblk_why *why);

/*
 * Open a device. Makes its segment; or attaches the segment that exists, verifies its superblock and its table, and
 * rebuilds the state of the pool from the table. On success *dev is the caller's, until zsblk_close(). On failure *dev
 * is NULL.
 *
 * Errors: -EINVAL (a parameter is wrong; or the segment does not exist, was not made by zsblk, is damaged, or does not
 * match the parameters), -EBUSY (a live process, or another device in this process, uses the segment), -EPERM (there is
 * no right to lock the segment; or another user made or owns it, or its mode lets others in), -ENOMEM (there is not
 * enough memory or address space, or not enough room below a control group's limit), -ENOTSUP (the system has pages
 * other than 4, 8, 16, 32 or 64 KiB), and others of mmap, shmget and shmat.
 *
 * The call starts no threads, so fork() may follow. After fork() only one of the two processes may use the device: the
 * one that calls zsblk_start().
 *
 * If the process locks all its future mappings (mlockall(MCL_FUTURE)), the call changes that to lock on fault for good
 * (MCL_FUTURE | MCL_ONFAULT). Otherwise the system would fill the whole sparse segment.
 */
int zsblk_open(const struct zsblk_params *params, struct zsblk **dev, struct zsblk_why *why);

/*
 * Claim the segment for the calling process, fill the reserve, and start the background threads. One thread keeps the
 * reserve filled, if there is one. The other compacts, and gives free memory back to the system. Both have the caller's
 * scheduling class. The call can take over the claim of the parent, but of no other live process. If the segment held
 * data before, the reserve is filled only as far as the system has memory to spare.
 *
 * Call it once, after the last fork() and before the first request, with no other call in flight. After a failure it
 * may be called again. A process that locks its memory with mlockall() must do so before this call: the system does not
 * give back shared memory that a mapping has locked.
 *
 * Errors: -EBUSY (another live process has claimed the segment), -ENOMEM (the reserve of a new device cannot be filled, or there is no
 * memory for the table), -EINTR (params->interrupted returned true), and others of madvise and pthread_create.
 */
int zsblk_start(struct zsblk *dev, struct zsblk_why *why);

/*
 * Stop the background threads, drop the claim and free *dev. Data in shared memory stays. No other call may be in
 * flight. NULL is allowed. Also right if zsblk_start() failed or was never called.
 */
void zsblk_close(struct zsblk *dev);

/* The format of segments that this version makes: see docs/format.md. Segments of later formats are refused. */
#define ZSBLK_SEGMENT_VERSION 2u
/* The oldest that this version opens. Format 1 stays until zsblk_resize() changes the size, or zsblk_recompress_begin() is called. */
#define ZSBLK_SEGMENT_OLDEST 1u

#define ZSBLK_NAME_MAX 32u
/* So many algorithms a segment can have beyond lz4, lz4hc and zstd. */
#define ZSBLK_SEGMENT_ALGORITHMS 4u

/*
 * Make a shared segment for a device with these parameters. The segment bears `name`, of 1 to ZSBLK_NAME_MAX bytes. If
 * memory is "shm:KEY", the segment has that key. Otherwise it has no key: nobody can have made the segment first, or
 * find it by guessing. No process uses the segment yet. zsblk_open() with "shm:id=N", where N is *id, opens it.
 *
 * The segment stays until it is removed. Note the identifier before the segment is used; zsblk_find() finds it again by
 * name. A call whose process is killed before the segment has its name leaves one without key and name. The next call
 * by the same user removes that one: it bears the claim of its maker, which has ended, and nothing else.
 *
 * Errors: -EEXIST (a segment has that key), and those of zsblk_open(). After a failure there is no new segment, and *id means nothing.
 */
int zsblk_create(const struct zsblk_params *params, const char *name, int *id, struct zsblk_why *why);

/*
 * Find the shared segment that bears this name, and store its identifier in *id. Only segments are looked into that the calling user made
 * and owns, and that are closed to others. A segment whose first page is swapped out is not found: zsblk_open() locks segments, and to read
 * a page that is swapped out could wait for the device that the caller looks after.
 *
 * Errors: -ENOENT (there is none), -EEXIST (there are several), and others of shmctl.
 */
int zsblk_find(const char *name, int *id, struct zsblk_why *why);

/* What is in a shared segment. */
struct zsblk_segment {
	uint64_t size;     /* bytes of the device in it; 0: there is none yet */
	uint64_t max_size; /* the largest size that zsblk_resize() can give the device, in bytes */
	uint64_t used;     /* bytes of the segment in memory or swapped out */
	unsigned version;  /* of its format, ZSBLK_SEGMENT_OLDEST to ZSBLK_SEGMENT_VERSION; 0: there is none yet */
	unsigned features; /* bit i: who uses it has to know zsblk_segment_feature(i) */
	int id;            /* the identifier, as ipcs -m prints it */
	int holder;        /* number of the process that has claimed it, if that is alive or may be; 0: none */
	bool in_service;   /* some zsblk_start() has succeeded with it */
	bool removed;      /* somebody has removed it (ipcrm): it ends with the last process that has it attached */
	char name[ZSBLK_NAME_MAX + 1]; /* the name that zsblk_create() gave it; empty: none */
	/* Algorithms beyond lz4, lz4hc and zstd that who uses it has to have. The first empty one ends them. */
	char algorithms[ZSBLK_SEGMENT_ALGORITHMS][17];
	/* zsblk_open() of this version, on this system, refuses it for its features or the size of a page; *why has the reason. */
	bool refused;
};

/*
 * Look at the shared segment that `memory` ("shm:...") names. The segment is not claimed, so a process that uses it is not disturbed, and
 * no segment is made. Features that this version does not know are no error: so zsblkd can look after what a later server uses.
 *
 * Errors: -ENOENT (there is none), -EPERM (another user made or owns it, or its mode lets others in), -EINVAL (`memory` names no shared
 * segment; or the segment holds something other than a device, is damaged, or has a format that this version does not know), and others of
 * shmat and shmctl.
 */
int zsblk_inspect(const char *memory, struct zsblk_segment *found, struct zsblk_why *why);

/*
 * Remove the shared segment that `memory` ("shm:...") names, with its contents. A segment that is damaged or of a later format is removed
 * as well.
 *
 * Errors: -ENOENT (there is none), -EBUSY (a live process uses it), -EINVAL (zsblk did not make it, or `memory` names no shared segment),
 * -EPERM (another user made or owns it, or its mode lets others in), and others of shmat and shmctl.
 */
int zsblk_remove(const char *memory, struct zsblk_why *why);

/*
 * Keep a shared segment attached without using it. As long as the caller keeps it and lives, the segment exists, even if somebody removes it
 * (ipcrm) or the kernel removes segments that no process uses (kernel.shm_rmid_forced). Children do not inherit the attachment. On success
 * *keep is the caller's until zsblk_keep_end().
 *
 * Errors: -ENOENT (there is none), -EPERM (another user made or owns it, or its mode lets others in), -EINVAL (zsblk did not make it, or
 * `memory` names no shared segment), -ENOMEM, and others of shmat and shmctl.
 */
struct zsblk_keep;
int zsblk_keep(const char *memory, struct zsblk_keep **keep, struct zsblk_why *why);
/* Let go of the segment and free *keep, which no other call may be using. NULL is allowed. */
void zsblk_keep_end(struct zsblk_keep *keep);
/* True if somebody has removed the segment. It then ends with the last process that has it attached. */
bool zsblk_keep_is_removed(const struct zsblk_keep *keep);
/* The size of the device in the segment now, in bytes; 0: there is none yet. Allocates nothing, and asks the system nothing. */
uint64_t zsblk_keep_size(const struct zsblk_keep *keep);
/* Has somebody removed the segment of an open device? As zsblk_keep_is_removed(). */
bool zsblk_is_removed(const struct zsblk *dev);

/*
 * True if the kernel removes shared segments that no process has attached (kernel.shm_rmid_forced = 1). Then a segment
 * ends with its server, and what is stored is lost.
 */
bool zsblk_segments_are_removed(void);

/* The device's size now, the largest size that zsblk_resize() can give it, in bytes, and how many requests can run at a time. */
uint64_t zsblk_size(const struct zsblk *dev);
uint64_t zsblk_max_size(const struct zsblk *dev);
unsigned zsblk_contexts(const struct zsblk *dev);
/* The algorithm ("lz4" and so on) and the level for blocks written from now on. */
const char *zsblk_algorithm_name(const struct zsblk *dev);
int zsblk_level(const struct zsblk *dev);
/*
 * Change them. Requests may be in flight. `algorithm` may be NULL: the one that the device has. `level` is used only if
 * has_level is true; otherwise the level is the algorithm's default. Blocks keep their compression until they are
 * written again. The memory of all contexts is made and touched first. Then each context changes between two requests,
 * so no request waits. The call returns when none goes on with the old algorithm. Calls run one after the other, and
 * after those of zsblk_resize().
 *
 * Errors, with nothing changed: -EINVAL (there is no such algorithm, it has no such level, or the version of its
 * library that is installed refuses the level), -ENOMEM (the system has no memory to spare for 3 seconds, or no address
 * space), -EINTR (params->interrupted returned true).
 */
int zsblk_set_algorithm(struct zsblk *dev, const char *algorithm, bool has_level, int level, struct zsblk_why *why);
/*
 * What was changed in use under a former server of a shared segment, and goes on under this one: "mem-limit=N reserve=N
 * algorithm=NAME level=N", or those of them that were. Empty: nothing. A change of a started device is recorded with
 * the parameter that it replaced. zsblk_open() goes on with it if it is given the same parameter; otherwise that one
 * counts, and zsblk_start() drops the change. A segment of format 1 has no room for the record.
 */
const char *zsblk_adopted(const struct zsblk *dev);

/* ------------------------------------------------------------------ requests
 *
 * Offsets and lengths may have any value within the device. A range that reaches beyond its end fails with -EINVAL.
 *
 * A request handles its blocks one after the other. If it fails, each block has its old contents or the new ones. If it
 * returns 0 and the segment is shared, what it changed survives the death of the process.
 *
 * Requests allocate memory from the pool only. They can wait: for a request on the same block, for a context while all
 * are in use, and for the system if the reserve is empty.
 */

/* -EIO: a stored object is damaged. `buf` then holds any bytes. */
int zsblk_read(struct zsblk *dev, void *buf, size_t len, uint64_t offset);

/*
 * -ENOSPC: mem_limit or the limit of a control group is reached, or the system has no memory. The block that could not
 * be stored keeps its old data; blocks before it have the new data.
 * -EIO: a block that is overwritten in part could not be read.
 */
int zsblk_write(struct zsblk *dev, const void *buf, size_t len, uint64_t offset);

/*
 * Make the range read as zeroes. First the blocks that it covers completely are freed; this cannot fail. Then zeroes
 * are written to the parts of blocks at its ends, with the errors of zsblk_write(). The two functions do the same and
 * are counted apart.
 */
int zsblk_discard(struct zsblk *dev, uint64_t len, uint64_t offset);
int zsblk_write_zeroes(struct zsblk *dev, uint64_t len, uint64_t offset);

/*
 * Free all blocks, and set mem_used_max to what is in use then. Requests may be in flight: each block is freed before
 * or after what they do to it. Nothing of it counts as a request, and other figures go on.
 */
void zsblk_reset(struct zsblk *dev);
/*
 * One step of that: at most 1024 blocks, from *block on, which is 0 before the first step. True: there is more to do,
 * and *block says where.
 */
bool zsblk_reset_step(struct zsblk *dev, uint64_t *block);

/* Returns 0. There is nothing to do, since data is in memory once a write has returned. */
int zsblk_flush(struct zsblk *dev);

/*
 * Call `extent` for each part of the range that holds data and for each hole, which reads as zeroes. The parts come in
 * order and without gaps. Neighbours are of different kinds, unless requests change the range meanwhile. If `extent`
 * returns another value than 0, the walk ends and returns that value. `extent` is called by the calling thread without
 * a lock, and may make requests.
 */
typedef int zsblk_extent_fn(void *opaque, uint64_t offset, uint64_t len, bool hole);
int zsblk_extents(struct zsblk *dev, uint64_t len, uint64_t offset, zsblk_extent_fn *extent, void *opaque);

/* ------------------------------------------------------------------ size */

/*
 * Change the size of the device to a multiple of 4096, up to zsblk_max_size(). Requests may be in flight.
 *
 * A part that is added reads as zeroes. A part that is cut off must hold nothing: discard it first. From then on,
 * requests behind the new end fail with -EINVAL. A write of data that is in flight there either succeeds, and then
 * the device is not cut off, or fails with -EINVAL.
 *
 * A shared segment keeps the size for the next zsblk_open(). If the process is killed during the call, the device has
 * the old size or the new one. A segment of format 1 becomes one of the present format, which older versions of zsblk
 * refuse.
 *
 * The call waits for requests on blocks behind the new end, looks through the table there, and waits for other calls to
 * zsblk_resize(). A device with a reserve has its larger table in memory first, and waits for memory for that, 3
 * seconds without any progress at most. Errors, with nothing changed: -EINVAL (not a multiple of 4096, 0, or too large),
 * -ENOTEMPTY (data would be cut off), -ENOMEM (the system has no memory to spare for the larger table), -EINTR
 * (params->interrupted returned true).
 */
int zsblk_resize(struct zsblk *dev, uint64_t size, struct zsblk_why *why);

/* ------------------------------------------------------------------ blocks */

enum zsblk_block_state {
	ZSBLK_BLOCK_SAME,       /* one repeated word */
	ZSBLK_BLOCK_RAW,        /* as it is: it did not compress */
	ZSBLK_BLOCK_COMPRESSED, /* by `algorithm` */
	ZSBLK_BLOCK_COLD,       /* in a group of blocks that were compressed together, by `algorithm` */
	ZSBLK_BLOCK_SPILLED,    /* in the backing store; compressed by `algorithm`, or raw if that is NULL */
};

/* How a block is stored. */
struct zsblk_block {
	uint64_t block; /* its number: its offset / ZSBLK_BLOCK_SIZE */
	enum zsblk_block_state state;
	const char *algorithm; /* of a compressed block, or of its group, static; otherwise NULL */
	/*
	 * Bytes of its object; 0: there is none, since the table word says all. Of a block in a group: its share, if all blocks that are
	 * left in the group have the same.
	 */
	unsigned size;
	unsigned stored; /* bytes that the object takes in its class, without what belongs to it; or its share */
	bool tried;      /* it was tried to compress it better, without gain */
	bool idle;       /* marked by zsblk_mark_idle(), and not read or written since */
	bool has_age; /* the next member says something; otherwise nothing is known yet, and the block counts as new */
	uint64_t age_s; /* seconds since it was read or written, at least */
};

/*
 * Describe the blocks from number `first` on, at most `n` of them. Blocks that read as zeroes are left out. Returns how
 * many were described. *next is the number of the block to go on with, or that of the device's blocks, if there are no
 * more. A call looks at 65536 words of the table at most, so it can describe none although there are more. Each block
 * is described as it was at some moment during the call. No lock is taken, and no request waits.
 */
unsigned zsblk_blocks(const struct zsblk *dev, uint64_t first, struct zsblk_block *blocks, unsigned n, uint64_t *next);

/* ------------------------------------------------------------------ upkeep */

/*
 * Move objects together, so that whole pages become free, and return the number of pages freed. Requests may be in
 * flight; none waits for longer than the move of one object.
 *
 * The background thread compacts without being asked, once more than a quarter of the pool and 4 MiB could be freed;
 * once a 16th and 1 MiB could be, if memory is short; and once five seconds after the last write, discard
 * or recompression.
 */
uint64_t zsblk_compact(struct zsblk *dev);
/*
 * One step of a compaction: at most one zspage. Returns the pages freed. *more is false after the last step. The device
 * keeps the place where the next step begins; steps of several threads run one after the other.
 */
uint64_t zsblk_compact_step(struct zsblk *dev, bool *more);

/*
 * Statistics, with zram's names where zram has the same figure. Bytes unless noted. Figures are exact while no request
 * is in flight. Otherwise each is a sum of counts that were read one after another. Counts "so far" begin at 0 when the
 * device is opened.
 */
struct zsblk_stats {
	uint64_t orig_data_size;  /* uncompressed bytes: same-filled blocks included, zero ones not */
	uint64_t compr_data_size; /* bytes of the objects in the pool, without rounding */
	uint64_t mem_used_total;  /* memory the pool takes from the system for objects and their headers */
	uint64_t mem_limit;       /* 0: none */
	uint64_t mem_cap;         /* what the limits of control groups leave to the pool now; 0: there is no limit */
	uint64_t
		mem_used_max; /* highest mem_used_total so far; can miss 64 KiB for each thread that writes raw blocks */
	uint64_t same_pages;  /* blocks now held as same-filled, zero blocks left out: a repeated 32-bit word takes no
				    * memory, any other an object of 8 bytes, about 21 with its overhead */
	uint64_t pages_compacted;  /* pages freed by compaction so far */
	uint64_t huge_pages;       /* blocks now stored raw */
	uint64_t huge_pages_since; /* blocks stored raw so far */

	uint64_t blocks_stored;  /* blocks held compressed, raw or in groups; same-filled ones left out */
	uint64_t pool_bytes;     /* mem_used_total without headers and back-references */
	uint64_t metadata_bytes; /* table, ages, back-references, zspage and page-run descriptors */
	uint64_t reserved_bytes; /* populated and not in use: the reserve, free pages not given back yet, those that
				    * threads keep at hand, and the populated ends of zspages */
	uint64_t reserve_misses; /* times that a request found the reserve empty */

	/* Requests so far, failed ones included. A request beyond the device's end is not counted anywhere. */
	uint64_t reads, writes, discards, zeroes;
	uint64_t read_bytes, write_bytes, discard_bytes; /* of requests that succeeded */
	/* Failed requests; zsblk_write_zeroes() counts as a discard. */
	uint64_t failed_reads, failed_writes, failed_discards;

	uint64_t recompressed; /* blocks so far that take less memory since they were compressed again */
	uint64_t
		recompress_saved; /* by that: bytes of objects so far, of blocks that were written again since as well */

	uint64_t groups;       /* groups of blocks now: see zsblk_group_begin() */
	uint64_t group_blocks; /* blocks that are in one */
	uint64_t group_bytes;  /* of their objects; part of compr_data_size */
	uint64_t cold_reads;   /* blocks read from groups so far */
	uint64_t cold_decodes; /* groups that were decoded for that; the others were found decoded */
	uint64_t
		regrouped; /* blocks that background work took out of a group so far, into another one or by themselves */
};
void zsblk_get_stats(struct zsblk *dev, struct zsblk_stats *stats);

/*
 * Latency histograms: how long calls took since the device was opened. They are always kept. One call in 16 is timed,
 * chosen at random, whatever block the call is about.
 */
enum zsblk_latency_kind {
	/*
	 * Requests, failed ones included, with all waiting: for a context, for another request, for memory. A request
	 * may be of any length. zsblk_write_zeroes() counts as a discard.
	 */
	ZSBLK_LATENCY_READ,
	ZSBLK_LATENCY_WRITE,
	ZSBLK_LATENCY_DISCARD,
	/* What the codec takes for a block of a request. Same-filled blocks, and reads of raw ones, need no codec. */
	ZSBLK_LATENCY_COMPRESS,
	ZSBLK_LATENCY_DECOMPRESS,
	ZSBLK_LATENCY_KINDS
};

#define ZSBLK_LATENCY_BUCKETS 273u

struct zsblk_latency {
	uint64_t count;   /* calls that were timed */
	uint64_t sum_ns;  /* nanoseconds of all of them together */
	uint64_t max_ns;  /* the longest of them */
	unsigned sampled; /* one call in so many is timed */
	/* How many took longer than zsblk_latency_bucket(i - 1) nanoseconds, and at most zsblk_latency_bucket(i). */
	uint64_t buckets[ZSBLK_LATENCY_BUCKETS];
};

/* While calls are in flight, the sum and the longest call may be a moment behind the buckets. */
void zsblk_get_latency(struct zsblk *dev, enum zsblk_latency_kind kind, struct zsblk_latency *latency);
/* "read", "write", "discard", "compress" or "decompress"; NULL: there is no such kind. The result is static. */
const char *zsblk_latency_name(enum zsblk_latency_kind kind);
/*
 * The upper end of a bucket in nanoseconds, at most an eighth above any time in it. Powers of two are ends of buckets,
 * from 8 to 2^36 (69 seconds). The last bucket, from there on, has none: UINT64_MAX.
 */
uint64_t zsblk_latency_bucket(unsigned bucket);
/* Add `other` to *sum: of another device, for instance. */
void zsblk_latency_merge(struct zsblk_latency *sum, const struct zsblk_latency *other);
/*
 * The time in nanoseconds that `percent` (0 to 100) of the calls did not exceed: never too short, and at most an eighth
 * too long. 0 if there was no call.
 */
uint64_t zsblk_latency_percentile(const struct zsblk_latency *latency, double percent);

/*
 * All memory that the device and its process take, in bytes, in memory or swapped out. The parts of a sum add up to it
 * exactly. While no request is in flight, the parts are exact as well, to the page. Otherwise they are counts that were
 * read one after another, and `other` can be off by the pages that are being populated or given back: 64 for each
 * background thread, and for each request that finds the reserve empty.
 */
struct zsblk_memory {
	/* Pages of the pool that zspages use: together mem_used_total. */
	uint64_t objects;    /* of stored blocks: compr_data_size */
	uint64_t rounding;   /* what the objects' classes are larger than the objects */
	uint64_t free_slots; /* slots without an object, and what is left behind the last slot */
	uint64_t headers;    /* of zspages, with bit maps and back-references */
	/* Pages of the pool that are kept ready: together reserved_bytes. */
	uint64_t tails;      /* populated ends of zspages */
	uint64_t magazines;  /* single pages that threads keep at hand */
	uint64_t free_pages; /* the reserve, and free pages that are not given back yet */
	/* The rest of the segment. */
	uint64_t table;      /* one word for each block */
	uint64_t map;        /* which pages of the table were written */
	uint64_t ages;       /* one byte for each block; 0 in a segment of format 1 */
	uint64_t superblock; /* and room for what later versions keep */
	uint64_t other;      /* pages being populated or given back, and of a former process that are not found yet */
	uint64_t segment;    /* the sum of all above; of shared memory, what the system says that there is */
	/* Private memory of the process. */
	uint64_t descriptors; /* of the pool's pages */
	uint64_t contexts;    /* of requests: codecs, buffers, counters; of groups: decoders, decoded groups, counts */
	uint64_t stripes;     /* locks of blocks */
	uint64_t aging;       /* which ages there are; with a segment of format 1, the ages too */
	uint64_t process;     /* all else: heap, stacks, variables. The kernel can count a part late: see zsblk.3 */
	uint64_t files;       /* code and other files that are mapped, which other processes can share */
	uint64_t total;       /* segment, and these six */
	/* Beside the sum: what the kernel takes for the process's page tables. */
	uint64_t page_tables;
};
/*
 * Asks the system which pages of table and ages are in memory: 45 ns for each page of 512 blocks that is not. Any
 * thread; no request waits. Errors: of mincore and of reading /proc/self/status.
 */
int zsblk_get_memory(struct zsblk *dev, struct zsblk_memory *memory);
/* Set mem_used_max to the present mem_used_total. */
void zsblk_reset_mem_used_max(struct zsblk *dev);
/*
 * Change the limit, in bytes; 0: none. Memory that was taken above a lower limit stays until it is freed, and writes
 * that need more fail. A reserve that is larger than the limit is cut down to it meanwhile.
 */
void zsblk_set_mem_limit(struct zsblk *dev, uint64_t mem_limit);
/*
 * Change the reserve, in bytes, at most mem_limit; 0: none. Requests may be in flight. A background thread fills a
 * larger reserve as far as the system has memory to spare, and gives back what is too much; reserved_bytes tells how
 * far it is. As for zsblk_resize(), what a reserve has in memory of the table is there first, and calls run one after
 * the other.
 *
 * Errors, with nothing changed: -EINVAL (more than mem_limit), -ENOMEM (more than the system can ever provide, or no
 * memory to spare for the table for 3 seconds), -EINTR (params->interrupted returned true).
 */
int zsblk_set_reserve(struct zsblk *dev, uint64_t reserve, struct zsblk_why *why);
/* The reserve that is to be kept, in bytes. */
uint64_t zsblk_reserve(const struct zsblk *dev);

/* The size classes of the allocator under the device: see zs_class_count() and zs_class_stats() in zsmalloc.h. */
unsigned zsblk_class_count(const struct zsblk *dev);
int zsblk_class_stats(struct zsblk *dev, unsigned index, struct zs_class_stats *stats);

/*
 * Verify blocks while requests run: `n` blocks from number `first` on, those left out that were never written. Each block
 * is held still for a moment. Its table word must be whole, its object in a slot that is in use and says that it belongs
 * to this block, and the object must be what its codec has made. *next is the number of the block to go on with; from the
 * number of the device's blocks on there is nothing to verify. A call looks at 65536 words at most. It counts as no request.
 *
 * 0, or -EUCLEAN with what is wrong with the first block that is not whole; *next is then the one behind it.
 */
int zsblk_check_blocks(struct zsblk *dev, uint64_t first, unsigned n, uint64_t *next, struct zsblk_why *why);

/*
 * Verify every invariant of table and pool. 0, or -EUCLEAN with the first violation. No request may be in flight. The
 * background threads may be at work; compaction and zsblk_resize() wait meanwhile.
 */
int zsblk_check(struct zsblk *dev, struct zsblk_why *why);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#include "zsblk_cold.h"
#include "zsblk_trace.h"
#endif

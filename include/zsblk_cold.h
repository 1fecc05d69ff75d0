/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of zsblk.h that is about blocks that are seldom used: how old they are, and how they are made smaller. zsblk.h includes
 * it, and says what holds for units, errors, ownership and threads.
 */
#ifndef ZSBLK_COLD_H
#define ZSBLK_COLD_H

#include "zsblk.h"

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ------------------------------------------------------------------ ages
 *
 * The age of a block is the time since it was read or written last. It is kept in a byte for each block, always: an age of
 * up to 12 seconds is known to the second, a higher one to within a quarter. Ages say what is at least true: no block is younger
 * than its age says.
 *
 * Time counts while a device is open that was started, and the machine is awake. A shared segment of the present format
 * keeps the ages for the next zsblk_open(). Otherwise they begin anew, and so do they for a block for which there was no
 * memory.
 */

/* Seconds for which the ages of this device were kept: no age is higher. */
uint64_t zsblk_ages_since(const struct zsblk *dev);

/*
 * Mark the blocks as idle that were neither read nor written for at least `older_than_s` seconds; 0: all blocks. Blocks
 * that are same-filled or zero are left out. The next read or write of a block takes its mark off. *marked is the number
 * of blocks that were not marked before. Requests may be in flight, and none waits. Always returns 0.
 */
int zsblk_mark_idle(struct zsblk *dev, uint64_t older_than_s, uint64_t *marked);

/* Blocks of an age. */
struct zsblk_age_range {
	uint64_t from_s; /* the lowest age, in seconds */
	uint64_t blocks; /* that hold something: same-filled blocks included, zero ones not */
	uint64_t idle;   /* of these, marked as idle */
	uint64_t bytes;  /* of the objects of these blocks that are in memory */
};

/*
 * Count the blocks by age. The caller sets from_s of `n` ranges: 0 in the first one, and more in each that follows. A range
 * ends where the next one begins. Reads the whole table; requests may be in flight, and none waits. -EINVAL: from_s is
 * not so.
 */
int zsblk_ages(struct zsblk *dev, struct zsblk_age_range *ranges, unsigned n);

/* ------------------------------------------------------------------ recompression */

/* Which blocks. Same-filled ones are left out. */
enum zsblk_recompress_type {
	ZSBLK_RECOMPRESS_ALL,
	ZSBLK_RECOMPRESS_IDLE, /* those that zsblk_mark_idle() has marked, and that were not read or written since */
	ZSBLK_RECOMPRESS_HUGE, /* those that are stored raw */
	ZSBLK_RECOMPRESS_HUGE_IDLE, /* those that are both */
};

struct zsblk_recompress {
	enum zsblk_recompress_type type;
	const char *algorithm; /* NULL: "zstd" */
	int level;             /* used only if has_level is true; otherwise the level is the algorithm's default */
	bool has_level;
	uint64_t threshold; /* only blocks whose object has at least so many bytes; 0: any. At most 4096 */
	uint64_t max_pages; /* so many blocks are tried at most, with gain or without; 0: any number */
};

struct zsblk_recompress_figures {
	uint64_t done, total;  /* blocks of the device that were looked at, and those that there are */
	uint64_t tried;        /* blocks that were compressed again */
	uint64_t recompressed; /* of these, those that take less memory now */
	uint64_t bytes_saved;  /* by these: bytes of objects */
	uint64_t failed;       /* blocks whose object is damaged, or for whose new object there was no room */
};

struct zsblk_recompression;

/*
 * Compress blocks again that are stored, with an algorithm that gains more and takes longer. A block keeps its new object
 * if that takes a smaller size class. Otherwise it is noted down that the block was tried, and it is not tried again with
 * the same algorithm and level, or with weaker ones, until it is written again. A shared segment keeps that for the next
 * zsblk_open(). When a stronger algorithm begins, what weaker ones have tried is forgotten. A weaker algorithm than one
 * that was used before notes nothing down. A segment of format 1 becomes one of the present format.
 *
 * Requests may be in flight, and win: a block that is written meanwhile has what was written. The memory that all steps
 * need is made here. A recompression is no access: ages and marks of idle blocks stay.
 *
 * On success *job is the caller's until zsblk_recompress_end(). A device has one at a time, or makes groups. Errors: -EBUSY (it does either),
 * -EINVAL (there is no such type or algorithm, or it has no such level; or threshold is more than 4096), -ENOMEM (the
 * system has no memory to spare for 3 seconds), -EINTR (params->interrupted returned true).
 */
int zsblk_recompress_begin(struct zsblk *dev, const struct zsblk_recompress *what, struct zsblk_recompression **job,
			   struct zsblk_why *why);
/*
 * One step: at most one block is compressed, or a bounded piece of other work is done. *more is false after the last one.
 * Returns 0. At the limit up to 256 KiB above it are taken for new objects, before the old ones are freed, and the pool is
 * compacted when these are used up; memory is held as zsblk_group_step() says. The pool is also compacted when less than half of the reserve is
 * left and the system has no memory to spare for it; below a quarter blocks stay as they are, and count as failed. One thread at a time.
 */
int zsblk_recompress_step(struct zsblk_recompression *job, struct zsblk_recompress_figures *figures, bool *more);
/* End it, after the last step or before, and free *job. Before zsblk_close(). NULL is allowed. */
void zsblk_recompress_end(struct zsblk_recompression *job);

/* ------------------------------------------------------------------ groups
 *
 * A group is one object that holds up to 16 neighbouring blocks, compressed together: what they have in common is stored once. Real
 * pages take half as much in groups as one by one. To read one of the blocks, the group is decompressed up to that block; the
 * last 16 groups are kept, for neighbours that are read next. A block that is written or discarded leaves its group. One that is
 * read stays in it, until it is read again within a minute and not found among those that are kept.
 *
 * A segment that has groups cannot be opened by versions that do not know them. When the last group is gone, they can again.
 */

struct zsblk_group_what {
	const char *algorithm; /* one that groups can be made with; NULL: "zstd" */
	int level;             /* used only if has_level is true; otherwise the level is the algorithm's default */
	bool has_level;
	uint64_t older_than_s;  /* only blocks of this age or more; 0: any */
	uint64_t max_groups;    /* so many groups are made at most; 0: any number */
	bool again;             /* also blocks that are in groups of a weaker algorithm: these are made anew */
	uint64_t first, blocks; /* only blocks of this range, by number; blocks is 0: up to the end */
};

struct zsblk_group_figures {
	uint64_t done, total; /* blocks of the range that were looked at, and those that there are */
	uint64_t groups;      /* that were made */
	uint64_t blocks;      /* that were put into them */
	uint64_t bytes_saved; /* memory, all in: classes, back-references, entries */
	uint64_t given_up;    /* blocks that take less memory as they are */
	uint64_t failed;      /* blocks that are damaged, or for whose group there was no room */
};

struct zsblk_grouping;

/*
 * Count the groups that a job could try to make, without making one: sets of blocks that are near each other, have the age, and were not given
 * up. So somebody who begins jobs by the clock need not begin one that has nothing to do. Ends when `most` are found. Reads the whole table
 * otherwise; requests may be in flight, and none waits. *groups is set if 0 is returned. Errors: -EINVAL and -ENOTSUP, as
 * zsblk_group_begin(), and -ENOMEM.
 */
int zsblk_group_count(struct zsblk *dev, const struct zsblk_group_what *what, uint64_t most, uint64_t *groups,
		      struct zsblk_why *why);
/*
 * Put blocks into groups. A group is made of up to 16 blocks within 64 that follow each other, and stored only if it takes
 * less memory than they did. Otherwise they are not tried again until they change. Same-filled blocks are left out.
 * Groups half of whose blocks are gone, or more, are made anew with their neighbours, or taken apart.
 *
 * Requests may be in flight, and win: a block that is written meanwhile has what was written. The memory that all steps
 * need is made here, and that which reads of grouped blocks need: 1 MiB of decompressed groups, and what decompresses them.
 * To make groups is no access: ages and marks of idle blocks stay.
 *
 * On success *job is the caller's until zsblk_group_end(). A device has one at a time, or a recompression. Errors: -EBUSY (it has
 * one), -EINVAL (there is no such algorithm, groups cannot be made with it, or it has no such level; or the range is not in
 * the device), -ENOTSUP (the segment has no room for groups: it is of format 1, or the device of 16 TiB), -ENOMEM (the system has
 * no memory to spare for 3 seconds), -EINTR (params->interrupted returned true).
 */
int zsblk_group_begin(struct zsblk *dev, const struct zsblk_group_what *what, struct zsblk_grouping **job,
		      struct zsblk_why *why);
/*
 * One step: at most one group is made, or a bounded piece of other work is done. *more is false after the last one.
 * Returns 0. One thread at a time.
 *
 * New groups take memory before the pool gives back what the blocks had: 1 MiB at most, and at the limit 256 KiB, which may lie above it. Then the
 * pool is compacted. While the work holds memory near the limit, requests may take as much above the limit, up to 256 KiB together, so that none
 * is refused because of it. The pool is also compacted when the system has no memory to spare, for the reserve or for groups. Where
 * there is no room even then, the work ends early, with figures->done less than figures->total.
 */
int zsblk_group_step(struct zsblk_grouping *job, struct zsblk_group_figures *figures, bool *more);
/* End it, after the last step or before, and free *job. Before zsblk_close(). NULL is allowed. */
void zsblk_group_end(struct zsblk_grouping *job);

/* ------------------------------------------------------------------ the backing store
 *
 * Blocks that nobody uses leave memory: their objects go to a file, a block device or an NBD server, compressed as they are, and
 * encrypted. 8 bytes of memory stay for each. docs/spill.md says what lies there.
 *
 * A block leaves memory after the store has confirmed its object. One that is written or discarded gives its place back. A read waits for
 * the store, without holding up requests for blocks that are in memory; up to 16 wait at once for the store, and others for one of
 * these. A request that waits longer than the deadline, for all of its blocks together, fails with -EIO, and so does one whose object is
 * damaged. A block that was read or
 * written in the last minute, and is read again, comes back to memory, but not where the last sixteenth of mem_limit begins: that is
 * left for writes. One that is written in part comes back first, so that
 * fails with -ENOSPC where there is no room.
 *
 * A segment that names a store cannot be opened by versions that do not know them. A shared segment keeps the places, and the key. The
 * next zsblk_start() looks for the store if blocks are there, and waits for it for 2 s at most.
 *
 * A store that is away - not found yet since the start, lost, or not ours any more - leaves the device in use: blocks in memory are read
 * and written, and any block can be written whole or discarded. Reads of blocks in the store, and writes to a part of one, wait and
 * then fail with -EIO; nothing goes there (-ENOTCONN). The store is looked for in the background, every 5 s at most, until it is back.
 * zsblk_spill_get_stats() says so: is_reachable, away_ms, trouble and waiting. There are no events: whoever wants to tell people looks
 * there once in a while.
 *
 * If no blocks are there when the device starts, and zsblk_spill_attach() did not come first, the device has no store; its segment
 * can be opened by other versions again, and knows the store when it is attached later.
 */

struct zsblk_spill_store {
	/*
	 * A path of a file or a block device, or an NBD URI (nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH, nbds://...); 255
	 * characters at most. Copied.
	 */
	const char *location;
	uint64_t limit; /* bytes that may be in use there, 4 MiB at least; 0: all that there are */
	bool plain;     /* not encrypted */
	bool existing; /* a file, device or export that is there, and blank, may become a store; otherwise a file is created */
	bool take_over;       /* a store that nobody uses may be made anew: what is in it is lost */
	unsigned deadline_ms; /* how long a request or a write to the store may wait for it; 0: 60,000 */
	dev_t device;         /* the block device that this device is behind: a store on it is refused. 0: not known */
};

/*
 * Open the backing store that the segment names, or make one. The device has it until zsblk_close(). After the process has forked for
 * the last time, since a store has threads; before or after zsblk_start(). A store with blocks of this device can have moved:
 * its identity counts, and not its location. Where the segment says that it is, it may be away, and 0 is returned; elsewhere it has to be
 * there. Takes as long as the store does, and holds up nothing else.
 *
 * Errors: -EBUSY (the device has a store, or another process uses this one), -ENAMETOOLONG, -EINVAL (no such location, or the limit is too
 * small), -EMEDIUMTYPE (something else is there), -EEXIST (it is another store, and take_over is false), -ESTALE (it is another store, and
 * blocks of this device are in one), -ELOOP (it lies on this device, or leads to it), -ENOSPC (it is too small), -EPERM (others may change
 * the file), -ETIMEDOUT, -ENOMEM, -EOPNOTSUPP (built without), and what the system says.
 */
int zsblk_spill_attach(struct zsblk *dev, const struct zsblk_spill_store *store, struct zsblk_why *why);

/* Which blocks. Those that are same-filled or in groups are left out. */
struct zsblk_spill_what {
	uint64_t older_than_s;  /* only blocks of this age or more; 0: any */
	bool idle;              /* only those that are marked as idle */
	bool huge;              /* only those that are stored raw */
	uint64_t max_blocks;    /* about so many at most; 0: any number */
	uint64_t first, blocks; /* only blocks of this range, by number; blocks is 0: up to the end */
};

struct zsblk_spill_figures {
	uint64_t done, total; /* blocks of the range that were looked at, and those that there are */
	uint64_t blocks;      /* that went to the store */
	uint64_t bytes;       /* of their objects */
	uint64_t failed;      /* blocks that stay in memory, since a write failed */
};

struct zsblk_spilling;

/*
 * Write blocks to the backing store. Requests may be in flight, and win. It is no access: ages and marks of idle blocks stay. On success
 * *job is the caller's until zsblk_spill_end(). A device has one at a time, or makes groups, or recompresses. Errors: -EBUSY (it does one
 * of these), -ENODEV (it has no store), -EINVAL (the range is not in the device), -ENOMEM, -EINTR.
 */
int zsblk_spill_begin(struct zsblk *dev, const struct zsblk_spill_what *what, struct zsblk_spilling **job,
		      struct zsblk_why *why);
/*
 * One step: up to 256 blocks are written. *more is false after the last one, and after an error. Waits for the store, for its deadline at
 * most. One thread at a time. After an error the blocks that were not written are in memory as before: -ENOSPC (the store is full; try
 * again after zsblk_spill_clean_step()), -ETIMEDOUT, -ENOTCONN, -EBUSY (a write has not ended), and what the system or the server says.
 */
int zsblk_spill_step(struct zsblk_spilling *job, struct zsblk_spill_figures *figures, bool *more);
/* End it, after the last step or before, and free *job. Before zsblk_close(). NULL is allowed. */
void zsblk_spill_end(struct zsblk_spilling *job);

/*
 * One step of cleaning: what is live in a part of the store that is mostly dead is moved, or what is free is discarded. *more: there is more
 * to do. 0, or an error as of zsblk_spill_step(). Waits for the store. Any thread; does nothing without a store.
 */
int zsblk_spill_clean_step(struct zsblk *dev, bool *more);

/* Of the backing store, with zram's names where zram has the same figure. Counts begin at 0 when the store is opened. */
struct zsblk_spill_stats {
	uint64_t bd_count;     /* blocks that are there */
	uint64_t bd_reads;     /* blocks that were read from there */
	uint64_t bd_writes;    /* blocks that were written to it */
	uint64_t returned;     /* blocks that came back to memory because they were read, or written in part */
	uint64_t failed_reads; /* reads of blocks that failed: no answer in time, or damaged */
	uint64_t live_bytes;   /* of the store: that live objects take */
	uint64_t used_bytes;   /* that were written and not freed: live, dead and padding */
	uint64_t capacity;     /* that may be in use */
	uint64_t away_ms;      /* for how long it has not been reachable; 0: it is */
	unsigned waiting;      /* requests that wait for it now */
	bool is_reachable;     /* false: it was not found yet since the start, or was lost; it is looked for */
	bool is_full;          /* the last write failed for lack of room */
	bool is_encrypted;
	char location[256];
	char trouble
		[200]; /* what is wrong, for people: why it is not reachable, or why the last write failed; empty: nothing */
};

/* False: the device has no backing store, and all of *stats is 0. */
bool zsblk_spill_get_stats(struct zsblk *dev, struct zsblk_spill_stats *stats);

/* ------------------------------------------------------------------ the memo
 *
 * For who decides when all of this is done, which is not the engine: what was changed in use of that, and the next server
 * is to go on with. The engine keeps it and does not read it.
 */

/* Bytes at most, with the NUL. */
#define ZSBLK_MEMO_MAX 1024u

/*
 * Keep a text in the segment, in place of the last one. If the process is killed meanwhile, the next one finds the old text
 * or the new one. A segment of format 1 and one that is not shared keep it for zsblk_memo() of this device only. After
 * zsblk_start(). 0, or -E2BIG: the text is too long, and nothing was changed.
 */
int zsblk_set_memo(struct zsblk *dev, const char *memo);
/* The last text, also of a former server; empty: there is none. */
void zsblk_memo(struct zsblk *dev, char memo[ZSBLK_MEMO_MAX]);

/* ------------------------------------------------------------------ what others have to know */

/*
 * Features are what a segment may hold beyond what each segment of its format does, such as groups. A segment has a feature as long as
 * something in it needs that, and a version that does not know the feature refuses the segment. The name of the one of this bit, 0 to 31, one
 * word; NULL: this version knows none of that bit. May be called from any thread.
 */
const char *zsblk_segment_feature(unsigned bit);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif

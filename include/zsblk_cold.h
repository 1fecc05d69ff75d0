/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of zsblk.h that is about blocks that are seldom used: how old they are, and how they are made smaller. zsblk.h includes
 * it, and says what holds for units, errors, ownership and threads.
 */
#ifndef ZSBLK_COLD_H
#define ZSBLK_COLD_H

#include "zsblk.h"

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
	uint64_t bytes;  /* of the objects of these blocks */
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

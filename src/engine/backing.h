/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backing store of a device: where the objects are of blocks that nobody uses. spill/spill.h has what lies there; a word of type
 * "backed" has the place.
 *
 *   word of the block --> spill_get(), touch the age | (wait: no stripe, no context) | decompress
 *   '-- under the block's stripe --------------------'
 *
 * Invariants
 *   1 a word names a place only after spill_flush() has returned 0: a block leaves memory when its object is in the store;
 *   2 a place is dropped only after the word that had it was replaced;
 *   3 as long as somebody waits for an object of a block, no word of the block becomes a backed one. So who finds the word again for
 *     which the read began knows that nothing has happened to the block (ABA).
 *
 * What is asked for while it is in the store takes one of BACKING_WAITS places, each with a buffer, made and touched when the store is
 * opened. Others wait for one of them. Whoever waits holds no context, so blocks that are in memory are read and
 * written meanwhile.
 *
 * Locks: `lock` guards the places. It is taken under a stripe, and none is taken after it. Puts, flushes, cleaning and the record in
 * the segment: with recompress_lock.
 */
#ifndef BACKING_H
#define BACKING_H

#include "engine/engine.h"
#include "spill/spill.h"

#define BACKING_WAITS 16u

/*
 * The store's library: the module, loaded with the first call, or what a program has said that has the library in it (tests).
 * -EOPNOTSUPP: there is none. The calls of two threads at once load it twice, which is harmless.
 */
int backing_load_library(const struct spill_functions **functions, struct zsblk_why *why);
void backing_use_library(const struct spill_functions *functions);

/*
 * Before requests come, after the last fork: open the store that the segment names, if blocks are there and the store was not opened
 * yet. If no blocks are there, the segment forgets it.
 */
int backing_start(struct zsblk *dev, struct zsblk_why *why);
void backing_close(struct zsblk *dev);
/* Bytes of process memory. */
uint64_t backing_private_resident(const struct zsblk *dev);

/* For how long one request has waited for the store, in all of its blocks together. Zeroed when the request begins. */
struct backing_patience {
	uint64_t until_ns; /* 0: it has not waited yet */
};

/*
 * Read a part of a block whose word is a backed one. Called with its stripe held, which is released. *ctx is put back meanwhile, and is
 * another one afterwards. 1: the block is another one now, look at it again. -EIO: the object cannot be read, or the time of the request
 * is over: that of the store's deadline, however many blocks it has.
 */
int backing_read(struct zsblk *dev, struct context **ctx, struct backing_patience *patience, uint64_t block,
		 uint64_t word, unsigned from, unsigned len, uint8_t *out);
/* The same, to have the object in memory. 0 or 1: look at the block again. -ENOSPC: there is no room. -EIO. */
int backing_bring_back(struct zsblk *dev, struct context **ctx, struct backing_patience *patience, uint64_t block,
		       uint64_t word);
/*
 * Verify the object of a block, which is held; releases it. *ctx is another one afterwards. NULL: it is whole, or the block has changed;
 * or what is wrong.
 */
const char *backing_check(struct zsblk *dev, struct context **ctx, uint64_t block, uint64_t word);
/* The account of the store is that of the table. With recompress_lock, and no requests. */
int backing_check_account(struct zsblk *dev, struct zsblk_why *why);
/* Nobody has the place of this word any more. */
void backing_drop(struct zsblk *dev, uint64_t word);
/* Does somebody wait for an object of this block? Held. */
bool backing_is_awaited(struct zsblk *dev, uint64_t block);

#endif

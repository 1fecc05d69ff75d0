/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sectors: what a table word means for the device that has it.
 *
 * word.h says which bits a word has. This is about the data that it stands for: how a block becomes a word, and how a word
 * is read, dropped, moved, counted and verified. Each type of word is one row of the table in sector.c, and nothing outside
 * of sector.c looks at a word's type.
 *
 * Locks: `ctx` belongs to the calling thread. Functions marked "held" are called with the block's stripe held.
 */
#ifndef SECTOR_H
#define SECTOR_H

#include "engine/engine.h"
#include "engine/word.h"

/*
 * Store a block's bytes. *word is what its table entry is to become; nothing is published yet. -ENOSPC: nothing was taken.
 */
int sector_store(struct zsblk *dev, struct context *ctx, uint64_t block, const void *data, uint64_t *word);
/*
 * Overwrite a block that is filled with a repeated 64-bit word by another one: only the 8 bytes of its object change, and no object is
 * taken or freed. All such objects are of one class, whose lock each write would take twice otherwise. True: done. False: the block or
 * `data` is something else, and nothing has changed. Takes the stripe.
 */
bool sector_refill(struct zsblk *dev, uint64_t block, const void *data);
/* Put a word into the table and the figures. Returns the one that was there, to be dropped. Held. */
uint64_t sector_publish(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t word);
/* Free what a word names that is no longer in the table. The stripe was released since: no reader is in it any more. */
void sector_drop(struct zsblk *dev, uint64_t word);
/*
 * Read `len` bytes of a block from its byte `from` on. -EIO: the object is damaged. Uses ctx->block, unless that is `out` or
 * the whole block is read. Held.
 */
int sector_load(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out);

/*
 * Bring closer what a read of the block will need, and what a write of it will, while something else is done. Only hints: the
 * word may change at any time, and any address in the pool may be prefetched.
 */
void sector_prefetch_load(const struct zsblk *dev, uint64_t block);
void sector_prefetch_drop(const struct zsblk *dev, uint64_t block);

/* The owner's side of moving an object: a zs_move_fn whose `opaque` is a struct zsblk. Takes the stripe. */
bool sector_move(void *opaque, uint32_t block, struct zs_loc from);
/* The same for settling. */
extern const struct zs_settler sector_settler;

/* Where the object lies that a word names. */
struct zs_loc sector_loc(const struct zsblk *dev, uint64_t word);

/* Could this word have been written by this version? NULL, or what is wrong with it. */
const char *sector_check(uint64_t word);
/* The same of all words of the table, and of their places in the pool: -EUCLEAN and the reason. Counts them in *found, or NULL. */
int sector_verify(struct zsblk *dev, struct counters *found, struct zsblk_why *why);
/* Take the marks off all words: whoever made them has ended. For an opening that has verified all, and found some. */
void sector_clear_marks(struct zsblk *dev);
/* Tell of every object that the table names: a zs_scan_fn whose `opaque` is a struct zsblk. */
int sector_each_object(void *opaque, zs_each_fn *each, void *each_opaque);

#endif

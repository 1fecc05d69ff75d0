/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sectors: what a table word means for the device that has it.
 *
 * word.h has the bits of words. This file is about the data that words stand for: how a block becomes a word, and how a
 * word is read, dropped, moved, counted and verified. Each type of word is one row of the table in sector.c, and no
 * other file looks at a word's type.
 *
 * Locks: the calling thread holds `ctx`. A function marked "Held" is called with the block's stripe held.
 */
#ifndef SECTOR_H
#define SECTOR_H

#include "engine/engine.h"
#include "engine/entries.h"
#include "engine/word.h"

/*
 * Store the bytes of a block in the pool. *word is the word for its table entry, which is not changed yet. -ENOSPC:
 * nothing was taken.
 */
int sector_store(struct zsblk *dev, struct context *ctx, uint64_t block, const void *data, uint64_t *word);
/*
 * If the block is one repeated 64-bit word, and `data` is another one, change the 8 bytes of the block's object in
 * place. No object is taken or freed. All such objects are of one class; without this shortcut each write would take
 * the lock of that class twice. False: the block or `data` is something else, and nothing was changed. Takes the
 * stripe.
 */
bool sector_refill(struct zsblk *dev, uint64_t block, const void *data);
/* Store a word in the table, and count it. Returns the word that was there, which the caller drops. Held. */
uint64_t sector_publish(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t word);
/* Count a word that appears (sign 1) or goes (sign -1) in the table; true if its block is stored raw. */
bool sector_count(struct counters *counters, uint64_t word, int sign);
/*
 * Store the word `to`, and count it in *counters, if the block has the word `from`. Otherwise false. Whoever asks has
 * begun to work on the object (rework.h). Held.
 */
bool sector_replace(struct zsblk *dev, struct counters *counters, uint64_t block, uint64_t from, uint64_t to);
/*
 * Free what a word names that is no longer in the table. To be called after the stripe was released since the word was
 * replaced: then no reader uses the object.
 */
void sector_drop(struct zsblk *dev, uint64_t word);
/*
 * Read `len` bytes of a block from its byte `from` on. -EIO: the object is damaged. SECTOR_COLD: the block is in a group, and nothing
 * was read; go on with groups_read(). SECTOR_BACKED: the same, and its object is in the backing store; go on with backing_read().
 * Uses ctx->block, unless that is `out` or the whole block is read. Held.
 */
#define SECTOR_COLD   1
#define SECTOR_BACKED 2
int sector_load(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out);

/*
 * Prefetch what will be needed soon. All are hints: a word may change at any time, and any address in the pool may be
 * prefetched.
 */
/* A read of this block. */
void sector_prefetch_load(const struct zsblk *dev, uint64_t block);
/* sector_drop() of what the block has now. */
void sector_prefetch_drop(const struct zsblk *dev, uint64_t block);
/* The room that sector_drop() of this word has made. */
void sector_prefetch_reuse(const struct zsblk *dev, uint64_t word);

/* The owner's side of moving an object: a zs_move_fn whose `opaque` is a struct zsblk. Takes the stripe. */
bool sector_move(void *opaque, uint32_t block, struct zs_loc from);
/* The same for settling. */
extern const struct zs_settler sector_settler;

/*
 * Put bytes into the pool as an object of a table entry; *word is the word that names it. Pages may be taken up to `beyond` above
 * the limit. -ENOSPC: nothing was taken.
 */
int sector_store_bytes(struct zsblk *dev, uint64_t owner, enum word_type type, unsigned codec, const void *bytes,
		       unsigned size, unsigned beyond, uint64_t *word);
/* Decompress a copy of the object that a word names into `block`. -EIO: the object is damaged. `block`: a whole one. */
int sector_expand(struct context *ctx, uint64_t word, const void *bytes, uint8_t *block);
/* The most bytes of an object of a smaller class than the one that a word names; 0: there is no smaller class. */
unsigned sector_smaller(const struct zsblk *dev, uint64_t word);
/*
 * Put compressed bytes of a block into the pool as an object of a smaller class than the one that the word `old` names.
 * Pages may be taken up to `beyond` above the limit. *word is the word for its table entry, which is not changed yet. -ENOSPC: nothing
 * was taken.
 */
int sector_store_smaller(struct zsblk *dev, uint64_t block, uint64_t old, unsigned codec, const void *bytes,
			 unsigned size, unsigned beyond, uint64_t *word);
/* Take the bit "tried" off the block's word. Takes the stripe. */
void sector_forget_tried(struct zsblk *dev, uint64_t block);

/* The location of the object that a word names. */
struct zs_loc sector_loc(const struct zsblk *dev, uint64_t word);

/* Say how the block with this word is stored: all of *found but the number. False: it reads as zeroes. */
bool sector_describe(const struct zsblk *dev, uint64_t word, struct zsblk_block *found);
/* The block is stored compressed or raw, or in a group: it is neither empty nor same-filled. */
bool sector_has_data(uint64_t word);
/* The block is stored compressed or raw, as an object of its own. */
bool sector_is_single(uint64_t word);
/* The block is in a group. */
bool sector_is_shared(uint64_t word);
/* The object of the block is in the backing store. */
bool sector_is_backed(uint64_t word);
/* Somebody has begun to work on the block: rework.h. */
bool sector_is_marked(uint64_t word);
/* The memory that an object takes in a class, with its back-reference. */
unsigned sector_memory(const struct zsblk *dev, unsigned class_index);
/* Bytes of the object that a word names; 0: none. */
unsigned sector_object_bytes(uint64_t word);

/* NULL if this version can have written the word; otherwise what is wrong with it. */
const char *sector_check(uint64_t word);
/*
 * NULL if the block is whole: its word, the place of its object, and what is in there. Otherwise what is wrong. Uses ctx->block. Held.
 */
const char *sector_check_block(struct zsblk *dev, struct context *ctx, uint64_t block);
/*
 * Check all words of the table, and their locations. -EUCLEAN with the reason. Counts the words of blocks in *found. *survey is
 * new, and has what entries there are afterwards.
 */
int sector_verify(struct zsblk *dev, struct entries_survey *survey, struct counters *found, struct zsblk_why *why);
/*
 * Clear the marks of all words, since the process that made them has ended. For an opening, after sector_verify() has
 * found marks.
 */
void sector_clear_marks(struct zsblk *dev);
/* Call `each` for every object that the table names: a zs_scan_fn whose `opaque` is a struct zsblk. */
int sector_each_object(void *opaque, zs_each_fn *each, void *each_opaque);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared entries: words of the table behind those of the blocks, each of which owns an object that several blocks share.
 *
 *   blocks                               entries
 *   | ... | shared e, place 0 | ... |    | e: large (goes on) | e + 1: large (goes on) | e + 2: object, the rest | ... |
 *         | shared e, place 1 |
 *
 * Blocks name the first entry of a group. What has more than 4096 bytes goes on in the entries that follow. An entry is known by its
 * place in the table, which is also the back-reference of its object.
 *
 * How many name an entry is not stored (I1). It is counted in process memory, 32 bits for each entry: the scan of the table finds it
 * when a segment is opened. The words of blocks count, readers that are at work on the group (a pin), and the maker.
 *
 *   free      words 0, nothing counted
 *   made      the objects, then the words from the last to the first, and one is counted: the maker
 *   named     blocks come and go; each counts
 *   dying     nothing is counted any more: who was the last clears the words, the first one first, and frees the objects
 *
 * Only the maker counts an entry from 0 to 1, so an entry that is dying cannot be named again. Whoever is killed leaves, at worst,
 * entries that nobody names. The next opening clears these.
 *
 * Locks: one thread at a time finds and makes entries, with recompress_lock. A stripe holds an entry still as it holds a
 * block: its word, and its object. No function is to be called with a stripe held, but those that say so.
 */
#ifndef ENTRIES_H
#define ENTRIES_H

#include "process/spare.h"
#include "segment/table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zsblk;
struct zsblk_why;

/* The most entries of a group: its compressed bytes are fewer than those of 16 blocks. */
#define ENTRIES_MOST 16u

struct entries {
	uint64_t first, n; /* in the table; n is 0 if there is no room for entries */
	/* Of each entry. NULL: there are none, and never were any. */
	_Atomic uint32_t *refs;
	/* Where the next free ones are looked for, and how many were looked at in vain since some were found. */
	uint64_t next, looked;
	_Atomic uint64_t low, freed; /* the lowest entry that was freed since the search began anew, and how many */
	_Atomic uint64_t groups, used, bytes; /* that there are: groups, entries, bytes of objects */
};

/* Have the counts, of which none is in memory yet. -ENOMEM; -ENOTSUP: the segment has no room for entries. */
int entries_open(struct zsblk *dev);
/* Harmless on a zeroed struct. */
void entries_close(struct entries *entries);
/* Bytes of process memory. */
uint64_t entries_private_resident(const struct entries *entries);

static inline uint32_t entries_index(const struct entries *entries, uint32_t entry)
{
	return (uint32_t)(entry - entries->first);
}

/* ------------------------------------------------------------------ counts */

/*
 * Does the word of a block name an entry that there is? It does unless the table was damaged. With the block's stripe held, or the
 * entry pinned.
 */
bool entries_has(const struct zsblk *dev, uint64_t word);
/* Count one more: a reader, or a block whose word is about to be stored. Somebody else has counted already, and is held still. */
void entries_pin(struct zsblk *dev, uint32_t entry);
/* Count one less. The last one frees the entry. */
void entries_unpin(struct zsblk *dev, uint32_t entry);
/* How many are counted. */
unsigned entries_count(const struct zsblk *dev, uint32_t entry);
/*
 * Note that a place of a group was read. Returns whether that was noted before, of the place or the one beside it. For who has
 * pinned the entry.
 */
bool entries_note_read(struct zsblk *dev, uint32_t entry, unsigned place);

/* ------------------------------------------------------------------ objects */

/*
 * Put `size` bytes into the pool, as the object of new entries. One is counted: the caller. Pages may be taken up to `beyond`
 * above the limit. Nothing was changed if it fails: -EAGAIN (no free entries were found yet; ask again), -ENOSPC (there is no room in the
 * pool, or there are no free entries), -ENOMEM (the system has none to spare for the table, or for the pool).
 */
int entries_make(struct zsblk *dev, unsigned codec, const uint8_t *bytes, size_t size, unsigned beyond,
		 uint32_t *entry);
/*
 * Copy the object of an entry that the caller has pinned, `room` bytes at most. *codec and *size are set. -EIO: it is damaged. Takes stripes.
 */
int entries_copy(struct zsblk *dev, uint32_t entry, uint8_t *bytes, size_t room, unsigned *codec, size_t *size);
/* The memory that an object of so many bytes takes in entries, with its words, counts and back-references. */
size_t entries_memory(const struct zsblk *dev, size_t size);
/* Bytes of an entry's object, and the codec. 0 if there is none by now: the answer may be out of date at once. */
size_t entries_look(const struct zsblk *dev, uint32_t entry, unsigned *codec);

/* ------------------------------------------------------------------ scans */

/* A look at all words in order, those of the blocks first. */
struct entries_survey {
	const struct zsblk *dev;
	_Atomic uint32_t *seen; /* for each entry, zeroed; NULL: there should be none */
	uint64_t named, heads;  /* entries that blocks name, and those of them that were found */
	uint64_t groups, used, bytes, orphans;
	bool goes_on;    /* the last entry does */
	uint64_t last;   /* where it is */
	unsigned pieces; /* of the present group */
	unsigned codec;
};

/* NULL, or what is wrong with the word of a block that is in a group. */
const char *entries_see_block(struct entries_survey *survey, uint64_t word);
/* NULL, or what is wrong with the word of an entry. */
const char *entries_see(struct entries_survey *survey, uint64_t index, uint64_t word);
/* When all were seen: NULL, or what is wrong. */
const char *entries_see_end(const struct entries_survey *survey);
/* Does the survey, of a device at rest, find what is counted? */
bool entries_agree(const struct zsblk *dev, const struct entries_survey *survey);
/* After an opening has surveyed all with the counts themselves, and the pool knows all objects: free what nobody names. */
void entries_adopt(struct zsblk *dev, const struct entries_survey *survey);
/*
 * If there is no entry left, take back what the segment says of them, and give back the memory of their words. With
 * recompress_lock, or before the start.
 */
void entries_settle(struct zsblk *dev);
/* The same, once a second, for the worker. */
void entries_keep(struct zsblk *dev);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Table words: what the sector table says of one block.
 *
 *   empty    0                                                          reads as zeroes
 *   same32   | pattern 32 | 0                             29 | type 3 | a repeated 32-bit word
 *   object   | 0  2 | tried 1 | mark 1 | page 30 | slot 10 | borrow 2 | size - 1 12 | codec 3 | type 3 |
 *   same64   the same; an object of 8 bytes, uncompressed: a repeated 64-bit word
 *   shared   | 0  3 | mark 1 | entry 32 | place 6 | n - 1 6 | 0                          13 | type 3 |
 *   large    as object, of an entry: a piece of 4096 bytes that goes on in the next entry
 *   backed   | 0  2 | tried 1 | mark 1 | place in the store 42 | size - 1 12 | codec 3 | type 3 |
 *
 * The class of an object is the class of its size, plus `borrow`. Bits written as 0 must be 0, and types that are not
 * listed do not exist yet: a word with other bits is damage. `mark` and `tried` change nothing of what a word says. No new
 * word has them, but the word of an object that was moved is as `tried` as the word before, and recompression notes it
 * (recompress.c). Words are made and read by these functions only. docs/format.md describes them; sector.h has their meaning.
 */
#ifndef WORD_H
#define WORD_H

#include <stdint.h>

enum word_type {
	WORD_EMPTY = 0,
	WORD_OBJECT = 1,
	WORD_SAME32 = 2,
	WORD_SAME64 = 3,
	WORD_SHARED = 4,
	WORD_BACKED = 5,
	WORD_LARGE = 6,
	WORD_TYPES = 8, /* what three bits can say */
};

struct word_object {
	uint32_t page;  /* < 2^30 */
	uint16_t slot;  /* < 2^10 */
	uint16_t size;  /* 1 to 4096 */
	uint8_t borrow; /* < 4 */
	uint8_t codec;  /* < 8 */
};

/* A block that is in a group: which entry of the table, and which of the group's n blocks. */
struct word_shared {
	uint32_t entry;
	uint8_t place; /* < n */
	uint8_t n;     /* 1 to 64 */
};

/* A block whose object is in the backing store. */
struct word_backed {
	uint64_t place; /* < 2^42: the store's */
	uint16_t size;  /* 1 to 4096 */
	uint8_t codec;  /* < 8 */
};

enum {
	WORD_CODEC_SHIFT = 3,
	WORD_CODEC_BITS = 3,
	WORD_SIZE_SHIFT = 6,
	WORD_SIZE_BITS = 12,
	WORD_BORROW_SHIFT = 18,
	WORD_BORROW_BITS = 2,
	WORD_SLOT_SHIFT = 20,
	WORD_SLOT_BITS = 10,
	WORD_PAGE_SHIFT = 30,
	WORD_PAGE_BITS = 30,
	WORD_STORED_SHIFT = 18,
	WORD_STORED_BITS = 42,
	WORD_MARK_SHIFT = 60,
	WORD_TRIED_SHIFT = 61,
	WORD_PATTERN_SHIFT = 32,
	WORD_COUNT_SHIFT = 16,
	WORD_COUNT_BITS = 6,
	WORD_PLACE_SHIFT = 22,
	WORD_PLACE_BITS = 6,
	WORD_ENTRY_SHIFT = 28,
	WORD_ENTRY_BITS = 32,
};
_Static_assert(WORD_ENTRY_SHIFT + WORD_ENTRY_BITS <= WORD_MARK_SHIFT, "the mark is where that of an object is");
_Static_assert(WORD_PAGE_SHIFT + WORD_PAGE_BITS <= WORD_MARK_SHIFT, "a word has 64 bits");
_Static_assert(WORD_STORED_SHIFT + WORD_STORED_BITS <= WORD_MARK_SHIFT, "the mark is where that of an object is");

static inline unsigned word_field(uint64_t word, unsigned shift, unsigned bits)
{
	return (unsigned)(word >> shift & ((UINT64_C(1) << bits) - 1));
}

static inline uint64_t word_make_same32(uint32_t pattern)
{
	return (uint64_t)pattern << WORD_PATTERN_SHIFT | WORD_SAME32;
}

static inline uint64_t word_make_object(enum word_type type, const struct word_object *object)
{
	return (uint64_t)type | (uint64_t)object->codec << WORD_CODEC_SHIFT |
	       (uint64_t)(object->size - 1u) << WORD_SIZE_SHIFT | (uint64_t)object->borrow << WORD_BORROW_SHIFT |
	       (uint64_t)object->slot << WORD_SLOT_SHIFT | (uint64_t)object->page << WORD_PAGE_SHIFT;
}

static inline uint64_t word_make_shared(const struct word_shared *shared)
{
	return WORD_SHARED | (uint64_t)(shared->n - 1u) << WORD_COUNT_SHIFT |
	       (uint64_t)shared->place << WORD_PLACE_SHIFT | (uint64_t)shared->entry << WORD_ENTRY_SHIFT;
}

static inline uint64_t word_make_backed(const struct word_backed *backed)
{
	return WORD_BACKED | (uint64_t)backed->codec << WORD_CODEC_SHIFT |
	       (uint64_t)(backed->size - 1u) << WORD_SIZE_SHIFT | backed->place << WORD_STORED_SHIFT;
}

/* The repeated 64-bit word of a WORD_SAME32. */
static inline uint64_t word_pattern(uint64_t word)
{
	uint64_t half = word >> WORD_PATTERN_SHIFT;

	return half << 32 | half;
}

/* Of a WORD_SHARED. */
static inline struct word_shared word_shared(uint64_t word)
{
	return (struct word_shared){
		.entry = (uint32_t)(word >> WORD_ENTRY_SHIFT),
		.place = (uint8_t)word_field(word, WORD_PLACE_SHIFT, WORD_PLACE_BITS),
		.n = (uint8_t)(word_field(word, WORD_COUNT_SHIFT, WORD_COUNT_BITS) + 1),
	};
}

/* Of a WORD_OBJECT, WORD_SAME64 or WORD_LARGE. */
static inline struct word_object word_object(uint64_t word)
{
	return (struct word_object){
		.page = word_field(word, WORD_PAGE_SHIFT, WORD_PAGE_BITS),
		.slot = (uint16_t)word_field(word, WORD_SLOT_SHIFT, WORD_SLOT_BITS),
		.size = (uint16_t)(word_field(word, WORD_SIZE_SHIFT, WORD_SIZE_BITS) + 1),
		.borrow = (uint8_t)word_field(word, WORD_BORROW_SHIFT, WORD_BORROW_BITS),
		.codec = (uint8_t)word_field(word, WORD_CODEC_SHIFT, WORD_CODEC_BITS),
	};
}

/* Of a WORD_BACKED. */
static inline struct word_backed word_backed(uint64_t word)
{
	return (struct word_backed){
		.place = word >> WORD_STORED_SHIFT & ((UINT64_C(1) << WORD_STORED_BITS) - 1),
		.size = (uint16_t)(word_field(word, WORD_SIZE_SHIFT, WORD_SIZE_BITS) + 1),
		.codec = (uint8_t)word_field(word, WORD_CODEC_SHIFT, WORD_CODEC_BITS),
	};
}

static inline enum word_type word_type(uint64_t word)
{
	return (enum word_type)(word % WORD_TYPES);
}

/*
 * The mark. A worker that takes long with an object (to compress it better, say) does not hold the block still meanwhile. The
 * worker takes the block's stripe, stores the word with the mark, copies the object, and lets go of the stripe. When the work is
 * done, the worker takes the stripe again. If the word is the marked one, nothing has happened to the block, and the
 * worker replaces the word. That the word is the same without a mark would prove nothing: after two writes a block
 * can be in the same slot again, with the same size and other contents.
 *
 * Who may do what:
 *   - Only the holder of a block's stripe stores its word, with or without a mark.
 *   - Every new word is without the mark. Also what changes an object in its place, without a new word, takes the mark off, and
 *     does that after the change (sector_refill()).
 *   - One worker at a time is at work on a block, from its mark to its second look. Otherwise a write could take away the first one's
 *     mark, and the first worker would find the mark of the second one. One thread that marks words is the simplest way.
 *   - A worker that gives up takes its mark off. Marks of a process that has ended are taken off when the segment is opened.
 *
 * A marked word means what it means without the mark.
 */
static inline uint64_t word_mark(uint64_t word)
{
	return word | UINT64_C(1) << WORD_MARK_SHIFT;
}

static inline uint64_t word_unmark(uint64_t word)
{
	return word & ~(UINT64_C(1) << WORD_MARK_SHIFT);
}

/* "Does not compress better": what of it another word for the same object has to have. Of a WORD_OBJECT or WORD_SAME64. */
static inline uint64_t word_tried(uint64_t word)
{
	return word & UINT64_C(1) << WORD_TRIED_SHIFT;
}

/* The word of the same object, with "does not compress better", and without. Of a WORD_OBJECT or WORD_SAME64. */
static inline uint64_t word_note_tried(uint64_t word)
{
	return word | UINT64_C(1) << WORD_TRIED_SHIFT;
}

static inline uint64_t word_forget_tried(uint64_t word)
{
	return word & ~(UINT64_C(1) << WORD_TRIED_SHIFT);
}

/* Of a WORD_OBJECT, WORD_SAME64 or WORD_SHARED. */
static inline bool word_is_marked(uint64_t word)
{
	return word_unmark(word) != word;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first page of a segment, byte by byte, as docs/format.md describes it. Private to the superblock (super.c) and
 * the claim (claim.c). Numbers are in the machine's byte order.
 */
#ifndef SEGMENT_FORMAT_H
#define SEGMENT_FORMAT_H

#include "segment/segment.h"
#include "segment/super.h"

/* What the segment is. At the same place in formats 1 and 2. Written once. */
struct format_basics {
	uint32_t kind;
	uint32_t block_size;
	uint64_t table_words;
	uint64_t pool_pages;
	uint32_t class_step;
	uint32_t class_min;
	uint32_t chain;
	uint32_t max_objects;
	char name[32];
	char codecs[SUPER_CODECS][16];
};
_Static_assert(sizeof(struct format_basics) == 4 * 2 + 8 * 2 + 4 * 4 + 32 + 16 * SUPER_CODECS,
	       "no padding: the checksum covers every byte");

/*
 * A number of 32 bits and its complement, in one word. One store changes it, and every damaged bit shows. For numbers
 * that change while the segment is in use: a checksum could not change in the same store.
 */
typedef uint64_t format_checked;

static inline format_checked format_check(uint32_t value)
{
	return (uint64_t)~value << 32 | value;
}

static inline bool format_is_whole(format_checked word)
{
	return word == format_check((uint32_t)word);
}

/*
 * What changes while the segment is in use. Format 1 has the claim, and from some build on keeper and in_service. There
 * the rest is 0.
 */
struct format_state {
	uint64_t claim;
	uint64_t keeper;     /* in the form of a claim: the process that has the segment attached without using it */
	uint64_t in_service; /* 1 once a server has come into service with the segment */
	uint64_t reserved;
	format_checked compatible, read_only, incompatible; /* features */
	format_checked last_block;                          /* blocks of the device, less 1 */
	/* Hints. Nothing depends on a hint, and whoever uses one verifies it. */
	uint64_t frontier;     /* see super_frontier() */
	uint64_t ages_seconds; /* see super_ages_seconds() */
	uint64_t tried_with;   /* see super_tried_with() */
	uint64_t reserved_hints[25];
};

/* Where the parts of the segment are. Format 2 only. Written once. */
struct format_places {
	uint64_t map_offset, table_offset, pool_offset; /* bytes from the start of the segment */
	uint64_t max_blocks;
	uint64_t ages_offset, room_offset; /* 0: the segment has no such part */
	uint64_t reserved[57];
};

struct super {
	union {
		char magic[8];
		uint64_t magic_word;
	};
	union {
		struct {
			uint32_t version;
			uint32_t bytes; /* offset of the checksum, which covers what is written once */
		};
		uint64_t version_and_bytes;
	};
	struct format_basics basics;
	uint64_t checksum1; /* format 1: of all above. Format 2: any value, left from format 1 */
	struct format_state state;
	struct format_places places;
	uint64_t checksum;
};
_Static_assert(offsetof(struct super, checksum1) == 216, "format 1 has its checksum here");
_Static_assert(offsetof(struct super, state) == 224, "every format has the claim here");
_Static_assert(offsetof(struct super, places) == 512, "what is written once is apart from what changes");
_Static_assert(sizeof(struct super) == 1024, "what lies behind is described in docs/format.md");

static inline struct super *super_of(const struct segment *seg)
{
	return (struct super *)seg->base;
}

/* Recompute the checksum of a superblock. For tests that change one. */
void super_seal(struct segment *seg);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lies in the first page of a segment, byte by byte: docs/format.md in C. Private to the superblock (super.c) and the
 * claim (claim.c).
 */
#ifndef SEGMENT_FORMAT_H
#define SEGMENT_FORMAT_H

#include "segment/segment.h"
#include "segment/super.h"

/* At the same place in formats 1 and 2. Written once. */
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
 * A number of 32 bits and its complement, in one word: it changes in one store, and every bit that is damaged shows. For
 * what changes while the segment is in use, which no checksum can cover.
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

/* What changes. Format 1 has the claim only, keeper and in_service as well since later; it leaves the rest 0. */
struct format_state {
	uint64_t claim;
	uint64_t keeper;     /* as a claim: who has it attached without using it */
	uint64_t in_service; /* 1 once a server has come into service with it */
	uint64_t reserved;
	format_checked compatible, read_only, incompatible; /* features */
	format_checked last_block;                          /* of the device: blocks - 1 */
	/* Hints: nothing depends on them, and whoever uses one verifies it. */
	uint64_t frontier; /* see super_frontier() */
	uint64_t reserved_hints[27];
};

/* Where the parts are. Format 2 only. Written once. */
struct format_places {
	uint64_t map_offset, table_offset, pool_offset; /* bytes from the start of the segment */
	uint64_t max_blocks;
	uint64_t reserved[59];
};

struct super {
	union {
		char magic[8];
		uint64_t magic_word;
	};
	union {
		struct {
			uint32_t version;
			uint32_t bytes; /* the checksum lies there, and covers what is written once */
		};
		uint64_t version_and_bytes;
	};
	struct format_basics basics;
	uint64_t checksum1; /* format 1: of all above. Format 2: what is left of it, without a meaning */
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

/* Make the checksum right for what stands there. */
void super_seal(struct segment *seg);

#endif

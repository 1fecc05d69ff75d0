/* SPDX-License-Identifier: BSD-3-Clause */
/* What lies in the first page of a segment, byte by byte. Private to the superblock (super.c) and the claim (claim.c). */
#ifndef SEGMENT_FORMAT_H
#define SEGMENT_FORMAT_H

#include "segment/segment.h"
#include "segment/super.h"

struct super {
	union {
		char magic[8];
		uint64_t magic_word;
	};
	union {
		struct {
			uint32_t version;
			uint32_t bytes; /* of what the checksum covers */
		};
		uint64_t version_and_bytes;
	};
	struct super_layout layout;
	uint64_t checksum;
	/* The fields above never change. */
	uint64_t claim;
	uint64_t keeper;     /* as a claim: who has it attached without using it */
	uint64_t in_service; /* 1 once a server has come into service with it */
};
_Static_assert(sizeof(struct super) <= SEGMENT_PAGE, "the superblock is one page");
_Static_assert(sizeof(struct super_layout) == 4 * 2 + 8 * 2 + 4 * 4 + 32 + 16 * SUPER_CODECS,
	       "no padding: the checksum covers every byte");

static inline struct super *super_of(const struct segment *seg)
{
	return (struct super *)seg->base;
}

#endif

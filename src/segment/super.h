/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The superblock: the first page of every segment. It says what the segment is, and refuses to be
 * taken for anything else (I4: refuse, never guess). docs/format.md describes all of it.
 */
#ifndef SUPER_H
#define SUPER_H

#include "segment/segment.h"
#include "segment/table.h"

#define SUPER_VERSION 2u
#define SUPER_OLDEST  1u
#define SUPER_CODECS  8u

enum super_kind {
	SUPER_DEVICE = 1, /* a block device: sector table and pool */
	SUPER_POOL = 2,   /* a plain zsmalloc pool: handle table and pool */
};

/* What is in a segment beyond what every segment of its version has: a bit each. */
struct super_features {
	uint32_t compatible;   /* whoever does not know one may use the segment */
	uint32_t read_only;    /* may look at it and verify it, and must not change it */
	uint32_t incompatible; /* must leave it alone */
};

/* What a segment is, and where its parts are. */
struct super_layout {
	uint32_t version; /* of the format: 1 or SUPER_VERSION */
	uint32_t kind;
	uint32_t block_size;
	uint32_t chain;
	uint64_t blocks;      /* of the device, or handles. It can change: super_set_blocks() */
	uint64_t max_blocks;  /* the most it can have */
	uint64_t table_words; /* max_blocks, and room behind those for entries that several blocks share */
	uint64_t pool_pages;
	uint64_t map_offset, table_offset, pool_offset; /* bytes from the start of the segment */
	uint32_t class_step;
	uint32_t class_min;
	uint32_t max_objects;
	char name[32];
	char codecs[SUPER_CODECS][16]; /* what each codec identity in a table word means */
	struct super_features features;
};

/* The words that the table of a new device has for so many blocks. */
uint64_t super_table_words(uint64_t max_blocks);
/* Say where the parts of a new segment are to be: the last step of describing one. */
void super_arrange(struct super_layout *layout);
uint64_t super_segment_bytes(const struct super_layout *layout);

/* The table of a mapped segment. */
struct table super_table(const struct segment *seg, const struct super_layout *layout);

/* Write the superblock of a fresh segment; its magic comes last, so that a half-made one is still fresh. */
void super_format(struct segment *seg, const struct super_layout *layout);

/*
 * Is this an all-new segment (or one whose maker died before it could be used)? Not one that is merely empty: our makers
 * leave a claim in it before anything else, and what has none is somebody else's.
 */
bool super_is_blank(const struct segment *seg);

/* Does it bear our magic, damaged or not? */
bool super_is_ours(const struct segment *seg);

/*
 * Read and verify the superblock against the segment's size and the versions that are known here. 0, or -EINVAL with the
 * reason in `why`. It says nothing of what may be done with the segment.
 */
int super_read(const struct segment *seg, struct super_layout *layout, char *why, size_t why_size);
/*
 * Do the features in it permit this zsblk to look at what is stored, or, with `change`, to use it? 0, or -EINVAL with the
 * reason.
 */
int super_permits(const struct super_layout *layout, bool change, char *why, size_t why_size);

/*
 * The device has so many blocks from now on, 1 to layout->max_blocks: one store, so that a process that is killed leaves
 * the old number or the new one. A segment of format 1 has no place for that, and becomes one of format 2 first. *layout
 * says so afterwards. For the holder of the claim, one thread at a time.
 */
void super_set_blocks(struct segment *seg, struct super_layout *layout, uint64_t blocks);

/*
 * A hint for the next process: pages from the pool's start up to which memory may have been taken. It is raised before
 * the memory is taken. NULL: this format has no place for it.
 */
uint64_t *super_frontier(struct segment *seg, const struct super_layout *layout);

/* Has any server come into service with it? Before, there is nothing in it that anybody relies on. */
void super_put_in_service(struct segment *seg);
bool super_was_in_service(const struct segment *seg);

#endif

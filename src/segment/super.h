/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The superblock: the first page of every segment. It says what the segment is, and refuses to be
 * taken for anything else (I4: refuse, never guess).
 */
#ifndef SUPER_H
#define SUPER_H

#include "segment/segment.h"
#include "segment/table.h"

#define SUPER_VERSION 2u
#define SUPER_CODECS  8u

enum super_kind {
	SUPER_DEVICE = 1, /* a block device: sector table and pool */
	SUPER_POOL = 2,   /* a plain zsmalloc pool: handle table and pool */
};

/* What is written once, when a segment is made. All numbers in the machine's own byte order: a
 * segment never leaves the machine. */
struct super_layout {
	uint32_t kind;
	uint32_t block_size;
	uint64_t table_words; /* blocks, or handles */
	uint64_t pool_pages;
	uint32_t class_step;
	uint32_t class_min;
	uint32_t chain;
	uint32_t max_objects;
	char name[32];
	char codecs[SUPER_CODECS][16]; /* what each codec identity in a table word means */
};

/* Where the parts of a segment begin, in bytes from its start; all follows from the layout. */
uint64_t super_pool_offset(const struct super_layout *layout);
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
 * Read and verify the superblock against the segment's size and this version. 0, or -EINVAL with
 * the reason in `why`.
 */
int super_read(const struct segment *seg, struct super_layout *layout, char *why, size_t why_size);

/* Has any server come into service with it? Before, there is nothing in it that anybody relies on. */
void super_put_in_service(struct segment *seg);
bool super_was_in_service(const struct segment *seg);

#endif

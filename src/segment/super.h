/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The superblock: the first page of every segment. It says what the segment is and where its parts are. A segment that
 * does not match exactly is refused (I4: refuse, never guess). docs/format.md describes the format and the rules of
 * versions and features.
 *
 * Errors: functions that return int give 0 or a negative errno. Functions that only read may be called from any thread.
 */
#ifndef SUPER_H
#define SUPER_H

#include "segment/segment.h"
#include "segment/table.h"

#include <sys/types.h>

#define SUPER_VERSION 2u
#define SUPER_OLDEST  1u
#define SUPER_CODECS  8u
/* For what later versions keep beside the table: docs/format.md. */
#define SUPER_ROOM_BYTES 65536u

enum super_kind {
	SUPER_DEVICE = 1, /* a block device: sector table and pool */
	SUPER_POOL = 2,   /* a plain zsmalloc pool: handle table and pool */
};

/*
 * What a segment has beyond what every segment of its version has, one bit for each feature. Each word says what a
 * zsblk that does not know a bit of it may do.
 */
struct super_features {
	uint32_t compatible;   /* use the segment */
	uint32_t read_only;    /* look at the segment and verify it, and not change it */
	uint32_t incompatible; /* nothing */
};

/* Compatible features. */
#define SUPER_HAS_AGES 1u /* ages were written to their part, and the hint beside the frontier says for how long */

#define SUPER_HAS_SETTINGS 4u /* there is a record of settings in the room */

/* Incompatible features. Of a device. */
#define SUPER_HAS_SHARED 1u /* there may be words of type 4, and shared entries */
#define SUPER_HAS_LARGE  2u /* there may be words of type 6 */
#define SUPER_HAS_BACKED 4u /* there is a record of a backing store, and there may be words of type 5 */
#define SUPER_HAS_CODECS 8u /* there may be objects of codecs 4 to 7, and there is a record of codecs: super_codecs.h */

/* The name of the incompatible feature of a device that has this bit; NULL: none is known here. */
const char *super_feature_name(unsigned bit);

/* What a segment is, and where its parts are. */
struct super_layout {
	uint32_t version; /* of the format: 1 or SUPER_VERSION */
	uint32_t kind;
	uint32_t block_size;
	uint32_t chain;
	uint64_t blocks;      /* of the device; of a pool: handles. super_set_blocks() changes it */
	uint64_t max_blocks;  /* the most that blocks can become */
	uint64_t table_words; /* max_blocks, and room for entries that several blocks share */
	uint64_t pool_pages;
	uint64_t map_offset, table_offset, pool_offset; /* bytes from the start of the segment */
	uint64_t ages_offset; /* a byte for each word of the table; 0: no such part, as in format 1 */
	uint64_t room_offset; /* SUPER_ROOM_BYTES; 0: no such part */
	uint32_t class_step;
	uint32_t class_min;
	uint32_t max_objects;
	char name[32];
	char codecs[SUPER_CODECS][16]; /* what each codec identity in a table word means */
	struct super_features features;
};

/* The number of table words of a new device with this max_blocks. */
uint64_t super_table_words(uint64_t max_blocks);
/* The last step of describing a new segment: work out version and offsets from the other members. */
void super_arrange(struct super_layout *layout);
/* Bytes of a segment with this layout. */
uint64_t super_segment_bytes(const struct super_layout *layout);

/* The table of a mapped segment. */
struct table super_table(const struct segment *seg, const struct super_layout *layout);

/*
 * Write the superblock of a blank segment. The magic is stored last: a process that is killed before leaves the segment
 * blank. For the holder of the claim.
 */
void super_format(struct segment *seg, const struct super_layout *layout);

/*
 * True if the segment is new, or its maker died before the superblock was complete. A segment that is merely empty is
 * not blank: zsblk stores a claim in a segment before anything else, so an empty one without a claim was made by
 * another program. May wait a second for the maker's claim.
 */
bool super_is_blank(const struct segment *seg);
/*
 * Was this segment, which process `maker` made (shm_cpid), left by a zsblk that was killed before the superblock was complete? Only what
 * bears the claim of its maker, which has ended, and nothing but the beginnings of a superblock.
 */
bool super_is_abandoned(const struct segment *seg, pid_t maker);

/* True if the segment bears our magic, damaged or not. */
bool super_is_ours(const struct segment *seg);

/*
 * Read the superblock, and verify it against the segment's size and the versions known here. 0, or -EINVAL with the
 * reason in `why`. What may be done with the segment is super_permits()'s question.
 */
int super_read(const struct segment *seg, struct super_layout *layout, char *why, size_t why_size);
/*
 * 0 if the features of the segment permit this zsblk to look at what is stored; with `change`, to use the segment.
 * Otherwise -EINVAL with the reason.
 */
int super_permits(const struct super_layout *layout, bool change, char *why, size_t why_size);

/*
 * Store the device's number of blocks, 1 to layout->max_blocks. This is one store: a process that is killed leaves the
 * old number or the new one. A segment of format 1 has no place for the number, and becomes one of format 2 first;
 * *layout then says so. For the holder of the claim, one thread at a time.
 */
void super_set_blocks(struct segment *seg, struct super_layout *layout, uint64_t blocks);

/*
 * The place of a hint for the next process: pages from the start of the pool up to which memory may have been taken.
 * Raise it before memory is taken beyond. NULL: this format has no place for it.
 */
uint64_t *super_frontier(struct segment *seg, const struct super_layout *layout);

/*
 * Say that the segment has ages from now on, before the first one is stored. A segment without the part must not be given.
 * For the holder of the claim, one thread at a time.
 */
void super_begin_ages(struct segment *seg, struct super_layout *layout);
/*
 * The place of a hint: for how many seconds the ages in the segment were kept. NULL: the segment has no such part.
 */
uint64_t *super_ages_seconds(struct segment *seg, const struct super_layout *layout);
/*
 * The place of a hint: the algorithm that the bit "tried" of words stands for, and its level. 0: there is none. NULL:
 * this format has no place for it.
 */
uint64_t *super_tried_with(struct segment *seg, const struct super_layout *layout);
/*
 * Turn a segment of format 1 into one of format 2, for what format 1 has no place for; *layout then says so. For the
 * holder of the claim, one thread at a time.
 */
void super_carry_over(struct segment *seg, struct super_layout *layout);

/*
 * Say that the segment has these incompatible features from now on, before the first thing that needs them is stored; or
 * that it has them no more, after the last one is gone. For the holder of the claim. Threads
 * may do this for different features at the same time; a format 1 has none.
 */
void super_set_incompatible(struct segment *seg, struct super_layout *layout, uint32_t features, bool has);

/* Bytes of each of the two copies of the record of settings: super_record.h. */
#define SUPER_SETTINGS_COPY 2048u
/* Where the record is. NULL: this segment has no room, or ends with this process. */
void *super_settings(struct segment *seg, const struct super_layout *layout);
/* The record was written for the first time. For the holder of the claim, one thread at a time. */
void super_begin_settings(struct segment *seg, struct super_layout *layout);

/* Bytes of each of the two copies of the record of the backing store: super_record.h. */
#define SUPER_BACKING_COPY 512u
/* Where the record is. NULL: this format has no place for it; super_carry_over() first. */
void *super_backing(struct segment *seg, const struct super_layout *layout);

/*
 * Note, and ask, whether a server has come into service with the segment. Before that nobody relies on anything in it.
 */
void super_put_in_service(struct segment *seg);
bool super_was_in_service(const struct segment *seg);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The record of codecs: what codecs 4 to 7 of table words are. Codecs below 4 are named in the superblock, and every
 * zsblk has them. A segment has the record, and the feature that says so, from before the first object of another codec
 * is stored. A zsblk that does not know the feature, or a codec of the record, leaves the segment alone.
 *
 *   for each of 0 to 7:  | name 16 | entry 8 | bytes 8 | hash 8 | parameters 24 |
 *
 * Behind the name is a dictionary, and what else there is to a codec. No codec here has either, so all of that is 0, as
 * the names of codecs 0 to 3 are.
 */
#ifndef SUPER_CODECS_H
#define SUPER_CODECS_H

#include "segment/super.h"

/* The codecs that the superblock names. */
#define SUPER_CODECS_NAMED 4u
/* Where the record lies in the segment, and bytes of each of its two copies: super_record.h. */
#define SUPER_CODECS_OFFSET 2048u
#define SUPER_CODECS_COPY   1024u

/*
 * For super_read(): take the names of codecs from 4 on from the record into *layout, if the segment has one. 0, or
 * -EINVAL with the reason: the record is damaged, or has what this zsblk does not know. Which codecs there are to know
 * is the caller's question.
 */
int super_codecs_read(const struct segment *seg, struct super_layout *layout, char *why, size_t why_size);

/*
 * Note that objects may be of codec `id`, 4 to 7, with this name, from now on; *layout then says so. Does nothing if that
 * is noted. A segment of format 1 becomes one of format 2. A process that is killed leaves a segment that has the codec,
 * or one that has not. For the holder of the claim, one thread at a time.
 */
void super_codecs_begin(struct segment *seg, struct super_layout *layout, unsigned id, const char *name);

/* No object of any of them is left: versions that do not know the feature can open the segment again. The same holds. */
void super_codecs_end(struct segment *seg, struct super_layout *layout);

#endif

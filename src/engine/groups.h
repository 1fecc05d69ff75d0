/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks that are in groups: how they are read.
 *
 *   word of the block --> pin the entry, touch the age | in the cache? --> copy
 *   '-- under the block's stripe ---------------------'| otherwise: pieces --> decoder --> a slot of the cache, and copy
 *                                                          '-- each under the stripe of its entry
 *
 * No stripe is held while a group is decoded. The pin keeps the entry: the group may lose its last block meanwhile, and the reader that
 * has it pinned frees it then.
 *
 * Cache. The last GROUPS_CACHED groups that were decoded, or the beginnings of them, for neighbours that are asked for next. A
 * slot is filled by a reader who has the entry pinned. The last one to let go of an entry takes it out of the cache before the entry
 * can be used again. So what is found under an entry that is pinned is of the group that the entry is now. Readers of a group that is
 * being decoded wait for that.
 *
 * Memory. Cache and decoders are made when the first group is, or a segment that has some is opened, and stay. A device
 * without groups has none of it.
 *
 * Locks: `lock` guards slots and decoders. It is taken with no other lock held, and none is taken after it.
 */
#ifndef GROUPS_H
#define GROUPS_H

#include "codec/group.h"
#include "engine/engine.h"
#include "engine/word.h"

#include <pthread.h>

#define GROUPS_CACHED   16u
#define GROUPS_DECODERS 8u /* at most */

/* What decodes one group at a time. */
struct groups_decoder {
	void *dctx[CODEC_IDS];
	uint8_t *bytes; /* room for compressed bytes: GROUP_BYTES */
	bool is_busy;
};

/* A group that was decoded, up to some block. */
struct groups_slot {
	uint32_t entry;  /* or 0 */
	unsigned done;   /* so many blocks are there */
	unsigned users;  /* readers that copy out of it */
	bool is_filling; /* somebody decodes into it */
	bool is_awaited; /* somebody waits until nobody uses it, to decode more of the group */
	uint64_t used;   /* when it was used last */
	uint8_t *blocks; /* GROUP_BYTES */
};

/* For groups.c, and its test. */
struct groups {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct groups_slot slots[GROUPS_CACHED];
	struct groups_decoder decoders[GROUPS_DECODERS];
	unsigned n; /* decoders */
	uint64_t clock;
	uint8_t *checked; /* GROUP_BYTES, for groups_check(), of which one at a time has them */
	bool is_checking;
	size_t bytes; /* of this and all that it has */
};

/* What a decoder takes, and make one in lent memory that is aligned to 64. */
size_t groups_decoder_bytes(void);
int groups_make_decoder(struct groups_decoder *decoder, uint8_t *mem);
/*
 * Decode the group of an entry, which the caller has pinned, up to a block at least. *done blocks are in `blocks` then, which has
 * room for n. -EIO: it is damaged. Takes stripes.
 */
int groups_decode(struct zsblk *dev, struct groups_decoder *decoder, const struct word_shared *shared, uint8_t *blocks,
		  unsigned *done);

/*
 * Have counts, cache and decoders, populated. Harmless if they are there. While an opening goes on, or with change_lock and recompress_lock.
 * -ENOMEM; -ENOTSUP: the segment has no room for groups; -EINTR: dev->interrupted() said so.
 */
int groups_prepare(struct zsblk *dev);
void groups_close(struct zsblk *dev);
/* Bytes of process memory. */
uint64_t groups_private_resident(const struct zsblk *dev);

/*
 * Read `len` bytes of a block that is in a group, from its byte `from` on. -EIO: the group is damaged. Called with the block's stripe
 * held, which has the word `word`; releases the stripe.
 */
int groups_read(struct zsblk *dev, struct context *ctx, uint64_t block, uint64_t word, unsigned from, unsigned len,
		uint8_t *out);
/* The same for an entry that the caller has pinned, with no stripe held. *cached: it was not decoded for this call. */
int groups_fetch(struct zsblk *dev, struct context *ctx, uint64_t word, unsigned from, unsigned len, uint8_t *out,
		 bool *cached);
/* The entry is about to be free: take its group out of the cache. */
void groups_forget(struct zsblk *dev, uint32_t entry);
/*
 * NULL if the group that a word names can be decoded from what is in the pool; otherwise what is wrong. Called with the block's stripe
 * held; releases the stripe. What is cached stays so.
 */
const char *groups_check(struct zsblk *dev, uint64_t block, uint64_t word);

/* Bytes of dev->given_up. */
static inline size_t given_up_bytes(const struct zsblk *dev)
{
	return (size_t)dev->layout.max_blocks * sizeof *dev->given_up;
}

#endif

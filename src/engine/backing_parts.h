/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the backing store share. */
#ifndef BACKING_PARTS_H
#define BACKING_PARTS_H

#include "engine/backing.h"

/* In the segment, as docs/format.md describes it. */
struct backing_record {
	uint32_t kind; /* enum spill_kind */
	uint32_t flags;
	uint8_t identity[SPILL_IDENTITY_BYTES];
	uint64_t bytes; /* the limit; 0: none */
	uint8_t key[SPILL_KEY_BYTES];
	uint64_t sequence;
	uint64_t capacity; /* bytes that the store had: no place lies behind. 0: it is being made */
	uint64_t device;   /* dev_t of the block device that this device is behind; 0: not known */
	uint64_t floor;    /* of the sequences of live objects */
	struct spill_busy busy[SPILL_BUSY_KINDS];
	uint32_t deadline_ms;
	uint8_t reserved[124];
	char location[256];
};
_Static_assert(sizeof(struct backing_record) == 496, "a copy of 512 bytes has room for it and its head");
#define BACKING_PLAIN      1u
#define BACKING_BEING_MADE 2u /* there may be no store yet, or a blank one */

/* Who waits for an object. */
struct backing_wait {
	struct spill_read read;
	pthread_cond_t ended;
	uint64_t block;
	int error;
	size_t bytes;
	bool is_busy, is_over;
	uint8_t *buffer; /* BLOCK bytes */
};

struct backing {
	struct zsblk *dev;
	const struct spill_functions *spill;
	struct spill_store *store; /* or NULL */
	struct backing_record record;
	size_t bytes; /* of this and the buffers */
	uint64_t deadline_ns;
	pthread_mutex_t lock;
	pthread_cond_t freed; /* one of `waits` */
	struct backing_wait waits[BACKING_WAITS];
	unsigned queued; /* requests that wait for one of `waits` */
	_Atomic uint64_t reads, read_errors, writes, returned;
};

/* Whether there may be words that need the store. */
bool backing_record_counts(const struct zsblk *dev);
/* 0; -ENOENT: there is none; -EINVAL: it is damaged. */
int backing_record_read(struct zsblk *dev, struct backing_record *record, struct zsblk_why *why);
void backing_record_write(struct zsblk *dev, const struct backing_record *record);
/* Write it, and set the bit. An error of madvise(): core dumps would have the key, and nothing was written. */
int backing_record_store(struct zsblk *dev, const struct backing_record *record);
/* The same, of a store that is about to be made. Without locks. */
int backing_record_begin(struct zsblk *dev, struct backing_record *record);
/* Clear the bit: no block is in the store, and it is known all the same. */
void backing_record_set_aside(struct zsblk *dev);
/* Nothing of it is left. Without locks. */
void backing_record_forget(struct zsblk *dev);

extern const struct spill_owner backing_owner;
/* Blocks that are in the store. */
uint64_t backing_blocks(struct zsblk *dev);
/* Requests that wait for the store. */
unsigned backing_waiting(struct backing *backing);

int backing_reads_open(struct backing *backing);
void backing_reads_close(struct backing *backing);

#endif

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
	uint8_t reserved[168];
	char location[256];
};
_Static_assert(sizeof(struct backing_record) == 496, "a copy of 512 bytes has room for it and its head");
#define BACKING_PLAIN 1u

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
	pthread_mutex_t lock;
	pthread_cond_t freed; /* one of `waits` */
	struct backing_wait waits[BACKING_WAITS];
	_Atomic uint64_t reads, read_errors, writes, returned;
};

int backing_reads_open(struct backing *backing);
void backing_reads_close(struct backing *backing);

#endif

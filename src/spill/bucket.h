/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The account of a store's buckets: which are in use, and how much of each is live. All of it follows from the places
 * that the owner has. Functions do no I/O; callers hold the store's lock.
 */
#ifndef SPILL_BUCKET_H
#define SPILL_BUCKET_H

#include "spill/spill.h"

enum spill_bucket_state {
	SPILL_BUCKET_FREE,
	SPILL_BUCKET_OPEN,     /* what is put goes there */
	SPILL_BUCKET_FULL,     /* nothing more is written to it */
	SPILL_BUCKET_BUSY,     /* being cleaned or discarded: not to be used again before that has ended */
	SPILL_BUCKET_LOST,     /* a write or discard may still land there: not used again by this process */
	SPILL_BUCKET_IDENTITY, /* the first one */
};

struct spill_bucket {
	uint64_t first_sequence; /* no object in it has a lower number */
	uint32_t live;           /* bytes of live objects */
	uint32_t end;            /* bytes from its start that were written, or may have been */
	uint32_t readers;        /* reads that may still be under way */
	uint8_t state;
	bool is_dirty; /* free, and not discarded */
	bool is_left;  /* cleaning could not empty it */
};

struct spill_buckets {
	struct spill_bucket *of;
	uint32_t count;
	uint32_t limit; /* how many may be in use, with the first */
	uint32_t used;  /* how many are not free, with the first */
	uint32_t lost;
	uint32_t dirty;        /* free ones that are dirty */
	uint32_t lowest_free;  /* none below is free */
	uint32_t lowest_dirty; /* none below is dirty */
	uint64_t floor;        /* first_sequence of those that another process has written */
	uint32_t top;          /* from here on they were never used, and are not dirty */
	uint64_t live_bytes, used_bytes, objects;
};

/* For `capacity` bytes. -ENOMEM. spill_buckets_free() is harmless on a struct that was zeroed. */
int spill_buckets_init(struct spill_buckets *buckets, uint64_t capacity);
void spill_buckets_free(struct spill_buckets *buckets);
/* The store has so many bytes. -ENOSPC: what is behind them is in use. -ENOMEM. No bucket may be known by its address. */
int spill_buckets_resize(struct spill_buckets *buckets, uint64_t capacity);

/* The bucket of a place, or NULL if an object of that size cannot be there. `account`: spill_object_account(). */
struct spill_bucket *spill_bucket_of(const struct spill_buckets *buckets, uint64_t place, size_t account);
uint32_t spill_bucket_number(const struct spill_buckets *buckets, const struct spill_bucket *bucket);

/* See spill_note_live(). */
int spill_bucket_note(struct spill_buckets *buckets, uint64_t place, size_t bytes);
/* I/O of a process before this one may still reach these. Those that there are not are left out. */
void spill_buckets_lose(struct spill_buckets *buckets, uint32_t first, uint32_t count);
/* The lowest number that a live object may have; UINT64_MAX: none is live. */
uint64_t spill_buckets_floor(const struct spill_buckets *buckets);
/* All were noted; free buckets below `dirty_end` bytes of the store may have something in them. */
void spill_buckets_noted(struct spill_buckets *buckets, uint64_t dirty_end);

/*
 * Take the lowest free bucket for objects. For cleaning one more may be used than for others: cleaning gives back what
 * it takes. NULL: there is none.
 */
struct spill_bucket *spill_bucket_take(struct spill_buckets *buckets, bool for_cleaning);
/* Objects were put there, or dropped: how many, and the sum of their accounts. */
void spill_bucket_add(struct spill_buckets *buckets, struct spill_bucket *bucket, unsigned objects, size_t account);
void spill_bucket_subtract(struct spill_buckets *buckets, struct spill_bucket *bucket, unsigned objects,
			   size_t account);
/* Bytes up to `end` were written. */
void spill_bucket_extend(struct spill_buckets *buckets, struct spill_bucket *bucket, uint32_t end);
/* Give the bucket another state, and free it if nothing keeps it. */
void spill_bucket_set(struct spill_buckets *buckets, struct spill_bucket *bucket, enum spill_bucket_state state);
/* Free a full bucket if nobody needs it any more: after what it was kept for has ended. */
void spill_bucket_settle(struct spill_buckets *buckets, struct spill_bucket *bucket);

/* The full bucket with most dead bytes, if they are at least a quarter of it. NULL: there is none. */
struct spill_bucket *spill_bucket_worst(const struct spill_buckets *buckets);
/*
 * Up to `most` free, dirty buckets in a row, which become busy. Returns the first, and their number in *count; NULL:
 * there are none. spill_buckets_discarded() ends that.
 */
struct spill_bucket *spill_buckets_dirty(struct spill_buckets *buckets, uint32_t most, uint32_t *count);
void spill_buckets_discarded(struct spill_buckets *buckets, struct spill_bucket *first, uint32_t count,
			     enum spill_bucket_state state, bool is_dirty);

/* Numbers agree with each other: for tests and assertions. */
bool spill_buckets_are_valid(const struct spill_buckets *buckets);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The segment: the one mapping that holds superblock, table and pool, and the only code that maps,
 * populates and releases memory.
 *
 * Its pages are not there until they are touched or populated, and read as zeroes before. Offsets are
 * bytes from the start, multiples of SEGMENT_PAGE. Functions return 0 or a negative errno.
 */
#ifndef SEGMENT_H
#define SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A page of the segment, whatever the system's is: see process/system_page.h. */
#define SEGMENT_PAGE 4096u
/* The largest system page there is. Whatever is given back to the system begins on a multiple of it. */
#define SEGMENT_MAX_SYSTEM_PAGE 65536u

enum segment_kind {
	SEGMENT_ANON, /* private to the process, ends with it */
	SEGMENT_SHM,  /* System V shared memory: outlives the process */
};

struct segment_spec {
	enum segment_kind kind;
	bool by_id;
	int key; /* or identifier */
};

struct segment {
	enum segment_kind kind;
	int shmid;
	bool fresh; /* created by this open: all zeroes */
	/* claim.c: claimed by this process, and the claim it made, which a forked child may take over */
	struct segment *next_claimed;
	uint64_t claim;
	uint8_t *base;
	size_t bytes;
	bool release_locked; /* MADV_DONTNEED_LOCKED is what gave memory back last */
	/* For tests: every n-th populate fails with -ENOMEM; 0: none does. */
	unsigned fail_every;
	unsigned fail_count;
};

/* "anon" (also NULL), "shm:KEY", "shm:id=N". -EINVAL if it is none of them. */
int segment_parse(const char *memory, struct segment_spec *spec);

/* What `step` points to when a shared segment is refused with -EPERM, since it is somebody else's: owner.h. */
#define SEGMENT_FOREIGN "owner"

/*
 * Map a segment: create one of `bytes`, or attach the existing one, whatever its size. A shared segment that the calling
 * user did not make, does not own or has opened to others is refused with -EPERM, and one by identifier that does not
 * exist with -ENOENT. On failure `step` (never NULL) names the call that failed.
 */
int segment_open(struct segment *seg, const struct segment_spec *spec, uint64_t bytes, const char **step);
/* The same of a shared segment that exists; -ENOENT if it does not. Never makes one. */
int segment_attach(struct segment *seg, const struct segment_spec *spec, const char **step);
/*
 * Make a shared segment with this key; -EEXIST if there is one. With IPC_PRIVATE it has none: nobody can guess it, or
 * have made it before.
 */
int segment_create(struct segment *seg, int key, uint64_t bytes, const char **step);
/* Has somebody removed it (ipcrm)? Then it ends with the last process that has it attached. */
bool segment_is_removed(const struct segment *seg);
/* Lock shared memory, so that it cannot be swapped out, whoever is alive (SHM_LOCK). */
int segment_lock(struct segment *seg);
/* Unmap; shared memory stays. Harmless on a zeroed struct. */
void segment_close(struct segment *seg);
/* Remove an open shared segment for good, once the last process lets go of it. */
int segment_remove_open(struct segment *seg);

/*
 * To be called after mlockall(): the system refuses to give back ranges of a locked mapping of shared
 * memory. That memory is locked by itself (SHM_LOCK), so its mapping need not be.
 */
void segment_after_mlockall(struct segment *seg);

/* Have the range in memory, ready to be written without a fault; also what else lies in its system pages. */
int segment_populate(struct segment *seg, uint64_t offset, uint64_t len);
/*
 * Give the system pages that lie wholly in the range back to the system; they read as zeroes afterwards. What is left
 * at the ends of the range stays as it is.
 */
int segment_release(struct segment *seg, uint64_t offset, uint64_t len);
/* Which pages of the range are in memory: the low bit of one byte for each SEGMENT_PAGE. A page is in memory when
 * its system page is. */
int segment_resident(const struct segment *seg, uint64_t offset, uint64_t len, unsigned char *vec);
/* How many of them. */
int segment_count_resident(const struct segment *seg, uint64_t offset, uint64_t len, uint64_t *pages);
/* How many pages of a shared segment the system holds, in memory or swapped out; UINT64_MAX: it does not say. */
uint64_t segment_pages(const struct segment *seg);

/*
 * Memory of the process itself that grows as it is touched: zeroed, never swapped for huge
 * pages. NULL on failure.
 */
void *segment_private_map(size_t bytes);
/* Have the first `bytes` of it in memory; what they hold stays. */
int segment_private_populate(void *mem, size_t bytes);
void segment_private_unmap(void *mem, size_t bytes);

#endif

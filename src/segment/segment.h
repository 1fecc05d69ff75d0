/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The segment: the one mapping that holds superblock, table and pool. No other code maps, populates or releases memory.
 *
 * A page of it takes no memory until it is touched or populated, and reads as zeroes until then.
 *
 * Units: offsets and lengths are bytes; offsets count from the start of the segment. They are multiples of
 * SEGMENT_PAGE.
 * Errors: functions that return int give 0 or a negative errno.
 * Threads: a segment is opened, closed and removed by one thread at a time, with no other call in flight. The functions
 * that populate, release and look may be called from any thread.
 */
#ifndef SEGMENT_H
#define SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A page of the segment. The system's pages can be larger: see process/system_page.h. */
#define SEGMENT_PAGE 4096u
/* The largest system page of any supported system. The pool of a new segment begins on a multiple of it. */
#define SEGMENT_MAX_SYSTEM_PAGE 65536u

enum segment_kind {
	SEGMENT_ANON, /* private to the process, ends with it */
	SEGMENT_SHM,  /* System V shared memory: outlives the process */
};

struct segment_spec {
	enum segment_kind kind;
	bool by_id;
	int key; /* or, with by_id, the identifier */
};

struct segment {
	enum segment_kind kind;
	int shmid;
	bool fresh; /* created by this open: all zeroes */
	/*
	 * Of claim.c: the list of mappings with a claim, and the claim made through this one; a forked child may take
	 * it over.
	 */
	struct segment *next_claimed;
	uint64_t claim;
	uint8_t *base;
	size_t bytes;
	bool release_locked; /* MADV_DONTNEED_LOCKED worked last, not MADV_DONTNEED */
	/* For tests: every n-th segment_populate() fails with -ENOMEM; 0: none does. */
	unsigned fail_every;
	unsigned fail_count;
};

/* Read "anon" (also NULL), "shm:KEY" or "shm:id=N". -EINVAL: `memory` is none of these. */
int segment_parse(const char *memory, struct segment_spec *spec);

/* `step` points to this text when a shared segment is refused with -EPERM because of owner.h. */
#define SEGMENT_FOREIGN "owner"

/*
 * Map a segment: make one of `bytes`, or attach the one that exists, of any size. On failure nothing is open, and *step
 * names the call that failed. Errors: -EPERM (the calling user did not make or does not own the shared segment, or its
 * mode lets others in), -ENOENT (there is no segment with that identifier), and others of mmap, shmget, shmat and
 * mincore.
 */
int segment_open(struct segment *seg, const struct segment_spec *spec, uint64_t bytes, const char **step);
/* Attach a shared segment that exists. Like segment_open(), but never makes one: -ENOENT. */
int segment_attach(struct segment *seg, const struct segment_spec *spec, const char **step);
/*
 * Make a shared segment with this key; -EEXIST if the key is taken. With IPC_PRIVATE the segment has no key: nobody can
 * have made it before, or find it by guessing.
 */
int segment_create(struct segment *seg, int key, uint64_t bytes, const char **step);
/* True if somebody has removed the segment (ipcrm). It then ends with the last process that has it attached. */
bool segment_is_removed(const struct segment *seg);
/* Lock shared memory (SHM_LOCK): it is not swapped out, even while no process has it attached. */
int segment_lock(struct segment *seg);
/* Unmap the segment; shared memory stays. Harmless on a zeroed struct. */
void segment_close(struct segment *seg);
/* Remove an open shared segment. It ends when the last process has detached it. */
int segment_remove_open(struct segment *seg);

/*
 * Unlock the mapping of a shared segment; to be called after mlockall(). The system gives back no range of a locked
 * mapping of shared memory. The memory itself stays locked by SHM_LOCK.
 */
void segment_after_mlockall(struct segment *seg);

/*
 * Have the range in memory, so that writing to it causes no page fault. Includes all of the system pages at its ends.
 */
int segment_populate(struct segment *seg, uint64_t offset, uint64_t len);
/*
 * Give back the system pages that lie wholly in the range; they read as zeroes afterwards. The rest of the range stays
 * as it is.
 */
int segment_release(struct segment *seg, uint64_t offset, uint64_t len);
/*
 * Which pages of the range are in memory: the low bit of one byte for each SEGMENT_PAGE. A page is in memory if its
 * system page is.
 */
int segment_resident(const struct segment *seg, uint64_t offset, uint64_t len, unsigned char *vec);
/* The number of those pages. */
int segment_count_resident(const struct segment *seg, uint64_t offset, uint64_t len, uint64_t *pages);
/* Pages of a shared segment that are in memory or swapped out; UINT64_MAX: the system does not say. */
uint64_t segment_pages(const struct segment *seg);

/*
 * Private memory of the process: zeroed, taken page by page as it is touched, never in huge pages. NULL with errno on
 * failure.
 */
void *segment_private_map(size_t bytes);
/* Have the first `bytes` of private memory in memory. Their contents stay. */
int segment_private_populate(void *mem, size_t bytes);
/* Bytes of private memory that are in memory now. 0 for NULL, and if the memory was given back. */
uint64_t segment_private_resident(const void *mem, size_t bytes);
/* Give private memory back. `mem` may be NULL. */
void segment_private_unmap(void *mem, size_t bytes);

#endif

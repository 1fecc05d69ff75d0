/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a segment: map it, see what it holds, claim it. The mode says what is accepted:
 *
 *                | SUPER_LOOK | SUPER_ATTACH     | SUPER_CREATE
 *   missing      | -ENOENT    | -ENOENT          | is made, unless an identifier names it
 *   blank        | accepted   | accepted         | gets a superblock
 *   not zsblk's  | accepted   | -EINVAL          | -EINVAL
 *   zsblk's      | accepted   | accepted         | is verified, and has to match
 *   is claimed   | no         | yes              | yes
 *
 * In every mode a segment is refused that another user made, owns or may attach (segment/owner.h).
 */
#ifndef SUPER_OPEN_H
#define SUPER_OPEN_H

#include "segment/super.h"

enum super_mode { SUPER_LOOK, SUPER_ATTACH, SUPER_CREATE };

struct super_request {
	const char *memory; /* "anon", "shm:KEY", "shm:id=N" */
	enum super_mode mode;
	/* A buffer for the reason of a failure, for people. */
	char *why;
	size_t why_size;
	/* The rest is for SUPER_CREATE. */
	const struct super_layout *wanted; /* the layout of a new segment */
	bool lock;                         /* lock shared memory: segment_lock() */
	/*
	 * Decides whether a segment that exists is what was asked for. 0, or a negative errno and the reason in `why`.
	 */
	int (*match)(const struct super_request *request, const struct super_layout *found);
	const void *opaque; /* for `match` */
};

/*
 * Open a segment. On success of SUPER_CREATE *layout is what the segment holds, and seg->fresh says whether the segment
 * is new. The other modes do not use `layout`.
 *
 * On failure the reason is in request->why, nothing is open, and a segment that was made is removed again. Errors:
 * -ENOENT (there is none), -EPERM (another user made or owns it, its mode lets others in, or it cannot be locked),
 * -EINVAL (it is not usable), -EBUSY (a live process uses it), and others of shmget, shmat and mmap.
 */
int super_open(struct segment *seg, const struct super_request *request, struct super_layout *layout);
/* Undo super_open() after a later failure: drop the claim, unmap, and remove a segment that was made. */
void super_open_undo(struct segment *seg);

/*
 * Write why a call that was to make a segment of `bytes` failed: the setting behind the failure, or the call. Returns
 * `error`.
 */
int super_explain_refusal(int error, const char *step, uint64_t bytes, char *why, size_t why_size);

/* Write a formatted reason to `why` and return `error`. */
__attribute__((format(printf, 4, 5))) int super_refuse(char *why, size_t why_size, int error, const char *format, ...);

#endif

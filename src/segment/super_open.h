/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One way to open a segment: map it, see what it holds, claim it.
 *
 *                | SUPER_LOOK | SUPER_ATTACH     | SUPER_CREATE
 *   missing      | -ENOENT    | -ENOENT          | is made, unless an identifier names it
 *   blank        | accepted   | accepted         | gets a superblock
 *   not zsblk's  | accepted   | -EINVAL          | -EINVAL
 *   zsblk's      | accepted   | accepted         | is verified, and has to match
 *   is claimed   | no         | yes              | yes
 *
 * A segment that somebody else made, owns or may attach is refused in every mode (segment/owner.h).
 */
#ifndef SUPER_OPEN_H
#define SUPER_OPEN_H

#include "segment/super.h"

enum super_mode { SUPER_LOOK, SUPER_ATTACH, SUPER_CREATE };

struct super_request {
	const char *memory; /* "anon", "shm:KEY", "shm:id=N" */
	enum super_mode mode;
	/* The reason of a failure, for people. */
	char *why;
	size_t why_size;
	/* The rest is for SUPER_CREATE. */
	const struct super_layout *wanted; /* what a new one is to be */
	bool lock;                         /* have shared memory locked: segment_lock() */
	/* Is what was found good enough? 0, or a negative errno and the reason. */
	int (*match)(const struct super_request *request, const struct super_layout *found);
	const void *opaque; /* for `match` */
};

/*
 * Open a segment. 0, and after SUPER_CREATE *layout is what it holds and seg->fresh says whether all of it is new. Or a
 * negative errno with the reason, nothing open, and nothing left that was not there before: -ENOENT; -EPERM, somebody
 * else's or not to be locked; -EINVAL, not usable; -EBUSY, a live process uses it; and those of shmget, shmat and mmap.
 */
int super_open(struct segment *seg, const struct super_request *request, struct super_layout *layout);
/* Take that back, when something went wrong later: also a segment that was made. */
void super_open_undo(struct segment *seg);

/* The reason why a call that was to make a segment of `bytes` failed: the call, or the setting behind that. Returns `error`. */
int super_explain_refusal(int error, const char *step, uint64_t bytes, char *why, size_t why_size);

/* Format `why` and return `error`. */
__attribute__((format(printf, 4, 5))) int super_refuse(char *why, size_t why_size, int error, const char *format, ...);

#endif

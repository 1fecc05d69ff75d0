/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The errands that the thread of the jobs is to do (jobs.h): which one is next, and what has become of each. No lock: the caller's
 * protects all of it, but the memory of an errand that is being done, which belongs to whoever does it.
 *
 *   free --add--> waiting --next--> at work --end--> over --collect--> free
 *
 * Changes come before looks, and each kind in the order in which they were sent. Of an errand that was dropped nobody asks for
 * the result: a look that waits is free at once, a change is made all the same, and then is free.
 */
#ifndef ERRANDS_H
#define ERRANDS_H

#include "host/jobs.h"

/* Each client has one that it waits for, and some may be dropped and not over yet. */
#define ERRANDS_MAX 16u

enum errands_state {
	ERRANDS_FREE,
	ERRANDS_WAITING,
	ERRANDS_AT_WORK,
	ERRANDS_OVER,
};

struct errand {
	enum errands_state state;
	enum jobs_errand_kind kind;
	uint64_t ticket;
	bool dropped;
	jobs_errand_fn *run;
	int result;
	struct zsblk_why why;
	_Alignas(16) uint8_t memory[JOBS_ERRAND_BYTES];
};

struct errands {
	struct errand all[ERRANDS_MAX];
};

/* False: there is no place for another one. */
bool errands_add(struct errands *errands, uint64_t ticket, enum jobs_errand_kind kind, jobs_errand_fn *run,
		 const void *memory, size_t bytes);
/* The waiting one that is to be done next; `looks`: also if it only looks. NULL: there is none. */
struct errand *errands_next(struct errands *errands, bool looks);
/* It was done. */
void errands_end(struct errand *errand, int result);
/* As jobs_collect() and jobs_drop(). */
int errands_collect(struct errands *errands, uint64_t ticket, void *memory, size_t bytes, struct zsblk_why *why);
void errands_drop(struct errands *errands, uint64_t ticket);

#endif

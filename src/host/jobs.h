/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Work that people ask a server for and that takes long. One thread does it in small steps, and no request waits for longer
 * than a step holds one block. Whoever asked for a job need not stay for its end.
 *
 * A job of a kind runs once at a time, and each kind keeps its last one. The thread takes a share of one processor that can be set.
 *
 * Between the steps the same thread does errands: single calls of the engine that can wait for memory, or that look at a whole table.
 * The thread has the server's scheduling class for them: thread.h says why a thread that waits for memory must. Errands that change
 * something come first, and wait for one other at most. Those that only look have the same share of a processor as jobs.
 *
 * Functions may be called from any thread, and wait for nothing but other calls.
 */
#ifndef JOBS_H
#define JOBS_H

#include "zsblk.h"

struct jobs;

enum jobs_kind {
	JOBS_COMPACT,
	JOBS_CHECK,
	JOBS_RECOMPRESS,
	JOBS_GROUP,
	JOBS_COLD, /* what the policy of cold blocks does: a compaction, a recompression, or groups */
	JOBS_KINDS,
};

enum jobs_state {
	JOBS_RUNNING,
	JOBS_DONE,
	JOBS_CANCELLED,
	JOBS_FAILED,
};

struct jobs_report {
	uint64_t id; /* 0: there was no job of this kind */
	enum jobs_kind kind;
	enum jobs_state state;
	uint64_t done, total; /* blocks; pages that can be freed, of a compaction */
	uint64_t pages_freed;
	uint64_t bytes_saved;
	uint64_t groups, blocks; /* groups that were made, and the blocks in them */
	bool gave_way;           /* a cancelled job of the policy: for one that people have begun */
	uint64_t seconds;        /* since it began, or that it took */
	struct zsblk_why text;   /* a sentence for people */
};

/* What a job is to do, as far as its kind does not say. Names of algorithms have to stay. */
struct jobs_what {
	enum jobs_kind does; /* of JOBS_COLD: one of the others, but a check */
	struct zsblk_recompress recompress;
	struct zsblk_group_what group;
};

/* "compact" and so on; "running" and so on. */
const char *jobs_kind_name(enum jobs_kind kind);
const char *jobs_state_name(enum jobs_state state);

#define JOBS_CPU_DEFAULT 10u

/* Start the thread. `percent` of a processor, 1 to 100. 0 or a negative errno. *dev is the caller's, and stays open until jobs_stop(). */
int jobs_start(struct jobs **jobs, struct zsblk *dev, unsigned percent);
/* From now on the thread calls `changed` when a job or an errand has ended. NULL: nothing any more. `changed` calls none of these functions. */
void jobs_tell(struct jobs *jobs, void (*changed)(void *opaque), void *opaque);
/* Cancel what runs, and end the thread after the step that it is at. NULL is allowed. */
void jobs_stop(struct jobs *jobs);

void jobs_set_cpu(struct jobs *jobs, unsigned percent);
unsigned jobs_cpu(struct jobs *jobs);

/*
 * Begin a job. `what` is copied; NULL: the kind says it all. 0 and the job's number, or -EBUSY and the number of the one that is in the way: of
 * the same kind, or, since only one job at a time makes new objects of old ones, recompression and groups in each other's. The policy's job is
 * in nobody's way: it is told to end, and the other one begins then.
 */
int jobs_begin(struct jobs *jobs, enum jobs_kind kind, const struct jobs_what *what, uint64_t *id);
/* Tell a job to end after its step. -ENOENT: there is no such job, or it has ended. */
int jobs_cancel(struct jobs *jobs, uint64_t id);
/* -ENOENT: there is no job of this number any more. */
int jobs_find(struct jobs *jobs, uint64_t id, struct jobs_report *report);
/* The last one of a kind. */
void jobs_last(struct jobs *jobs, enum jobs_kind kind, struct jobs_report *report);

/* ------------------------------------------------------------------ errands */

#define JOBS_ERRAND_BYTES 512u

/* Does it. `in` and `out` are the errand's own memory, of JOBS_ERRAND_BYTES together. 0, or a negative errno with the reason. */
typedef int jobs_errand_fn(struct zsblk *dev, void *memory, struct zsblk_why *why);

enum jobs_errand_kind {
	JOBS_CHANGE,
	JOBS_LOOK, /* it changes nothing */
};

/*
 * Let the thread do an errand, with a copy of the memory. Returns its ticket; 0: too many wait already. Whoever has a ticket collects
 * the result, or drops it.
 */
uint64_t jobs_send(struct jobs *jobs, enum jobs_errand_kind kind, jobs_errand_fn *run, const void *memory,
		   size_t bytes);
/*
 * Ask for the result: -EINPROGRESS, or what the errand has returned, with its memory and its reason. Then the ticket is worth nothing
 * any more (-ENOENT).
 */
int jobs_collect(struct jobs *jobs, uint64_t ticket, void *memory, size_t bytes, struct zsblk_why *why);
/* Nobody will ask for the result. A look that was not begun is not done any more; a change is made all the same. */
void jobs_drop(struct jobs *jobs, uint64_t ticket);

#endif

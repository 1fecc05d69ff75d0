/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes a trace of the device's requests to a file: docs/trace.md has the format. A thread of its own writes; no request waits for it or for
 * the file. What that thread cannot take in time is lost, and the file says how much. A file system that does not answer is given up after
 * three seconds: nobody waits for longer than that.
 */
#ifndef TRACER_H
#define TRACER_H

#include "zsblk.h"

#include <stdbool.h>

struct tracer;

#define TRACER_PATH_MAX 384u
/* Of the file. */
#define TRACER_MAX_DEFAULT (UINT64_C(1) << 30)
#define TRACER_MAX_LEAST   4096u

enum tracer_state {
	TRACER_NONE, /* there was no trace */
	TRACER_RUNNING,
	TRACER_ENDED,  /* because somebody said so */
	TRACER_FULL,   /* the file has its most bytes */
	TRACER_FAILED, /* it cannot be written */
};

/* "running" and so on. */
const char *tracer_state_name(enum tracer_state state);

/* The present trace, or the last one. */
struct tracer_report {
	enum tracer_state state;
	char path[TRACER_PATH_MAX];
	uint64_t requests, lost;   /* in the file; that are not in it */
	uint64_t bytes, max_bytes; /* of the file */
	uint64_t seconds;          /* since it began, or that it took */
	int error;                 /* TRACER_FAILED: errno */
};

/* -ENOMEM. *dev is the caller's, and stays open until tracer_destroy(). */
int tracer_create(struct tracer **tracer, struct zsblk *dev);
/*
 * End the trace, and free all. NULL is allowed. A thread that was given up keeps its memory until its file system answers, and touches
 * nothing else; the code of this file has to stay in memory as long.
 */
void tracer_destroy(struct tracer *tracer);

/*
 * Begin a trace. `path`: of a new file, absolute, in a folder in which nobody but root and the user of this process may write. The file gets mode 0600. May wait for memory.
 *
 * Errors, with the reason in *why: -EBUSY (there is a trace, or the file system of an earlier one still has not answered), -EINVAL (path or
 * max_bytes), -EPERM (the folder), -ENOMEM, -ETIMEDOUT (the file system does not answer), and those of openat(2) and pthread_create(3). Not at the same time as tracer_stop().
 */
int tracer_start(struct tracer *tracer, const char *path, uint64_t max_bytes, struct zsblk_why *why);
/* End it: the file is complete then, or the report says TRACER_FAILED. Harmless if there is none. */
void tracer_stop(struct tracer *tracer);
/* From any thread; waits for nothing. TRACER_FAILED with ETIMEDOUT: the file system did not answer. */
void tracer_look(struct tracer *tracer, struct tracer_report *report);

#endif

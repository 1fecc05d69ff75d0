/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A short errand in a child process, for what may wait without end: to read what /proc tells of another process takes the lock on the
 * memory of that process, and a process that hangs can hold the lock. The caller waits for the child, for a limited time.
 */
#ifndef ERRAND_H
#define ERRAND_H

#include <stddef.h>
#include <sys/types.h>

struct errand;

/* Room for the text that a child brings. */
#define ERRAND_BYTES (64u * 1024)

/* 0 or -ENOMEM. One thread uses an errand. */
int errand_create(struct errand **errand);
void errand_free(struct errand *errand);

/*
 * In the child: write at most ERRAND_BYTES to `text`. Returns how many bytes, or a negative errno. All descriptors are closed but the
 * standard ones and the one that errand_run() was told of.
 */
typedef ssize_t errand_fn(void *what, char *text);

/*
 * Have a child do it, and wait `limit_ms` for the child at most. What the child wrote (*text, with a NUL behind) stays as
 * it is to the next call. `fd`: a descriptor that the child keeps; -1: none. Returns what `fn` returned; -ETIMEDOUT: the
 * child did not end in time and was killed; -EBUSY: the child of an earlier call was killed, and has not ended yet; -EIO:
 * the child was killed by others; or an error of fork or pidfd_of().
 */
ssize_t errand_run(struct errand *errand, errand_fn *fn, void *what, int fd, int limit_ms, const char **text);

/* For errand_fn: the bytes of /proc/PID/cmdline, arguments that each end with a NUL. -E2BIG: too many. `what`: a pid_t. */
errand_fn errand_command_line;
/* For errand_fn: those lines of /proc/PID/maps that are of programs and libraries; as many as fit. `what`: a pid_t. */
errand_fn errand_programs;

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory held for the moment in which a server has to be started while the system has none: it is given back just
 * before, and is what the new process is made of. Starting takes kernel stacks, page tables and the private pages
 * of a dozen libraries, and nobody frees memory while swap is out of service.
 *
 * The files that a server is made of are held, too: their pages would have to be read again.
 */
#ifndef BALLAST_H
#define BALLAST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ballast;

/*
 * In memory and locked when this returns, by the caller's mlockall(); or, without `fill`, for ballast_refill() to fill. Shared with
 * children: it stays while one of them is alive, whoever made it. 0 or -ENOMEM.
 */
int ballast_create(struct ballast **ballast, size_t bytes, bool fill);
/* Let go of it, for this process. */
void ballast_free(struct ballast *ballast);

/* Give some of what is held back to the system. */
void ballast_drop(struct ballast *ballast, size_t bytes);
/*
 * Take back a small piece, if the system has memory to spare for it (it never waits). True if there is more to
 * be taken back, now or later.
 */
bool ballast_refill(struct ballast *ballast);
size_t ballast_held(const struct ballast *ballast);
/* All of it is there, and the system has memory to spare beside it. */
bool ballast_is_whole(struct ballast *ballast);

/*
 * Hold these files, the program and the libraries of a process, in place of those held before. `programs`: lines of its
 * /proc/PID/maps, with a NUL behind; others than those of programs do not count.
 */
void ballast_hold_files(struct ballast *ballast, const char *programs);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory held for the start of a server at a moment when the system has none. The ballast is given back just before, and
 * the new process is made of it: kernel stacks, page tables and the private pages of a dozen libraries. Nobody else frees
 * memory while swap is out of service.
 *
 * The files of a server are held, too. Otherwise their pages would have to be read again.
 */
#ifndef BALLAST_H
#define BALLAST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ballast;

/*
 * Make a ballast. `fill`: it is in memory when this returns, and locked by the caller's mlockall(); otherwise ballast_refill() fills it.
 * Children share it: it stays as long as one of them lives. 0 or -ENOMEM.
 */
int ballast_create(struct ballast **ballast, size_t bytes, bool fill);
/* Let go of the ballast, for this process. NULL is allowed. */
void ballast_free(struct ballast *ballast);

/* Give so many bytes of the ballast back to the system, or all there is. */
void ballast_drop(struct ballast *ballast, size_t bytes);
/*
 * Take back a small piece, if the system has memory to spare. Never waits for memory. True if there is more to be taken back, now or
 * later.
 */
bool ballast_refill(struct ballast *ballast);
/* Bytes that are held now. */
size_t ballast_held(const struct ballast *ballast);
/* True if all of the ballast is held, and the system has memory to spare beside it. */
bool ballast_is_whole(struct ballast *ballast);

/*
 * Hold these files, the program and the libraries of a process, in place of those held before. `programs`: lines of its
 * /proc/PID/maps, with a NUL behind; others than those of programs do not count.
 */
void ballast_hold_files(struct ballast *ballast, const char *programs);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Mount points of a device, from text in the format of /proc/PID/mountinfo (proc(5)). For any thread. */
#ifndef MOUNTS_H
#define MOUNTS_H

#include <stdio.h>
#include <sys/types.h>

struct mounts {
	char **points; /* paths, in the order in which they can be unmounted: the last mount first */
	unsigned n;
	/* Index of one that lies under a mount of another device, and cannot be reached; n: there is none. */
	unsigned covered;
};

/*
 * Read what is mounted of a device, which has this path and this number; a mount counts if it has one of the two. 0 or -ENOMEM. Lines
 * that are none of mountinfo do not count. *mounts is to be freed, also after an error.
 */
int mounts_read(struct mounts *mounts, FILE *mountinfo, const char *path, dev_t number);
void mounts_free(struct mounts *mounts);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose System V segments are: a key is a name that anybody may take first, and whoever makes a segment may open it
 * to others for as long as it exists. So a segment is used, looked into and removed only if we made it, own it, and
 * nobody else may attach it.
 */
#ifndef SEGMENT_OWNER_H
#define SEGMENT_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/shm.h>

/* Made by the calling user, owned by it, and closed to group and others. */
bool owner_is_us(const struct shmid_ds *ds);

/*
 * The same by identifier, with what the kernel says of it in *ds. 0; -EPERM: it is somebody's, or open to others;
 * -EINVAL or -EIDRM: there is none.
 */
int owner_check(int shmid, struct shmid_ds *ds);

/* For people: who made and owns it, its mode, and what to do. To be called after owner_check() said -EPERM. */
void owner_explain(int shmid, char *text, size_t size);

/* Bytes of a segment that exist at all, in memory or swapped out; -1: not known. */
long long owner_bytes_in_use(int shmid);

/* Call `each` with every segment that is ours, until it returns non-zero, which is returned then. */
int owner_each(int (*each)(void *opaque, int shmid, const struct shmid_ds *ds), void *opaque);

#endif

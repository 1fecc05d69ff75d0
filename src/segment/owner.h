/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose a System V segment is. Anybody may take a key first, and whoever makes a segment may open it to others for as
 * long as it exists. So a segment is used, looked into and removed only if the calling user made it and owns it, and
 * its mode keeps all others out. Functions may be called from any thread.
 */
#ifndef SEGMENT_OWNER_H
#define SEGMENT_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/shm.h>

/* True if the effective user made and owns the segment, and its mode has nothing for group and others. */
bool owner_is_us(const struct shmid_ds *ds);

/*
 * The same question of a segment by its identifier; *ds gets what the kernel says of it. 0; -EPERM: another user made
 * or owns it, or its mode lets others in; -EINVAL or -EIDRM: there is none.
 */
int owner_check(int shmid, struct shmid_ds *ds);

/* For people, after owner_check() returned -EPERM: who made and owns the segment, its mode, and what to do. */
void owner_explain(int shmid, char *text, size_t size);

/* Bytes of the segment that are in memory or swapped out; -1: not known. */
long long owner_bytes_in_use(int shmid);

/*
 * Call `each` for every segment that owner_is_us() accepts. If `each` returns another value than 0, the walk ends and
 * returns that value. A negative errno if the segments cannot be listed.
 */
int owner_each(int (*each)(void *opaque, int shmid, const struct shmid_ds *ds), void *opaque);

#endif

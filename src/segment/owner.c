/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose a System V segment is. See owner.h; the rights follow shmctl(2).
 *
 * The creator counts as well as the owner: the creator may remove the segment, or take it back, for as long as it
 * exists.
 */
#include "segment/owner.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define OPEN_TO_OTHERS 077u

/* A line of /proc/sysvipc/shm, which lists the segments of all users. */
struct entry {
	int id;
	unsigned mode, uid, cuid;
	long long rss, swap;
};

bool owner_is_us(const struct shmid_ds *ds)
{
	return ds->shm_perm.uid == geteuid() && ds->shm_perm.cuid == geteuid() && !(ds->shm_perm.mode & OPEN_TO_OTHERS);
}

int owner_check(int shmid, struct shmid_ds *ds)
{
	if (shmctl(shmid, IPC_STAT, ds) == 0)
		return owner_is_us(ds) ? 0 : -EPERM;
	/* Only the segments of others cannot be looked at: ours are readable for us. */
	return errno == EACCES ? -EPERM : -errno;
}

static bool find_entry(int shmid, struct entry *found)
{
	FILE *f = fopen("/proc/sysvipc/shm", "re");
	struct entry entry;
	bool is_it = false;
	char line[512];

	/* key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap */
	while (f && !is_it && fgets(line, sizeof line, f)) {
		is_it = sscanf(line, "%*d %d %o %*u %*d %*d %*u %u %*u %u %*u %*u %*u %*u %lld %lld", &entry.id,
			       &entry.mode, &entry.uid, &entry.cuid, &entry.rss, &entry.swap) == 6 &&
			entry.id == shmid;
		if (is_it)
			*found = entry;
	}
	if (f)
		fclose(f);
	return is_it;
}

void owner_explain(int shmid, char *text, size_t size)
{
	struct entry entry;

	if (!find_entry(shmid, &entry))
		snprintf(text, size, "segment %d belongs to somebody else; use another key", shmid);
	else
		snprintf(
			text, size,
			"segment %d was made by user %u, belongs to user %u and has mode %04o; only one that "
			"user %u made, owns and keeps to itself (mode 0600) can be trusted with data. If nothing needs it, "
			"remove it (ipcrm -m %d), or use another key",
			shmid, entry.cuid, entry.uid, entry.mode & 0777, (unsigned)geteuid(), shmid);
}

long long owner_bytes_in_use(int shmid)
{
	struct entry entry;

	return find_entry(shmid, &entry) ? entry.rss + entry.swap : -1;
}

int owner_each(int (*each)(void *opaque, int shmid, const struct shmid_ds *ds), void *opaque)
{
	struct shm_info info;
	struct shmid_ds ds;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info), r = 0;

	if (last < 0)
		return -errno;
	/* SHM_STAT fails for a segment that we may not look at. Such a segment is not ours. */
	for (int index = 0; index <= last && !r; index++) {
		int shmid = shmctl(index, SHM_STAT, &ds);

		if (shmid >= 0 && owner_is_us(&ds))
			r = each(opaque, shmid, &ds);
	}
	return r;
}

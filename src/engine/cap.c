/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cap: how far the pool may grow below the memory limits of the control groups that this process is in.
 *
 *   0 ......................................................................... limit
 *   | other memory in the group | pool: in use | pool: populated, free | room | margin |
 *                               |<----------------- cap ------------------->|
 *
 * At a group's limit the kernel kills a process of the group, or lets each one wait that needs memory. Replies need
 * memory, and all programs with memory swapped out to the device wait for replies. So the pool ends before the limit. A
 * write that would need more fails with ENOSPC, as at mem-limit. The margin is left for other memory of the group;
 * cgroup.h says for which.
 *
 * A background thread reads the limits again, once a second and before each piece that is populated. Requests only
 * compare with the result, so between two looks the pool cannot grow beyond the last one.
 *
 * If a limit was lowered, or other processes of the group have grown, and half of the margin is gone, the reserve is
 * given back.
 */
#include "engine/engine.h"

#include <errno.h>
#include <inttypes.h>

/* Bytes that a new device must be able to store at least. */
#define LEAST_POOL (UINT64_C(1) << 20)
/* A table of at most this part of the limit is in memory from the start: an eighth. */
#define TABLE_PART 8u
/*
 * For a start a quarter of the margin has to be free. A new server may be tried beside one that serves and is at its
 * cap. The processes of the trial use a part of the margin, and the server that serves gives back its reserve only when
 * half of the margin is gone.
 */
#define SHARE_AT_START 4u

/* Rounded up: a reserve of a few bytes is a reserve. */
static uint64_t pages_of(uint64_t bytes)
{
	return bytes / BLOCK + (bytes % BLOCK != 0);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void cap_apply(struct zsblk *dev)
{
	uint64_t limit, cap, reserve;

	/* Under the lock, the last thread to come here has seen all changes of the others. */
	pthread_mutex_lock(&dev->limit_lock);
	limit = atomic_load(&dev->mem_limit);
	cap = atomic_load(&dev->cap);
	reserve = pages_of(atomic_load(&dev->reserve));
	runs_set_cap(dev->runs, cap);
	runs_set_limit(dev->runs, cap && (!limit || cap < limit) ? cap : limit);
	/* Pages beyond the limit could not be used. */
	reserve = limit ? smaller(reserve, limit) : reserve;
	runs_set_reserve(dev->runs, smaller(reserve, atomic_load(&dev->reserve_most)));
	pthread_mutex_unlock(&dev->limit_lock);
}

/* The most pages that may be free and populated: any number, unless half of the margin is used. */
static uint64_t reserve_most(struct zsblk *dev, int64_t room, uint64_t margin)
{
	uint64_t missing, have;

	if (room >= 0 || (uint64_t)-room < margin / 2)
		return UINT64_MAX;
	missing = (uint64_t)-room / BLOCK;
	have = runs_hot_free(dev->runs);
	/* 0 would mean that there is no reserve to be kept at all. */
	return have > missing ? have - missing : 1;
}

void cap_keep(struct zsblk *dev, struct spare *spare)
{
	uint64_t limit, resident, after, less, cap, most;
	int64_t room;

	if (!dev->cgroup)
		return;
	/* The smaller count of before and after the look: a page that comes or goes meanwhile must not count twice. */
	resident = runs_resident(dev->runs);
	room = spare_in_cgroup(spare, &limit);
	after = runs_resident(dev->runs);
	resident = after < resident ? after : resident;
	if (limit == CGROUP_NO_LIMIT) {
		if (!atomic_exchange(&dev->cap, 0))
			return;
		atomic_store(&dev->reserve_most, UINT64_MAX);
	} else {
		less = room < 0 ? (uint64_t)-room / BLOCK : 0;
		cap = room >= 0 ? resident + (uint64_t)room / BLOCK + 1 : resident > less ? resident - less : 1;
		/* Pages that were charged to an earlier group, which was removed since, do not count in this one. */
		most = limit > cgroup_margin(limit) ? (limit - cgroup_margin(limit)) / BLOCK : 0;
		/* 0 would mean that there is no cap. */
		atomic_store(&dev->cap, cap < most ? cap : most + 1);
		atomic_store(&dev->reserve_most, reserve_most(dev, room, cgroup_margin(limit)));
	}
	cap_apply(dev);
}

uint64_t cap_table_bytes(struct zsblk *dev, uint64_t reserve)
{
	uint64_t table = table_bytes(&dev->table);
	struct cgroup_found found;

	cgroup_look(dev->cgroup, 0, NULL, &found);
	return found.limit != CGROUP_NO_LIMIT && table <= found.limit / TABLE_PART && table > reserve ? table : reserve;
}

/* The smallest limit below which `bytes` fit. */
static uint64_t limit_for(uint64_t bytes)
{
	uint64_t limit = bytes;

	for (unsigned i = 0; i < 8; i++)
		limit = bytes + cgroup_margin(limit);
	return (limit + (1u << 20) - 1) >> 20 << 20;
}

int cap_check(struct zsblk *dev, const struct zsblk_params *params, struct zsblk_why *why)
{
	uint64_t need = params->reserve + cap_table_bytes(dev, 0) + LEAST_POOL, others, least;
	char buffer[CGROUP_TEXT];
	struct cgroup_found found;
	char what[160];

	cgroup_look(dev->cgroup, UINT64_MAX, buffer, &found);
	if (found.limit == CGROUP_NO_LIMIT || found.room >= need + cgroup_margin(found.limit) / SHARE_AT_START)
		return 0;
	others = found.room < found.limit ? found.limit - found.room : 0;
	least = limit_for(others + need);
	cgroup_describe(dev->cgroup, &found, what, sizeof what);
	return why_fail(why, -ENOMEM,
			"%s, and at least %" PRIu64 " MiB are needed: %" PRIu64 " MiB are in use there, %" PRIu64
			" are for reserve, table and data, and %" PRIu64
			" stay free; raise it, or make reserve=%" PRIu64 " smaller",
			what, least >> 20, others >> 20, (need + (1 << 20) - 1) >> 20, cgroup_margin(least) >> 20,
			params->reserve);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reserve of a device in use. What is asked for is one number, which takes effect in cap_apply(). The refill thread
 * populates what is missing, a piece at a time, whenever the system has memory to spare; the worker gives back what is
 * too much. So no caller waits for memory, but for that of the table.
 *
 * If there was no reserve, there is no refill thread either. The worker starts it. The caller's thread may be one that
 * the system makes wait where those of the server go on.
 */
#include "engine/engine.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

uint64_t zsblk_reserve(const struct zsblk *dev)
{
	return atomic_load(&dev->reserve);
}

static int check(const struct zsblk *dev, uint64_t reserve, struct zsblk_why *why)
{
	uint64_t limit = atomic_load(&dev->mem_limit) * BLOCK, now = zsblk_reserve(dev), most = spare_available();

	if (limit && reserve > limit)
		return why_fail(why, -EINVAL,
				"reserve=%" PRIu64 " is more than mem-limit=%" PRIu64
				" lets the pool use; make it smaller",
				reserve, limit);
	if (reserve > now && reserve - now > most)
		return why_fail(why, -ENOMEM,
				"reserve=%" PRIu64 " is more memory than there is: %" PRIu64
				" bytes can be had beside the present %" PRIu64 "; make it smaller",
				reserve, most, now);
	return 0;
}

/* What a reserve has in memory of the table and the descriptors, as at the start. */
static int populate(struct zsblk *dev, uint64_t reserve, struct zsblk_why *why)
{
	int r = upkeep_populate_table(dev, dev->layout.blocks, reserve);

	if (r == -EINTR)
		return why_fail(why, r, "told to stop while memory for the table was filled");
	if (r)
		return why_fail(why, r,
				"the system has no memory to spare for the table, of which reserve=%" PRIu64
				" is to be in memory: %s; make it smaller, or free some memory",
				reserve, strerror(-r));
	return 0;
}

int zsblk_set_reserve(struct zsblk *dev, uint64_t reserve, struct zsblk_why *why)
{
	const struct live_values values = {.reserve = reserve};
	int r;

	pthread_mutex_lock(&dev->change_lock);
	r = check(dev, reserve, why);
	if (!r && reserve > zsblk_reserve(dev))
		r = populate(dev, reserve, why);
	if (!r) {
		atomic_store(&dev->reserve, reserve);
		cap_apply(dev);
		live_note(dev, LIVE_RESERVE, &values);
	}
	pthread_mutex_unlock(&dev->change_lock);
	return r;
}

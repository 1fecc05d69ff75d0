/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures, in zram's terms, and checks. */
#include "engine/backing.h"
#include "engine/sector.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/*
 * Contexts are read one after the other. A block that was stored under a context already read, and freed under one
 * not read yet, counts as -1 for this moment.
 */
static void clamp(_Atomic uint64_t *sum)
{
	if (*sum > INT64_MAX)
		*sum = 0;
}

void zsblk_get_stats(struct zsblk *dev, struct zsblk_stats *stats)
{
	uint64_t group_bytes = atomic_load(&dev->entries.bytes);
	struct zs_core_stats pool;
	struct counters sum;

	zs_core_stats(dev->core, &pool);
	contexts_sum(dev, &sum);
	clamp(&sum.compr_bytes);
	clamp(&sum.objects);
	clamp(&sum.same);
	clamp(&sum.huge);
	clamp(&sum.cold);
	clamp(&sum.backed);
	*stats = (struct zsblk_stats){
		.orig_data_size = (sum.objects + sum.same + sum.cold + sum.backed) * BLOCK,
		.compr_data_size = sum.compr_bytes + group_bytes,
		.mem_used_total = pool.pages_used * BLOCK,
		.mem_limit = atomic_load(&dev->mem_limit) * BLOCK,
		.mem_cap = atomic_load(&dev->cap) * BLOCK,
		.mem_used_max = pool.pages_used_max * BLOCK,
		.same_pages = sum.same,
		.pages_compacted = pool.pages_compacted,
		.huge_pages = sum.huge,
		.huge_pages_since = sum.huge_since,
		.blocks_stored = sum.objects + sum.cold,
		.pool_bytes =
			pool.pages_used * BLOCK > pool.header_bytes ? pool.pages_used * BLOCK - pool.header_bytes : 0,
		.metadata_bytes =
			table_bytes(&dev->table) + ages_bytes(&dev->ages) + pool.header_bytes + pool.descriptor_bytes,
		.reserved_bytes = pool.pages_reserved * BLOCK,
		.reserve_misses = pool.reserve_misses,
		.reads = sum.reads,
		.writes = sum.writes,
		.discards = sum.discards,
		.zeroes = sum.zeroes,
		.read_bytes = sum.read_bytes,
		.write_bytes = sum.write_bytes,
		.discard_bytes = sum.discard_bytes,
		.failed_reads = sum.failed_reads,
		.failed_writes = sum.failed_writes,
		.failed_discards = sum.failed_discards,
		.recompressed = sum.recompressed,
		.recompress_saved = sum.recompress_saved,
		.groups = atomic_load(&dev->entries.groups),
		.group_blocks = sum.cold,
		.group_bytes = group_bytes,
		.cold_reads = sum.cold_reads,
		.cold_decodes = sum.cold_decodes,
		.regrouped = sum.regrouped,
	};
}

void zsblk_reset_mem_used_max(struct zsblk *dev)
{
	runs_reset_used_max(dev->runs);
}

void zsblk_set_mem_limit(struct zsblk *dev, uint64_t mem_limit)
{
	const struct live_values values = {.mem_limit = mem_limit};

	/* The last change that takes effect is the one that is recorded. */
	pthread_mutex_lock(&dev->live_lock);
	/* Rounded up: a limit of a few bytes is a limit. */
	atomic_store(&dev->mem_limit, mem_limit / BLOCK + (mem_limit % BLOCK != 0));
	cap_apply(dev);
	live_note_held(dev, LIVE_MEM_LIMIT, &values);
	pthread_mutex_unlock(&dev->live_lock);
}

/* ------------------------------------------------------------------ checks */

static int check_counters(struct zsblk *dev, struct entries_survey *survey, struct zsblk_why *why)
{
	struct counters sum, found = {0};
	int r = sector_verify(dev, survey, &found, why);

	if (r)
		return r;
	if (!entries_agree(dev, survey))
		return why_fail(why, -EUCLEAN,
				"counted %" PRIu64 " groups of %" PRIu64 " bytes; the table has %" PRIu64 " of %" PRIu64
				", and %" PRIu64 " entries that nobody names",
				atomic_load(&dev->entries.groups), atomic_load(&dev->entries.bytes), survey->groups,
				survey->bytes, survey->orphans);
	contexts_sum(dev, &sum);
	if (sum.compr_bytes != found.compr_bytes || sum.objects != found.objects || sum.same != found.same ||
	    sum.huge != found.huge || sum.cold != found.cold || sum.backed != found.backed)
		return why_fail(why, -EUCLEAN,
				"counted %" PRIu64 " bytes in %" PRIu64 " objects, %" PRIu64 " same-filled, %" PRIu64
				" huge, %" PRIu64 " in groups, %" PRIu64 " in the backing store; the table has %" PRIu64
				", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64,
				sum.compr_bytes, sum.objects, sum.same, sum.huge, sum.cold, sum.backed,
				found.compr_bytes, found.objects, found.same, found.huge, found.cold, found.backed);
	return 0;
}

/* The counts of entries are made once more, beside those in use. */
static int check_table(struct zsblk *dev, struct zsblk_why *why)
{
	size_t bytes = dev->entries.refs ? (size_t)dev->entries.n * sizeof *dev->entries.refs : 0;
	struct entries_survey survey = {.dev = dev, .seen = bytes ? segment_private_map(bytes) : NULL};
	int r;

	if (bytes && !survey.seen)
		return why_fail(why, -ENOMEM, "no memory for the check of groups");
	r = check_counters(dev, &survey, why);
	segment_private_unmap((void *)survey.seen, bytes);
	return r;
}

int zsblk_check(struct zsblk *dev, struct zsblk_why *why)
{
	int r;

	/* The size stays what it is meanwhile. */
	pthread_mutex_lock(&dev->resize_lock);
	pthread_mutex_lock(&dev->recompress_lock);
	r = check_table(dev, why);
	if (!r)
		r = backing_check_account(dev, why);
	if (!r)
		r = zs_core_check(dev->core, sector_each_object, dev, why ? why->text : NULL,
				  why ? sizeof why->text : 0);
	pthread_mutex_unlock(&dev->recompress_lock);
	pthread_mutex_unlock(&dev->resize_lock);
	return r;
}

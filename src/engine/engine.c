/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a device: open, start, close. */
#include "engine/engine.h"

#include "engine/aging.h"
#include "engine/backing.h"
#include "engine/groups.h"
#include "engine/sector.h"
#include "segment/claim.h"
#include "segment/refused.h"
#include "segment/super_open.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------ the segment */

/*
 * Pages of address space for the pool: room for every block stored raw, and as much again for zspages that a few
 * objects keep alive. Addresses take no memory until they are used. Where they count as memory (vm.overcommit_memory =
 * 2), the pool has room for every block stored raw, and an eighth more.
 */
static uint64_t pool_pages(uint64_t blocks)
{
	uint64_t pages = refused_address_space_counts() ? blocks + blocks / 8 + 1024 : 2 * blocks + 16384;

	pages = (pages + 63) / 64 * 64;
	return pages < ZSBLK_MAX_POOL / BLOCK ? pages : ZSBLK_MAX_POOL / BLOCK;
}

void engine_describe(struct super_layout *layout, const struct zsblk_params *params)
{
	struct class_rules rules = class_rules_default(params->chain ? params->chain : ZS_DEFAULT_CHAIN);
	uint64_t max_blocks = (params->max_size ? params->max_size : params->size) / BLOCK;

	*layout = (struct super_layout){
		.kind = SUPER_DEVICE,
		.block_size = BLOCK,
		.blocks = params->size / BLOCK,
		.max_blocks = max_blocks,
		.table_words = super_table_words(max_blocks),
		.pool_pages = pool_pages(max_blocks),
		.class_step = rules.step,
		.class_min = rules.min_size,
		.chain = rules.chain,
		.max_objects = rules.max_objects,
	};
	params_describe_codecs(layout->codecs, SUPER_CODECS_NAMED);
	super_arrange(layout);
}

static bool is_our_geometry(const struct super_layout *found, const struct super_layout *wanted)
{
	return found->class_step == wanted->class_step && found->class_min == wanted->class_min &&
	       found->max_objects == wanted->max_objects && found->chain >= 1 && found->chain <= ZS_MAX_CHAIN &&
	       found->pool_pages >= 1 && found->pool_pages <= ZS_MAX_POOL_PAGES;
}

/* 0 if the segment that was found holds the device that was asked for. */
static int match_device(const struct super_request *request, const struct super_layout *found)
{
	const struct zsblk_params *params = request->opaque;
	const struct super_layout *wanted = request->wanted;
	char *why = request->why, known[SUPER_CODECS][16];
	size_t size = request->why_size;

	if (found->kind != SUPER_DEVICE)
		return super_refuse(why, size, -EINVAL, "%s holds a zsmalloc pool, not a block device; use another key",
				    params->memory);
	if (found->block_size != BLOCK)
		return super_refuse(why, size, -EINVAL, "%s holds blocks of %u bytes, and this zsblk knows %u only",
				    params->memory, found->block_size, BLOCK);
	if (found->blocks != wanted->blocks)
		return super_refuse(why, size, -EINVAL,
				    "%s holds a device of size=%" PRIu64 ", and size=%" PRIu64
				    " was asked for; use the size it has, or another key",
				    params->memory, found->blocks * BLOCK, params->size);
	if (params->max_size && found->max_blocks != wanted->max_blocks)
		return super_refuse(why, size, -EINVAL,
				    "%s was made with max-size=%" PRIu64 ", and max-size=%" PRIu64 " was asked for",
				    params->memory, found->max_blocks * BLOCK, params->max_size);
	if (params->chain && found->chain != params->chain)
		return super_refuse(why, size, -EINVAL, "%s was made with chain=%u, and chain=%u was asked for",
				    params->memory, found->chain, params->chain);
	if (!is_our_geometry(found, wanted))
		return super_refuse(why, size, -EINVAL,
				    "%s was made with another pool geometry (%u, %u, %u, %u); open it "
				    "with the zsblk that made it",
				    params->memory, found->class_step, found->class_min, found->chain,
				    found->max_objects);
	params_describe_codecs(known, SUPER_CODECS);
	for (unsigned id = 0; id < SUPER_CODECS; id++)
		if (found->codecs[id][0] && strncmp(found->codecs[id], known[id], sizeof known[id]) != 0)
			return super_refuse(why, size, -EINVAL,
					    "%s may hold blocks compressed with codec %u, \"%.16s\", which this "
					    "zsblk does not have; open it with one that has it",
					    params->memory, id, found->codecs[id]);
	return 0;
}

static int open_segment(struct zsblk *dev, const struct zsblk_params *params, struct zsblk_why *why)
{
	struct super_layout wanted;
	struct super_request request = {
		.memory = params->memory,
		.mode = SUPER_CREATE,
		.why = why->text,
		.why_size = sizeof why->text,
		.wanted = &wanted,
		.lock = params->lock_shared,
		.match = match_device,
		.opaque = params,
	};
	int r;

	engine_describe(&wanted, params);
	r = super_open(&dev->seg, &request, &dev->layout);
	/* A segment that does not exist is a wrong parameter like any other. */
	return r == -ENOENT ? -EINVAL : r;
}

/* ------------------------------------------------------------------ rebuilding */

/* Tell the allocator how many pages are in memory before the pool: those of the words, and around them. */
static int count_outside(struct zsblk *dev, uint64_t of_words)
{
	uint64_t start = (uint64_t)((uint8_t *)dev->table.words - dev->seg.base);
	uint64_t end =
		start + (dev->table.n * sizeof *dev->table.words + SEGMENT_PAGE - 1) / SEGMENT_PAGE * SEGMENT_PAGE;
	uint64_t before, behind;
	int r = segment_count_resident(&dev->seg, 0, start, &before);

	if (!r)
		r = segment_count_resident(&dev->seg, end, dev->runs->offset - end, &behind);
	if (!r)
		runs_set_outside(dev->runs, before + of_words + behind);
	return r;
}

/* A segment that has groups, or may have some, is read with what that takes. */
static int open_groups(struct zsblk *dev, struct zsblk_why *why)
{
	int r = dev->layout.features.incompatible & SUPER_HAS_SHARED ? groups_prepare(dev) : 0;

	if (r == -ENOTSUP)
		return why_fail(why, -EINVAL,
				"the segment is damaged: it says that it has groups of blocks, and has no "
				"room for them");
	return r ? why_fail(why, r, "no memory for the groups of blocks in the segment: %s", strerror(-r)) : 0;
}

static int rebuild(struct zsblk *dev, struct zsblk_why *why)
{
	struct entries_survey survey = {.dev = dev};
	char text[200];
	uint64_t unmapped, in_memory, *frontier;
	/* The table may be large and sparse, so one look at it gives both results. */
	int r = table_unmapped_words(&dev->table, &dev->seg, &unmapped, &in_memory);

	if (!r && unmapped == dev->table.n)
		r = count_outside(dev, in_memory);
	if (r)
		return why_fail(why, r,
				"the system does not say which pages of the segment are in memory (mincore: %s)",
				strerror(-r));
	if (unmapped < dev->table.n)
		return why_fail(why, -EINVAL,
				"the segment is damaged: its map says that blocks %" PRIu64
				" and on were never written, and they were",
				unmapped);
	r = open_groups(dev, why);
	if (r)
		return r;
	survey.seen = dev->entries.refs;
	r = sector_verify(dev, &survey, &dev->found, why);
	if (r)
		return r == -EUCLEAN ? -EINVAL : r;
	frontier = super_frontier(&dev->seg, &dev->layout);
	runs_expect(dev->runs, frontier ? *frontier : 0);
	r = zs_core_rebuild(dev->core, sector_each_object, dev, text, sizeof text);
	if (r == -EUCLEAN)
		return why_fail(why, -EINVAL, "the segment is damaged: %s", text);
	if (r)
		return why_fail(why, r, "no memory to find what the segment holds: %s", strerror(-r));
	if (dev->has_marks)
		sector_clear_marks(dev);
	entries_adopt(dev, &survey);
	return 0;
}

int engine_may_begin(struct zsblk *dev, struct zsblk_why *why)
{
	bool is_busy;

	pthread_mutex_lock(&dev->recompress_lock);
	is_busy = dev->recompression || dev->grouping || dev->spilling;
	pthread_mutex_unlock(&dev->recompress_lock);
	if (!is_busy)
		return 0;
	return why_fail(
		why, -EBUSY,
		"this device is being recompressed, makes groups, or writes blocks to its backing store; wait until "
		"that is done, or cancel it");
}

void engine_keep_frontier(struct zsblk *dev)
{
	runs_keep_frontier(dev->runs, super_frontier(&dev->seg, &dev->layout));
}

/* ------------------------------------------------------------------ life */

static unsigned default_contexts(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus > 8 ? (unsigned)cpus * 2 : 16;
}

/*
 * A reserve that cannot be filled is refused while the front end can still say so. Only where nothing is at
 * stake: a server of data that is there already starts with what reserve it can get.
 */
static int check_reserve(const struct zsblk_params *params, struct zsblk_why *why)
{
	uint64_t most = spare_available();

	if (params->reserve <= most)
		return 0;
	return why_fail(why, -ENOMEM,
			"reserve=%" PRIu64 " is more memory than there is: %" PRIu64
			" bytes can be had now; make it smaller, or free some memory",
			params->reserve, most);
}

static int explain_tables(int error, struct zsblk_why *why)
{
	char setting[256];

	refused_explain(error, "mmap", SEGMENT_PAGE, setting, sizeof setting);
	return why_fail(why, error, "no memory for the tables of the device: %s",
			setting[0] ? setting : strerror(-error));
}

static void set_algorithm(struct zsblk *dev, const struct zsblk_params *params)
{
	const struct codec *codec = codec_by_name(params_algorithm_name(params));

	atomic_store(&dev->codec, codec);
	atomic_store(&dev->level, params->has_level ? params->level : codec->level_default);
}

static int try_contexts(struct zsblk *dev, const struct zsblk_params *params)
{
	set_algorithm(dev, params);
	return contexts_init(&dev->contexts, params->contexts ? params->contexts : default_contexts(),
			     atomic_load(&dev->codec), zsblk_level(dev));
}

/* A server must not fail because of what another one was told: a larger algorithm may not have the memory now. */
static int make_contexts(struct zsblk *dev, struct zsblk_params *params, const struct zsblk_params *given)
{
	int r = try_contexts(dev, params);

	if (!r || !(dev->live.changed & LIVE_ALGORITHM))
		return r;
	contexts_destroy(&dev->contexts);
	live_drop_algorithm(dev, params, given);
	return try_contexts(dev, params);
}

/* *given are the caller's parameters, and *params those that count: see live.c. */
static int build(struct zsblk *dev, const struct zsblk_params *given, struct zsblk_params *params,
		 struct zsblk_why *why)
{
	const struct super_layout *layout = &dev->layout;
	int r = open_segment(dev, given, why);

	if (r)
		return r;
	live_adopt(dev, params);
	atomic_store(&dev->size, layout->blocks * BLOCK);
	atomic_store(&dev->end, layout->blocks);
	dev->table = super_table(&dev->seg, layout);
	r = zs_core_create(&dev->core, &dev->seg, layout->pool_offset, layout->pool_pages, layout->chain);
	if (!r)
		dev->runs = zs_core_runs(dev->core);
	if (!r)
		r = stripes_init(&dev->stripes, sysconf(_SC_NPROCESSORS_ONLN));
	if (!r)
		r = aging_open(dev);
	if (r)
		return explain_tables(r, why);
	r = make_contexts(dev, params, given);
	if (r)
		return encoder_explain(r, zsblk_algorithm_name(dev), zsblk_level(dev), why);
	dev->watermark = zs_core_huge_watermark(dev->core);
	r = codecs_open(dev);
	if (r)
		return explain_tables(r, why);
	if (!dev->seg.fresh)
		r = rebuild(dev, why);
	if (!r)
		engine_keep_frontier(dev);
	/*
	 * `fresh` does not tell: a front end may open a segment twice before it starts, and a former server may have
	 * died early. A reserve that a former server was told in use is no reason to refuse the parameters of this one.
	 */
	dev->is_new = !r && table_next_written(&dev->table, 0, dev->table.n) == dev->table.n &&
		      !(dev->live.changed & LIVE_RESERVE);
	if (!r && dev->is_new)
		r = check_reserve(params, why);
	return r || !dev->is_new ? r : cap_check(dev, params, why);
}

/* All but the segment. */
static void tear_down(struct zsblk *dev)
{
	backing_close(dev);
	codecs_close(dev);
	contexts_destroy(&dev->contexts);
	aging_close(dev);
	groups_close(dev);
	spare_close(&dev->group_spare);
	stripes_destroy(&dev->stripes);
	zs_core_destroy(dev->core);
	spare_close(&dev->spare);
	spare_close(&dev->worker_spare);
	spare_close(&dev->change_spare);
	cgroup_close(dev->cgroup);
	pthread_mutex_destroy(&dev->change_lock);
	pthread_mutex_destroy(&dev->resize_lock);
	pthread_mutex_destroy(&dev->compact_lock);
	pthread_mutex_destroy(&dev->limit_lock);
	pthread_mutex_destroy(&dev->live_lock);
	spare_close(&dev->aging_spare);
	pthread_mutex_destroy(&dev->aging_lock);
	pthread_mutex_destroy(&dev->recompress_lock);
}

/* Who looks at free memory at the same time as others has a buffer of his own. */
static void open_spares(struct zsblk *dev)
{
	spare_open(&dev->spare, dev->cgroup);
	spare_open(&dev->worker_spare, dev->cgroup);
	spare_open(&dev->change_spare, dev->cgroup);
	spare_open(&dev->aging_spare, dev->cgroup);
	spare_open(&dev->group_spare, dev->cgroup);
}

int zsblk_open(const struct zsblk_params *given, struct zsblk **result, struct zsblk_why *why)
{
	struct zsblk_params params = *given;
	struct zsblk_why ignored;
	struct zsblk *dev;
	int r = zsblk_params_check(given, why);

	*result = NULL;
	why = why ? why : &ignored;
	if (r)
		return r;
	dev = aligned_alloc(64, (sizeof *dev + 63) & ~(size_t)63);
	if (!dev)
		return why_fail(why, -ENOMEM, "out of memory");
	memset(dev, 0, sizeof *dev);
	atomic_store(&dev->reserve_most, UINT64_MAX);
	dev->interrupted = params.interrupted;
	dev->cgroup = cgroup_open();
	pthread_mutex_init(&dev->change_lock, NULL);
	pthread_mutex_init(&dev->resize_lock, NULL);
	pthread_mutex_init(&dev->compact_lock, NULL);
	pthread_mutex_init(&dev->limit_lock, NULL);
	pthread_mutex_init(&dev->live_lock, NULL);
	pthread_mutex_init(&dev->aging_lock, NULL);
	pthread_mutex_init(&dev->recompress_lock, NULL);
	r = build(dev, given, &params, why);
	if (r) {
		tear_down(dev);
		super_open_undo(&dev->seg);
		free(dev);
		return r;
	}
	atomic_store(&dev->reserve, params.reserve);
	zsblk_set_mem_limit(dev, params.mem_limit);
	open_spares(dev);
	*result = dev;
	return 0;
}

int zsblk_start(struct zsblk *dev, struct zsblk_why *why)
{
	int holder, r = claim_take(&dev->seg, true, &holder);

	if (r)
		return why_fail(why, r, "the segment is in use by process %d; stop that one first", holder);
	r = backing_start(dev, why);
	if (r)
		return r;
	codecs_start(dev);
	segment_after_mlockall(&dev->seg);
	contexts_warm_up(&dev->contexts);
	r = aging_start(dev);
	if (r)
		return why_fail(why, r, "no memory for the ages of blocks: %s", strerror(-r));
	(void)footprint_contexts(dev);
	/*
	 * A new device waits for its table and its reserve. A device with data starts without them if memory is short:
	 * while its server is down nobody can swap to it, so no memory becomes free, and waiting would not end. The
	 * refill thread goes on later.
	 */
	r = upkeep_populate_table(dev, dev->layout.blocks, zsblk_reserve(dev));
	if (r && r != -EINTR && (dev->is_new || r != -ENOMEM))
		return why_fail(why, r,
				"there is no memory for the table, of which reserve=%" PRIu64
				" is to be there from the start: %s; make it smaller, or free some memory",
				zsblk_reserve(dev), strerror(-r));
	if (r != -EINTR)
		r = upkeep_fill_reserve(dev, dev->is_new);
	if (r == -EINTR)
		return why_fail(why, r, "told to stop while memory was filled");
	if (r && dev->is_new)
		return why_fail(why, r,
				"reserve=%" PRIu64 " cannot be filled: %s; make it smaller, or free some memory",
				zsblk_reserve(dev), strerror(-r));
	cap_keep(dev, &dev->spare);
	live_start(dev);
	r = upkeep_start(dev);
	if (r)
		return why_fail(why, r, "the background threads cannot be started: %s", strerror(-r));
	super_put_in_service(&dev->seg);
	return 0;
}

void zsblk_close(struct zsblk *dev)
{
	if (!dev)
		return;
	upkeep_stop(dev);
	tear_down(dev);
	claim_drop(&dev->seg);
	segment_close(&dev->seg);
	free(dev);
}

bool zsblk_is_removed(const struct zsblk *dev)
{
	return segment_is_removed(&dev->seg);
}

struct zs_core *zsblk_pool(struct zsblk *dev)
{
	return dev->core;
}

unsigned zsblk_contexts(const struct zsblk *dev)
{
	return dev->contexts.n;
}

unsigned zsblk_class_count(const struct zsblk *dev)
{
	return zs_core_class_count(dev->core);
}

int zsblk_class_stats(struct zsblk *dev, unsigned index, struct zs_class_stats *stats)
{
	return zs_core_class_stats(dev->core, index, stats);
}

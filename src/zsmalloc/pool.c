/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pools for any program: the core, with a handle table as the owner of its objects. See zsmalloc.h.
 *
 *   handle - 1 = index of a cell:
 *   | 0  7 | class 9 | slot 10 | page 30 | mapped 5 | writer 1 | moving 1 | live 1 |
 *
 * A cell is the truth about its object (I1): 0, or live with the place of the object. mapped, writer and moving hold
 * the object still, and mean nothing after the process has ended. Free cells are kept in process memory, in SHARDS
 * shards: cell i belongs to shard i % SHARDS.
 *
 * Locks: a shard, or the core's. Never both.
 */
#include "zsmalloc.h"

#include "process/lock.h"
#include "process/thread.h"
#include "segment/claim.h"
#include "segment/super_open.h"
#include "zsmalloc/zspage.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHARDS      16u
#define WAIT_YIELDS 16u

#if UINTPTR_MAX > UINT32_MAX
#define DEFAULT_PAGES   (UINT64_C(1) << 23) /* 32 GiB of address space */
#define DEFAULT_OBJECTS (1u << 26)
#else
#define DEFAULT_PAGES   (UINT64_C(1) << 16)
#define DEFAULT_OBJECTS (1u << 20)
#endif

enum {
	CELL_LIVE = 1 << 0,
	CELL_MOVING = 1 << 1,
	CELL_WRITER = 1 << 2,
	CELL_MAPPED = 1 << 3, /* one mapping */
	CELL_MAPPED_MASK = 31 << 3,
	CELL_HELD = CELL_MOVING | CELL_WRITER | CELL_MAPPED_MASK,
	CELL_PAGE_SHIFT = 8,
	CELL_SLOT_SHIFT = CELL_PAGE_SHIFT + ZS_LOC_PAGE_BITS,
	CELL_CLASS_SHIFT = CELL_SLOT_SHIFT + ZS_LOC_SLOT_BITS,
};
_Static_assert(CELL_CLASS_SHIFT + ZS_LOC_CLASS_BITS <= 64, "a cell has 64 bits");

struct shard {
	_Alignas(64) pthread_mutex_t lock;
	uint32_t *free; /* stack of free cells, each below `fresh` */
	uint32_t free_count;
	uint32_t fresh; /* cells of this shard never used so far, in order: index = fresh * SHARDS + shard */
	uint32_t limit; /* cells of this shard */
};

struct zs_pool {
	char name[ZS_POOL_NAME_MAX];
	struct segment seg;
	struct table cells;
	uint32_t max_objects;
	struct zs_core *core;
	struct shard shard[SHARDS];
};

/* ------------------------------------------------------------------ cells */

static uint64_t cell_make(struct zs_loc loc)
{
	return CELL_LIVE | (uint64_t)loc.page << CELL_PAGE_SHIFT | (uint64_t)loc.slot << CELL_SLOT_SHIFT |
	       (uint64_t)loc.class_index << CELL_CLASS_SHIFT;
}

static struct zs_loc cell_loc(uint64_t cell)
{
	return (struct zs_loc){
		.page = (uint32_t)(cell >> CELL_PAGE_SHIFT & ((1u << ZS_LOC_PAGE_BITS) - 1)),
		.slot = (uint16_t)(cell >> CELL_SLOT_SHIFT & ((1u << ZS_LOC_SLOT_BITS) - 1)),
		.class_index = (uint16_t)(cell >> CELL_CLASS_SHIFT & ((1u << ZS_LOC_CLASS_BITS) - 1)),
	};
}

static uint32_t index_of(const struct zs_pool *pool, zs_handle handle)
{
	assert(handle != 0 && handle <= pool->max_objects);
	(void)pool;
	return (uint32_t)(handle - 1);
}

/* ------------------------------------------------------------------ free cells */

static bool take_from_shard(struct zs_pool *pool, unsigned s, uint32_t *index)
{
	struct shard *shard = &pool->shard[s];
	bool found = true;

	pthread_mutex_lock(&shard->lock);
	if (shard->free_count)
		*index = shard->free[--shard->free_count] * SHARDS + s;
	else if (shard->fresh < shard->limit)
		*index = shard->fresh++ * SHARDS + s;
	else
		found = false;
	pthread_mutex_unlock(&shard->lock);
	return found;
}

static bool take_cell(struct zs_pool *pool, uint32_t *index)
{
	unsigned first = thread_number() % SHARDS;

	for (unsigned i = 0; i < SHARDS; i++)
		if (take_from_shard(pool, (first + i) % SHARDS, index))
			return true;
	return false;
}

static void give_cell(struct zs_pool *pool, uint32_t index)
{
	struct shard *shard = &pool->shard[index % SHARDS];

	pthread_mutex_lock(&shard->lock);
	shard->free[shard->free_count++] = index / SHARDS;
	pthread_mutex_unlock(&shard->lock);
}

static int make_shards(struct zs_pool *pool)
{
	for (unsigned s = 0; s < SHARDS; s++) {
		struct shard *shard = &pool->shard[s];

		shard->limit = (pool->max_objects - s + SHARDS - 1) / SHARDS;
		lock_init(&shard->lock);
		shard->free = segment_private_map((shard->limit + 1u) * sizeof *shard->free);
		if (!shard->free)
			return -ENOMEM;
	}
	return 0;
}

/* ------------------------------------------------------------------ objects */

/*
 * The object is being moved, which takes a copy of 4 KiB at most, so look again soon. After some turns sleep: an
 * ordinary thread that moves the object gets the CPU only then, if this is a real-time thread.
 */
static void wait_a_turn(unsigned *turns)
{
	const struct timespec moment = {.tv_nsec = 50 * 1000};

	if ((*turns)++ < WAIT_YIELDS)
		sched_yield();
	else
		nanosleep(&moment, NULL);
}

zs_handle zs_malloc(struct zs_pool *pool, size_t size)
{
	struct zs_loc loc;
	uint32_t index;
	int r;

	if (size == 0 || size > ZS_MAX_OBJECT) {
		errno = size ? EMSGSIZE : EINVAL;
		return 0;
	}
	if (!take_cell(pool, &index)) {
		errno = ENOMEM;
		return 0;
	}
	r = zs_core_alloc(pool->core, (unsigned)size, index, &loc);
	if (r) {
		give_cell(pool, index);
		errno = -r;
		return 0;
	}
	table_store(&pool->cells, index, cell_make(loc));
	return (zs_handle)index + 1;
}

void zs_free(struct zs_pool *pool, zs_handle handle)
{
	unsigned turns = 0;
	uint64_t cell;
	uint32_t index;

	if (!handle)
		return;
	index = index_of(pool, handle);
	cell = table_load(&pool->cells, index);
	do {
		while (cell & CELL_MOVING) {
			wait_a_turn(&turns);
			cell = table_load(&pool->cells, index);
		}
		assert((cell & CELL_LIVE) && "zs_free: no such object");
		assert(!(cell & CELL_MAPPED_MASK) && "zs_free: the object is mapped");
	} while (!table_change(&pool->cells, index, &cell, 0));
	zs_core_free(pool->core, cell_loc(cell));
	give_cell(pool, index);
}

void *zs_map_object(struct zs_pool *pool, zs_handle handle, enum zs_mapmode mode)
{
	uint32_t index = index_of(pool, handle);
	uint64_t cell = table_load(&pool->cells, index), mapped;
	unsigned turns = 0;

	do {
		while ((cell & CELL_MOVING) || (cell & CELL_MAPPED_MASK) == CELL_MAPPED_MASK) {
			wait_a_turn(&turns);
			cell = table_load(&pool->cells, index);
		}
		assert((cell & CELL_LIVE) && "zs_map_object: no such object");
		assert(!(cell & CELL_WRITER) && "zs_map_object: mapped for writing already");
		assert((mode == ZS_MM_RO || !(cell & CELL_MAPPED_MASK)) &&
		       "zs_map_object: mapped already, cannot be mapped for writing");
		assert((cell & CELL_MAPPED_MASK) < 30 * CELL_MAPPED && "zs_map_object: mapped too often");
		mapped = (cell + CELL_MAPPED) | (mode == ZS_MM_RO ? 0u : (unsigned)CELL_WRITER);
	} while (!table_change(&pool->cells, index, &cell, mapped));
	return zs_core_address(pool->core, cell_loc(cell));
}

void zs_unmap_object(struct zs_pool *pool, zs_handle handle)
{
	uint32_t index = index_of(pool, handle);
	uint64_t cell = table_load(&pool->cells, index);

	do
		assert((cell & CELL_MAPPED_MASK) && "zs_unmap_object: not mapped");
	while (!table_change(&pool->cells, index, &cell, (cell - CELL_MAPPED) & ~(uint64_t)CELL_WRITER));
}

const void *zs_obj_read_begin(struct zs_pool *pool, zs_handle handle, size_t len, void *copy)
{
	(void)len;
	(void)copy;
	return zs_map_object(pool, handle, ZS_MM_RO);
}

void zs_obj_read_end(struct zs_pool *pool, zs_handle handle, const void *mem)
{
	(void)mem;
	zs_unmap_object(pool, handle);
}

void zs_obj_write(struct zs_pool *pool, zs_handle handle, const void *mem, size_t len)
{
	memcpy(zs_map_object(pool, handle, ZS_MM_WO), mem, len);
	zs_unmap_object(pool, handle);
}

/* ------------------------------------------------------------------ the core's owner */

static bool move_object(void *opaque, uint32_t index, struct zs_loc from)
{
	struct zs_pool *pool = opaque;
	uint64_t cell = table_load(&pool->cells, index), still = cell_make(from);
	struct zs_loc to;

	/* Only the cell of an object that is neither mapped nor being moved is equal to this. */
	if (cell != still || !table_change(&pool->cells, index, &cell, still | CELL_MOVING))
		return false;
	if (zs_core_move_to(pool->core, index, from, &to)) {
		table_store(&pool->cells, index, still);
		return false;
	}
	memcpy(zs_core_address(pool->core, to), zs_core_address(pool->core, from),
	       zs_core_class_size(pool->core, from.class_index));
	table_store(&pool->cells, index, cell_make(to));
	zs_core_free(pool->core, from);
	return true;
}

static int scan_cells(void *opaque, zs_each_fn *each, void *each_opaque)
{
	struct zs_pool *pool = opaque;
	uint64_t index = 0, end = pool->max_objects;
	int r = 0;

	for (; (index = table_next_written(&pool->cells, index, end)) < end && !r; index++) {
		uint64_t cell = table_load(&pool->cells, index);

		if (cell & CELL_LIVE)
			r = each(each_opaque, (uint32_t)index, cell_loc(cell));
	}
	return r;
}

/*
 * Find the live cells that a former process has left. Stores nothing, since the pool may still turn out to be damaged.
 */
static int adopt_cells(struct zs_pool *pool)
{
	const uint64_t valid = (UINT64_C(1) << (CELL_CLASS_SHIFT + ZS_LOC_CLASS_BITS)) - 1;
	uint64_t index = 0, end = pool->max_objects;
	uint32_t used = 0;

	for (; (index = table_next_written(&pool->cells, index, end)) < end; index++) {
		uint64_t cell = table_load(&pool->cells, index);

		if (cell & ~valid || (cell && !(cell & CELL_LIVE)))
			return -EUCLEAN;
		if (cell)
			used = (uint32_t)index + 1;
	}
	for (unsigned s = 0; s < SHARDS; s++)
		pool->shard[s].fresh = used > s ? (used - s + SHARDS - 1) / SHARDS : 0;
	for (index = 0; index < used; index++)
		if (!table_load(&pool->cells, index))
			give_cell(pool, (uint32_t)index);
	return 0;
}

/* After the pool was verified: clear the mappings and moves of its former process. */
static void let_go_of_cells(struct zs_pool *pool)
{
	uint64_t index = 0, end = pool->max_objects;

	for (; (index = table_next_written(&pool->cells, index, end)) < end; index++) {
		uint64_t cell = table_load(&pool->cells, index);

		if (cell & CELL_HELD)
			table_store(&pool->cells, index, cell & ~(uint64_t)CELL_HELD);
	}
}

/* ------------------------------------------------------------------ life */

static void describe_pool(struct super_layout *layout, const char *name, const struct zs_params *params)
{
	struct class_rules rules = class_rules_default(params->chain ? params->chain : ZS_DEFAULT_CHAIN);
	uint64_t objects = params->max_objects ? params->max_objects : DEFAULT_OBJECTS;

	*layout = (struct super_layout){
		.kind = SUPER_POOL,
		.block_size = ZS_PAGE_SIZE,
		.blocks = objects,
		.max_blocks = objects,
		.table_words = objects,
		.pool_pages = params->max_pages ? params->max_pages : DEFAULT_PAGES,
		.class_step = rules.step,
		.class_min = rules.min_size,
		.chain = rules.chain,
		.max_objects = rules.max_objects,
	};
	snprintf(layout->name, sizeof layout->name, "%s", name);
	super_arrange(layout);
}

static int match_pool(const struct super_request *request, const struct super_layout *found)
{
	const struct super_layout *wanted = request->wanted;

	if (found->kind != wanted->kind || found->block_size != wanted->block_size ||
	    found->table_words != wanted->table_words || found->blocks != wanted->blocks ||
	    found->pool_pages != wanted->pool_pages || found->class_step != wanted->class_step ||
	    found->class_min != wanted->class_min || found->chain != wanted->chain ||
	    found->max_objects != wanted->max_objects)
		return super_refuse(request->why, request->why_size, -EINVAL, "%s holds another pool", request->memory);
	return 0;
}

static int open_pool_segment(struct zs_pool *pool, const char *memory, const struct super_layout *wanted,
			     struct super_layout *layout)
{
	char why[200];
	const struct super_request request = {
		.memory = memory,
		.mode = SUPER_CREATE,
		.why = why,
		.why_size = sizeof why,
		.wanted = wanted,
		.match = match_pool,
	};
	int r = super_open(&pool->seg, &request, layout);

	if (!r)
		snprintf(pool->name, sizeof pool->name, "%.*s", (int)sizeof layout->name - 1, layout->name);
	return r;
}

/* What a former process left in memory: a pool has no thread that would look for it later. */
static void give_back_leftovers(struct zs_core *core)
{
	int error;

	while (runs_look(zs_core_runs(core)))
		;
	while (runs_upkeep(zs_core_runs(core), RUNS_TRIM, &error))
		;
}

static int build_pool(struct zs_pool *pool, const char *name, const struct zs_params *params)
{
	struct super_layout layout, wanted;
	struct segment_spec spec;
	uint64_t *frontier;
	int r;

	if (segment_parse(params->memory, &spec) || params->chain > ZS_MAX_CHAIN ||
	    params->max_pages > ZS_MAX_POOL_PAGES || params->max_objects > 1u << 31)
		return -EINVAL;
	describe_pool(&wanted, name, params);
	r = open_pool_segment(pool, params->memory, &wanted, &layout);
	if (r)
		return r;
	pool->cells = super_table(&pool->seg, &layout);
	pool->max_objects = (uint32_t)layout.table_words;
	r = make_shards(pool);
	if (!r)
		r = zs_core_create(&pool->core, &pool->seg, layout.pool_offset, layout.pool_pages, layout.chain);
	frontier = super_frontier(&pool->seg, &layout);
	if (r || pool->seg.fresh) {
		if (!r)
			runs_keep_frontier(zs_core_runs(pool->core), frontier);
		return r;
	}
	r = adopt_cells(pool);
	runs_expect(zs_core_runs(pool->core), frontier ? *frontier : 0);
	if (!r)
		r = zs_core_rebuild(pool->core, scan_cells, pool, NULL, 0);
	if (!r) {
		let_go_of_cells(pool);
		runs_keep_frontier(zs_core_runs(pool->core), frontier);
		give_back_leftovers(pool->core);
	}
	return r;
}

/* All but the segment. */
static void tear_down(struct zs_pool *pool)
{
	zs_core_destroy(pool->core);
	for (unsigned s = 0; s < SHARDS; s++) {
		struct shard *shard = &pool->shard[s];

		if (!shard->free)
			continue;
		segment_private_unmap(shard->free, (shard->limit + 1u) * sizeof *shard->free);
		pthread_mutex_destroy(&shard->lock);
	}
}

int zs_create_pool(const char *name, const struct zs_params *params, struct zs_pool **result)
{
	static const struct zs_params defaults;
	struct zs_pool *pool = aligned_alloc(64, sizeof *pool);
	int r;

	*result = NULL;
	if (!pool)
		return -ENOMEM;
	memset(pool, 0, sizeof *pool);
	if (!params)
		params = &defaults;
	r = build_pool(pool, name, params);
	if (r) {
		tear_down(pool);
		super_open_undo(&pool->seg);
		free(pool);
		return r == -EUCLEAN ? -EINVAL : r;
	}
	runs_set_limit(zs_core_runs(pool->core), params->page_limit);
	*result = pool;
	return 0;
}

uint64_t zs_destroy_pool(struct zs_pool *pool, zs_leak_fn *leak, void *opaque)
{
	uint64_t objects;

	if (!pool)
		return 0;
	objects = zs_core_leaks(pool->core, leak, opaque);
	tear_down(pool);
	claim_drop(&pool->seg);
	segment_close(&pool->seg);
	free(pool);
	return objects;
}

const char *zs_pool_name(const struct zs_pool *pool)
{
	return pool->name;
}

/* ------------------------------------------------------------------ upkeep and figures */

uint64_t zs_compact_step(struct zs_pool *pool, unsigned *cursor, bool *more)
{
	return zs_core_compact_step(pool->core, cursor, move_object, pool, more);
}

uint64_t zs_compact(struct zs_pool *pool)
{
	unsigned cursor = 0;
	uint64_t freed = 0;
	bool more = true;

	while (more)
		freed += zs_compact_step(pool, &cursor, &more);
	return freed;
}

uint64_t zs_get_total_pages(struct zs_pool *pool)
{
	return runs_used(&pool->core->runs);
}

uint64_t zs_get_total_bytes(struct zs_pool *pool)
{
	return zs_get_total_pages(pool) * ZS_PAGE_SIZE;
}

void zs_pool_stats(struct zs_pool *pool, struct zs_pool_stats *stats)
{
	struct zs_core_stats core;

	zs_core_stats(pool->core, &core);
	*stats = (struct zs_pool_stats){
		.pages_compacted = core.pages_compacted,
		.objects = core.objects,
		.pages_used = core.pages_used,
		.pages_used_max = core.pages_used_max,
		.bytes_headers = core.header_bytes,
	};
}

unsigned zs_class_count(const struct zs_pool *pool)
{
	return zs_core_class_count(pool->core);
}

int zs_class_stats(struct zs_pool *pool, unsigned index, struct zs_class_stats *stats)
{
	return zs_core_class_stats(pool->core, index, stats);
}

int zs_check(struct zs_pool *pool, char *why, size_t why_size)
{
	return zs_core_check(pool->core, scan_cells, pool, why, why_size);
}

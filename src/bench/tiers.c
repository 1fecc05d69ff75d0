/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model of cold memory. See tiers.h.
 *
 * 1. A block is in exactly one state. Hot blocks are in a list, the one that was used last at its head. So those that have become cold are
 *    at its tail, and a sweep looks at no others.
 * 2. A waiting block is in the list of those that wait. That list may also have blocks that do not wait any more; they are dropped
 *    when it is looked through.
 * 3. A group knows its blocks by number. A block is the group's own as long as it is grouped and names that group.
 */
#include "bench/tiers.h"

#include "bench/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The policy looks for cold blocks once a second. */
#define SWEEP_US UINT64_C(1000000)
/* Blocks of a group lie no further apart than so many groups' worth of blocks. */
#define REACH 4u
#define CHUNK 4096u
/* No group. */
#define NONE UINT32_MAX

enum state { EMPTY, HOT, WAITING, GROUPED };

struct block {
	uint64_t us;         /* when it was used last */
	uint64_t page;       /* its contents */
	uint32_t prev, next; /* in the list of hot blocks */
	uint32_t group;
	uint32_t bytes; /* by itself */
	uint8_t state;  /* enum state */
	/* In that list: every number is that of a block, so none says that `prev` or `next` is none. */
	bool is_first, is_last;
	bool was_read; /* since it came into its group */
};

struct group {
	uint32_t blocks[TIERS_GROUP_MAX];
	void *object; /* its contents */
	uint32_t bytes;
	uint8_t made, live; /* blocks */
	uint32_t next_free;
};

struct tiers {
	struct tiers_setting setting;
	const struct tiers_contents *contents;
	struct block **chunks; /* of CHUNK blocks each; those that were never used are NULL */
	uint64_t hot_count;
	uint32_t hot_head, hot_tail; /* if there are any */
	uint32_t *waiting;
	size_t waiting_count, waiting_room;
	struct group *groups;
	uint32_t group_count, group_room, group_free;
	uint32_t cache[TIERS_CACHE_MAX]; /* groups, the one that was used last first */
	unsigned cached;
	uint64_t swept_us, next_moment_us, moment_every_us;
	struct tiers_moment now;
	struct tiers_figures figures;
};

static const char *const rule_names[TIERS_RULES] = {
	[TIERS_STAY] = "stay",
	[TIERS_SECOND] = "second",
	[TIERS_OUT] = "out",
};

const char *tiers_rule_name(enum tiers_rule rule)
{
	return rule_names[rule];
}

int tiers_rule_by_name(const char *name)
{
	for (int rule = 0; rule < TIERS_RULES; rule++)
		if (!strcmp(name, rule_names[rule]))
			return rule;
	return -1;
}

/* ------------------------------------------------------------------ blocks */

/* A block that has its memory. */
static struct block *block_at(const struct tiers *tiers, uint32_t number)
{
	return &tiers->chunks[number / CHUNK][number % CHUNK];
}

/* NULL: there is no memory. */
static struct block *block_get(struct tiers *tiers, uint32_t number)
{
	struct block **chunk = &tiers->chunks[number / CHUNK];

	if (!*chunk)
		*chunk = calloc(CHUNK, sizeof **chunk);
	return *chunk ? &(*chunk)[number % CHUNK] : NULL;
}

static void list_remove(struct tiers *tiers, struct block *block)
{
	if (block->is_first) {
		tiers->hot_head = block->next;
	} else {
		struct block *prev = block_at(tiers, block->prev);

		prev->next = block->next;
		prev->is_last = block->is_last;
	}
	if (block->is_last) {
		tiers->hot_tail = block->prev;
	} else {
		struct block *next = block_at(tiers, block->next);

		next->prev = block->prev;
		next->is_first = block->is_first;
	}
	tiers->hot_count--;
}

static void list_add(struct tiers *tiers, struct block *block, uint32_t number)
{
	block->is_first = true;
	block->is_last = !tiers->hot_count;
	block->next = tiers->hot_head;
	if (block->is_last) {
		tiers->hot_tail = number;
	} else {
		struct block *head = block_at(tiers, tiers->hot_head);

		head->prev = number;
		head->is_first = false;
	}
	tiers->hot_head = number;
	tiers->hot_count++;
}

/* A block that is stored by itself, and was used just now. */
static void make_hot(struct tiers *tiers, struct block *block, uint32_t number, uint64_t us)
{
	block->state = HOT;
	block->us = us;
	list_add(tiers, block, number);
}

static void count_single(struct tiers *tiers, const struct block *block, bool more)
{
	if (more) {
		tiers->now.single_blocks++;
		tiers->now.single_bytes += block->bytes;
	} else {
		tiers->now.single_blocks--;
		tiers->now.single_bytes -= block->bytes;
	}
}

/* ------------------------------------------------------------------ the cache of decoded groups */

static void cache_drop(struct tiers *tiers, uint32_t group)
{
	for (unsigned i = 0; i < tiers->cached; i++) {
		if (tiers->cache[i] != group)
			continue;
		tiers->cached--;
		memmove(&tiers->cache[i], &tiers->cache[i + 1], (tiers->cached - i) * sizeof tiers->cache[0]);
		return;
	}
}

/* True if the group is there. It is the first one then, as it is otherwise in place of the last. */
static bool cache_use(struct tiers *tiers, uint32_t group)
{
	unsigned at = 0;
	bool hit;

	while (at < tiers->cached && tiers->cache[at] != group)
		at++;
	hit = at < tiers->cached;
	if (!hit && tiers->cached < tiers->setting.cache_groups)
		tiers->cached++;
	if (at == tiers->cached)
		at--;
	memmove(&tiers->cache[1], &tiers->cache[0], at * sizeof tiers->cache[0]);
	tiers->cache[0] = group;
	return hit;
}

/* ------------------------------------------------------------------ groups */

static int group_new(struct tiers *tiers, uint32_t *number)
{
	if (tiers->group_free != NONE) {
		*number = tiers->group_free;
		tiers->group_free = tiers->groups[*number].next_free;
		return 0;
	}
	if (tiers->group_count == tiers->group_room) {
		uint32_t room = tiers->group_room ? tiers->group_room * 2 : 1024;
		struct group *groups = realloc(tiers->groups, room * sizeof *groups);

		if (!groups)
			return -ENOMEM;
		tiers->groups = groups;
		tiers->group_room = room;
	}
	*number = tiers->group_count++;
	return 0;
}

static void group_free(struct tiers *tiers, uint32_t number)
{
	struct group *group = &tiers->groups[number];

	tiers->now.dead_blocks -= group->made;
	tiers->now.grouped_bytes -= group->bytes;
	cache_drop(tiers, number);
	if (group->object)
		tiers->contents->drop(tiers->contents->opaque, group->object);
	group->object = NULL;
	group->next_free = tiers->group_free;
	tiers->group_free = number;
}

static int wait_for_neighbours(struct tiers *tiers, uint32_t number)
{
	if (tiers->waiting_count == tiers->waiting_room) {
		size_t room = tiers->waiting_room ? tiers->waiting_room * 2 : 1024;
		uint32_t *waiting = realloc(tiers->waiting, room * sizeof *waiting);

		if (!waiting)
			return -ENOMEM;
		tiers->waiting = waiting;
		tiers->waiting_room = room;
	}
	tiers->waiting[tiers->waiting_count++] = number;
	block_at(tiers, number)->state = WAITING;
	return 0;
}

/* A block leaves its group, and its place there is dead. */
static void group_leave(struct tiers *tiers, struct block *block)
{
	tiers->groups[block->group].live--;
	tiers->now.grouped_blocks--;
	tiers->now.dead_blocks++;
}

static int decode(struct tiers *tiers, const struct group *group, unsigned upto, bool for_read)
{
	const struct tiers_contents *contents = tiers->contents;

	return contents ? contents->decode(contents->opaque, group->object, upto, for_read) : 0;
}

/* What is left of the group waits again. */
static int group_take_apart(struct tiers *tiers, uint32_t number)
{
	struct group *group = &tiers->groups[number];
	int r = group->live ? decode(tiers, group, group->made - 1u, false) : 0;

	tiers->figures.groups_apart += group->live > 0;
	for (unsigned i = 0; i < group->made && !r; i++) {
		struct block *block = block_at(tiers, group->blocks[i]);

		if (block->state != GROUPED || block->group != number)
			continue;
		group_leave(tiers, block);
		count_single(tiers, block, true);
		r = wait_for_neighbours(tiers, group->blocks[i]);
	}
	group_free(tiers, number);
	return r;
}

static int group_shrink(struct tiers *tiers, struct block *block)
{
	const struct group *group = &tiers->groups[block->group];

	group_leave(tiers, block);
	block->state = EMPTY;
	return group->live * 2u <= group->made ? group_take_apart(tiers, block->group) : 0;
}

static int group_make(struct tiers *tiers, const uint32_t *blocks, unsigned n)
{
	uint64_t pages[TIERS_GROUP_MAX];
	struct group *group;
	uint32_t number;
	int r = group_new(tiers, &number);

	if (r)
		return r;
	group = &tiers->groups[number];
	*group = (struct group){.made = (uint8_t)n, .live = (uint8_t)n};
	for (unsigned i = 0; i < n; i++) {
		struct block *block = block_at(tiers, blocks[i]);

		group->blocks[i] = blocks[i];
		pages[i] = block->page;
		block->state = GROUPED;
		block->group = number;
		block->was_read = false;
		count_single(tiers, block, false);
	}
	if (tiers->contents)
		r = tiers->contents->encode(tiers->contents->opaque, pages, n, &group->bytes, &group->object);
	tiers->now.grouped_blocks += n;
	tiers->now.grouped_bytes += group->bytes;
	tiers->figures.groups_made++;
	tiers->figures.blocks_grouped += n;
	return r;
}

/* ------------------------------------------------------------------ sweeps */

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sort those that wait, each of them once, and leave out those that do not wait any more. */
static void tidy_waiting(struct tiers *tiers)
{
	size_t kept = 0;

	/* Without memory yet there is nothing to sort, and qsort() takes no NULL. */
	if (tiers->waiting)
		qsort(tiers->waiting, tiers->waiting_count, sizeof tiers->waiting[0], compare_numbers);
	for (size_t i = 0; i < tiers->waiting_count; i++) {
		uint32_t number = tiers->waiting[i];

		if (block_at(tiers, number)->state == WAITING && (!kept || tiers->waiting[kept - 1] != number))
			tiers->waiting[kept++] = number;
	}
	tiers->waiting_count = kept;
}

/* Neighbours become groups. Fewer than half a group of them go on waiting. */
static int group_waiting(struct tiers *tiers)
{
	unsigned most = tiers->setting.group_blocks;
	size_t kept = 0, at = 0;
	int r = 0;

	tidy_waiting(tiers);
	while (at < tiers->waiting_count && !r) {
		const uint32_t *first = &tiers->waiting[at];
		unsigned n = 1;

		while (n < most && at + n < tiers->waiting_count && first[n] - first[0] < most * REACH)
			n++;
		if (n * 2 >= most) {
			r = group_make(tiers, first, n);
			at += n;
		} else {
			tiers->waiting[kept++] = tiers->waiting[at++];
		}
	}
	tiers->waiting_count = kept;
	return r;
}

static int sweep(struct tiers *tiers, uint64_t us)
{
	uint64_t cold_us = tiers->setting.cold_after_s * 1000000;
	int r = 0;

	while (tiers->hot_count && !r) {
		uint32_t number = tiers->hot_tail;
		struct block *block = block_at(tiers, number);

		if (us - block->us < cold_us)
			break;
		list_remove(tiers, block);
		r = wait_for_neighbours(tiers, number);
	}
	return r ? r : group_waiting(tiers);
}

static void add_moment(struct tiers *tiers, uint64_t us)
{
	struct tiers_figures *figures = &tiers->figures;

	/* The trace is longer than it seemed: every other moment will do. */
	if (figures->moment_count == TIERS_MOMENTS) {
		for (unsigned i = 0; i < TIERS_MOMENTS / 2; i++)
			figures->moments[i] = figures->moments[2 * i];
		figures->moment_count = TIERS_MOMENTS / 2;
		tiers->moment_every_us *= 2;
	}
	tiers->now.us = us;
	figures->moments[figures->moment_count++] = tiers->now;
	tiers->next_moment_us = us + tiers->moment_every_us;
}

/* After a sweep, without requests since: the next one that finds something, or the last one, at `last`. */
static uint64_t next_sweep(const struct tiers *tiers, uint64_t last)
{
	uint64_t cold_us;

	if (!tiers->hot_count)
		return last;
	cold_us = block_at(tiers, tiers->hot_tail)->us + tiers->setting.cold_after_s * 1000000;
	if (cold_us > last)
		return last;
	cold_us = (cold_us + SWEEP_US - 1) / SWEEP_US * SWEEP_US;
	return cold_us > tiers->swept_us ? cold_us : tiers->swept_us + SWEEP_US;
}

/* The time comes to `us`: sweeps that are due. Between two requests there can be years of them that find nothing. */
static int go_on(struct tiers *tiers, uint64_t us)
{
	uint64_t last = us / SWEEP_US * SWEEP_US, next = tiers->swept_us + SWEEP_US;
	int r = 0;

	for (; tiers->swept_us < last && !r; next = next_sweep(tiers, last)) {
		/* Of the time before it. The first sweep comes after requests, and leaves out none. */
		while (tiers->swept_us + SWEEP_US < next && tiers->next_moment_us < next)
			add_moment(tiers, tiers->next_moment_us);
		tiers->swept_us = next;
		r = sweep(tiers, next);
		if (tiers->swept_us >= tiers->next_moment_us)
			add_moment(tiers, tiers->swept_us);
	}
	return r;
}

/* ------------------------------------------------------------------ requests */

static int read_grouped(struct tiers *tiers, struct block *block, uint32_t number, uint64_t us)
{
	const struct group *group = &tiers->groups[block->group];
	bool comes_out = tiers->setting.rule == TIERS_OUT || (tiers->setting.rule == TIERS_SECOND && block->was_read);
	unsigned at = 0;
	int r = 0;

	tiers->figures.cold_reads++;
	while (group->blocks[at] != number)
		at++;
	if (!cache_use(tiers, block->group)) {
		tiers->figures.decodes++;
		r = decode(tiers, group, at, true);
	}
	block->was_read = true;
	if (r || !comes_out)
		return r;
	tiers->figures.blocks_out++;
	r = group_shrink(tiers, block);
	count_single(tiers, block, true);
	make_hot(tiers, block, number, us);
	return r;
}

static int read_block(struct tiers *tiers, uint32_t number, uint64_t us)
{
	struct block *block = block_get(tiers, number);

	if (!block)
		return -ENOMEM;
	tiers->figures.reads++;
	switch ((enum state)block->state) {
	case EMPTY:
		tiers->figures.unknown_reads++;
		return 0;
	case GROUPED:
		return read_grouped(tiers, block, number, us);
	case HOT:
		list_remove(tiers, block);
		break;
	case WAITING:
		break;
	}
	make_hot(tiers, block, number, us);
	return 0;
}

/* The block holds nothing any more. */
static int empty_block(struct tiers *tiers, struct block *block)
{
	enum state state = (enum state)block->state;

	if (state != EMPTY)
		tiers->now.alone_bytes -= block->bytes;
	if (state == GROUPED)
		return group_shrink(tiers, block);
	if (state == HOT)
		list_remove(tiers, block);
	if (state != EMPTY)
		count_single(tiers, block, false);
	block->state = EMPTY;
	return 0;
}

static int write_block(struct tiers *tiers, uint32_t number, uint64_t us)
{
	struct block *block = block_get(tiers, number);
	int r = block ? empty_block(tiers, block) : -ENOMEM;

	if (r)
		return r;
	block->page = tiers->figures.writes++;
	if (tiers->contents)
		r = tiers->contents->single(tiers->contents->opaque, block->page, &block->bytes);
	count_single(tiers, block, true);
	tiers->now.alone_bytes += block->bytes;
	make_hot(tiers, block, number, us);
	return r;
}

/* A discard may be for many blocks that never were there. */
static int discard_blocks(struct tiers *tiers, uint64_t first, uint64_t end)
{
	int r = 0;

	while (first < end && !r) {
		struct block *chunk = tiers->chunks[first / CHUNK];

		if (!chunk) {
			first = (first / CHUNK + 1) * CHUNK;
			continue;
		}
		tiers->figures.discards++;
		r = empty_block(tiers, &chunk[first % CHUNK]);
		first++;
	}
	return r;
}

int tiers_play(struct tiers *tiers, const struct trace_event *event)
{
	uint64_t end = event->first + event->blocks;
	int r = go_on(tiers, event->us);

	if (r || event->op == TRACE_LOST)
		return r;
	if (event->op == TRACE_DISCARD || event->op == TRACE_ZEROES)
		return event->ragged ? 0 : discard_blocks(tiers, event->first, end);
	for (uint64_t block = event->first; block < end && !r; block++)
		r = event->op == TRACE_READ ? read_block(tiers, (uint32_t)block, event->us)
					    : write_block(tiers, (uint32_t)block, event->us);
	return r;
}

/* ------------------------------------------------------------------ life */

int tiers_create(struct tiers **result, const struct tiers_setting *setting, const struct tiers_contents *contents)
{
	struct tiers *tiers = calloc(1, sizeof *tiers);

	if (!tiers)
		return -ENOMEM;
	tiers->chunks = calloc(TRACE_BLOCKS_MAX / CHUNK, sizeof(struct block *));
	if (!tiers->chunks) {
		free(tiers);
		return -ENOMEM;
	}
	tiers->setting = *setting;
	tiers->contents = contents;
	tiers->group_free = NONE;
	tiers->moment_every_us = SWEEP_US;
	*result = tiers;
	return 0;
}

void tiers_destroy(struct tiers *tiers)
{
	if (!tiers)
		return;
	for (size_t i = 0; i < TRACE_BLOCKS_MAX / CHUNK; i++)
		free(tiers->chunks[i]);
	free(tiers->chunks);
	for (uint32_t i = 0; i < tiers->group_count; i++)
		if (tiers->groups[i].object)
			tiers->contents->drop(tiers->contents->opaque, tiers->groups[i].object);
	free(tiers->waiting);
	free(tiers->groups);
	free(tiers);
}

int tiers_end(struct tiers *tiers, uint64_t us)
{
	int r = go_on(tiers, us);

	if (!r)
		add_moment(tiers, us);
	return r;
}

const struct tiers_figures *tiers_figures(const struct tiers *tiers)
{
	return &tiers->figures;
}

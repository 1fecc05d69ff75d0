/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sequence of pool operations against blocks of malloc.
 *
 * Input: a byte of set-up (chain, size of the pool), then operations: a byte of kind, one for the
 * object, and what the kind needs.
 */
#include "fuzz/input.h"
#include "lib/base.h"
#include "lib/random.h"

/* Pools keep their core to themselves, and the failures are made in there. */
#include "zsmalloc/pool.c"

#define OBJECTS 256u

static struct {
	zs_handle handle;
	uint8_t *truth;
	unsigned size, readers;
	bool written; /* mapped for writing */
} objects[OBJECTS];

static struct zs_pool *pool;

static void compare(unsigned i, const void *mem)
{
	must(memcmp(mem, objects[i].truth, objects[i].size) == 0);
}

static void do_malloc(struct input *input, unsigned i)
{
	unsigned size = 1 + take_below(input, ZS_MAX_OBJECT);
	uint64_t seed = size + i;

	objects[i].handle = zs_malloc(pool, size);
	if (!objects[i].handle) {
		must(errno == ENOSPC || errno == ENOMEM);
		return;
	}
	objects[i].size = size;
	objects[i].truth = malloc(size);
	random_bytes(&seed, objects[i].truth, size);
	zs_obj_write(pool, objects[i].handle, objects[i].truth, size);
}

static void do_free(unsigned i)
{
	zs_free(pool, objects[i].handle);
	free(objects[i].truth);
	memset(&objects[i], 0, sizeof objects[i]);
}

static void do_map(unsigned i)
{
	if (objects[i].written || objects[i].readers == 30)
		return;
	compare(i, zs_map_object(pool, objects[i].handle, ZS_MM_RO));
	objects[i].readers++;
}

static void do_write(struct input *input, unsigned i)
{
	uint64_t seed = take(input, 1);

	if (objects[i].written || objects[i].readers)
		return;
	random_bytes(&seed, objects[i].truth, objects[i].size);
	memcpy(zs_map_object(pool, objects[i].handle, seed & 1 ? ZS_MM_WO : ZS_MM_RW), objects[i].truth,
	       objects[i].size);
	objects[i].written = true;
}

static void do_unmap(unsigned i)
{
	if (!objects[i].written && !objects[i].readers)
		return;
	zs_unmap_object(pool, objects[i].handle);
	if (objects[i].written)
		objects[i].written = false;
	else
		objects[i].readers--;
}

static void pool_is_sound(void)
{
	must(zs_check(pool, NULL, 0) == 0);
}

static void do_upkeep(struct input *input)
{
	uint64_t what = take(input, 1);
	static unsigned cursor;
	bool more;

	if (what < 100) {
		zs_compact_step(pool, &cursor, &more);
		cursor = more ? cursor : 0;
	} else if (what < 150) {
		zs_compact(pool);
	} else if (what < 200) {
		pool_is_sound();
	} else {
		zs_core_inject_failures(pool->core, (unsigned)what % 8);
	}
}

static void operation(struct input *input)
{
	unsigned kind = (unsigned)take(input, 1) % 8, i = (unsigned)take(input, 1);

	if (kind == 0) {
		do_upkeep(input);
	} else if (!objects[i].handle) {
		do_malloc(input, i);
	} else if (kind < 4) {
		if (!objects[i].readers && !objects[i].written)
			do_free(i);
	} else if (kind == 4) {
		do_map(i);
	} else if (kind == 5) {
		do_write(input, i);
	} else {
		do_unmap(i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct input input = {bytes, len};
	unsigned set_up = (unsigned)take(&input, 1);
	const struct zs_params params = {
		.chain = 1 + set_up % ZS_MAX_CHAIN,
		.max_pages = 20 + set_up,
		.max_objects = set_up & 1 ? OBJECTS : OBJECTS / 2,
	};

	must(zs_create_pool("fuzz", &params, &pool) == 0);
	while (input.left)
		operation(&input);
	zs_core_inject_failures(pool->core, 0);
	pool_is_sound();
	for (unsigned i = 0; i < OBJECTS; i++) {
		while (objects[i].readers || objects[i].written)
			do_unmap(i);
		if (objects[i].handle) {
			compare(i, zs_map_object(pool, objects[i].handle, ZS_MM_RO));
			zs_unmap_object(pool, objects[i].handle);
			do_free(i);
		}
	}
	pool_is_sound();
	must(zs_get_total_pages(pool) == 0);
	must(zs_destroy_pool(pool, NULL, NULL) == 0);
	return 0;
}

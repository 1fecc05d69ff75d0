/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects in a pool, whose bytes can be told from those of every other one. */
#ifndef TEST_OBJECTS_H
#define TEST_OBJECTS_H

#include "lib/random.h"
#include "lib/base.h"
#include "zsmalloc.h"

struct object {
	zs_handle handle; /* 0: none */
	uint64_t tag;
	unsigned size;
};

static inline void object_fill(void *mem, uint64_t tag, unsigned size)
{
	uint8_t *out = mem;

	for (unsigned at = 0; at < size; at += 8) {
		uint64_t word = random_next(&tag);

		memcpy(out + at, &word, size - at < 8 ? size - at : 8);
	}
}

static inline bool object_is(const void *mem, uint64_t tag, unsigned size)
{
	const uint8_t *in = mem;

	for (unsigned at = 0; at < size; at += 8) {
		uint64_t word = random_next(&tag);

		if (memcmp(in + at, &word, size - at < 8 ? size - at : 8) != 0)
			return false;
	}
	return true;
}

/* False if there is no room. */
static inline bool object_make(struct zs_pool *pool, struct object *object, unsigned size, uint64_t tag)
{
	object->handle = zs_malloc(pool, size);
	object->size = size;
	object->tag = tag;
	if (!object->handle)
		return false;
	object_fill(zs_map_object(pool, object->handle, ZS_MM_WO), tag, size);
	zs_unmap_object(pool, object->handle);
	return true;
}

static inline bool object_intact(struct zs_pool *pool, const struct object *object)
{
	bool same = object_is(zs_map_object(pool, object->handle, ZS_MM_RO), object->tag, object->size);

	zs_unmap_object(pool, object->handle);
	return same;
}

static inline void object_drop(struct zs_pool *pool, struct object *object)
{
	zs_free(pool, object->handle);
	object->handle = 0;
}

/* Sizes as they come up: mostly anything, sometimes an edge. */
static inline unsigned object_size(uint64_t *random)
{
	static const unsigned edges[] = {1, 7, 8, 9, 16, 17, 4095, 4096, 4088, 2048, 24};

	if (random_below(random, 8) == 0)
		return edges[random_below(random, COUNT_OF(edges))];
	return 1 + (unsigned)random_below(random, 4096);
}

static inline void pool_ok(struct zs_pool *pool)
{
	char why[200] = "";

	if (zs_check(pool, why, sizeof why)) {
		fprintf(stderr, "zs_check: %s\n", why);
		abort();
	}
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* An allocator core over a segment of its own, with a plain array as the owner's table. */
#ifndef TEST_CORE_H
#define TEST_CORE_H

#include "lib/objects.h"

#include "zsmalloc/zspage.h"

#include <errno.h>

#define OWNERS 40000u

static struct segment seg;
static struct zs_core *core;
static struct {
	struct zs_loc loc;
	unsigned size; /* 0: no object */
} owners[OWNERS];

static inline void core_make(uint64_t pages, unsigned chain)
{
	const struct segment_spec anon = {.kind = SEGMENT_ANON};
	const char *step;

	memset(owners, 0, sizeof owners);
	must(segment_open(&seg, &anon, pages * SEGMENT_PAGE, &step) == 0);
	must(zs_core_create(&core, &seg, 0, pages, chain) == 0);
}

static inline void core_end(void)
{
	zs_core_destroy(core);
	core = NULL;
	segment_close(&seg);
}

static inline int core_scan(void *opaque, zs_each_fn *each, void *each_opaque)
{
	int r = 0;

	(void)opaque;
	for (uint32_t i = 0; i < OWNERS && !r; i++)
		if (owners[i].size)
			r = each(each_opaque, i, owners[i].loc);
	return r;
}

static inline void core_ok(void)
{
	char why[200] = "";

	if (zs_core_check(core, core_scan, NULL, why, sizeof why)) {
		fprintf(stderr, "zs_core_check: %s\n", why);
		abort();
	}
}

static inline int owner_alloc(uint32_t owner, unsigned size)
{
	int r = zs_core_alloc(core, size, owner, &owners[owner].loc);

	if (r)
		return r;
	owners[owner].size = size;
	object_fill(zs_core_address(core, owners[owner].loc), owner, size);
	return 0;
}

static inline void owner_free(uint32_t owner)
{
	owners[owner].size = 0;
	zs_core_free(core, owners[owner].loc);
}

static inline bool owner_intact(uint32_t owner)
{
	return object_is(zs_core_address(core, owners[owner].loc), owner, owners[owner].size);
}

static inline uint64_t core_pages_used(void)
{
	return runs_used(&core->runs);
}

#endif

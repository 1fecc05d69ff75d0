/* SPDX-License-Identifier: BSD-3-Clause */
/* A shared segment of a device's size, and the layout that its superblock is to have: nothing is stored in it yet. */
#ifndef TEST_SUPERBLOCK_H
#define TEST_SUPERBLOCK_H

#include "lib/shm.h"

#include "segment/claim.h"
#include "segment/format.h"
#include "segment/super.h"

static struct super_layout layout = {
	.kind = SUPER_DEVICE,
	.block_size = 4096,
	.blocks = 900,
	.max_blocks = 950,
	.table_words = 1000,
	.pool_pages = 640,
	.class_step = 8,
	.class_min = 16,
	.chain = 32,
	.max_objects = 1024,
	.name = "test",
	.codecs = {"", "lz4", "lz4hc"},
};

/* Where the claim lies, in every format (docs/format.md). */
#define AT_CLAIM 224

static struct segment seg;
static const struct test_shm *shm;

/* Map the segment, which is made if it is not there. */
static inline void superblock_attach(void)
{
	struct segment_spec spec;
	const char *step;

	must(segment_parse(shm->memory, &spec) == 0);
	must(segment_open(&seg, &spec, super_segment_bytes(&layout), &step) == 0);
}

static inline int superblock_set_up(void **state)
{
	(void)state;
	super_arrange(&layout);
	shm = test_shm_new();
	superblock_attach();
	return 0;
}

static inline int superblock_tear_down(void **state)
{
	(void)state;
	claim_drop(&seg);
	segment_close(&seg);
	test_shm_remove(shm);
	return 0;
}

#endif

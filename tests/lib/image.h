/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment with a device in it, closed, that can be damaged, opened, and made whole again, as often
 * as one likes.
 */
#ifndef TEST_IMAGE_H
#define TEST_IMAGE_H

#include "lib/device.h"
#include "lib/shm.h"

#include "engine/engine.h"
#include "segment/super.h"

#include <sys/mman.h>

#define IMAGE_BLOCKS 1200u
/* Blocks of these are in groups; the words of entries begin behind those of blocks. */
#define IMAGE_GROUPED 900u
#define IMAGE_ENTRIES 40u

struct image {
	const struct test_shm *shm;
	struct zsblk_params params;
	struct segment seg; /* our own mapping of it */
	struct super_layout layout;
	struct table table;
	/* The pages that are in memory when it is whole. */
	uint32_t *pages;
	uint8_t *bytes;
	size_t n;
};

static inline void image_group(struct zsblk *dev)
{
	const struct zsblk_group_what what = {.first = IMAGE_GROUPED};
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	bool more = true;

	must(zsblk_group_begin(dev, &what, &job, NULL) == 0);
	while (more)
		must(zsblk_group_step(job, &figures, &more) == 0);
	zsblk_group_end(job);
	must(figures.groups > 8);
}

/* Blocks of all kinds, with holes, so that zspages of many classes are partly filled; and groups, some of them with holes. */
static inline void image_fill(struct zsblk *dev)
{
	for (unsigned i = 0; i < IMAGE_BLOCKS; i++)
		device_put(dev, i, i < IMAGE_GROUPED ? i % BLOCK_KINDS : BLOCK_TEXT, i);
	image_group(dev);
	for (unsigned i = 0; i < IMAGE_BLOCKS; i += 3)
		must(zsblk_discard(dev, BLOCK_BYTES + 300 * (i % 4), (uint64_t)i * BLOCK_BYTES) == 0);
}

/* A record of settings, as of a device that was changed in use. */
static inline void image_change(struct zsblk *dev)
{
	live_start(dev);
	must(zsblk_set_algorithm(dev, "lz4hc", true, 9, NULL) == 0);
	zsblk_set_mem_limit(dev, UINT64_C(64) << 20);
}

static inline void image_take(struct image *image)
{
	size_t pages = image->seg.bytes / SEGMENT_PAGE;
	unsigned char *resident = malloc(pages);

	must(segment_resident(&image->seg, 0, image->seg.bytes, resident) == 0);
	image->pages = malloc(pages * sizeof *image->pages);
	for (size_t i = 0; i < pages; i++)
		if (resident[i] & 1)
			image->pages[image->n++] = (uint32_t)i;
	image->bytes = malloc(image->n * SEGMENT_PAGE);
	for (size_t i = 0; i < image->n; i++)
		memcpy(image->bytes + i * SEGMENT_PAGE, image->seg.base + (size_t)image->pages[i] * SEGMENT_PAGE,
		       SEGMENT_PAGE);
	free(resident);
}

static inline void image_make(struct image *image)
{
	struct zsblk *dev;
	char why[200];

	*image = (struct image){.shm = test_shm_new(), .params = device_params(IMAGE_BLOCKS)};
	image->params.memory = image->shm->memory;
	image->params.contexts = 1;
	must(zsblk_open(&image->params, &dev, NULL) == 0);
	image_fill(dev);
	image_change(dev);
	zsblk_close(dev);
	image->seg.kind = SEGMENT_SHM;
	image->seg.shmid = test_shm_id(image->shm);
	image->seg.base = test_shm_map(image->shm, &image->seg.bytes);
	must(super_read(&image->seg, &image->layout, why, sizeof why) == 0);
	image->table = super_table(&image->seg, &image->layout);
	image_take(image);
}

static inline void image_restore(struct image *image)
{
	must(segment_release(&image->seg, 0, image->seg.bytes) == 0);
	for (size_t i = 0; i < image->n; i++)
		memcpy(image->seg.base + (size_t)image->pages[i] * SEGMENT_PAGE, image->bytes + i * SEGMENT_PAGE,
		       SEGMENT_PAGE);
}

/* The first page, which has the superblock. */
static inline void image_restore_first(struct image *image)
{
	must(image->n && image->pages[0] == 0);
	memcpy(image->seg.base, image->bytes, SEGMENT_PAGE);
}

/* The pages that have data and begin at `offset` or behind it are as they were. */
static inline bool image_is_whole_behind(const struct image *image, size_t offset)
{
	for (size_t i = 0; i < image->n; i++)
		if ((size_t)image->pages[i] * SEGMENT_PAGE >= offset &&
		    memcmp(image->bytes + i * SEGMENT_PAGE, image->seg.base + (size_t)image->pages[i] * SEGMENT_PAGE,
			   SEGMENT_PAGE))
			return false;
	return true;
}

static inline void image_end(struct image *image)
{
	free(image->pages);
	free(image->bytes);
	shmdt(image->seg.base);
	test_shm_remove(image->shm);
}

/* A device that was opened over damage: everything is done to it; errors are allowed, nothing else. */
static inline void image_exercise(struct zsblk *dev, uint64_t random)
{
	static uint8_t data[8 * BLOCK_BYTES];
	uint64_t size = zsblk_size(dev);
	struct zsblk_why why;

	must(zsblk_check(dev, &why) == 0);
	for (uint64_t at = 0; at < size; at += BLOCK_BYTES) {
		int r = zsblk_read(dev, data, BLOCK_BYTES, at);

		must(r == 0 || r == -EIO);
	}
	for (unsigned i = 0; i < 60; i++) {
		uint64_t len = 1 + random_below(&random, sizeof data - 1), at = random_below(&random, size - len);
		int r;

		switch (random_below(&random, 4)) {
		case 0:
			r = zsblk_discard(dev, len, at);
			break;
		case 1:
			r = zsblk_read(dev, data, len, at);
			break;
		default:
			random_bytes(&random, data, len);
			r = zsblk_write(dev, data, len, at);
		}
		must(r == 0 || r == -EIO || r == -ENOSPC);
	}
	zsblk_compact(dev);
	must(zsblk_check(dev, &why) == 0);
	must(zsblk_discard(dev, size, 0) == 0);
	must(device_stats(dev).mem_used_total == 0);
}

/* Open what there is now. True if it was opened; else there is a reason. */
static inline bool image_try(struct image *image, uint64_t random)
{
	struct zsblk_why why = {""};
	struct zsblk *dev;
	int r = zsblk_open(&image->params, &dev, &why);

	if (r) {
		must(!dev && strlen(why.text) > 10);
		must(r == -EINVAL || r == -EBUSY);
		return false;
	}
	r = zsblk_start(dev, &why);
	if (r)
		must(strlen(why.text) > 10);
	else
		image_exercise(dev, random);
	zsblk_close(dev);
	return !r;
}

#endif

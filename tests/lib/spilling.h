/* SPDX-License-Identifier: BSD-3-Clause */
/* A device in a segment, and a backing store in a file: for the tests of blocks that are there. */
#ifndef TEST_SPILLING_H
#define TEST_SPILLING_H

#include "lib/device.h"
#include "lib/files.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/backing.h"
#include "engine/engine.h"
#include "engine/sector.h"

#include <dlfcn.h>

#define BLOCKS 1200u

/* Blocks that have an object. */
#define WITH_OBJECT (BLOCKS / BLOCK_KINDS * 2)

static struct zsblk *dev;
static struct zsblk_params params;
static struct zsblk_spill_store store;
static struct zsblk_why why;
static char path[300];
static const struct spill_functions *library;

static inline int set_up(void **state)
{
	if (files_make(state))
		return -1;
	strcpy(path, files_path("store"));
	store = (struct zsblk_spill_store){.location = path};
	params = device_params(BLOCKS);
	params.memory = test_shm_new()->memory;
	dev = device_open(&params);
	must(ages_add_pages(&dev->ages, 0, ages_pages(&dev->ages)) == 0);
	return 0;
}

static inline int tear_down(void **state)
{
	if (dev)
		device_ok(dev);
	zsblk_close(dev);
	return files_remove(state);
}

static inline void attach(void)
{
	if (zsblk_spill_attach(dev, &store, &why))
		fail_msg("%s", why.text);
}

static inline int spill(const struct zsblk_spill_what *what, struct zsblk_spill_figures *figures)
{
	struct zsblk_spilling *job;
	bool more = true;
	int r = 0;

	must(zsblk_spill_begin(dev, what, &job, &why) == 0);
	while (more)
		r = zsblk_spill_step(job, figures, &more);
	zsblk_spill_end(job);
	return r;
}

static inline int spill_all(void)
{
	const struct zsblk_spill_what all = {0};
	struct zsblk_spill_figures figures;

	return spill(&all, &figures);
}

/* Long ago. */
static inline void grow_old(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		__atomic_store_n(&dev->ages.bytes[i], 100, __ATOMIC_RELAXED);
}

static inline enum block_kind kind_of(unsigned block)
{
	return (enum block_kind)(block % BLOCK_KINDS);
}

static inline void fill(unsigned tag)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, kind_of(i), tag + i);
}

static inline void verify(unsigned tag)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		if (!device_has(dev, i, kind_of(i), tag + i))
			fail_msg("block %u is not what was written", i);
}

static inline struct zsblk_spill_stats stats_now(void)
{
	struct zsblk_spill_stats stats;

	must(zsblk_spill_get_stats(dev, &stats));
	return stats;
}

static inline struct zsblk_block look(unsigned block)
{
	struct zsblk_block found;
	uint64_t next;

	must(zsblk_blocks(dev, block, &found, 1, &next) == 1 && found.block == block);
	return found;
}

static inline void begin(void)
{
	attach();
	fill(0);
	assert_int_equal(spill_all(), 0);
	assert_int_equal(stats_now().bd_count, WITH_OBJECT);
	grow_old();
}

static inline void close_it(void)
{
	device_ok(dev);
	zsblk_close(dev);
	dev = NULL;
}

static inline int start_again(void)
{
	must(zsblk_open(&params, &dev, &why) == 0);
	return zsblk_start(dev, &why);
}

#define SPILLING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* The module as it was built, in place of one that may be installed. */
static inline void use_module(void)
{
	void *module;

	must((module = dlopen(SPILL_BUILT, RTLD_NOW | RTLD_LOCAL)) != NULL);
	must((library = dlsym(module, "spill_functions")) != NULL && !dlsym(module, "spill_open"));
	backing_use_library(library);
}

#endif

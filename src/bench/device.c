/* SPDX-License-Identifier: BSD-3-Clause */
/* The device that is measured: in this process's memory, and nothing of it ahead of demand. */
#include "bench/bench.h"

#include <inttypes.h>
#include <string.h>

int device_open(struct zsblk **dev, const struct options *options, const struct choice *choice, uint64_t blocks,
		struct zsblk_why *why)
{
	struct zsblk_params params;
	int r;

	zsblk_params_init(&params);
	params.size = blocks * BLOCK;
	params.algorithm = choice->codec->name;
	params.level = choice->level;
	params.has_level = true;
	params.reserve = 0; /* nothing is populated ahead: what is resident is what was stored */
	params.contexts = options->threads_max;
	zsblk_close(*dev);
	*dev = NULL;
	r = zsblk_open(&params, dev, why);
	return r ? r : zsblk_start(*dev, why);
}

size_t device_largest_compressed(struct zsblk *dev)
{
	struct zs_class_stats class;
	size_t largest = 0;

	for (unsigned i = 0; i < zsblk_class_count(dev); i++) {
		if (!zsblk_class_stats(dev, i, &class) && !class.huge && class.size > largest)
			largest = class.size;
	}
	return largest;
}

int device_open_full(struct zsblk **dev, const struct options *options, const struct choice *choice,
		     const struct pages *pages, struct zsblk_why *why)
{
	int r = device_open(dev, options, choice, pages->count, why);

	for (uint64_t i = 0; i < pages->count && !r; i++) {
		r = zsblk_write(*dev, pages->data + i * BLOCK, BLOCK, i * BLOCK);
		if (r)
			because(why, r, "page %" PRIu64 " cannot be stored: %s", i, strerror(-r));
	}
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The device that is measured: in this process's memory, and nothing of it ahead of demand. */
#include "bench/bench.h"

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

/* SPDX-License-Identifier: BSD-3-Clause */
/* What a recompression consists of. For its test: users see zsblk.h. */
#ifndef RECOMPRESS_H
#define RECOMPRESS_H

#include "engine/rework.h"
#include "engine/room.h"

/* While the reserve gets low, the pool is compacted once in so many blocks that were recompressed: room.h. */
#define RECOMPRESS_BETWEEN 64u

struct zsblk_recompression {
	struct context ctx; /* decoders, and buffers; not one of the requests' contexts */
	struct rework work;
	struct encoder encoder;
	struct room room;
	struct zsblk *dev;
	enum zsblk_recompress_type type;
	uint64_t threshold, max_pages;
	uint64_t block; /* the next one to be looked at */
	bool forgets;   /* first of all, what weaker algorithms have tried is forgotten */
	bool notes;     /* sets the bit "tried": nothing stronger was tried before */
	struct zsblk_recompress_figures figures;
	size_t bytes; /* of this and the decoders */
};

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* What a recompression consists of. For its test: users see zsblk.h. */
#ifndef RECOMPRESS_H
#define RECOMPRESS_H

#include "engine/rework.h"

/*
 * So many pages above the limit may be taken while recompression makes an object that is smaller than the one it frees
 * next. Otherwise a full device, which needs recompression most, could gain nothing. 256 KiB.
 */
#define RECOMPRESS_BEYOND 64u
/*
 * While the system has no memory to spare, nobody refills the reserve, and new objects take pages of it before the old ones
 * give theirs back. So below half of the reserve the pool is compacted once in so many blocks. Below a quarter no block is
 * recompressed: what is left is for requests.
 */
#define RECOMPRESS_BETWEEN 64u

struct zsblk_recompression {
	struct context ctx; /* decoders, and buffers; not one of the requests' contexts */
	struct rework work;
	struct encoder encoder;
	struct spare spare;
	struct zsblk *dev;
	enum zsblk_recompress_type type;
	uint64_t threshold, max_pages;
	uint64_t block;    /* the next one to be looked at */
	bool forgets;      /* first of all, what weaker algorithms have tried is forgotten */
	bool notes;        /* sets the bit "tried": nothing stronger was tried before */
	bool makes_room;   /* there was none: the pool is compacted, and the block tried again */
	uint64_t room_for; /* blocks that were recompressed when the pool was compacted last, and one more */
	struct progress compaction;
	struct zsblk_recompress_figures figures;
	size_t bytes; /* of this and the decoders */
};

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* How well the memory of this machine compresses: pages of the largest processes, measured by zsblk-bench(1). */
#ifndef MACHINE_PAGES_H
#define MACHINE_PAGES_H

#include <stdint.h>

/* What pages would take, by algorithm. */
struct machine_pages {
	unsigned processes;  /* whose pages were measured; 0: nobody's */
	uint64_t bytes;      /* of their pages */
	uint64_t lz4_bytes;  /* what these take compressed, with all that belongs to it */
	uint64_t zstd_bytes; /* the same at the level MACHINE_PAGES_ZSTD_LEVEL */
	char why_not[160];   /* why nothing was measured; empty otherwise */
};

#define MACHINE_PAGES_ZSTD_LEVEL 1

/*
 * Measure up to 8 MiB of each of the six largest processes that the caller may look into. Takes a few seconds, 20 at most, and as much
 * memory as 16 MiB. `bench`: the program, by name or path.
 */
void machine_pages_measure(struct machine_pages *pages, const char *bench);

#endif

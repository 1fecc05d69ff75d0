/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real pages for a model of cold memory (tiers.h): what is written for the n-th time in a trace is page n, and again from the first one on behind
 * the last. So pages that were captured in the order of swap become neighbours as they were.
 */
#ifndef CONTENTS_H
#define CONTENTS_H

#include "bench/bench.h"
#include "bench/tiers.h"

struct contents;

struct contents_figures {
	double encode_seconds; /* processor time of all groups that were made */
	double decode_seconds; /* of those that were decoded: for reads, and to be taken apart */
	struct latency decode; /* of one for a read; of the last 2^20 of them */
};

/*
 * Blocks by themselves are stored with `single`, groups with `group`. *pages and the choices stay the caller's. tiers_contents() of it goes to a
 * model, and *contents has to live as long as that.
 */
int contents_create(struct contents **contents, const struct pages *pages, const struct choice *single,
		    const struct choice *group, struct zsblk_why *why);
void contents_destroy(struct contents *contents);
const struct tiers_contents *contents_of(const struct contents *contents);
/* Sorts what was measured: once, in the end. */
void contents_tell(struct contents *contents, struct contents_figures *figures);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of runs share: private to them. */
#ifndef ZS_RUNS_PARTS_H
#define ZS_RUNS_PARTS_H

#include "zsmalloc/chunk.h"

/* runs_upkeep.c */
/* Populate a run. When that fails half-way, what was populated goes back: cold pages hold no memory. */
int runs_populate(struct runs *runs, uint32_t page, unsigned pages);
/* There is more hot memory than may stay. Under the lock. */
bool runs_wants_trim(const struct runs *runs);
/* Give back a run at most. Under the lock, which is released meanwhile. */
int runs_trim_piece(struct runs *runs);
/* Wake the background thread that there is work for. Under the lock. */
void runs_wake(struct runs *runs);

/* runs_look.c */
/*
 * Begin the next chunk: the whole of it is cold, unless it lies where the pages of a former life have not been looked
 * for yet. False if the pool's address space is used up. Under the lock.
 */
bool runs_open_chunk(struct runs *runs);

#endif

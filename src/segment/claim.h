/* SPDX-License-Identifier: BSD-3-Clause */
/* The claim: one process at a time uses a segment, through one mapping. Any thread. */
#ifndef SEGMENT_CLAIM_H
#define SEGMENT_CLAIM_H

#include "segment/segment.h"

/*
 * Claim the segment for the calling process, through this mapping of it: one at a time uses it. A
 * claim ends with its process, however that ends; claiming again through the same mapping is
 * harmless. `from_parent`: the claim may be the parent's, which forked us to go on. A holder that is
 * dying is waited for, 5 seconds at most. -EBUSY, with the holder's process number in *holder, if
 * another live process, or another mapping in this one, has it.
 */
int claim_take(struct segment *seg, bool from_parent, int *holder);
/* Give it back. Harmless if this mapping has none. */
void claim_drop(struct segment *seg);
/* The live process that has the claim; 0: none. */
int claim_holder(const struct segment *seg);

/*
 * Say, or take back, that the calling process has the segment attached to keep it, and does not use it: who claims it
 * need not wait for that one to end.
 */
void claim_keep(struct segment *seg, bool keep);
/* The live process that keeps it; 0: none. */
int claim_keeper(const struct segment *seg);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The claim: one process at a time uses a segment, through one mapping. Functions may be called from any thread, and the process may
 * fork meanwhile: the child has none of its parent's claims, and can make its own.
 */
#ifndef SEGMENT_CLAIM_H
#define SEGMENT_CLAIM_H

#include "segment/segment.h"

/*
 * Claim the segment for the calling process, through this mapping of it. A claim ends with its process, however the
 * process ends. To claim again through the same mapping is harmless. `from_parent`: the claim may be taken over from
 * the parent, which has forked this process to go on.
 *
 * Waits for a holder that is dying, 5 seconds at most, and 1 second for a process that may be the heir of a dead
 * holder. -EBUSY, with the holder's process number in *holder: another live process has the claim, or another mapping
 * in this one.
 */
int claim_take(struct segment *seg, bool from_parent, int *holder);
/* Give the claim back. Harmless if this mapping has none. */
void claim_drop(struct segment *seg);
/* Number of the live process that has the claim; 0: there is none. */
int claim_holder(const struct segment *seg);

/*
 * Note in the segment, or take back, that the calling process has it attached only to keep it. A process that claims
 * the segment then does not take this attachment for that of an heir, and does not wait for it.
 */
void claim_keep(struct segment *seg, bool keep);
/* Number of the live process that keeps the segment; 0: there is none. */
int claim_keeper(const struct segment *seg);

#endif

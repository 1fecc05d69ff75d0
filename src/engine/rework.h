/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Work on an object whose block is not held still meanwhile: the mark of its word tells afterwards whether anything has
 * happened to the block. word.h has the rules.
 *
 *   begin    under the stripe: the word gets the mark, the object is copied
 *   (work on the copy takes long, and holds nothing)
 *   finish   under the stripe: if the word is the marked one, it is replaced
 *
 * One thread at a time in a device works on objects. Whoever has begun either finishes or gives up.
 */
#ifndef REWORK_H
#define REWORK_H

#include "engine/sector.h"

struct rework {
	uint64_t block;
	uint64_t word;                     /* with the mark */
	_Alignas(64) uint8_t bytes[BLOCK]; /* a copy of the object */
};

/*
 * Begin to work on the object that `word` names. False: the block has another word by now, or its word has a mark
 * already. Takes the stripe.
 */
bool rework_begin(struct zsblk *dev, struct rework *work, uint64_t block, uint64_t word);
/*
 * Replace the object by the one that `word` names, which is stored already, and count that. The one that the block does
 * not have in the end is freed. False: something has happened to the block, and the work was for nothing. Takes the
 * stripe.
 */
bool rework_finish(struct zsblk *dev, const struct rework *work, struct counters *counters, uint64_t word);
/* Take the mark off, if it is still there. `tried`: note that the object does not get smaller. Takes the stripe. */
void rework_give_up(struct zsblk *dev, const struct rework *work, bool tried);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Work on an object whose block is not held still meanwhile. See rework.h. */
#include "engine/rework.h"

#include <string.h>

bool rework_begin(struct zsblk *dev, struct rework *work, uint64_t block, uint64_t word)
{
	bool begun;

	stripe_lock(dev, block);
	begun = table_load(&dev->table, block) == word && !word_is_marked(word);
	if (begun) {
		work->block = block;
		work->word = word_mark(word);
		memcpy(work->bytes, zs_core_address(dev->core, sector_loc(dev, word)), sector_object_bytes(word));
		table_store(&dev->table, block, work->word);
	}
	stripe_unlock(dev, block);
	return begun;
}

bool rework_finish(struct zsblk *dev, const struct rework *work, struct counters *counters, uint64_t word)
{
	bool done;

	stripe_lock(dev, work->block);
	done = sector_replace(dev, counters, work->block, work->word, word);
	stripe_unlock(dev, work->block);
	/* The stripe was released since the word was replaced, so no reader uses the old object. */
	sector_drop(dev, done ? work->word : word);
	return done;
}

void rework_give_up(struct zsblk *dev, const struct rework *work, bool tried)
{
	uint64_t word = word_unmark(work->word);

	stripe_lock(dev, work->block);
	if (table_load(&dev->table, work->block) == work->word)
		table_store(&dev->table, work->block, tried ? word_note_tried(word) : word);
	stripe_unlock(dev, work->block);
}

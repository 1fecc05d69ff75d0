/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How blocks are stored, for people. A table word says all of it but the age, and is read in one load. So nothing has to
 * be held still. Pages of the table that were never written are skipped. If the device shrinks meanwhile, the look at an age
 * may bring a page of ages back into memory. That costs the page, and nothing else.
 */
#include "engine/sector.h"

/* What one call looks at: 512 KiB of the table. */
#define MOST_WORDS 65536u

unsigned zsblk_blocks(const struct zsblk *dev, uint64_t first, struct zsblk_block *blocks, unsigned n, uint64_t *next)
{
	uint64_t end = zsblk_size(dev) / BLOCK;
	unsigned found = 0;

	for (unsigned looked = 0; found < n && looked < MOST_WORDS; looked++, first++) {
		struct zsblk_block *block = &blocks[found];

		first = table_next_written(&dev->table, first, end);
		if (first >= end)
			break;
		if (!sector_describe(dev, table_load(&dev->table, first), block))
			continue;
		block->block = first;
		block->has_age = ages_look_held(&dev->ages, first, &block->age_s, &block->idle);
		found++;
	}
	*next = first < end ? first : end;
	return found;
}

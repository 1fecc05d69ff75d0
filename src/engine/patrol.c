/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The check of blocks while requests run: zsblk_check_blocks(). What is true of one block can be told while the others change, since
 * its stripe holds the block still. What is true of the whole can not: lists and sums of classes are zsblk_check()'s.
 */
#include "engine/backing.h"
#include "engine/groups.h"
#include "engine/sector.h"

#include <errno.h>
#include <inttypes.h>

/* What one call looks at: 512 KiB of the table. */
#define MOST_WORDS 65536u

/* A block in a group, which is held; releases it. *entry is the group that was found whole last. */
static const char *check_shared(struct zsblk *dev, uint64_t block, uint64_t word, uint64_t *entry)
{
	const char *wrong = sector_check(word);

	if (!wrong && !entries_has(dev, word))
		wrong = "its group is not there";
	if (wrong || *entry == word_shared(word).entry) {
		stripe_unlock(dev, block);
		return wrong;
	}
	*entry = word_shared(word).entry;
	return groups_check(dev, block, word);
}

int zsblk_check_blocks(struct zsblk *dev, uint64_t first, unsigned n, uint64_t *next, struct zsblk_why *why)
{
	struct context *ctx = context_get(&dev->contexts);
	uint64_t block = first, end = zsblk_size(dev) / BLOCK, word = 0, entry = 0;
	const char *wrong = NULL;

	for (unsigned looked = 0; looked < MOST_WORDS && n && !wrong; looked++) {
		block = table_next_written(&dev->table, block, end);
		/* A device that became smaller ends before the block. */
		if (block >= end || !resize_hold_block(dev, block)) {
			block = end;
			break;
		}
		word = table_load(&dev->table, block);
		if (sector_is_shared(word)) {
			/* Blocks of a group follow each other, and one look at it is enough. */
			wrong = check_shared(dev, block, word, &entry);
		} else if (sector_is_backed(word)) {
			wrong = backing_check(dev, &ctx, block, word);
		} else {
			wrong = word ? sector_check_block(dev, ctx, block) : NULL;
			stripe_unlock(dev, block);
		}
		n -= word != 0;
		block++;
	}
	context_put(&dev->contexts, ctx);
	*next = block;
	if (!wrong)
		return 0;
	return why_fail(why, -EUCLEAN, "block %" PRIu64 " with the table word 0x%016" PRIx64 " is damaged: %s",
			block - 1, word, wrong);
}

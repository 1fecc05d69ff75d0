/* SPDX-License-Identifier: BSD-3-Clause */
/* Looks at the whole table: is every word one that this version can have written, and which objects are there? See sector.h. */
#include "engine/sector.h"

#include <errno.h>
#include <inttypes.h>

/* What the word says must fit the classes that the pool has, too. */
static const char *check_class(const struct zsblk *dev, uint64_t word)
{
	struct word_object object = word_object(word);
	unsigned normal = zs_core_class_count(dev->core) - 1, class_index = sector_loc(dev, word).class_index;

	if (class_index > normal)
		return "an object of a class that does not exist";
	if (object.codec != CODEC_RAW && class_index >= normal)
		return "a compressed object of a size that is stored raw";
	if (class_index == normal && object.borrow)
		return "an object that borrowed a page of its own";
	return NULL;
}

const char *sector_check_block(struct zsblk *dev, struct context *ctx, uint64_t block)
{
	uint64_t word = table_load(&dev->table, block);
	const char *wrong = sector_check(word);

	if (!wrong && sector_object_bytes(word))
		wrong = check_class(dev, word);
	if (!wrong && sector_object_bytes(word))
		wrong = zs_core_check_object(dev->core, (uint32_t)block, sector_loc(dev, word));
	if (!wrong && sector_load(dev, ctx, word, 0, BLOCK, ctx->block) < 0)
		wrong = "its object is not what its codec has made";
	return wrong;
}

static bool is_marked(uint64_t word)
{
	return sector_object_bytes(word) && word_is_marked(word);
}

int sector_verify(struct zsblk *dev, struct counters *found, struct zsblk_why *why)
{
	const struct table *table = &dev->table;

	for (uint64_t block = 0; (block = table_next_written(table, block, table->n)) < table->n; block++) {
		uint64_t word = table_load(table, block);
		const char *wrong = sector_check(word);

		if (!wrong && word && block >= dev->layout.blocks)
			wrong = "a block behind the device's end";
		if (!wrong && sector_object_bytes(word))
			wrong = check_class(dev, word);
		if (wrong)
			return why_fail(why, -EUCLEAN,
					"the segment is damaged: block %" PRIu64 " has the table word 0x%016" PRIx64
					": %s",
					block, word, wrong);
		if (found)
			sector_count(found, word, 1);
		dev->has_marks |= is_marked(word);
	}
	return 0;
}

void sector_clear_marks(struct zsblk *dev)
{
	struct table *table = &dev->table;

	for (uint64_t block = 0; (block = table_next_written(table, block, table->n)) < table->n; block++) {
		uint64_t word = table_load(table, block);

		if (is_marked(word))
			table_store(table, block, word_unmark(word));
	}
	dev->has_marks = false;
}

int sector_each_object(void *opaque, zs_each_fn *each, void *each_opaque)
{
	struct zsblk *dev = opaque;
	const struct table *table = &dev->table;
	int r = 0;

	for (uint64_t block = 0; (block = table_next_written(table, block, table->n)) < table->n && !r; block++) {
		uint64_t word = table_load(table, block);

		if (sector_object_bytes(word))
			r = each(each_opaque, (uint32_t)block, sector_loc(dev, word));
	}
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Looks at the whole table: is every word one that this version can have written, and which objects are there? See sector.h. */
#include "engine/sector.h"

#include <errno.h>
#include <inttypes.h>

static bool has_codec(const struct zsblk *dev, unsigned codec)
{
	return codec < SUPER_CODECS_NAMED || (codec < SUPER_CODECS && dev->layout.codecs[codec][0]);
}

/* What the word says must fit the classes that the pool has, too. */
static const char *check_class(const struct zsblk *dev, uint64_t word, bool is_entry)
{
	struct word_object object = word_object(word);
	unsigned normal = zs_core_class_count(dev->core) - 1, class_index = sector_loc(dev, word).class_index;

	if (class_index > normal)
		return "an object of a class that does not exist";
	if (!has_codec(dev, object.codec))
		return "an object of a codec that is not in the segment's record of codecs";
	if (!is_entry && object.codec != CODEC_RAW && class_index >= normal)
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
		wrong = check_class(dev, word, false);
	if (!wrong && sector_object_bytes(word))
		wrong = zs_core_check_object(dev->core, (uint32_t)block, sector_loc(dev, word));
	if (!wrong && sector_load(dev, ctx, word, 0, BLOCK, ctx->block) < 0)
		wrong = "its object is not what its codec has made";
	return wrong;
}

/* A word of the part of the table that is for blocks. */
static const char *verify_block(const struct zsblk *dev, struct entries_survey *survey, uint64_t block, uint64_t word)
{
	const char *wrong = sector_check(word);

	if (!wrong && word && block >= dev->layout.blocks)
		wrong = "a block behind the device's end";
	if (!wrong && word_type(word) == WORD_LARGE)
		wrong = "a block that is a piece of a group";
	if (!wrong && sector_object_bytes(word))
		wrong = check_class(dev, word, false);
	if (!wrong && sector_is_backed(word) && !has_codec(dev, word_backed(word).codec))
		wrong = "an object in the backing store of a codec that is not in the segment's record of codecs";
	if (!wrong && sector_is_backed(word) && !(dev->layout.features.incompatible & SUPER_HAS_BACKED))
		wrong = "a block in a backing store, and the segment does not say that there is one";
	if (!wrong && sector_is_shared(word))
		wrong = entries_see_block(survey, word);
	return wrong;
}

/* A word of the part that is for entries. */
static const char *verify_entry(const struct zsblk *dev, struct entries_survey *survey, uint64_t index, uint64_t word)
{
	const char *wrong = sector_check(word);

	if (!wrong && word && (word_type(word) != WORD_LARGE && word_type(word) != WORD_OBJECT))
		wrong = "an entry that has no object";
	if (!wrong && word && !codec_by_id(word_object(word).codec))
		wrong = "an entry whose object is not compressed";
	if (!wrong && word)
		wrong = check_class(dev, word, true);
	return wrong ? wrong : entries_see(survey, index, word);
}

int sector_verify(struct zsblk *dev, struct entries_survey *survey, struct counters *found, struct zsblk_why *why)
{
	const struct table *table = &dev->table;
	uint64_t entries = dev->layout.max_blocks;
	const char *wrong;

	for (uint64_t block = 0; (block = table_next_written(table, block, table->n)) < table->n; block++) {
		uint64_t word = table_load(table, block);

		wrong = block < entries ? verify_block(dev, survey, block, word)
					: verify_entry(dev, survey, block, word);
		if (wrong)
			return why_fail(why, -EUCLEAN,
					"the segment is damaged: %s %" PRIu64 " has the table word 0x%016" PRIx64
					": %s",
					block < entries ? "block" : "entry", block, word, wrong);
		if (block < entries)
			sector_count(found, word, 1);
		dev->has_marks |= sector_is_marked(word);
	}
	wrong = entries_see_end(survey);
	return wrong ? why_fail(why, -EUCLEAN, "the segment is damaged: %s", wrong) : 0;
}

void sector_clear_marks(struct zsblk *dev)
{
	struct table *table = &dev->table;

	for (uint64_t block = 0; (block = table_next_written(table, block, table->n)) < table->n; block++) {
		uint64_t word = table_load(table, block);

		if (sector_is_marked(word))
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

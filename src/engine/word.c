/* SPDX-License-Identifier: BSD-3-Clause */
/* Table words. See word.h. */
#include "engine/word.h"

#include "codec/codec.h"

_Static_assert(CODEC_IDS <= 1 << WORD_CODEC_BITS, "every codec identity fits");

const char *word_check(uint64_t word)
{
	struct word_object object = word_object(word);

	switch (word_type(word)) {
	case WORD_EMPTY:
		return word ? "an empty word with bits set" : NULL;
	case WORD_SAME32:
		if (word & ((UINT64_C(1) << WORD_PATTERN_SHIFT) - 1) & ~(uint64_t)WORD_SAME32)
			return "a same-filled word with reserved bits set";
		return word >> WORD_PATTERN_SHIFT ? NULL : "a same-filled word of zeroes";
	case WORD_SAME64:
		if (object.codec != CODEC_RAW || object.size != sizeof(uint64_t))
			return "a same-filled object that is not 8 bytes";
		break;
	case WORD_OBJECT:
		if (object.codec == CODEC_RAW ? object.size != 4096 : !codec_by_id(object.codec))
			return "an object of an unknown codec, or a raw one that is not a block";
		break;
	default:
		return "a word of an unknown type";
	}
	return word >> (WORD_PAGE_SHIFT + WORD_PAGE_BITS) ? "an object word with reserved bits set" : NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Same-filled blocks: a block that is one repeated 64-bit word.
 *
 * Most other blocks end in another word than they begin with, so two loads decide. The rest is compared with itself,
 * shifted by one word, in one memcmp(). The C library uses the widest loads of the machine for it; a loop over words
 * takes three to four times as long.
 */
#include "codec/fill.h"

#include <string.h>

#define WORD sizeof(uint64_t)

bool fill_detect(const void *block, uint64_t *word)
{
	const char *p = block;
	uint64_t first, last;

	memcpy(&first, p, WORD);
	memcpy(&last, p + CODEC_BLOCK - WORD, WORD);
	if (first != last || memcmp(p, p + WORD, CODEC_BLOCK - WORD))
		return false;
	*word = first;
	return true;
}

void fill_expand(void *dst, size_t len, size_t offset, uint64_t word)
{
	char *p = dst, *end = p + len;
	unsigned turn = (unsigned)(offset % WORD);
	char bytes[2 * WORD];

	/* Turn the word so that it starts with the byte that `offset` asks for. */
	memcpy(bytes, &word, WORD);
	memcpy(bytes + WORD, &word, WORD);
	memcpy(&word, bytes + turn, WORD);
	if (word == (word & 0xff) * UINT64_C(0x0101010101010101)) {
		memset(dst, (int)(word & 0xff), len);
		return;
	}
	for (; end - p >= (ptrdiff_t)WORD; p += WORD)
		memcpy(p, &word, WORD);
	memcpy(p, &word, (size_t)(end - p));
}

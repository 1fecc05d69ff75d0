/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the recorded segment of format 1 holds (segment.bin), and how the record is laid out. Both the program that
 * made it (make.c, with the library of that time) and the tests of today include this file, and nothing else in common.
 *
 *   record: | bytes of the segment 8 | identity of the process that was killed 8 | pages 8 | page number 8, page 4096 | ...
 *   in the byte order of x86-64, compressed with zstd
 */
#ifndef TEST_FORMAT1_H
#define TEST_FORMAT1_H

#include <stdint.h>
#include <string.h>

#define FORMAT1_BLOCKS 1000u
#define FORMAT1_PAGE   4096u
#define FORMAT1_NAME   "format1"

static inline uint64_t format1_next(uint64_t *state)
{
	/* splitmix64, by Sebastiano Vigna; public domain */
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/*
 * The block as it was left by the last write or discard that was answered: of 16 blocks one is noise, one is
 * a repeated word of 32 bits, one of 64, four are empty, and the others compress to between some 60 and 900 bytes.
 */
static inline void format1_block(uint64_t block, uint8_t bytes[FORMAT1_PAGE])
{
	uint64_t state = block * 7919, word = format1_next(&state), kind = block % 16;
	unsigned noise = (unsigned)(word % 97) * 8 / (kind == 15 ? 1 : 16);

	memset(bytes, 0, FORMAT1_PAGE);
	if (kind < 4)
		return;
	if (kind == 4)
		word = (word >> 32) << 32 | word >> 32;
	for (unsigned at = 0; at < FORMAT1_PAGE; at += 8) {
		if (kind == 6 && block % 80 == 6)
			word = format1_next(&state);
		else if (kind > 5)
			word = at < noise ? format1_next(&state) : block + at / 64;
		memcpy(bytes + at, &word, 8);
	}
}

#endif

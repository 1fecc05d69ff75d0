/* SPDX-License-Identifier: BSD-3-Clause */
/* Random numbers and block contents that follow from a seed, so that a run can be repeated. */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* splitmix64 (Steele, Lea, Flood 2014; public domain reference by Vigna). */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
	return random_next(state) % n;
}

/* Bytes of one of the kinds that memory is made of; all sizes of compressed objects come up. */
static inline void random_bytes(uint64_t *state, void *buf, size_t len)
{
	uint8_t *out = buf;
	uint64_t word = random_next(state);
	size_t noisy = 0;

	switch (random_below(state, 8)) {
	case 0:
		memset(out, 0, len);
		return;
	case 1: /* one repeated 32-bit word */
		word = word << 32 | (uint32_t)(word & UINT32_MAX);
		word = (word & UINT64_C(0xffffffff00000000)) | word >> 32;
		/* fall through */
	case 2: /* one repeated 64-bit word, where the piece is aligned */
		for (size_t i = 0; i < len; i++)
			out[i] = (uint8_t)(word >> (i % 8 * 8));
		return;
	case 3: /* incompressible */
		noisy = len;
		break;
	default: /* a noisy part of any length, the rest repetitive */
		noisy = random_below(state, len + 1);
		break;
	}
	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			word = random_next(state);
		out[i] = i < noisy ? (uint8_t)(word >> (i % 8 * 8)) : (uint8_t)(i >> 4);
	}
}

#endif

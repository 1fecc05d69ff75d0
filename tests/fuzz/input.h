/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking an input apart: the bytes are used up from the front, and zeroes follow when there are none left. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct input {
	const uint8_t *at;
	size_t left;
};

static inline uint64_t take(struct input *input, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && input->left; i++) {
		value |= (uint64_t)*input->at++ << (8 * i);
		input->left--;
	}
	return value;
}

/* Two bytes of input, spread over 0 to n - 1. */
static inline unsigned take_below(struct input *input, unsigned n)
{
	return (unsigned)(take(input, 2) * (uint64_t)n >> 16);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks for codecs: what is easy, what is hard, and what lies between, from numbers that are the same in every run. */
#ifndef TEST_SHAPES_H
#define TEST_SHAPES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SHAPE_BYTES 4096u

static inline uint64_t shape_word(void)
{
	static uint64_t seed = 1;
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline void shape_zero(uint8_t *p)
{
	memset(p, 0, SHAPE_BYTES);
}

static inline void shape_byte(uint8_t *p)
{
	memset(p, 0xa5, SHAPE_BYTES);
}

static inline void shape_one_bit(uint8_t *p)
{
	memset(p, 0, SHAPE_BYTES);
	p[shape_word() % SHAPE_BYTES] = 1;
}

static inline void shape_last_byte(uint8_t *p)
{
	memset(p, 'x', SHAPE_BYTES);
	p[SHAPE_BYTES - 1] = 'y';
}

static inline void shape_random(uint8_t *p)
{
	for (unsigned i = 0; i < SHAPE_BYTES; i++)
		p[i] = (uint8_t)shape_word();
}

static inline void shape_half_random(uint8_t *p)
{
	shape_random(p);
	memset(p + SHAPE_BYTES / 2, 0, SHAPE_BYTES / 2);
}

static inline void shape_nibbles(uint8_t *p)
{
	for (unsigned i = 0; i < SHAPE_BYTES; i++)
		p[i] = "0123456789abcdef"[shape_word() % 16];
}

static inline void shape_text(uint8_t *p)
{
	static const char *const words[] = {"block ", "table ",   "word ",  "handle ",   "zspage ",
					    "class ", "object\n", "pool, ", "segment. ", "fullness "};
	unsigned at = 0;

	while (at < SHAPE_BYTES) {
		const char *word = words[shape_word() % 10];
		size_t len = strlen(word);

		if (len > SHAPE_BYTES - at)
			len = SHAPE_BYTES - at;
		memcpy(p + at, word, len);
		at += (unsigned)len;
	}
}

static inline void shape_pointers(uint8_t *p)
{
	for (unsigned i = 0; i < SHAPE_BYTES / 8; i++) {
		uint64_t word = UINT64_C(0x00007f3a12000000) + (shape_word() & 0xfffff8);

		if (i % 4 == 3)
			word = shape_word() % 100;
		memcpy(p + i * 8, &word, 8);
	}
}

static inline void shape_counter(uint8_t *p)
{
	for (uint32_t i = 0; i < SHAPE_BYTES / 4; i++)
		memcpy(p + i * 4, &i, 4);
}

static inline void shape_long_period(uint8_t *p)
{
	shape_random(p);
	for (unsigned i = 777; i < SHAPE_BYTES; i++)
		p[i] = p[i - 777];
}

typedef void shape_fn(uint8_t *p);
static shape_fn *const shapes[] = {
	shape_zero,    shape_byte, shape_one_bit,  shape_last_byte, shape_random,      shape_half_random,
	shape_nibbles, shape_text, shape_pointers, shape_counter,   shape_long_period,
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* Memory for a context: exactly what is asked for, so that sanitizers and valgrind see a byte too far. */
static inline void *lend(size_t size)
{
	void *mem = size ? aligned_alloc(64, (size + 63) / 64 * 64) : NULL;

	if (size && !mem)
		abort();
	if (mem)
		memset(mem, 0xee, size);
	return mem;
}

#endif

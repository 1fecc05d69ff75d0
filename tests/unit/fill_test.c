/* SPDX-License-Identifier: BSD-3-Clause */
/* Same-filled blocks: every single difference is seen, and any part of a block can be written back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "codec/fill.h"

#define BLOCK 4096u

static const uint64_t words[] = {
	0,
	1,
	UINT64_MAX,
	UINT64_C(0x0123456789abcdef),
	UINT64_C(0xa5a5a5a5a5a5a5a5),
	UINT64_C(0x0000000100000001),
	UINT64_C(1) << 63,
};
#define WORDS (sizeof(words) / sizeof(words[0]))

/* One word after the other, written the plain way. */
static void fill_plainly(uint8_t *block, uint64_t word)
{
	for (unsigned i = 0; i < BLOCK; i += 8)
		memcpy(block + i, &word, 8);
}

static void test_detects(void **state)
{
	uint8_t room[BLOCK + 16];

	for (unsigned align = 0; align < 9; align++) {
		for (size_t i = 0; i < WORDS; i++) {
			uint64_t word = ~words[i];

			fill_plainly(room + align, words[i]);
			assert_true(fill_detect(room + align, &word));
			assert_int_equal(word, words[i]);
		}
	}
}

static void test_sees_every_difference(void **state)
{
	uint8_t room[BLOCK + 1], *block = room + 1;

	for (size_t i = 0; i < WORDS; i++) {
		fill_plainly(block, words[i]);
		for (unsigned at = 0; at < BLOCK; at++) {
			uint64_t word = 42;

			block[at] ^= (uint8_t)(1u << at % 8);
			assert_false(fill_detect(block, &word));
			assert_int_equal(word, 42);
			block[at] ^= (uint8_t)(1u << at % 8);
		}
		assert_true(fill_detect(block, &(uint64_t){0}));
	}
}

/* A shorter period counts, one that is no divisor of eight does not. */
static void test_periods(void **state)
{
	uint8_t block[BLOCK];
	uint64_t word;

	for (unsigned period = 1; period <= 16; period++) {
		for (unsigned i = 0; i < BLOCK; i++)
			block[i] = (uint8_t)(i % period);
		assert_int_equal(fill_detect(block, &word), 8 % period == 0);
	}
}

static void test_expands_any_part(void **state)
{
	static const size_t lengths[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 100, 511, 512, 4095, 4096};
	uint8_t block[BLOCK], part[BLOCK + 32];

	for (size_t i = 0; i < WORDS; i++) {
		fill_plainly(block, words[i]);
		for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
			size_t len = lengths[j];

			for (size_t offset = 0; offset + len <= BLOCK; offset += 1 + offset / 9) {
				memset(part, 0x3c, sizeof(part));
				fill_expand(part + 8, len, offset, words[i]);
				assert_memory_equal(part + 8, block + offset, len);
				assert_int_equal(part[7], 0x3c);
				assert_int_equal(part[8 + len], 0x3c);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detects),
		cmocka_unit_test(test_sees_every_difference),
		cmocka_unit_test(test_periods),
		cmocka_unit_test(test_expands_any_part),
	};

	return cmocka_run_group_tests_name("fill", tests, NULL, NULL);
}

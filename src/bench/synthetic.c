/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages made up, for where no real ones are at hand.
 *
 * A mixture whose shares were chosen so that the codecs' ratios come near those of a corpus of
 * real memory (interpreters, a browser, a compiler, a database, a JVM): some pages zero or
 * same-filled, heaps of small records with pointers, text, tables of numbers, duplicates, and a
 * share that does not compress. Real memory differs from program to program; what decides is a
 * measurement of one's own.
 */
#include "bench/bench.h"

#include <assert.h>
#include <string.h>

/* Shares of 1000 pages. */
enum { ZERO = 57, SAME = 63, RECORDS = 500, TEXT = 170, NUMBERS = 80, COPIES = 100, NOISE = 30 };

static_assert(ZERO + SAME + RECORDS + TEXT + NUMBERS + COPIES + NOISE == 1000, "shares of a whole");

static const char *const words[] = {
	"the ",    "page ",     "of ",     "memory ", "is ",     "value ",     "name: ",  "node ",
	"return ", "static ",   "const ",  "int ",    "struct ", "if (",       ") {\n\t", "}\n",
	"length ", "index ",    "buffer ", "object ", "->next ", "\"type\": ", "false, ", "null,\n",
	"http://", "/usr/lib/", ".so\n",   "error: ", "width=",  "height=",    "0x",      "self.",
};

static uint64_t below(uint64_t *state, uint64_t n)
{
	return random_next(state) % n;
}

static void make_noise(uint8_t *page, uint64_t *state)
{
	for (unsigned at = 0; at < BLOCK; at += 8) {
		uint64_t word = random_next(state);

		memcpy(page + at, &word, sizeof word);
	}
}

static void make_same(uint8_t *page, uint64_t *state)
{
	static const uint64_t patterns[] = {UINT64_MAX, UINT64_C(0x7f7f7f7f7f7f7f7f), UINT64_C(0x0000000100000001),
					    UINT64_C(0x7ff8000000000000)};
	uint64_t word = patterns[below(state, sizeof patterns / sizeof *patterns)];

	for (unsigned at = 0; at < BLOCK; at += 8)
		memcpy(page + at, &word, sizeof word);
}

static void make_text(uint8_t *page, uint64_t *state)
{
	unsigned at = 0;

	while (at < BLOCK) {
		/* Few words are common, many are rare. */
		uint64_t pick = below(state, 32) * below(state, 32) / 32;
		char number[24];
		const char *word = words[pick];
		size_t len;

		if (below(state, 12) == 0) {
			snprintf(number, sizeof number, "%u ", (unsigned)below(state, 100000));
			word = number;
		}
		len = strlen(word);
		len = len < BLOCK - at ? len : BLOCK - at;
		memcpy(page + at, word, len);
		at += (unsigned)len;
	}
}

static void make_numbers(uint8_t *page, uint64_t *state)
{
	uint64_t value = random_next(state) & 0xffff;

	for (unsigned at = 0; at < BLOCK; at += 8) {
		value += below(state, 24);
		memcpy(page + at, &value, sizeof value);
	}
}

/* One field of a heap record, by the kind that its place in the record has. */
static uint64_t make_field(unsigned kind, uint64_t heap, uint64_t number, uint64_t *state)
{
	switch (kind) {
	case 0: /* a type or a table of functions: the same in all records */
		return UINT64_C(0x00007f12a4c83d20);
	case 1: /* a reference into the same heap */
		return heap + (below(state, 1 << 12) << 4);
	case 2: /* a counter or a length */
		return below(state, 64);
	case 3: /* numbered in the order they were made */
		return number;
	case 4: /* a hash */
		return random_next(state) >> 32;
	case 5: /* a neighbour */
		return heap + number * 48;
	default:
		return 0;
	}
}

static void make_records(uint8_t *page, uint64_t *state)
{
	uint64_t heap = UINT64_C(0x0000559c00000000) + (below(state, 1 << 14) << 16);
	uint64_t number = below(state, 1 << 20);
	unsigned fields = 3 + (unsigned)below(state, 8), kinds[16];
	/* A heap page is seldom used to its end. */
	unsigned used = 800 + (unsigned)below(state, BLOCK - 800 + 1);

	for (unsigned i = 0; i < fields; i++)
		kinds[i] = (unsigned)below(state, 10);
	memset(page, 0, BLOCK);
	for (unsigned at = 0; at + 8 <= used; at += 8) {
		unsigned field = at / 8 % fields;
		uint64_t word = make_field(kinds[field], heap, number, state);

		number += field == 0;
		memcpy(page + at, &word, sizeof word);
	}
}

static void make_page(struct pages *pages, uint64_t *state)
{
	uint8_t *page = pages->data + pages->count * BLOCK;
	uint64_t share = below(state, 1000);

	if (share < ZERO)
		memset(page, 0, BLOCK);
	else if ((share -= ZERO) < SAME)
		make_same(page, state);
	else if ((share -= SAME) < RECORDS)
		make_records(page, state);
	else if ((share -= RECORDS) < TEXT)
		make_text(page, state);
	else if ((share -= TEXT) < NUMBERS)
		make_numbers(page, state);
	else if ((share -= NUMBERS) < COPIES && pages->count)
		memcpy(page, pages->data + below(state, pages->count) * BLOCK, BLOCK);
	else
		make_noise(page, state);
	pages->count++;
}

int pages_synthetic(struct pages *pages, uint64_t count, uint64_t seed, struct zsblk_why *why)
{
	int r = pages_alloc(pages, count, why);

	if (r)
		return r;
	pages->available = count;
	pages->synthetic = true;
	snprintf(pages->source, sizeof pages->source, "synthetic pages, seed %llu", (unsigned long long)seed);
	while (pages->count < count) {
		if (pages->count % 16384 == 0)
			progress("making up pages");
		make_page(pages, &seed);
	}
	return 0;
}

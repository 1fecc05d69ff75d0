/* SPDX-License-Identifier: BSD-3-Clause */
/* Recompression of the one device of a test: blocks that gain by it, and whole recompressions. */
#ifndef TEST_RECOMPRESS_H
#define TEST_RECOMPRESS_H

#include "lib/fixture.h"
#include "lib/test.h"

#define AT(block) ((uint64_t)(block)*BLOCK_BYTES)

static const struct zsblk_recompress all = {.type = ZSBLK_RECOMPRESS_ALL};

/* A block of four bits to the byte: raw with lz4, half as large with zstd. */
static inline void make_nibbles(uint8_t *data, uint64_t tag)
{
	uint64_t random = tag + 1;

	for (unsigned i = 0; i < BLOCK_BYTES; i++)
		data[i] = "0123456789abcdef"[random_below(&random, 16)];
}

static inline void put_nibbles(uint64_t block)
{
	uint8_t data[BLOCK_BYTES];

	make_nibbles(data, block);
	must(zsblk_write(dev, data, BLOCK_BYTES, AT(block)) == 0);
}

static inline bool has_nibbles(uint64_t block)
{
	uint8_t want[BLOCK_BYTES], got[BLOCK_BYTES];

	make_nibbles(want, block);
	must(zsblk_read(dev, got, BLOCK_BYTES, AT(block)) == 0);
	return memcmp(want, got, BLOCK_BYTES) == 0;
}

static inline struct zsblk_recompression *begin(const struct zsblk_recompress *what)
{
	struct zsblk_recompression *job;

	why.text[0] = '\0';
	if (zsblk_recompress_begin(dev, what, &job, &why))
		fail_msg("%s", why.text);
	return job;
}

static inline struct zsblk_recompress_figures finish(struct zsblk_recompression *job)
{
	struct zsblk_recompress_figures figures;
	bool more = true;

	while (more)
		assert_int_equal(zsblk_recompress_step(job, &figures, &more), 0);
	zsblk_recompress_end(job);
	return figures;
}

static inline struct zsblk_recompress_figures recompress(struct zsblk_recompress what)
{
	return finish(begin(&what));
}

#endif

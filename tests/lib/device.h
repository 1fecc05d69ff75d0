/* SPDX-License-Identifier: BSD-3-Clause */
/* A device to test, and blocks of each kind to put on it. */
#ifndef TEST_DEVICE_H
#define TEST_DEVICE_H

#include "lib/random.h"
#include "lib/base.h"

#include "zsblk.h"

#include <errno.h>

#define BLOCK_BYTES 4096u

static inline struct zsblk_params device_params(uint64_t blocks)
{
	struct zsblk_params params;

	zsblk_params_init(&params);
	params.size = blocks * BLOCK_BYTES;
	params.contexts = 4;
	params.lock_shared = false;
	return params;
}

static inline struct zsblk *device_open(const struct zsblk_params *params)
{
	struct zsblk_why why = {""};
	struct zsblk *dev;

	if (zsblk_open(params, &dev, &why) || zsblk_start(dev, &why)) {
		fprintf(stderr, "%s\n", why.text);
		abort();
	}
	return dev;
}

static inline struct zsblk *device_new(uint64_t blocks)
{
	struct zsblk_params params = device_params(blocks);

	return device_open(&params);
}

static inline void device_ok(struct zsblk *dev)
{
	struct zsblk_why why = {""};

	if (zsblk_check(dev, &why)) {
		fprintf(stderr, "zsblk_check: %s\n", why.text);
		abort();
	}
}

static inline struct zsblk_stats device_stats(struct zsblk *dev)
{
	struct zsblk_stats stats;

	zsblk_get_stats(dev, &stats);
	return stats;
}

enum block_kind { BLOCK_ZERO, BLOCK_SAME32, BLOCK_SAME64, BLOCK_NOISE, BLOCK_TEXT, BLOCK_KINDS };

/* A block of the kind, told from others of its kind by `tag`. */
static inline void block_make(uint8_t *block, enum block_kind kind, uint64_t tag)
{
	uint64_t random = tag, word = random_next(&random) | 1;

	if (kind == BLOCK_ZERO)
		word = 0;
	if (kind == BLOCK_SAME32)
		word = (word & UINT32_MAX) << 32 | (word & UINT32_MAX);
	if (kind == BLOCK_SAME64)
		word ^= (word & UINT32_MAX) == word >> 32 ? UINT64_C(1) << 40 : 0;
	for (unsigned at = 0; at < BLOCK_BYTES; at += 8) {
		if (kind == BLOCK_NOISE || (kind == BLOCK_TEXT && at < 1000))
			word = random_next(&random);
		else if (kind == BLOCK_TEXT)
			word = tag + at / 64;
		memcpy(block + at, &word, 8);
	}
}

static inline void device_put(struct zsblk *dev, uint64_t block, enum block_kind kind, uint64_t tag)
{
	uint8_t data[BLOCK_BYTES];

	block_make(data, kind, tag);
	must(zsblk_write(dev, data, BLOCK_BYTES, block * BLOCK_BYTES) == 0);
}

static inline bool device_has(struct zsblk *dev, uint64_t block, enum block_kind kind, uint64_t tag)
{
	uint8_t want[BLOCK_BYTES], got[BLOCK_BYTES];

	block_make(want, kind, tag);
	must(zsblk_read(dev, got, BLOCK_BYTES, block * BLOCK_BYTES) == 0);
	return memcmp(want, got, BLOCK_BYTES) == 0;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sequence of requests against a plain array.
 *
 * Input: a byte of set-up (algorithm, chain, limit), then for each request a byte of kind and what
 * it needs. Contents follow from a seed in the input, or are the input itself.
 */
#include "fuzz/input.h"
#include "lib/device.h"

#include "engine/engine.h"

#define BLOCKS 48u
#define BYTES  (BLOCKS * BLOCK_BYTES)

static struct zsblk *dev;
static uint8_t truth[BYTES], data[BYTES], got[BYTES];
static bool may_fail;

static void make_data(struct input *input, uint64_t len)
{
	uint64_t seed = take(input, 2);

	if (seed % 4 == 0)
		for (uint64_t i = 0; i < len; i++)
			data[i] = (uint8_t)(i < 64 ? take(input, 1) : data[i - 64]);
	else
		for (uint64_t at = 0; at < len; at += BLOCK_BYTES)
			random_bytes(&seed, data + at, len - at < BLOCK_BYTES ? len - at : BLOCK_BYTES);
}

/* Failed: each block is old or new, and from now on it is what it is. */
static void accept_either(uint64_t offset, uint64_t len)
{
	must(may_fail);
	must(zsblk_read(dev, got + offset, len, offset) == 0);
	for (uint64_t at = 0; at < len;) {
		uint64_t n = BLOCK_BYTES - (offset + at) % BLOCK_BYTES;

		n = n < len - at ? n : len - at;
		must(memcmp(got + offset + at, data + at, n) == 0 ||
		     memcmp(got + offset + at, truth + offset + at, n) == 0);
		at += n;
	}
	memcpy(truth + offset, got + offset, len);
}

static void change(struct input *input, unsigned kind, uint64_t offset, uint64_t len)
{
	int r;

	if (kind == 0) {
		make_data(input, len);
		r = zsblk_write(dev, data, len, offset);
	} else {
		memset(data, 0, len);
		r = kind == 1 ? zsblk_discard(dev, len, offset) : zsblk_write_zeroes(dev, len, offset);
	}
	must(r == 0 || r == -ENOSPC);
	if (r)
		accept_either(offset, len);
	else
		memcpy(truth + offset, data, len);
}

struct walk {
	uint64_t at;
	int last; /* hole or not, or -1 */
};

static int see_extent(void *opaque, uint64_t offset, uint64_t len, bool hole)
{
	struct walk *walk = opaque;

	must(offset == walk->at && len > 0 && walk->last != hole);
	for (uint64_t i = 0; hole && i < len; i++)
		must(truth[offset + i] == 0);
	*walk = (struct walk){offset + len, hole};
	return 0;
}

static void look(unsigned kind, uint64_t offset, uint64_t len)
{
	struct walk walk = {offset, -1};

	if (kind == 3) {
		must(zsblk_read(dev, got, len, offset) == 0);
		must(memcmp(got, truth + offset, len) == 0);
	} else {
		must(zsblk_extents(dev, len, offset, see_extent, &walk) == 0 && walk.at == offset + len);
	}
}

static void make_groups(uint64_t what)
{
	const struct zsblk_group_what group = {.first = what % 16, .blocks = what / 16 * 8};
	struct zsblk_group_figures figures;
	struct zsblk_grouping *job;
	bool more = true;

	must(zsblk_group_begin(dev, &group, &job, NULL) == 0);
	while (more)
		must(zsblk_group_step(job, &figures, &more) == 0);
	zsblk_group_end(job);
}

static void upkeep(struct input *input)
{
	uint64_t what = take(input, 1);
	bool more;

	if (what < 64) {
		zsblk_compact_step(dev, &more);
	} else if (what < 96) {
		zsblk_compact(dev);
	} else if (what < 128) {
		device_ok(dev);
	} else if (what < 160) {
		make_groups(what - 128);
	} else if (what < 208) {
		zsblk_set_mem_limit(dev, (what - 160) * 4096);
		may_fail = true;
	} else {
		zs_core_inject_failures(dev->core, (unsigned)(what - 208) % 8);
		may_fail = true;
	}
}

static void request(struct input *input)
{
	unsigned kind = (unsigned)take(input, 1) % 6;
	uint64_t offset = take_below(input, BYTES), len = take_below(input, 5 * BLOCK_BYTES), mode;

	if (kind == 5) {
		upkeep(input);
		return;
	}
	/* Often whole blocks. */
	mode = take(input, 1);
	if (mode & 1)
		offset = offset / BLOCK_BYTES * BLOCK_BYTES;
	if (mode & 2)
		len = len / BLOCK_BYTES * BLOCK_BYTES;
	len = len < BYTES - offset ? len : BYTES - offset;
	if (kind < 3)
		change(input, kind, offset, len);
	else
		look(kind, offset, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const unsigned chains[] = {0, 1, 4, 64};
	struct input input = {bytes, len};
	struct zsblk_params params = device_params(BLOCKS);
	unsigned set_up = (unsigned)take(&input, 1);

	params.algorithm = zsblk_algorithm(set_up % 3)->name;
	params.chain = chains[set_up / 4 % 4];
	params.mem_limit = set_up & 64 ? 300000 : 0;
	params.contexts = 1;
	may_fail = params.mem_limit;
	memset(truth, 0, sizeof truth);
	must(zsblk_open(&params, &dev, NULL) == 0);
	while (input.left)
		request(&input);
	zs_core_inject_failures(dev->core, 0);
	look(3, 0, BYTES);
	device_ok(dev);
	must(zsblk_discard(dev, BYTES, 0) == 0);
	must(device_stats(dev).mem_used_total == 0);
	zsblk_close(dev);
	return 0;
}

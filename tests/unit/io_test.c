/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests: any bytes at any place, holes, discards at the edges, limits, damaged objects. */
#include "lib/device.h"
#include "lib/test.h"

#include "engine/sector.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 40u
#define BYTES  (BLOCKS * BLOCK_BYTES)

static struct zsblk *dev;
static uint8_t truth[BYTES], got[BYTES], data[BYTES];

static int set_up(void **state)
{
	memset(truth, 0, sizeof truth);
	dev = device_new(BLOCKS);
	return 0;
}

static int tear_down(void **state)
{
	device_ok(dev);
	zsblk_close(dev);
	return 0;
}

static void write_both(uint64_t offset, size_t len)
{
	assert_int_equal(zsblk_write(dev, data, len, offset), 0);
	memcpy(truth + offset, data, len);
}

static void same_everywhere(void)
{
	memset(got, 0xcc, sizeof got);
	assert_int_equal(zsblk_read(dev, got, BYTES, 0), 0);
	assert_memory_equal(got, truth, BYTES);
}

static void test_reads_as_zeroes(void **state)
{
	same_everywhere();
}

static void test_every_kind_of_block(void **state)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		block_make(truth + i * BLOCK_BYTES, i % BLOCK_KINDS, i);
		device_put(dev, i, i % BLOCK_KINDS, i);
	}
	same_everywhere();
	/* And each replaced by each other kind. */
	for (unsigned from = 0; from < BLOCK_KINDS; from++) {
		for (unsigned to = 0; to < BLOCK_KINDS; to++) {
			device_put(dev, 1, from, 1);
			device_put(dev, 1, to, 2);
			assert_true(device_has(dev, 1, to, 2));
			device_ok(dev);
		}
	}
}

/* All alignments around block edges, over blocks of every kind. */
static void test_every_alignment(void **state)
{
	static const int at[] = {0, 1, 7, 8, 9, 511, 512, 2048, 4088, 4095};
	uint64_t random = test_seed("io");

	for (size_t i = 0; i < COUNT_OF(at) * COUNT_OF(at); i++) {
		uint64_t start = BLOCK_BYTES + (uint64_t)at[i % COUNT_OF(at)];
		uint64_t end = start / BLOCK_BYTES * BLOCK_BYTES + random_below(&random, 3) * BLOCK_BYTES +
			       (uint64_t)at[i / COUNT_OF(at)];

		for (unsigned n = 0; n < 5; n++) {
			block_make(data, random_below(&random, BLOCK_KINDS), random_next(&random));
			write_both(n * BLOCK_BYTES, BLOCK_BYTES);
		}
		end = end > start ? end : start + 1;
		for (uint64_t n = 0; n < end - start; n++)
			data[n] = (uint8_t)random_next(&random);
		write_both(start, end - start);
		same_everywhere();
		memset(got, 0xcc, sizeof got);
		assert_int_equal(zsblk_read(dev, got + 1, end - start, start), 0);
		assert_memory_equal(got + 1, truth + start, end - start);
		assert_int_equal(got[0], 0xcc);
		assert_int_equal(got[1 + end - start], 0xcc);
	}
}

/* Byte by byte, a block comes to be what was written. */
static void test_single_bytes(void **state)
{
	block_make(data, BLOCK_TEXT, 4);
	for (unsigned i = 0; i < BLOCK_BYTES; i += 1 + i / 64)
		assert_int_equal(zsblk_write(dev, data + i, 1, 4096 * 3 + i), 0);
	for (unsigned i = 0; i < BLOCK_BYTES; i += 1 + i / 64) {
		uint8_t byte = 0;

		assert_int_equal(zsblk_read(dev, &byte, 1, 4096 * 3 + i), 0);
		assert_int_equal(byte, data[i]);
	}
}

static int ignore_extent(void *opaque, uint64_t offset, uint64_t len, bool hole)
{
	return 0;
}

static void test_bounds(void **state)
{
	static const struct {
		uint64_t len, offset;
		int want;
	} cases[] = {
		{0, 0, 0},
		{0, BYTES, 0},
		{1, BYTES - 1, 0},
		{BYTES, 0, 0},
		{1, BYTES, -EINVAL},
		{2, BYTES - 1, -EINVAL},
		{0, BYTES + 1, -EINVAL},
		{BYTES + 1, 0, -EINVAL},
		{1, UINT64_MAX, -EINVAL},
		{BYTES, 1, -EINVAL},
		{SIZE_MAX, 1, -EINVAL},
		{SIZE_MAX - 4095, 4096, -EINVAL},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		size_t len = (size_t)cases[i].len;
		uint64_t offset = cases[i].offset;

		assert_int_equal(zsblk_read(dev, got, len, offset), cases[i].want);
		assert_int_equal(zsblk_write(dev, data, len, offset), cases[i].want);
		assert_int_equal(zsblk_extents(dev, len, offset, ignore_extent, NULL), cases[i].want);
		assert_int_equal(zsblk_discard(dev, len, offset), cases[i].want);
		assert_int_equal(zsblk_write_zeroes(dev, len, offset), cases[i].want);
	}
	assert_int_equal(zsblk_flush(dev), 0);
}

/* ------------------------------------------------------------------ holes */

struct extents {
	unsigned n;
	struct {
		uint64_t offset, len;
		bool hole;
	} at[2 * BLOCKS];
	int stop_after;
};

static int note_extent(void *opaque, uint64_t offset, uint64_t len, bool hole)
{
	struct extents *extents = opaque;

	extents->at[extents->n].offset = offset;
	extents->at[extents->n].len = len;
	extents->at[extents->n].hole = hole;
	extents->n++;
	return (int)extents->n == extents->stop_after ? 77 : 0;
}

static void test_extents_are_exact(void **state)
{
	uint64_t random = test_seed("io");
	bool has_data[BLOCKS] = {false};

	for (unsigned round = 0; round < 200; round++) {
		struct extents extents = {.n = 0};
		uint64_t block = random_below(&random, BLOCKS), start, len, at;
		unsigned kind = (unsigned)random_below(&random, BLOCK_KINDS);

		device_put(dev, block, kind, round);
		has_data[block] = kind != BLOCK_ZERO;
		start = random_below(&random, BYTES);
		len = 1 + random_below(&random, BYTES - start);
		assert_int_equal(zsblk_extents(dev, len, start, note_extent, &extents), 0);
		at = start;
		for (unsigned i = 0; i < extents.n; i++) {
			assert_int_equal(extents.at[i].offset, at);
			assert_true(extents.at[i].len > 0);
			/* Merged: the next one differs. */
			assert_true(i == 0 || extents.at[i].hole != extents.at[i - 1].hole);
			for (uint64_t b = at / 4096; b <= (at + extents.at[i].len - 1) / 4096; b++)
				assert_int_equal(extents.at[i].hole, !has_data[b]);
			at += extents.at[i].len;
		}
		assert_int_equal(at, start + len);
	}
}

static void test_extents_can_be_ended(void **state)
{
	struct extents extents = {.stop_after = 2};

	device_put(dev, 1, BLOCK_TEXT, 1);
	device_put(dev, 3, BLOCK_TEXT, 1);
	assert_int_equal(zsblk_extents(dev, BYTES, 0, note_extent, &extents), 77);
	assert_int_equal(extents.n, 2);
	extents.n = 0;
	assert_int_equal(zsblk_extents(dev, 0, 100, note_extent, &extents), 0);
	assert_int_equal(extents.n, 0);
}

static void test_discard_edges(void **state)
{
	static const unsigned edges[] = {0, 1, 100, 4095, 4096, 4097, 8192, 12287, 12288, 20000};

	for (size_t i = 0; i < COUNT_OF(edges); i++) {
		for (size_t j = i + 1; j < COUNT_OF(edges); j++) {
			uint64_t len = edges[j] - edges[i];
			int r;

			for (unsigned n = 0; n < 6; n++) {
				block_make(data, 1 + (n + i + j) % (BLOCK_KINDS - 1), n + 1);
				write_both(n * BLOCK_BYTES, BLOCK_BYTES);
			}
			r = j % 2 ? zsblk_discard(dev, len, edges[i]) : zsblk_write_zeroes(dev, len, edges[i]);
			assert_int_equal(r, 0);
			memset(truth + edges[i], 0, len);
			same_everywhere();
		}
	}
}

/* Nothing is asked for, so nothing is written: not even on a full device, inside a block that has data. */
static void test_discard_of_no_bytes(void **state)
{
	device_put(dev, 1, BLOCK_NOISE, 1);
	zsblk_set_mem_limit(dev, 1);
	for (unsigned at = 0; at < 3 * 4096; at += 512) {
		assert_int_equal(zsblk_discard(dev, 0, at), 0);
		assert_int_equal(zsblk_write_zeroes(dev, 0, at), 0);
	}
	assert_true(device_has(dev, 1, BLOCK_NOISE, 1));
	zsblk_set_mem_limit(dev, 0);
}

/* A block whose last bytes are cleared piece by piece is a hole in the end. */
static void test_cleared_in_pieces(void **state)
{
	struct extents extents = {.n = 0};

	device_put(dev, 2, BLOCK_TEXT, 1);
	assert_int_equal(zsblk_discard(dev, 4000, 2 * 4096), 0);
	assert_int_equal(zsblk_discard(dev, 96, 2 * 4096 + 4000), 0);
	assert_int_equal(zsblk_extents(dev, BYTES, 0, note_extent, &extents), 0);
	assert_int_equal(extents.n, 1);
	assert_true(extents.at[0].hole);
	assert_int_equal(device_stats(dev).mem_used_total, 0);
}

static void test_nothing_is_stored_for_nothing(void **state)
{
	struct zsblk_params params = device_params(ZSBLK_MAX_SIZE / BLOCK_BYTES);
	struct zsblk_stats before, after;
	struct zsblk *large;
	uint64_t size, last;

	/* The largest device there is; where no mapping can be so large, a smaller one. */
	while (zsblk_open(&params, &large, NULL))
		params.size /= 2;
	size = params.size;
	last = size / BLOCK_BYTES - 1;
	assert_true(size >= 1 << 28);
	before = device_stats(large);
	/* Discarded and zeroed from end to end, at once. */
	assert_int_equal(zsblk_discard(large, size, 0), 0);
	assert_int_equal(zsblk_write_zeroes(large, size - 5, 3), 0);
	after = device_stats(large);
	assert_int_equal(after.mem_used_total, 0);
	assert_int_equal(after.metadata_bytes, before.metadata_bytes);
	device_put(large, last, BLOCK_TEXT, 9);
	device_put(large, 0, BLOCK_TEXT, 8);
	assert_int_equal(zsblk_discard(large, size - 2 * 4096, 4096), 0);
	assert_true(device_has(large, last, BLOCK_TEXT, 9));
	assert_int_equal(zsblk_discard(large, size, 0), 0);
	assert_int_equal(device_stats(large).mem_used_total, 0);
	zsblk_close(large);
}

/* ------------------------------------------------------------------ full, and damaged */

static void test_limit(void **state)
{
	unsigned n = 0, stored;

	zsblk_set_mem_limit(dev, 10 * 4096);
	while (n < BLOCKS) {
		block_make(data, BLOCK_NOISE, n);
		if (zsblk_write(dev, data, BLOCK_BYTES, n * BLOCK_BYTES))
			break;
		n++;
	}
	assert_int_equal(n, 10);
	assert_int_equal(device_stats(dev).mem_used_total, 10 * 4096);
	assert_int_equal(zsblk_write(dev, data, BLOCK_BYTES, 20 * 4096), -ENOSPC);
	/* A block that is there keeps its data when replacing it fails. */
	assert_int_equal(zsblk_write(dev, data, BLOCK_BYTES, 0), -ENOSPC);
	assert_int_equal(zsblk_write(dev, data, 100, 50), -ENOSPC);
	for (stored = 0; stored < n; stored++)
		assert_true(device_has(dev, stored, BLOCK_NOISE, stored));
	/* What needs no memory works; discarding makes room. */
	device_put(dev, 30, BLOCK_SAME32, 1);
	device_put(dev, 31, BLOCK_ZERO, 1);
	assert_int_equal(zsblk_discard(dev, 4096, 0), 0);
	device_put(dev, 20, BLOCK_NOISE, 20);
	assert_int_equal(device_stats(dev).mem_used_total, 10 * 4096);
	assert_int_equal(device_stats(dev).mem_used_max, 10 * 4096);
	zsblk_set_mem_limit(dev, 0);
	device_put(dev, 21, BLOCK_NOISE, 21);
}

/* Discards on a full device free what they can before they write the edges, which then find room. */
static void test_ragged_discard_when_full(void **state)
{
	for (unsigned zeroes = 0; zeroes < 2; zeroes++) {
		int (*clear)(struct zsblk *, uint64_t, uint64_t) = zeroes ? zsblk_write_zeroes : zsblk_discard;

		zsblk_set_mem_limit(dev, 10 * 4096);
		for (unsigned i = 0; i < 10; i++)
			device_put(dev, i, BLOCK_NOISE, i);
		/* Ragged at both ends, with blocks in between: done. */
		assert_int_equal(clear(dev, 4 * 4096, 1 * 4096 + 512), 0);
		assert_int_equal(zsblk_read(dev, got, 5 * 4096, 4096), 0);
		block_make(data, BLOCK_NOISE, 1);
		block_make(data + 4 * 4096, BLOCK_NOISE, 5);
		memset(data + 512, 0, 4 * 4096);
		assert_memory_equal(got, data, 5 * 4096);
		/* Nothing but an edge, and no room for it: the block keeps what it had. */
		zsblk_set_mem_limit(dev, 0);
		for (unsigned i = 1; i < 6; i++)
			device_put(dev, i, BLOCK_NOISE, i);
		zsblk_set_mem_limit(dev, 10 * 4096);
		assert_int_equal(clear(dev, 4096 - 8, 7 * 4096 + 4), -ENOSPC);
		assert_true(device_has(dev, 7, BLOCK_NOISE, 7));
		/* Edges of blocks that are full elsewhere as well: what is whole is freed, and the edge is told. */
		zsblk_set_mem_limit(dev, 4096);
		assert_int_equal(clear(dev, 4 * 4096, 1 * 4096 + 8), -ENOSPC);
		assert_int_equal(device_stats(dev).mem_used_total, 7 * 4096);
		assert_true(device_has(dev, 2, BLOCK_ZERO, 0) && device_has(dev, 4, BLOCK_ZERO, 0));
		assert_true(device_has(dev, 1, BLOCK_NOISE, 1) && device_has(dev, 5, BLOCK_NOISE, 5));
		zsblk_set_mem_limit(dev, 0);
		assert_int_equal(zsblk_discard(dev, BYTES, 0), 0);
	}
}

static void test_any_limit_is_a_limit(void **state)
{
	zsblk_set_mem_limit(dev, 1);
	assert_true(device_stats(dev).mem_limit > 0);
	device_put(dev, 0, BLOCK_NOISE, 1);
	block_make(data, BLOCK_NOISE, 2);
	assert_int_equal(zsblk_write(dev, data, BLOCK_BYTES, 4096), -ENOSPC);
}

/* A request that fails half way leaves each block old or new. */
static void test_half_a_request(void **state)
{
	unsigned is_new = 0;

	for (unsigned i = 0; i < 8; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	zsblk_set_mem_limit(dev, 8 * 4096 + 3 * 4096);
	for (unsigned i = 0; i < 8; i++)
		block_make(data + i * BLOCK_BYTES, BLOCK_NOISE, 100 + i);
	for (unsigned i = 8; i < 11; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	assert_int_equal(zsblk_write(dev, data, 8 * BLOCK_BYTES, 0), -ENOSPC);
	for (unsigned i = 0; i < 8; i++) {
		bool new = device_has(dev, i, BLOCK_NOISE, 100 + i);

		assert_true(new || device_has(dev, i, BLOCK_NOISE, i));
		is_new += new;
	}
	assert_int_equal(is_new, 0);
}

static uint8_t *bytes_of(uint64_t block, struct word_object *object)
{
	uint64_t word = table_load(&dev->table, block);

	*object = word_object(word);
	return zs_core_address(dev->core, sector_loc(dev, word));
}

/* Damaged objects: an error, or other bytes; never more than that. Overwriting the block heals it. */
static void test_damaged_objects(void **state)
{
	uint64_t random = test_seed("io");
	struct word_object object;
	unsigned errors = 0;

	for (unsigned round = 0; round < 300; round++) {
		uint8_t *bytes;
		int r;

		device_put(dev, 5, BLOCK_TEXT, round);
		bytes = bytes_of(5, &object);
		for (unsigned i = 0; i < 1 + round % 8; i++)
			bytes[random_below(&random, object.size)] ^= (uint8_t)(1 + random_below(&random, 255));
		r = zsblk_read(dev, got, BLOCK_BYTES, 5 * 4096);
		assert_true(r == 0 || r == -EIO);
		errors += r == -EIO;
		/* Part of it cannot be changed when the rest is unknown. */
		assert_int_equal(zsblk_write(dev, "x", 1, 5 * 4096 + 9), r);
	}
	assert_true(errors > 20);
	assert_int_equal(device_stats(dev).failed_reads, errors);
	assert_int_equal(device_stats(dev).failed_writes, errors);
	device_put(dev, 5, BLOCK_TEXT, 1);
	assert_true(device_has(dev, 5, BLOCK_TEXT, 1));
}

/* In several pieces, of which none forgets a block, be it the last of one or the first of the next. */
static void test_long_discard(void **state)
{
	const unsigned blocks = 5000, from = 10, to = 4990;
	struct zsblk *large = device_new(blocks);

	for (unsigned i = 0; i < blocks; i++)
		device_put(large, i, BLOCK_SAME32, i);
	assert_int_equal(zsblk_discard(large, (to - from) * UINT64_C(4096), from * UINT64_C(4096)), 0);
	for (unsigned i = 0; i < blocks; i++)
		assert_true(device_has(large, i, i < from || i >= to ? BLOCK_SAME32 : BLOCK_ZERO, i));
	assert_int_equal(device_stats(large).same_pages, blocks - (to - from));
	device_ok(large);
	zsblk_close(large);
}

/* ------------------------------------------------------------------ blocks that are held still */

static _Atomic bool is_through;

static void *read_it(void *opaque)
{
	assert_true(device_has(dev, 0, BLOCK_TEXT, 1));
	is_through = true;
	return NULL;
}

static void *write_it(void *opaque)
{
	device_put(dev, 0, BLOCK_NOISE, 2);
	is_through = true;
	return NULL;
}

static void *write_a_part(void *opaque)
{
	must(zsblk_write(dev, "part", 4, 100) == 0);
	is_through = true;
	return NULL;
}

static void *discard_it(void *opaque)
{
	must(zsblk_discard(dev, 4096, 0) == 0);
	is_through = true;
	return NULL;
}

static void *compact_it(void *opaque)
{
	zsblk_compact(dev);
	is_through = true;
	return NULL;
}

/* While somebody holds a block, nobody reads, replaces, frees or moves its object. */
static void test_held_block_waits(void **state)
{
	static void *(*const requests[])(void *opaque) = {compact_it, read_it, write_a_part, write_it, discard_it};

	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		pthread_t thread;
		uint64_t word;

		/* The first object of an almost empty zspage, with others of its class that have room: it would be
		 * moved. */
		for (unsigned n = 0; n < BLOCKS; n++)
			device_put(dev, n, BLOCK_TEXT, 1);
		for (unsigned n = 1; n < BLOCKS; n += 2)
			assert_int_equal(zsblk_discard(dev, 4096, n * UINT64_C(4096)), 0);
		is_through = false;
		stripe_lock(dev, 0);
		word = table_load(&dev->table, 0);
		assert_int_equal(pthread_create(&thread, NULL, requests[i], NULL), 0);
		/* Long enough for what does not wait. What waits as it should makes no difference to the time. */
		usleep(100 * 1000);
		assert_true(table_load(&dev->table, 0) == word);
		assert_true(i == 0 || !is_through);
		stripe_unlock(dev, 0);
		pthread_join(thread, NULL);
		assert_true(is_through);
		device_ok(dev);
	}
}

static struct word_object object_of(unsigned block)
{
	return word_object(table_load(&dev->table, block));
}

/* A block that is overwritten after compaction has noted where it lay, and before its turn: the old contents do not come back. */
static void test_overwritten_before_it_moves(void **state)
{
	const unsigned blocks = 400;
	unsigned first = 0, kept = 0;
	struct zsblk *small = dev;
	pthread_t thread;
	uint64_t held;
	uint32_t page;

	/* Several zspages. */
	dev = device_new(blocks);
	for (unsigned n = 0; n < blocks; n++)
		device_put(dev, n, BLOCK_TEXT, 1);
	page = object_of(0).page;
	/* Of the first zspage the first two stay; of the others most, so that there is room. */
	for (unsigned n = 0; n < blocks; n++) {
		bool with_first = object_of(n).page == page;

		first += with_first;
		if (with_first ? n > 1 : ++kept % 4 == 0)
			assert_int_equal(zsblk_discard(dev, 4096, n * UINT64_C(4096)), 0);
	}
	assert_true(first > 2 && kept > 4);
	assert_int_equal(object_of(1).page, object_of(0).page);
	block_make(data, BLOCK_TEXT, 1);
	data[10] ^= 1;

	is_through = false;
	stripe_lock(dev, 0);
	held = table_load(&dev->table, 0);
	assert_int_equal(pthread_create(&thread, NULL, compact_it, NULL), 0);
	/* It waits for the first by now, and has moved neither. */
	usleep(100 * 1000);
	assert_true(table_load(&dev->table, 0) == held);
	must(zsblk_write(dev, data, 4096, 4096) == 0);
	stripe_unlock(dev, 0);
	pthread_join(thread, NULL);
	assert_int_equal(zsblk_read(dev, got, 4096, 4096), 0);
	assert_memory_equal(got, data, 4096);
	assert_true(device_has(dev, 0, BLOCK_TEXT, 1));
	device_ok(dev);
	zsblk_close(dev);
	dev = small;
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_reads_as_zeroes),
		WITH_DEVICE(test_every_kind_of_block),
		WITH_DEVICE(test_every_alignment),
		WITH_DEVICE(test_single_bytes),
		WITH_DEVICE(test_bounds),
		WITH_DEVICE(test_extents_are_exact),
		WITH_DEVICE(test_extents_can_be_ended),
		WITH_DEVICE(test_discard_edges),
		WITH_DEVICE(test_discard_of_no_bytes),
		WITH_DEVICE(test_cleared_in_pieces),
		WITH_DEVICE(test_nothing_is_stored_for_nothing),
		WITH_DEVICE(test_limit),
		WITH_DEVICE(test_any_limit_is_a_limit),
		WITH_DEVICE(test_ragged_discard_when_full),
		WITH_DEVICE(test_long_discard),
		WITH_DEVICE(test_held_block_waits),
		WITH_DEVICE(test_overwritten_before_it_moves),
		WITH_DEVICE(test_half_a_request),
		WITH_DEVICE(test_damaged_objects),
	};

	return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}

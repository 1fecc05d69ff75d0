/* SPDX-License-Identifier: BSD-3-Clause */
/* The check of blocks beside requests: what is whole passes whatever goes on, and what is damaged is found and named. */
#include "lib/device.h"
#include "lib/test.h"

#include "engine/sector.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 512u

/* Verify all blocks, a few at a time; the number of calls. *block: the first damaged one, or the device's end. */
static unsigned check_all(struct zsblk *dev, unsigned n, uint64_t *block, struct zsblk_why *why)
{
	uint64_t next = 0, end = zsblk_size(dev) / BLOCK_BYTES;
	unsigned calls = 0;

	while (next < end) {
		int r = zsblk_check_blocks(dev, next, n, &next, why);

		calls++;
		if (r) {
			assert_int_equal(r, -EUCLEAN);
			*block = next - 1;
			return calls;
		}
	}
	assert_int_equal(next, end);
	*block = end;
	return calls;
}

static void write_text(struct zsblk *dev, uint64_t block, unsigned number)
{
	char text[BLOCK_BYTES];

	for (unsigned i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + (i * (number % 7 + 1) + i / 97) % 26);
	assert_int_equal(zsblk_write(dev, text, sizeof text, block * BLOCK_BYTES), 0);
}

static struct zsblk *filled(void)
{
	struct zsblk *dev = device_new(BLOCKS);

	for (uint64_t block = 0; block < BLOCKS; block += 2)
		write_text(dev, block, (unsigned)block);
	return dev;
}

static void test_whole(void **state)
{
	struct zsblk *dev = filled();
	struct zsblk_stats before = device_stats(dev), after;
	struct zsblk_why why = {""};
	uint64_t block;

	assert_int_equal(check_all(dev, 1000, &block, &why), 1);
	assert_int_equal(block, BLOCKS);
	/* Holes are not counted. */
	assert_int_equal(check_all(dev, 64, &block, &why), BLOCKS / 2 / 64 + 1);
	assert_int_equal(zsblk_check_blocks(dev, UINT64_MAX, 1, &block, &why), 0);
	assert_int_equal(block, BLOCKS);
	after = device_stats(dev);
	assert_int_equal(after.reads, before.reads);
	zsblk_close(dev);
}

/* Damage one thing, look, and put it right again. */
static void expect_damage(struct zsblk *dev, uint64_t block, const char *what)
{
	struct zsblk_why why = {""};
	uint64_t found;

	check_all(dev, 7, &found, &why);
	assert_int_equal(found, block);
	if (!strstr(why.text, what))
		fail_msg("\"%s\" has no \"%s\"", why.text, what);
}

static void test_damaged(void **state)
{
	struct zsblk *dev = filled();
	uint64_t word = table_load(&dev->table, 100), other = table_load(&dev->table, 200);
	uint8_t *bytes = zs_core_address(dev->core, sector_loc(dev, word)), kept[64];

	/* The highest bits of a word are not in use. */
	table_store(&dev->table, 100, word | UINT64_C(1) << 63);
	expect_damage(dev, 100, "block 100 ");
	table_store(&dev->table, 100, other);
	expect_damage(dev, 100, "belongs to another block");
	table_store(&dev->table, 100, word);
	memcpy(kept, bytes, sizeof kept);
	memset(bytes, 0xFF, sizeof kept);
	expect_damage(dev, 100, "codec");
	memcpy(bytes, kept, sizeof kept);
	/* A block that is given another word without being told to the pool. */
	table_store(&dev->table, 101, word);
	expect_damage(dev, 101, "belongs to another block");
	table_store(&dev->table, 101, 0);
	device_ok(dev);
	zsblk_close(dev);
}

static void test_slot_not_in_use(void **state)
{
	struct zsblk *dev = filled();
	uint64_t word = table_load(&dev->table, 100);

	/* Freed behind the table's back. Another object keeps the zspage alive. */
	zs_core_free(dev->core, sector_loc(dev, word));
	expect_damage(dev, 100, "not in use");
	table_store(&dev->table, 100, 0);
	zsblk_close(dev);
}

static _Atomic bool stop;

static void *write_all_the_time(void *opaque)
{
	struct zsblk *dev = opaque;

	for (unsigned i = 0; !atomic_load(&stop); i++) {
		uint64_t block = (i * UINT64_C(2654435761) >> 7) % BLOCKS;

		if (i % 3 == 0)
			zsblk_discard(dev, BLOCK_BYTES, block * BLOCK_BYTES);
		else
			write_text(dev, block, i);
		if (i % 64 == 0)
			zsblk_compact(dev);
	}
	return NULL;
}

static void test_beside_writers(void **state)
{
	struct zsblk *dev = filled();
	struct zsblk_why why = {""};
	pthread_t threads[2];
	uint64_t block;

	atomic_store(&stop, false);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_all_the_time, dev), 0);
	for (unsigned i = 0; i < 100; i++) {
		check_all(dev, 32, &block, &why);
		if (block != BLOCKS)
			fail_msg("%s", why.text);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	device_ok(dev);
	zsblk_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_slot_not_in_use),
		cmocka_unit_test(test_beside_writers),
	};

	return cmocka_run_group_tests_name("patrol", tests, NULL, NULL);
}

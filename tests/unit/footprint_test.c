/* SPDX-License-Identifier: BSD-3-Clause */
/* All memory in one place: the parts add up, and the sums are what the system says. */
#include "lib/emulator.h"
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/sector.h"
#include "process/self.h"

#include <pthread.h>
#include <sched.h>

#define BLOCKS 20000u

static struct zsblk *dev;

static void open_new(const char *memory, uint64_t reserve)
{
	struct zsblk_params params = device_params(BLOCKS);

	params.memory = memory;
	params.reserve = reserve;
	dev = device_open(&params);
}

static void fill(uint64_t first, uint64_t end)
{
	for (uint64_t block = first; block < end; block++)
		device_put(dev, block, (enum block_kind)(block % BLOCK_KINDS), block);
}

/* The parts add up, whatever goes on meanwhile. */
static struct zsblk_memory look(void)
{
	struct zsblk_memory m;

	must(zsblk_get_memory(dev, &m) == 0);
	must(m.segment == m.objects + m.rounding + m.free_slots + m.headers + m.tails + m.magazines + m.free_pages +
				  m.table + m.map + m.ages + m.superblock + m.other);
	must(m.total == m.segment + m.descriptors + m.contexts + m.stripes + m.aging + m.process + m.files);
	return m;
}

/* Pages of the segment in memory, by asking for each. */
static uint64_t resident_bytes(void)
{
	uint64_t pages;

	must(segment_count_resident(&dev->seg, 0, dev->seg.bytes / SEGMENT_PAGE * SEGMENT_PAGE, &pages) == 0);
	return pages * SEGMENT_PAGE;
}

static bool is_exact(const struct zsblk_memory *m)
{
	struct zsblk_stats stats = device_stats(dev);

	return m->other == 0 && m->segment == resident_bytes() &&
	       (dev->seg.kind == SEGMENT_ANON || m->segment == segment_pages(&dev->seg) * SEGMENT_PAGE) &&
	       m->objects == stats.compr_data_size &&
	       m->objects + m->rounding + m->free_slots + m->headers == stats.mem_used_total &&
	       m->tails + m->magazines + m->free_pages == stats.reserved_bytes;
}

/*
 * At rest each page is accounted for: nothing is left over, and the sum is what the system finds in memory. Background
 * threads may still be at work, so it can take some looks.
 */
static struct zsblk_memory expect_exact(void)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	struct zsblk_memory m = look();
	unsigned looks = 0;

	for (; looks < 250 && !is_exact(&m); looks++) {
		nanosleep(&pause, NULL);
		m = look();
	}
	assert_true(looks < 250);
	return m;
}

static void check_to_the_page(void)
{
	struct zsblk_memory before = expect_exact(), m;

	fill(0, BLOCKS);
	m = expect_exact();
	assert_true(m.objects > before.objects && m.rounding > 0 && m.free_slots > 0 && m.headers > 0);
	/* A device of 20,000 blocks has 40 pages of words. */
	assert_int_equal(m.table, (BLOCKS + 511) / 512 * 4096);
	assert_int_equal(m.map, 4096);
	assert_true(m.superblock >= 4096);
	must(zsblk_discard(dev, BLOCKS / 2 * BLOCK_BYTES, 1000 * BLOCK_BYTES) == 0);
	before = m;
	m = expect_exact();
	assert_true(m.objects < before.objects && m.free_slots > before.free_slots);
	zsblk_compact(dev);
	assert_true(expect_exact().free_slots < m.free_slots);
	fill(5000, 7000);
	expect_exact();
}

static void test_anonymous(void **state)
{
	open_new("anon", 0);
	check_to_the_page();
	zsblk_close(dev);
}

static void test_anonymous_with_reserve(void **state)
{
	open_new("anon", 8 << 20);
	check_to_the_page();
	assert_true(look().free_pages >= 7 << 20);
	zsblk_close(dev);
}

/* Also what a server before has left in memory. */
static void test_shared(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_memory m;

	open_new(shm->memory, 4 << 20);
	check_to_the_page();
	m = expect_exact();
	zsblk_close(dev);
	open_new(shm->memory, 4 << 20);
	assert_int_equal(expect_exact().objects, m.objects);
	assert_int_equal(look().table, m.table);
	check_to_the_page();
	zsblk_close(dev);
	test_shm_remove(shm);
}

/* A page that nobody accounts for is a rest. */
static void test_rest(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_memory m;

	open_new(shm->memory, 0);
	fill(0, 1000);
	m = expect_exact();
	dev->seg.base[dev->seg.bytes - 1] = 1;
	assert_int_equal(look().other, 4096);
	assert_int_equal(look().segment, m.segment + 4096);
	zsblk_close(dev);
	test_shm_remove(shm);
}

/* ------------------------------------------------------------------ the process */

/* What smaps_rollup says, which looks at each page. */
struct rollup {
	uint64_t rss, anonymous, swap;
};

/* All of it from one look: between two of them a thread may have taken memory. */
static struct rollup roll_up(void)
{
	unsigned long long rss = 0, anonymous = 0, swap = 0;
	char line[256];
	FILE *f = fopen("/proc/self/smaps_rollup", "re");

	must(f);
	while (fgets(line, sizeof line, f)) {
		sscanf(line, "Rss: %llu kB", &rss);
		sscanf(line, "Anonymous: %llu kB", &anonymous);
		sscanf(line, "Swap: %llu kB", &swap);
	}
	fclose(f);
	return (struct rollup){.rss = rss * 1024, .anonymous = anonymous * 1024, .swap = swap * 1024};
}

/* How late the kernel may count: see self_memory(). */
static uint64_t lateness(void)
{
	uint64_t cpus = (uint64_t)sysconf(_SC_NPROCESSORS_CONF);

	return (64 + (cpus > 16 ? 2 * cpus : 32) * cpus) * 4096;
}

static void test_process(void **state)
{
	struct rollup roll = {0};
	struct zsblk_memory m;

	open_new("anon", 2 << 20);
	fill(0, BLOCKS);
	/* Background threads may still be at work: a sum counts if it was the same before and after the system was asked. */
	for (unsigned looks = 0; looks < 250; looks++) {
		m = expect_exact();
		roll = roll_up();
		if (look().segment == m.segment && m.files <= roll.rss - roll.anonymous + lateness())
			break;
	}
	assert_in_range(m.total, roll.rss + roll.swap - lateness(), roll.rss + roll.swap + lateness());
	assert_in_range(m.files, 4096, roll.rss - roll.anonymous + lateness());
	assert_true(m.page_tables >= m.segment / 512);
	assert_true(m.process > 4096);
	assert_true(m.stripes >= 256 * 64);
	/* 4 contexts, each with two blocks and its histograms. */
	assert_true(m.contexts >= 4 * sizeof(struct context));
	zsblk_close(dev);
}

static void test_self(void **state)
{
	struct self_memory before, after;
	size_t bytes = 32 << 20;
	uint8_t *mem = segment_private_map(bytes);

	must(mem && self_memory(&before) == 0);
	assert_int_equal(segment_private_resident(mem, bytes), 0);
	must(segment_private_populate(mem, bytes) == 0);
	assert_int_equal(segment_private_resident(mem, bytes), bytes);
	assert_int_equal(segment_private_resident(NULL, bytes), 0);
	must(self_memory(&after) == 0);
	assert_in_range(after.anon - before.anon, bytes - lateness(), bytes + lateness());
	assert_true(after.file > 0 && after.page_tables >= bytes / 512);
	segment_private_unmap(mem, bytes);
	assert_int_equal(segment_private_resident(mem, bytes), 0);
}

static void test_contexts(void **state)
{
	uint64_t lz4, zstd;

	open_new("anon", 0);
	lz4 = look().contexts;
	assert_int_equal(zsblk_set_algorithm(dev, "zstd", true, 9, NULL), 0);
	zstd = look().contexts;
	assert_true(zstd > lz4);
	/* While a change is under way the last figure has to do, and nobody waits. */
	pthread_mutex_lock(&dev->change_lock);
	assert_int_equal(look().contexts, zstd);
	pthread_mutex_unlock(&dev->change_lock);
	zsblk_close(dev);
	/* There is one even if nobody has looked before. */
	open_new("anon", 0);
	pthread_mutex_lock(&dev->change_lock);
	assert_int_equal(look().contexts, lz4);
	pthread_mutex_unlock(&dev->change_lock);
	zsblk_close(dev);
}

/* ------------------------------------------------------------------ beside requests */

enum { THREADS = 3 };

static _Atomic unsigned at_work;

static void *work(void *opaque)
{
	uint64_t random = (uintptr_t)opaque;

	for (unsigned i = 0; i < 6000; i++) {
		uint64_t block = random_next(&random) % 4000;

		if (i % 3)
			device_put(dev, block, (enum block_kind)(i % BLOCK_KINDS), i);
		else
			must(zsblk_discard(dev, 16 * BLOCK_BYTES, block * BLOCK_BYTES) == 0);
	}
	at_work--;
	return NULL;
}

static void test_under_load(void **state)
{
	pthread_t threads[THREADS];

	open_new("anon", 1 << 20);
	at_work = THREADS;
	for (uintptr_t i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
	while (at_work) {
		(void)look();
		sched_yield();
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	expect_exact();
	device_ok(dev);
	zsblk_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anonymous), cmocka_unit_test(test_anonymous_with_reserve),
		cmocka_unit_test(test_shared),    cmocka_unit_test(test_rest),
		cmocka_unit_test(test_process),   cmocka_unit_test(test_self),
		cmocka_unit_test(test_contexts),  cmocka_unit_test(test_under_load),
	};

	if (advice_is_ignored()) {
		puts("1..0 # SKIP an emulator does not tell what is in memory");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment of format 1, as the last build that made such segments left it when it was killed (tests/format1): it is opened, used
 * as it is, and carried over when it is resized, and every block is right all the time.
 */
#include "format1/format1.h"
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "process/system_page.h"
#include "segment/format.h"

#include <sys/mman.h>
#include <zstd.h>

#define BLOCKS (FORMAT1_BLOCKS + 1) /* the last one was being written when the process was killed */

static const struct test_shm *shm;
static struct zsblk_params params;

static uint8_t *read_record(size_t *bytes)
{
	const char *path = getenv("ZSBLK_FORMAT1_RECORD");
	FILE *f = fopen(path ? path : FORMAT1_RECORD, "rb");
	size_t room = 1 << 20, got;
	uint8_t *packed = malloc(room), *record;

	must(f && packed);
	got = fread(packed, 1, room, f);
	must(got > 0 && got < room && fclose(f) == 0);
	*bytes = (size_t)ZSTD_getFrameContentSize(packed, got);
	record = malloc(*bytes);
	must(record && ZSTD_decompress(record, *bytes, packed, got) == *bytes);
	free(packed);
	return record;
}

static uint64_t take_number(const uint8_t **at)
{
	uint64_t number;

	memcpy(&number, *at, 8);
	*at += 8;
	return number;
}

/* The segment as it was when its process was gone. */
static int set_up(void **state)
{
	size_t len;
	uint8_t *record = read_record(&len), *mem;
	const uint8_t *at = record;
	uint64_t bytes = take_number(&at), pages;

	take_number(&at);
	pages = take_number(&at);
	shm = test_shm_new();
	must(shmget(shm->key, bytes, IPC_CREAT | SHM_NORESERVE | 0600) >= 0);
	mem = test_shm_map(shm, NULL);
	madvise(mem, bytes, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t page = take_number(&at);

		memcpy(mem + page * FORMAT1_PAGE, at, FORMAT1_PAGE);
		at += FORMAT1_PAGE;
	}
	must(at == record + len);
	/* Another process may have its number by now; it is not the holder all the same. */
	shmdt(mem);
	free(record);
	params = device_params(BLOCKS);
	params.memory = shm->memory;
	return 0;
}

static int tear_down(void **state)
{
	test_shm_remove(shm);
	return 0;
}

static struct super_layout layout_now(void)
{
	struct segment seg = {.kind = SEGMENT_SHM};
	struct super_layout layout;
	char why[200];

	seg.base = test_shm_map(shm, &seg.bytes);
	if (super_read(&seg, &layout, why, sizeof why))
		fail_msg("%s", why);
	shmdt(seg.base);
	return layout;
}

/* All that was written then, below `end`. */
static void expect_blocks(struct zsblk *dev, uint64_t end)
{
	uint8_t want[FORMAT1_PAGE], got[FORMAT1_PAGE];

	for (uint64_t block = 0; block < end && block < FORMAT1_BLOCKS; block++) {
		format1_block(block, want);
		must(zsblk_read(dev, got, sizeof got, block * FORMAT1_PAGE) == 0);
		if (memcmp(want, got, sizeof got) != 0)
			fail_msg("block %u is wrong", (unsigned)block);
	}
}

/* On a system whose pages are larger than those of the build that made it, it cannot be used. */
static bool can_be_used(void)
{
	return layout_now().pool_offset % system_page() == 0;
}

static void test_found(void **state)
{
	struct zsblk_segment found;
	struct zsblk_why why = {""};

	assert_int_equal(zsblk_inspect(shm->memory, &found, &why), 0);
	assert_int_equal(found.size, BLOCKS * FORMAT1_PAGE);
	assert_int_equal(found.max_size, found.size);
	assert_int_equal(found.holder, 0);
	assert_false(found.in_service);
}

/* It is not carried over before that is needed: the build that made it can go on with it, when ours is killed. */
static void test_stays_format_1(void **state)
{
	uint8_t before[SEGMENT_PAGE], *mem;
	struct zsblk *dev;

	if (!can_be_used())
		return;
	mem = test_shm_map(shm, NULL);
	memcpy(before, mem, sizeof before);
	dev = device_open(&params);
	device_ok(dev);
	expect_blocks(dev, BLOCKS);
	for (uint64_t block = 0; block < BLOCKS; block += 3)
		device_put(dev, block, block % BLOCK_KINDS, block);
	must(zsblk_discard(dev, 100 * FORMAT1_PAGE, 200 * FORMAT1_PAGE) == 0);
	zsblk_compact(dev);
	device_ok(dev);
	zsblk_close(dev);
	assert_int_equal(layout_now().version, 1);
	/* The claim is given back, and a server has been in service: where format 1 has nothing. */
	memset(before + offsetof(struct super, state.claim), 0, 8);
	memset(mem + offsetof(struct super, state.in_service), 0, 8);
	assert_memory_equal(mem, before, sizeof before);
	shmdt(mem);
	dev = device_open(&params);
	device_ok(dev);
	for (uint64_t block = 0; block < BLOCKS; block += 3)
		assert_true(block >= 200 && block < 300 ? device_has(dev, block, BLOCK_ZERO, 0)
							: device_has(dev, block, block % BLOCK_KINDS, block));
	zsblk_close(dev);
}

static void test_carried_over(void **state)
{
	struct zsblk_why why = {""};
	struct zsblk *dev;

	if (!can_be_used())
		return;
	dev = device_open(&params);
	/* It cannot grow: it was made with a table for its size. */
	assert_int_equal(zsblk_resize(dev, (BLOCKS + 1) * FORMAT1_PAGE, &why), -EINVAL);
	assert_int_equal(layout_now().version, 1);
	assert_int_equal(zsblk_resize(dev, 100 * FORMAT1_PAGE, &why), -ENOTEMPTY);
	assert_int_equal(layout_now().version, 1);
	must(zsblk_discard(dev, (BLOCKS - 700) * FORMAT1_PAGE, 700 * FORMAT1_PAGE) == 0);
	assert_int_equal(zsblk_resize(dev, 700 * FORMAT1_PAGE, &why), 0);
	assert_int_equal(layout_now().version, SUPER_VERSION);
	device_ok(dev);
	expect_blocks(dev, 700);
	zsblk_close(dev);
	params.size = 700 * FORMAT1_PAGE;
	dev = device_open(&params);
	device_ok(dev);
	expect_blocks(dev, 700);
	/* And back to what it was. */
	assert_int_equal(zsblk_resize(dev, BLOCKS * FORMAT1_PAGE, &why), 0);
	device_put(dev, BLOCKS - 1, BLOCK_NOISE, 1);
	device_ok(dev);
	zsblk_close(dev);
}

/* Marks, and what was tried, have no place in format 1. */
static void test_recompressed(void **state)
{
	const struct zsblk_recompress what = {.algorithm = "zstd"};
	struct zsblk_recompress_figures figures = {0};
	struct zsblk_recompression *job;
	struct zsblk *dev;
	bool more = true;

	if (!can_be_used())
		return;
	dev = device_open(&params);
	must(zsblk_recompress_begin(dev, &what, &job, NULL) == 0);
	assert_int_equal(layout_now().version, SUPER_VERSION);
	while (more)
		must(zsblk_recompress_step(job, &figures, &more) == 0);
	zsblk_recompress_end(job);
	assert_true(figures.recompressed > 0);
	device_ok(dev);
	expect_blocks(dev, BLOCKS);
	zsblk_close(dev);
	dev = device_open(&params);
	device_ok(dev);
	expect_blocks(dev, BLOCKS);
	zsblk_close(dev);
}

static void resize_and_go_on(void *opaque)
{
	struct zsblk *dev = device_open(&params);

	must(zsblk_discard(dev, (BLOCKS - 700) * FORMAT1_PAGE, 700 * FORMAT1_PAGE) == 0);
	for (uint64_t blocks = 700;; blocks = blocks == 700 ? BLOCKS : 700)
		must(zsblk_resize(dev, blocks * FORMAT1_PAGE, NULL) == 0);
}

/* Killed while it is opened, carried over, and resized. */
static void test_killed_meanwhile(void **state)
{
	unsigned carried = 0, rounds = test_amount(150);

	if (!can_be_used())
		return;
	/* On a slow machine it takes longer until anything is carried over. */
	for (unsigned i = 0; i < rounds || (!carried && i < 10 * rounds); i++) {
		struct zsblk_segment found;
		struct zsblk *dev;
		bool is_carried;
		pid_t pid = fork();

		if (pid == 0)
			resize_and_go_on(NULL);
		usleep((300 + i * 97 % 12000) << (i / rounds));
		kill(pid, SIGKILL);
		must(waitpid(pid, NULL, 0) == pid);
		must(zsblk_inspect(shm->memory, &found, NULL) == 0);
		is_carried = layout_now().version == SUPER_VERSION;
		carried += is_carried;
		assert_true(found.size == 700 * FORMAT1_PAGE || found.size == BLOCKS * FORMAT1_PAGE);
		params.size = found.size;
		dev = device_open(&params);
		device_ok(dev);
		expect_blocks(dev, 700);
		zsblk_close(dev);
		if (is_carried) {
			tear_down(NULL);
			set_up(NULL);
		}
		params.size = BLOCKS * FORMAT1_PAGE;
	}
	assert_true(carried > 0);
}

static void test_large_pages(void **state)
{
	struct zsblk_why why = {""};
	struct zsblk *dev;

	if (can_be_used())
		return;
	assert_int_equal(zsblk_open(&params, &dev, &why), -EINVAL);
	assert_non_null(strstr(why.text, "in the middle of a page"));
}

int main(void)
{
#define WITH_RECORD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_RECORD(test_found),        WITH_RECORD(test_stays_format_1),   WITH_RECORD(test_carried_over),
		WITH_RECORD(test_recompressed), WITH_RECORD(test_killed_meanwhile), WITH_RECORD(test_large_pages),
	};

	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) {
		puts("1..0 # SKIP the record was made on a machine of the other byte order");
		return 0;
	}
	return cmocka_run_group_tests_name("format1", tests, NULL, NULL);
}

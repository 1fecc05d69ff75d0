/* SPDX-License-Identifier: BSD-3-Clause */
/* Recompression: which blocks, what is kept, what is not tried again, writes in between, failures. */
#include "lib/recompress.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/recompress.h"
#include "segment/format.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 3000u

static int set_up(void **state)
{
	return fixture_open(BLOCKS);
}

static int tear_down(void **state)
{
	device_ok(dev);
	return fixture_close(state);
}

static struct zsblk_block look(uint64_t block)
{
	struct zsblk_block found;
	uint64_t next;

	assert_int_equal(zsblk_blocks(dev, block, &found, 1, &next), 1);
	assert_int_equal(found.block, block);
	return found;
}

/* A hundred blocks that compress, and as many of each kind that is stored raw; some that are same-filled. */
static void fill(void)
{
	for (unsigned i = 0; i < 100; i++) {
		device_put(dev, i, BLOCK_TEXT, i);
		put_nibbles(100 + i);
		device_put(dev, 200 + i, BLOCK_NOISE, i);
		device_put(dev, 300 + i, i % 2 ? BLOCK_SAME32 : BLOCK_SAME64, i);
	}
}

static void compare(void)
{
	for (unsigned i = 0; i < 100; i++) {
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
		assert_true(has_nibbles(100 + i));
		assert_true(device_has(dev, 200 + i, BLOCK_NOISE, i));
		assert_true(device_has(dev, 300 + i, i % 2 ? BLOCK_SAME32 : BLOCK_SAME64, i));
	}
	device_ok(dev);
}

static void test_gains(void **state)
{
	struct zsblk_recompress_figures figures;
	struct zsblk_stats before, after;

	fill();
	before = device_stats(dev);
	assert_int_equal(before.huge_pages, 200);
	figures = recompress(all);
	after = device_stats(dev);
	assert_int_equal(figures.done, BLOCKS);
	assert_int_equal(figures.total, BLOCKS);
	assert_int_equal(figures.tried, 300);
	assert_true(figures.recompressed >= 100 && figures.recompressed <= 200);
	assert_int_equal(figures.failed, 0);
	assert_int_equal(figures.bytes_saved, before.compr_data_size - after.compr_data_size);
	assert_int_equal(after.recompressed, figures.recompressed);
	assert_int_equal(after.recompress_saved, figures.bytes_saved);
	assert_int_equal(after.huge_pages, 100);
	assert_int_equal(after.huge_pages_since, 200);
	assert_int_equal(after.blocks_stored, before.blocks_stored);
	assert_int_equal(after.same_pages, 100);
	assert_true(after.mem_used_total < before.mem_used_total);
	assert_string_equal(look(100).algorithm, "zstd");
	assert_true(look(100).tried && look(200).tried);
	assert_int_equal(look(200).state, ZSBLK_BLOCK_RAW);
	compare();
	/* Writes are compressed as before. */
	device_put(dev, 0, BLOCK_TEXT, 0);
	assert_string_equal(look(0).algorithm, "lz4");
	assert_false(look(0).tried);
	compare();
}

static void test_types(void **state)
{
	struct zsblk_recompress what = {.type = ZSBLK_RECOMPRESS_IDLE};
	uint8_t block[BLOCK_BYTES];
	uint64_t marked;

	fill();
	assert_int_equal(recompress(what).tried, 0);
	assert_int_equal(zsblk_mark_idle(dev, 0, &marked), 0);
	/* Two of each kind were used since. */
	for (unsigned i = 0; i < 300; i += 50)
		must(zsblk_read(dev, block, 1, AT(i)) == 0);
	what.type = ZSBLK_RECOMPRESS_HUGE_IDLE;
	assert_int_equal(recompress(what).tried, 196);
	what.type = ZSBLK_RECOMPRESS_HUGE;
	assert_int_equal(recompress(what).tried, 4);
	assert_int_equal(device_stats(dev).huge_pages, 100);
	what.type = ZSBLK_RECOMPRESS_IDLE;
	assert_int_equal(recompress(what).tried, 98);
	/* It is no access. */
	assert_true(look(1).idle && look(101).idle);
	assert_int_equal(recompress(all).tried, 2);
	compare();
}

static void test_bounds(void **state)
{
	struct zsblk_recompress_figures figures;

	fill();
	figures = recompress((struct zsblk_recompress){.threshold = BLOCK_BYTES, .max_pages = 30});
	assert_int_equal(figures.tried, 30);
	assert_int_equal(figures.recompressed, 30);
	assert_int_equal(figures.done, 130);
	figures = recompress((struct zsblk_recompress){.threshold = BLOCK_BYTES});
	assert_int_equal(figures.tried, 170);
	assert_int_equal(figures.recompressed, 70);
	assert_string_equal(look(0).algorithm, "lz4");
	compare();
}

/* What gained nothing, and what was recompressed, is not tried again. */
static void test_tried(void **state)
{
	struct zsblk_recompress zstd = {.algorithm = "zstd", .has_level = true, .level = 3};

	zsblk_close(dev);
	params.memory = test_shm_new()->memory;
	dev = device_open(&params);
	fill();
	assert_int_equal(recompress(zstd).tried, 300);
	assert_int_equal(recompress(zstd).tried, 0);
	zstd.level = 1;
	assert_int_equal(recompress(zstd).tried, 0);
	/* Level 0 is level 3. */
	zstd.level = 0;
	assert_int_equal(recompress(zstd).tried, 0);
	assert_int_equal(recompress((struct zsblk_recompress){.algorithm = "lz4hc"}).tried, 0);
	assert_int_equal(recompress((struct zsblk_recompress){.algorithm = "lz4", .has_level = true, .level = 9}).tried,
			 0);
	/* A block that is written is another one; one that is moved is not. */
	device_put(dev, 250, BLOCK_NOISE, 50);
	zsblk_compact(dev);
	assert_int_equal(recompress(zstd).tried, 1);
	zsblk_close(dev);
	dev = device_open(&params);
	zstd.level = 3;
	assert_int_equal(recompress(zstd).tried, 0);
	/* More may gain more. */
	zstd.level = 9;
	assert_int_equal(recompress(zstd).tried, 300);
	assert_int_equal(recompress(zstd).tried, 0);
	zstd.level = 3;
	assert_int_equal(recompress(zstd).tried, 0);
	compare();
	/* A hint that names nothing: all is tried again. */
	super_of(&dev->seg)->state.tried_with = UINT64_MAX;
	assert_int_equal(recompress(zstd).tried, 300);
	compare();
}

/* Of a weaker algorithm the bits are forgotten before the hint is changed, so a kill in between leaves what is right. */
static void test_forgetting(void **state)
{
	struct zsblk_recompression *job;
	struct zsblk_recompress_figures figures;
	struct zsblk_recompress stronger = {.has_level = true, .level = 9};
	uint64_t hint;
	bool more;

	zsblk_close(dev);
	params.size = AT(20000);
	dev = device_open(&params);
	for (unsigned i = 0; i < 20000; i += 1000)
		device_put(dev, i, BLOCK_NOISE, i);
	for (unsigned i = 0; i < 20000; i += 512)
		device_put(dev, i | 1, BLOCK_SAME32, i);
	assert_int_equal(recompress(all).tried, 20);
	hint = *super_tried_with(&dev->seg, &dev->layout);
	job = begin(&stronger);
	must(zsblk_recompress_step(job, &figures, &more) == 0);
	assert_true(more && figures.done == 0);
	assert_false(look(0).tried);
	assert_true(look(19000).tried);
	assert_int_equal(*super_tried_with(&dev->seg, &dev->layout), hint);
	zsblk_recompress_end(job);
	/* Given up: those whose bit is left are not tried again, by the weaker one. */
	figures = recompress(all);
	assert_true(figures.tried > 0 && figures.tried < 20);
	assert_int_equal(recompress(stronger).tried, 20);
	/* What the weaker one tries now says nothing about the stronger one, which the hint names. */
	device_put(dev, 0, BLOCK_NOISE, 1);
	assert_int_equal(recompress(all).tried, 1);
	assert_int_equal(recompress(stronger).tried, 1);
}

/* Something happens to a block while it is worked on. */
static void test_in_between(void **state)
{
	struct rework *work = aligned_alloc(64, sizeof *work);
	uint64_t word, new;

	for (unsigned what = 0; what < 5; what++) {
		uint64_t block = 10 + what;

		put_nibbles(block);
		word = table_load(&dev->table, block);
		assert_true(rework_begin(dev, work, block, word));
		/* One worker at a time. */
		assert_false(rework_begin(dev, work, block, word_mark(word)));
		assert_false(rework_begin(dev, work, block, word));
		must(sector_store_smaller(dev, block, word, CODEC_LZ4, work->bytes, 100, 0, &new) == 0);
		if (what == 0) {
			/* Twice, so that the block has its page again, with other contents. */
			device_put(dev, block, BLOCK_NOISE, 1);
			device_put(dev, block, BLOCK_NOISE, 2);
		} else if (what == 1) {
			must(zsblk_discard(dev, BLOCK_BYTES, AT(block)) == 0);
		} else if (what == 2) {
			must(zsblk_write(dev, "x", 1, AT(block)) == 0);
		} else if (what == 3) {
			rework_give_up(dev, work, true);
			assert_true(look(block).tried);
		}
		if (what == 4) {
			rework_give_up(dev, work, false);
			assert_int_equal(table_load(&dev->table, block), word);
		}
		assert_false(rework_finish(dev, work, &dev->recompressed, new));
		/* Giving up when something has happened changes nothing. */
		word = table_load(&dev->table, block);
		rework_give_up(dev, work, true);
		assert_int_equal(table_load(&dev->table, block), word);
		device_ok(dev);
	}
	assert_true(device_has(dev, 10, BLOCK_NOISE, 2));
	assert_true(device_has(dev, 11, BLOCK_ZERO, 0));
	assert_true(has_nibbles(13) && has_nibbles(14));
	free(work);
}

/* To forget what was tried is a change of the word as well: a worker finds the mark gone, and leaves none behind. */
static void test_forgotten_in_between(void **state)
{
	struct rework *work = aligned_alloc(64, sizeof *work);
	uint64_t word;

	device_put(dev, 5, BLOCK_NOISE, 5);
	recompress(all);
	word = table_load(&dev->table, 5);
	assert_true(word_tried(word));
	assert_true(rework_begin(dev, work, 5, word));
	sector_forget_tried(dev, 5);
	rework_give_up(dev, work, true);
	assert_false(word_is_marked(table_load(&dev->table, 5)));
	assert_false(word_tried(table_load(&dev->table, 5)));
	free(work);
}

static atomic_bool stop;

static void *write_all_the_time(void *opaque)
{
	uint64_t random = (uintptr_t)opaque, first = (uintptr_t)opaque * 1000;

	while (!atomic_load(&stop)) {
		uint64_t block = first + random_below(&random, 500);

		if (random_below(&random, 2)) {
			device_put(dev, block, BLOCK_TEXT, random);
			must(device_has(dev, block, BLOCK_TEXT, random));
		} else {
			put_nibbles(block);
			must(has_nibbles(block));
		}
	}
	return NULL;
}

static void test_beside_writers(void **state)
{
	struct zsblk_recompress what = {.algorithm = "zstd", .has_level = true};
	pthread_t threads[2];

	for (unsigned i = 0; i < 500; i++)
		put_nibbles(i);
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < 2; i++)
		must(pthread_create(&threads[i], NULL, write_all_the_time, (void *)(i + 1)) == 0);
	for (unsigned i = 0; i < test_amount(40); i++) {
		what.level = (int)(i % 5);
		recompress(what);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		must(pthread_join(threads[i], NULL) == 0);
	for (unsigned i = 0; i < 500; i++)
		assert_true(has_nibbles(i));
	assert_true(device_stats(dev).recompressed > 500);
}

/* Allocations fail: some blocks stay as they are. */
static void test_no_memory(void **state)
{
	struct zsblk_recompress_figures figures;

	fill();
	for (unsigned every = 1; every < 8; every++) {
		zs_core_inject_failures(zsblk_pool(dev), every);
		figures = recompress((struct zsblk_recompress){.has_level = true, .level = (int)every});
		assert_true(figures.failed + figures.recompressed <= figures.tried);
		zs_core_inject_failures(zsblk_pool(dev), 0);
		compare();
	}
	recompress((struct zsblk_recompress){.has_level = true, .level = 9});
	assert_int_equal(device_stats(dev).huge_pages, 100);
	compare();
}

/* ------------------------------------------------------------------ codecs that fail */

static size_t compress_nothing(void *cctx, int level, const void *src, size_t len, void *dst, size_t cap)
{
	return 0;
}

static void test_codec_fails(void **state)
{
	struct zsblk_recompression *job = begin(&all);
	struct codec broken = *job->encoder.codec;

	fill();
	broken.compress = compress_nothing;
	job->encoder.codec = &broken;
	assert_int_equal(finish(job).recompressed, 0);
	compare();
}

/* A damaged object stays what it is, and so do all others. */
static void test_damaged(void **state)
{
	struct zsblk_recompress_figures figures;
	uint8_t data[BLOCK_BYTES], *object;
	uint64_t word;

	fill();
	word = table_load(&dev->table, 50);
	object = zs_core_address(dev->core, sector_loc(dev, word));
	memset(object, 0xff, sector_object_bytes(word));
	figures = recompress(all);
	assert_int_equal(figures.failed, 1);
	assert_int_equal(table_load(&dev->table, 50), word);
	assert_int_equal(zsblk_read(dev, data, BLOCK_BYTES, AT(50)), -EIO);
	device_put(dev, 50, BLOCK_TEXT, 50);
	compare();
}

static void test_refused(void **state)
{
	struct zsblk_recompression *job = begin(&all), *other;
	struct zsblk_recompress what = {.type = (enum zsblk_recompress_type)4};

	assert_int_equal(zsblk_recompress_begin(dev, &all, &other, &why), -EBUSY);
	assert_null(other);
	assert_non_null(strstr(why.text, "being recompressed"));
	zsblk_recompress_end(job);
	assert_int_equal(zsblk_recompress_begin(dev, &what, &other, &why), -EINVAL);
	assert_non_null(strstr(why.text, "type=4"));
	what = (struct zsblk_recompress){.threshold = BLOCK_BYTES + 1};
	assert_int_equal(zsblk_recompress_begin(dev, &what, &other, &why), -EINVAL);
	assert_non_null(strstr(why.text, "threshold=4097"));
	what = (struct zsblk_recompress){.algorithm = "lzo"};
	assert_int_equal(zsblk_recompress_begin(dev, &what, &other, &why), -EINVAL);
	assert_non_null(strstr(why.text, "algorithm=lzo"));
	what = (struct zsblk_recompress){.has_level = true, .level = 1000};
	assert_int_equal(zsblk_recompress_begin(dev, &what, &other, &why), -EINVAL);
	assert_non_null(strstr(why.text, "level=1000"));
	zsblk_recompress_end(NULL);
	/* Ended before it began to work. */
	zsblk_recompress_end(begin(&all));
}

static bool interrupted(void)
{
	return true;
}

/* No memory for it: nothing is left behind. */
static void test_cannot_begin(void **state)
{
	struct zsblk_recompression *job;

	fill();
	dev->interrupted = interrupted;
	assert_int_equal(zsblk_recompress_begin(dev, &all, &job, &why), -EINTR);
	assert_null(job);
	assert_non_null(strstr(why.text, "told to stop"));
	assert_null(dev->recompression);
	dev->interrupted = NULL;
	assert_int_equal(recompress(all).tried, 300);
	compare();
}

/* A smaller device, an empty one, and a check between two steps. */
static void test_beside_others(void **state)
{
	struct zsblk_recompress_figures figures;
	struct zsblk_recompression *job;
	bool more = true;

	fill();
	job = begin(&all);
	for (unsigned i = 0; i < 250; i++) {
		must(zsblk_recompress_step(job, &figures, &more) == 0);
		device_ok(dev);
	}
	must(zsblk_discard(dev, AT(BLOCKS), 0) == 0);
	must(zsblk_resize(dev, AT(100), NULL) == 0);
	must(zsblk_recompress_step(job, &figures, &more) == 0);
	assert_false(more);
	assert_int_equal(figures.done, 100);
	assert_int_equal(figures.total, 100);
	zsblk_recompress_end(job);
	assert_int_equal(recompress(all).tried, 0);
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_gains),
		WITH_DEVICE(test_types),
		WITH_DEVICE(test_bounds),
		WITH_DEVICE(test_tried),
		WITH_DEVICE(test_forgetting),
		WITH_DEVICE(test_in_between),
		WITH_DEVICE(test_beside_writers),
		WITH_DEVICE(test_no_memory),
		WITH_DEVICE(test_codec_fails),
		WITH_DEVICE(test_damaged),
		WITH_DEVICE(test_refused),
		WITH_DEVICE(test_beside_others),
		WITH_DEVICE(test_forgotten_in_between),
		WITH_DEVICE(test_cannot_begin),
	};

	return cmocka_run_group_tests_name("recompress", tests, NULL, NULL);
}

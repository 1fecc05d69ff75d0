/* SPDX-License-Identifier: BSD-3-Clause */
/* The account of buckets: notes, takes, drops, readers, and what is chosen for cleaning and discards. */
#include "lib/test.h"

#include "spill/bucket.h"
#include "spill/object.h"

#include <errno.h>

#define MIB   (UINT64_C(1) << 20)
#define UNITS (MIB / SPILL_UNIT)

static struct spill_buckets buckets;

static int set_up(void **state)
{
	return spill_buckets_init(&buckets, 8 * MIB + 12345);
}

static int tear_down(void **state)
{
	bool valid = spill_buckets_are_valid(&buckets);

	spill_buckets_free(&buckets);
	return !valid;
}

static void test_places(void **state)
{
	assert_int_equal(buckets.count, 8);
	assert_null(spill_bucket_of(&buckets, 0, 32));
	assert_null(spill_bucket_of(&buckets, UNITS - 1, 32));
	assert_ptr_equal(spill_bucket_of(&buckets, UNITS, 32), &buckets.of[1]);
	assert_ptr_equal(spill_bucket_of(&buckets, 2 * UNITS - 2, 32), &buckets.of[1]);
	assert_null(spill_bucket_of(&buckets, 2 * UNITS - 1, 32));
	assert_null(spill_bucket_of(&buckets, 8 * UNITS, 32));
	assert_null(spill_bucket_of(&buckets, UINT64_MAX, 32));
}

static void test_notes(void **state)
{
	assert_int_equal(spill_bucket_note(&buckets, 3 * UNITS + 6, 100), 0);
	assert_int_equal(buckets.of[3].state, SPILL_BUCKET_FULL);
	assert_int_equal(buckets.of[3].end, 4096);
	assert_int_equal(buckets.used, 2);
	assert_int_equal(spill_bucket_note(&buckets, 3 * UNITS, 0), -ERANGE);
	assert_int_equal(spill_bucket_note(&buckets, 3 * UNITS, SPILL_OBJECT_MOST + 1), -ERANGE);
	assert_int_equal(spill_bucket_note(&buckets, 4 * UNITS - 1, 1), -ERANGE);
	for (unsigned i = 0; i < 15; i++)
		assert_int_equal(spill_bucket_note(&buckets, 3 * UNITS, SPILL_OBJECT_MOST), 0);
	assert_int_equal(spill_bucket_note(&buckets, 3 * UNITS, SPILL_OBJECT_MOST), -EUCLEAN);
	spill_buckets_noted(&buckets, 6 * MIB + 1);
	/* 1, 2, 4, 5 and 6. */
	assert_int_equal(buckets.dirty, 5);
	assert_true(spill_buckets_are_valid(&buckets));
}

/* One bucket stays for cleaning, which gives back what it takes. */
static void test_takes(void **state)
{
	struct spill_bucket *first = spill_bucket_take(&buckets, false);

	assert_ptr_equal(first, &buckets.of[1]);
	for (unsigned i = 2; i < 7; i++)
		assert_ptr_equal(spill_bucket_take(&buckets, false), &buckets.of[i]);
	assert_null(spill_bucket_take(&buckets, false));
	assert_ptr_equal(spill_bucket_take(&buckets, true), &buckets.of[7]);
	assert_null(spill_bucket_take(&buckets, true));
	spill_bucket_set(&buckets, first, SPILL_BUCKET_FULL);
	assert_int_equal(first->state, SPILL_BUCKET_FREE);
	assert_ptr_equal(spill_bucket_take(&buckets, true), first);
	buckets.limit = 3;
	spill_bucket_set(&buckets, first, SPILL_BUCKET_FULL);
	assert_null(spill_bucket_take(&buckets, true));
}

/* A bucket with a reader is not used again, however empty it is. */
static void test_readers(void **state)
{
	struct spill_bucket *bucket = spill_bucket_take(&buckets, false);

	spill_bucket_add(&buckets, bucket, 1, spill_object_account(100));
	spill_bucket_extend(&buckets, bucket, 4096);
	spill_bucket_set(&buckets, bucket, SPILL_BUCKET_FULL);
	bucket->readers = 1;
	spill_bucket_subtract(&buckets, bucket, 1, spill_object_account(100));
	assert_int_equal(bucket->state, SPILL_BUCKET_FULL);
	bucket->readers = 0;
	spill_bucket_settle(&buckets, bucket);
	assert_int_equal(bucket->state, SPILL_BUCKET_FREE);
	assert_true(bucket->is_dirty);
	assert_int_equal(buckets.used_bytes, 0);
}

static void test_lost(void **state)
{
	struct spill_bucket *bucket = spill_bucket_take(&buckets, false);

	spill_bucket_add(&buckets, bucket, 1, 64);
	spill_bucket_set(&buckets, bucket, SPILL_BUCKET_LOST);
	spill_bucket_subtract(&buckets, bucket, 1, 64);
	assert_int_equal(bucket->state, SPILL_BUCKET_LOST);
	assert_int_equal(buckets.lost, 1);
	assert_ptr_equal(spill_bucket_take(&buckets, false), &buckets.of[2]);
}

static void fill(struct spill_bucket *bucket, uint32_t live)
{
	spill_bucket_add(&buckets, bucket, 1, live);
	spill_bucket_extend(&buckets, bucket, SPILL_BUCKET);
	spill_bucket_set(&buckets, bucket, SPILL_BUCKET_FULL);
}

static void test_worst(void **state)
{
	static const uint32_t live[] = {SPILL_BUCKET, 500000, 300000, 400000};

	assert_null(spill_bucket_worst(&buckets));
	for (unsigned i = 0; i < 4; i++)
		fill(spill_bucket_take(&buckets, false), live[i]);
	assert_ptr_equal(spill_bucket_worst(&buckets), &buckets.of[3]);
	buckets.of[3].is_left = true;
	assert_ptr_equal(spill_bucket_worst(&buckets), &buckets.of[4]);
	spill_bucket_set(&buckets, &buckets.of[4], SPILL_BUCKET_BUSY);
	assert_ptr_equal(spill_bucket_worst(&buckets), &buckets.of[2]);
	spill_bucket_set(&buckets, &buckets.of[4], SPILL_BUCKET_FULL);
}

/* The last dirty one lies before others. */
static void test_last_dirty(void **state)
{
	uint32_t count;

	fill(spill_bucket_take(&buckets, false), SPILL_BUCKET);
	fill(spill_bucket_take(&buckets, false), SPILL_BUCKET);
	spill_bucket_subtract(&buckets, &buckets.of[1], 1, SPILL_BUCKET);
	assert_ptr_equal(spill_buckets_dirty(&buckets, 64, &count), &buckets.of[1]);
	assert_int_equal(count, 1);
	spill_buckets_discarded(&buckets, &buckets.of[1], count, SPILL_BUCKET_FREE, false);
	assert_null(spill_buckets_dirty(&buckets, 64, &count));
}

static void test_discards(void **state)
{
	uint32_t count;

	assert_null(spill_buckets_dirty(&buckets, 64, &count));
	assert_int_equal(spill_bucket_note(&buckets, 3 * UNITS, 100), 0);
	spill_buckets_noted(&buckets, 8 * MIB);
	assert_ptr_equal(spill_buckets_dirty(&buckets, 64, &count), &buckets.of[1]);
	assert_int_equal(count, 2);
	assert_int_equal(buckets.of[2].state, SPILL_BUCKET_BUSY);
	/* While they are being discarded nothing is put there. */
	assert_ptr_equal(spill_bucket_take(&buckets, false), &buckets.of[4]);
	spill_buckets_discarded(&buckets, &buckets.of[1], 2, SPILL_BUCKET_FREE, false);
	assert_int_equal(buckets.of[1].state, SPILL_BUCKET_FREE);
	assert_true(spill_buckets_are_valid(&buckets));
	assert_ptr_equal(spill_buckets_dirty(&buckets, 2, &count), &buckets.of[5]);
	assert_int_equal(count, 2);
	spill_buckets_discarded(&buckets, &buckets.of[5], 2, SPILL_BUCKET_FREE, true);
	assert_int_equal(buckets.dirty, 3);
	assert_ptr_equal(spill_buckets_dirty(&buckets, 64, &count), &buckets.of[5]);
	assert_int_equal(count, 3);
	spill_buckets_discarded(&buckets, &buckets.of[5], 3, SPILL_BUCKET_LOST, false);
	assert_int_equal(buckets.lost, 3);
	assert_ptr_equal(spill_bucket_take(&buckets, false), &buckets.of[1]);
}

#define bucket_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		bucket_test(test_places),   bucket_test(test_notes),      bucket_test(test_takes),
		bucket_test(test_readers),  bucket_test(test_lost),       bucket_test(test_worst),
		bucket_test(test_discards), bucket_test(test_last_dirty),
	};

	return cmocka_run_group_tests_name("spill_bucket", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects as they lie in a store: what was written comes back, and anything else is refused. */
#include "lib/random.h"
#include "lib/test.h"

#include "spill/object.h"

#include <errno.h>
#include <sodium.h>

static uint8_t key[SPILL_KEY_BYTES], other_key[SPILL_KEY_BYTES];
static const struct spill_seal sealed = {key}, otherwise_sealed = {other_key}, plain = {NULL};
static uint8_t stored[SPILL_OBJECT_MOST + 200], copy[sizeof stored], bytes[SPILL_OBJECT_MOST];

static int set_up(void **state)
{
	uint64_t random = test_seed("spill_object");

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)random_next(&random);
	memset(key, 'k', sizeof key);
	memset(other_key, 'o', sizeof other_key);
	return sodium_init() < 0;
}

static void round_trip(const struct spill_seal *seal, size_t size, unsigned count)
{
	uint32_t numbers[SPILL_NUMBERS_MOST];
	struct spill_object object = {numbers, count, bytes, size};
	size_t all = spill_object_bytes(size, count);
	struct spill_found found;

	for (unsigned i = 0; i < count; i++)
		numbers[i] = UINT32_MAX - i;
	memset(stored, 0xee, sizeof stored);
	spill_object_encode(seal, 77, 123456789, &object, stored);
	assert_int_equal(stored[all], 0xee);
	assert_false(spill_object_is_none(stored));
	assert_int_equal(spill_object_decode(seal, 77, stored, all - 1, &found), -ENODATA);
	assert_int_equal(spill_object_decode(seal, 77, stored, all, &found), 0);
	assert_int_equal(found.size, size);
	assert_int_equal(found.count, count);
	assert_int_equal(found.stored, all);
	assert_int_equal(found.sequence, 123456789);
	assert_memory_equal(found.bytes, bytes, size);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(spill_found_number(&found, i), UINT32_MAX - i);
		assert_true(spill_found_has(&found, UINT32_MAX - i));
	}
	assert_false(spill_found_has(&found, 5));
}

static void test_round_trips(void **state)
{
	static const size_t sizes[] = {1, 2, 15, 16, 17, 700, 4095, 4096, 9600, 65535, 65536};

	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		for (unsigned count = 1; count <= SPILL_NUMBERS_MOST; count++) {
			round_trip(&sealed, sizes[i], count);
			round_trip(&plain, sizes[i], count);
		}
}

/* The overhead that docs/spill.md promises. */
static void test_overhead(void **state)
{
	for (size_t size = 1; size <= SPILL_OBJECT_MOST; size++) {
		assert_in_range(spill_object_bytes(size, 1) - size, 32, 47);
		assert_int_equal(spill_object_bytes(size, 1) % SPILL_UNIT, 0);
		assert_int_equal(spill_object_account(size), spill_object_account((size + 15) / 16 * 16));
	}
}

/* Any bit, another place, another key, without a key: none of it is taken for the object. */
static void test_forged(void **state)
{
	const struct spill_seal *seals[] = {&sealed, &plain};
	uint32_t numbers[] = {1, 2, 3};
	struct spill_object object = {numbers, 3, bytes, 45};
	size_t all = spill_object_bytes(45, 3), proven = SPILL_OBJECT_HEAD + 12 + 45;
	struct spill_found found;

	for (unsigned k = 0; k < 2; k++) {
		spill_object_encode(seals[k], 99, 5, &object, stored);
		for (size_t bit = 0; bit < proven * 8; bit++) {
			memcpy(copy, stored, all);
			copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_not_equal(spill_object_decode(seals[k], 99, copy, sizeof copy, &found), 0);
		}
		memcpy(copy, stored, all);
		assert_int_equal(spill_object_decode(seals[k], 98, copy, all, &found), -EBADMSG);
		memcpy(copy, stored, all);
		assert_int_equal(spill_object_decode(seals[!k], 99, copy, all, &found), -EBADMSG);
		memcpy(copy, stored, all);
		assert_int_equal(spill_object_decode(seals[k], 99, copy, all, &found), 0);
	}
	spill_object_encode(&sealed, 99, 5, &object, stored);
	assert_int_equal(spill_object_decode(&otherwise_sealed, 99, stored, all, &found), -EBADMSG);
}

/* The same object twice has nothing in common but its first bytes. */
static void test_says_nothing(void **state)
{
	uint32_t number = 1;
	struct spill_object object = {&number, 1, bytes, 4000};
	unsigned equal = 0;

	memset(bytes, 'a', 4000);
	spill_object_encode(&sealed, 1, 1, &object, stored);
	spill_object_encode(&sealed, 1, 2, &object, copy);
	for (size_t i = SPILL_OBJECT_HEAD; i < SPILL_OBJECT_HEAD + 4000; i++)
		equal += stored[i] == copy[i];
	assert_in_range(equal, 0, 80);
	assert_null(memmem(stored, sizeof stored, "aaaa", 4));
}

static void test_zeroes(void **state)
{
	struct spill_found found;

	memset(copy, 0, sizeof copy);
	assert_true(spill_object_is_none(copy));
	assert_int_equal(spill_object_decode(&sealed, 1, copy, sizeof copy, &found), -EBADMSG);
	assert_int_equal(spill_object_decode(&sealed, 1, copy, 0, &found), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),  cmocka_unit_test(test_overhead), cmocka_unit_test(test_forged),
		cmocka_unit_test(test_says_nothing), cmocka_unit_test(test_zeroes),
	};

	return cmocka_run_group_tests_name("spill_object", tests, set_up, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The ballast: given back when asked, taken back in pieces, shared with children. */
#include "lib/test.h"

#include "daemon/resources/ballast.h"

#define MIB (UINT64_C(1) << 20)

static struct ballast *make(size_t bytes)
{
	struct ballast *ballast;

	assert_int_equal(ballast_create(&ballast, bytes, true), 0);
	assert_int_equal(ballast_held(ballast), bytes);
	return ballast;
}

/* Resident shared memory of this process, in bytes. */
static uint64_t resident(void)
{
	unsigned long long all = 0, shared = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	int n = f ? fscanf(f, "%*u %llu %llu", &all, &shared) : 0;

	if (f)
		fclose(f);
	assert_int_equal(n, 2);
	return shared * 4096;
}

static void test_drop_and_refill(void **state)
{
	uint64_t before = resident();
	struct ballast *ballast = make(16 * MIB);

	assert_true(resident() >= before + 15 * MIB);
	ballast_drop(ballast, 4 * MIB);
	assert_int_equal(ballast_held(ballast), 12 * MIB);
	ballast_drop(ballast, SIZE_MAX);
	assert_int_equal(ballast_held(ballast), 0);
	assert_true(resident() < before + 4 * MIB);
	ballast_drop(ballast, SIZE_MAX);
	/* Where the tests run there is memory. */
	for (int i = 0; i < 1000 && ballast_refill(ballast); i++)
		;
	assert_int_equal(ballast_held(ballast), 16 * MIB);
	assert_false(ballast_refill(ballast));
	ballast_free(ballast);
}

/* Begun without, and filled when there is time. */
static void test_not_filled(void **state)
{
	uint64_t before = resident();
	struct ballast *ballast;

	assert_int_equal(ballast_create(&ballast, 8 * MIB, false), 0);
	assert_int_equal(ballast_held(ballast), 0);
	assert_true(resident() < before + MIB);
	for (int i = 0; i < 1000 && ballast_refill(ballast); i++)
		;
	assert_int_equal(ballast_held(ballast), 8 * MIB);
	ballast_free(ballast);
}

static void test_none(void **state)
{
	struct ballast *ballast = make(0);

	ballast_drop(ballast, MIB);
	assert_false(ballast_refill(ballast));
	ballast_free(ballast);
	ballast_free(NULL);
}

static void drop_in_child(void *opaque)
{
	ballast_drop(opaque, 3 * MIB);
	_exit(42);
}

/* What a child gave back is gone for all, and all know. */
static void test_shared(void **state)
{
	struct ballast *ballast = make(8 * MIB);

	assert_int_equal(WEXITSTATUS(test_in_child(drop_in_child, ballast)), 42);
	assert_int_equal(ballast_held(ballast), 5 * MIB);
	ballast_free(ballast);
}

/* Our own program and libraries will do; and again, in their place. */
static void test_files(void **state)
{
	struct ballast *ballast = make(0);
	FILE *f = fopen("/proc/self/maps", "r");
	static char maps[64 << 10];
	uint64_t before;

	/* In memory before it counts. */
	memset(maps, ' ', sizeof maps);
	before = resident();
	assert_non_null(f);
	maps[fread(maps, 1, sizeof maps - 1, f)] = '\0';
	fclose(f);
	ballast_hold_files(ballast, maps);
	assert_true(resident() > before);
	before = resident();
	ballast_hold_files(ballast, maps);
	assert_true(resident() <= before + MIB);
	ballast_hold_files(ballast, "");
	assert_true(resident() < before);
	ballast_free(ballast);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop_and_refill), cmocka_unit_test(test_not_filled), cmocka_unit_test(test_none),
		cmocka_unit_test(test_shared),          cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

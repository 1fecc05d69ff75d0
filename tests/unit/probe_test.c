/* SPDX-License-Identifier: BSD-3-Clause */
/* In which order blocks are probed. That servers are found to hang: tests/daemon. */
#include "lib/test.h"

#include "daemon/transport/nbd/probe.h"

/* Each block has its turn, whatever the size. */
static void test_stride(void **state)
{
	for (uint64_t blocks = 1; blocks <= 3000; blocks++) {
		uint64_t stride = probe_stride(blocks), block = stride % blocks, visited = 1;

		for (; block != 0; visited++)
			block = (block + stride) % blocks;
		assert_int_equal(visited, blocks);
	}
}

/* The next probe is far away from the one before. */
static void test_far(void **state)
{
	for (uint64_t blocks = 1000; blocks <= 1ull << 40; blocks = blocks * 3 + 1)
		assert_in_range(probe_stride(blocks), blocks / 2, blocks / 4 * 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stride),
		cmocka_unit_test(test_far),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}

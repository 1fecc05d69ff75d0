/* SPDX-License-Identifier: BSD-3-Clause */
/* Which size a device may be given while it is in use, and what people are told. */
#include "lib/test.h"

#include "daemon/resize.h"

#define MIB  (UINT64_C(1) << 20)
#define HERE .device = "/dev/nbd5", .has = 64 * MIB

static void test_cases(void **state)
{
	static const struct {
		struct resize_facts facts;
		bool may;
		const char *says;
	} cases[] = {
		{{HERE, .wanted = 128 * MIB}, true, ""},
		{{HERE, .wanted = 32 * MIB}, true, ""},
		{{HERE, .wanted = 64 * MIB, .is_swap = true}, true, ""},
		/* Growing takes nothing away from anybody. */
		{{HERE, .wanted = 128 * MIB, .is_swap = true}, true, ""},
		{{HERE, .wanted = 128 * MIB, .is_mounted = true}, true, ""},
		{{HERE, .wanted = 128 * MIB, .is_held = true}, true, ""},
		{{HERE, .wanted = 32 * MIB, .is_swap = true},
		 false,
		 "swapoff /dev/nbd5, resize it, mkswap /dev/nbd5, swapon --discard /dev/nbd5"},
		{{HERE, .wanted = 32 * MIB, .is_mounted = true}, false, "resize2fs"},
		{{HERE, .wanted = 32 * MIB, .is_held = true}, false, "take it out of use"},
		{{HERE, .wanted = 0}, false, "size=0 cannot be"},
		{{HERE, .wanted = 64 * MIB + 512}, false, "a multiple of 4096"},
		{{HERE, .wanted = 1ull << 45}, false, "up to 17592186044416"},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct wrong wrong = {""};
		bool may = resize_may(&cases[i].facts, &wrong);

		if (may != cases[i].may || !strstr(wrong.text, cases[i].says) || (may && wrong.text[0]))
			fail_msg("case %zu: %d, \"%s\"", i, may, wrong.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests_name("resize_may", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What zsblkctl init proposes, for machines of all kinds. tests/ctl has zsblkd take the result. */
#include "lib/test.h"

#include "ctl/init/proposal.h"

#define MIB (UINT64_C(1) << 20)

/* 48 MiB of six processes that lz4 and zstd compress to these. */
static struct proposal_facts machine(uint64_t lz4_mib, uint64_t zstd_mib, unsigned processors)
{
	return (struct proposal_facts){
		.pages = {.processes = 6, .bytes = 48 * MIB, .lz4_bytes = lz4_mib * MIB, .zstd_bytes = zstd_mib * MIB},
		.processors = processors,
		.highest_priority = -1,
	};
}

/* The text has each of these lines, up to NULL. */
static void expect(struct proposal_facts facts, const char *const lines[])
{
	char text[PROPOSAL_BYTES], line[200];

	proposal_write(text, &facts);
	assert_true(strlen(text) < PROPOSAL_BYTES - 200);
	for (; *lines; lines++) {
		snprintf(line, sizeof line, "\n%s\n", *lines);
		if (!strstr(text, line))
			fail_msg("there is no \"%s\" in:\n%s", *lines, text);
	}
}

static void test_algorithm(void **state)
{
	expect(machine(16, 12, 2), (const char *const[]){"algorithm = zstd(level=1)", "cold = yes", NULL});
	expect(machine(16, 13, 2), (const char *const[]){"# The quickest one; zstd would save less than a fifth here.",
							 "algorithm = lz4", NULL});
	expect(machine(16, 8, 1), (const char *const[]){"# The quickest one.", "algorithm = lz4", NULL});
}

static void test_size(void **state)
{
	/* A ratio of 4, 3, 1.5, and ratios at which a full device would be less or more than is sensible. */
	expect(machine(16, 12, 2), (const char *const[]){"size = ram * 2.00", "mem-limit = ram / 2", NULL});
	expect(machine(16, 16, 2), (const char *const[]){"size = ram * 1.50", NULL});
	expect(machine(32, 32, 2), (const char *const[]){"size = ram * 0.75", NULL});
	expect(machine(60, 60, 2), (const char *const[]){"size = ram * 0.50", NULL});
	expect(machine(1, 1, 2), (const char *const[]){"size = ram * 2.00", NULL});
	expect(machine(16, 12, 2),
	       (const char *const[]){
		       "# Measured: 48 MiB of 6 processes. Compressed they take 1/3.00 of that with lz4, and 1/4.00 with zstd.",
		       NULL});
}

static void test_priority(void **state)
{
	struct proposal_facts facts = machine(16, 16, 2);

	expect(facts, (const char *const[]){"swap-priority = 100", NULL});
	facts.highest_priority = 99;
	expect(facts, (const char *const[]){"swap-priority = 100", NULL});
	facts.highest_priority = 100;
	expect(facts, (const char *const[]){"# Above the other swap that there is now.", "swap-priority = 101", NULL});
	facts.highest_priority = 32767;
	expect(facts, (const char *const[]){"swap-priority = 32767", NULL});
}

static void test_nothing_measured(void **state)
{
	struct proposal_facts facts = {
		.pages = {.why_not = "there is no zsblk-bench"}, .processors = 1, .highest_priority = -1};
	char text[PROPOSAL_BYTES];

	expect(facts, (const char *const[]){"# Nothing was measured: there is no zsblk-bench.", "size = ram * 1.50",
					    "algorithm = lz4", NULL});
	proposal_write(text, &facts);
	assert_null(strstr(text, "cold"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithm),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_priority),
		cmocka_unit_test(test_nothing_measured),
	};

	return cmocka_run_group_tests_name("proposal", tests, NULL, NULL);
}

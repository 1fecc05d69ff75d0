/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory to spare: what /proc/zoneinfo says, and what it might say. */
#include "lib/files.h"
#include "lib/test.h"

#include "process/spare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A zone as the kernel prints it, with lines around those that matter. */
#define ZONE(name, free, min, low, protection)                                                                         \
	"Node 0, zone " name "\n  per-node stats\n      nr_free_pages 999999\n  pages free     " #free                 \
	"\n        boost    0\n        min      " #min "\n        low      " #low "\n        high     9999999\n"       \
	"        spanned  99999\n        protection: " protection "\n      nr_free_pages 999999\n  pagesets\n"         \
	"    cpu: 0\n              count:    99\n              high_min: 29\n"

static void test_watermarks(void **state)
{
	assert_true(spare_in_zones(ZONE("Normal", 1000, 100, 200, "(0, 0)"), false));
	assert_true(spare_in_zones(ZONE("Normal", 151, 100, 200, "(0, 0)"), false));
	/* Half-way between min and low is the end. */
	assert_false(spare_in_zones(ZONE("Normal", 150, 100, 200, "(0, 0)"), false));
	assert_false(spare_in_zones(ZONE("Normal", 0, 100, 200, "(0, 0)"), false));
}

static void test_realtime(void **state)
{
	/* A share of what is below min, and not all of it. */
	assert_true(spare_in_zones(ZONE("Normal", 1000, 800, 1000, "(0, 0)"), true));
	assert_true(spare_in_zones(ZONE("Normal", 701, 800, 1000, "(0, 0)"), true));
	assert_false(spare_in_zones(ZONE("Normal", 700, 800, 1000, "(0, 0)"), true));
	assert_false(spare_in_zones(ZONE("Normal", 800, 800, 1000, "(0, 101)"), true));
	assert_false(spare_in_zones(ZONE("Normal", 701, 800, 1000, "(0, 0)"), false));
}

static void test_protection(void **state)
{
	/* What a lower zone holds back for others cannot be had, whichever entry of the list says so. */
	assert_false(spare_in_zones(ZONE("DMA", 3840, 47, 58, "(0, 3019, 5323, 5323)"), false));
	assert_true(spare_in_zones(ZONE("DMA", 5400, 47, 58, "(0, 3019, 5323, 5323)"), false));
	assert_false(spare_in_zones(ZONE("DMA", 5300, 47, 58, "(5323)"), false));
}

static void test_any_zone_will_do(void **state)
{
	assert_true(spare_in_zones(ZONE("DMA", 10, 47, 58, "(0)") ZONE("DMA32", 900, 47, 58, "(0)")
					   ZONE("Normal", 10, 47, 58, "(0)"),
				   false));
	assert_true(spare_in_zones(ZONE("DMA", 10, 47, 58, "(0)") ZONE("Normal", 900, 47, 58, "(0)"), false));
	assert_false(spare_in_zones(ZONE("DMA", 50, 47, 58, "(0)") ZONE("DMA32", 50, 47, 58, "(0)"), false));
}

static void test_unknown_text(void **state)
{
	/* Where the system does not say, nothing is withheld. */
	assert_true(spare_in_zones("", false));
	assert_true(spare_in_zones("something else\nentirely", false));
	/* Zones without pages show no watermarks. */
	assert_false(spare_in_zones("Node 0, zone Movable\n" ZONE("DMA", 10, 47, 58, "(0)"), false));
	/* Cut short anywhere, a zone without memory to spare does not come to have some. */
	for (size_t len = strlen(ZONE("DMA", 1000, 47, 58, "(0, 3019)")); len >= strlen("Node "); len--) {
		char text[1024] = ZONE("DMA", 1000, 47, 58, "(0, 3019)");

		text[len] = '\0';
		assert_false(spare_in_zones(text, false));
	}
	/* As large as numbers get, and the wrong way round. */
	assert_false(spare_in_zones(ZONE("DMA", 1000, 18446744073709551615, 4000, "(0)"), true));
	assert_false(spare_in_zones(ZONE("DMA", 1000, 10, 20, "(18446744073709551615)"), false));
	assert_true(spare_in_zones(ZONE("DMA", 1000, 20, 10, "(0)"), false));
}

/* The bit that new threads do not inherit the class is no class, and SCHED_DEADLINE is one above the others. */
static void test_policies(void **state)
{
	assert_true(spare_is_realtime(1 /* SCHED_FIFO */));
	assert_true(spare_is_realtime(2 /* SCHED_RR */));
	assert_true(spare_is_realtime(6 /* SCHED_DEADLINE */));
	assert_true(spare_is_realtime(2 | 0x40000000 /* SCHED_RESET_ON_FORK */));
	assert_false(spare_is_realtime(0 | 0x40000000));
	assert_false(spare_is_realtime(0));
	assert_false(spare_is_realtime(3 /* SCHED_BATCH */));
	assert_false(spare_is_realtime(-1));
}

/* A control group of 96 MiB: the margin is 12 MiB. */
static void test_cgroup(void **state)
{
	char path[100], mounts[100], text[300];
	struct spare spare = {0};
	struct cgroup *cgroup;
	uint64_t limit;

	assert_int_equal(files_make(NULL), 0);
	files_put("cgroup", "0::/\n");
	snprintf(text, sizeof text, "31 23 0:27 / %s rw - cgroup2 none rw\n", files_top);
	files_put("mountinfo", text);
	files_put("memory.max", "100663296\n");
	files_put("memory.current", "0\n");
	files_put("memory.stat", "inactive_file 0\n");
	snprintf(path, sizeof path, "%s/cgroup", files_top);
	snprintf(mounts, sizeof mounts, "%s/mountinfo", files_top);
	cgroup = cgroup_open_from(path, mounts);
	assert_non_null(cgroup);
	spare_open(&spare, cgroup);
	assert_int_equal(spare_in_cgroup(&spare, &limit), 84 << 20);
	assert_int_equal(limit, 96 << 20);
	/* 13 MiB left, 11, 5. */
	files_put("memory.current", "87031808\n");
	assert_int_equal(spare_in_cgroup(&spare, &limit), 1 << 20);
	files_put("memory.current", "89128960\n");
	assert_int_equal(spare_in_cgroup(&spare, &limit), -(1 << 20));
	assert_false(spare_below_limits(&spare));
	files_put("memory.current", "95420416\n");
	assert_false(spare_below_limits(&spare));
	assert_false(spare_memory_for(&spare, true));
	/* Page cache that can be dropped is room. */
	files_put("memory.stat", "inactive_file 52428800\n");
	if (spare_memory_for(&spare, false))
		assert_int_equal(spare_in_cgroup(&spare, &limit), (96 - 91 + 50 - 12) << 20);
	files_put("memory.max", "max\n");
	assert_true(spare_in_cgroup(&spare, &limit) == INT64_MAX);
	assert_true(limit == CGROUP_NO_LIMIT);
	spare_close(&spare);
	cgroup_close(cgroup);
	assert_int_equal(files_remove(NULL), 0);
}

static void test_this_machine(void **state)
{
	struct spare spare = {0};

	spare_close(&spare);
	spare_open(&spare, NULL);
	/* Whatever it says, it says it again and again. */
	for (unsigned i = 0; i < 100; i++)
		(void)spare_memory(&spare);
	/* With no text, there is memory. */
	spare_close(&spare);
	assert_true(spare_memory(&spare));
	spare_close(&spare);
}

/* How much there is at most: what can be freed and paged out, never more than the machine has. */
static void test_available(void **state)
{
	const uint64_t kib = 1024;

	assert_int_equal(spare_in_meminfo("MemTotal:  8000 kB\nMemFree:  9 kB\nMemAvailable:  5000 kB\n"
					  "SwapCached: 7 kB\nSwapFree:  1000 kB\n"),
			 6000 * kib);
	assert_int_equal(spare_in_meminfo("MemTotal:  8000 kB\nMemAvailable:  5000 kB\nSwapFree:  9000 kB\n"),
			 8000 * kib);
	assert_int_equal(spare_in_meminfo("MemTotal:  8000 kB\nMemAvailable:  5000 kB\n"), 5000 * kib);
	assert_int_equal(spare_in_meminfo("MemTotal:  8000 kB\nMemFree:  9 kB\n"), 8000 * kib);
	/* Where the system does not say, nothing is refused. */
	assert_true(spare_in_meminfo("") == UINT64_MAX);
	assert_true(spare_in_meminfo("MemFree: 9 kB\n") == UINT64_MAX);
	assert_in_range(spare_available(), 1 << 20, UINT64_C(1) << 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_available),    cmocka_unit_test(test_policies),
		cmocka_unit_test(test_cgroup),       cmocka_unit_test(test_watermarks),
		cmocka_unit_test(test_protection),   cmocka_unit_test(test_any_zone_will_do),
		cmocka_unit_test(test_unknown_text), cmocka_unit_test(test_this_machine),
		cmocka_unit_test(test_realtime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

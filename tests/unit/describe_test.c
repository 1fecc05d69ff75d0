/* SPDX-License-Identifier: BSD-3-Clause */
/* A device in sentences: what servers and daemons answer, and what is said of it. */
#include "lib/test.h"

#include "ctl/describe.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1800000000

#define DESCRIPTION                                                                                                    \
	"\"version\": \"1.2.3\", \"pid\": 77, \"transport\": \"ublk\", \"size\": 4294967296, \"algorithm\": \"lz4\", \"lock\": \"yes\""
#define STATISTICS                                                                                                     \
	"\"orig_data_size\": 1073741824, \"mem_used_total\": 268435456, \"mem_used_max\": 268435456, \"same_pages\": 26215, \"huge_pages\": 100"

struct answers {
	const char *description, *statistics, *ages, *jobs, *cold, *daemon;
};

static struct json_object *parse(const char *text)
{
	struct json_object *object = text ? json_tokener_parse(text) : NULL;

	assert_true(!text || object);
	return object;
}

/* What is said, without its first line. The caller frees it. */
static char *say(struct describe_facts facts, const struct answers *answers)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	facts.name = "swap0";
	facts.now_s = NOW;
	facts.description = parse(answers->description);
	facts.statistics = parse(answers->statistics);
	facts.ages = parse(answers->ages);
	facts.jobs = parse(answers->jobs);
	facts.cold = parse(answers->cold);
	facts.daemon = parse(answers->daemon);
	describe(out, &facts);
	fclose(out);
	json_object_put(facts.description);
	json_object_put(facts.statistics);
	json_object_put(facts.ages);
	json_object_put(facts.jobs);
	json_object_put(facts.cold);
	json_object_put(facts.daemon);
	return text;
}

static void expect(struct describe_facts facts, struct answers answers, const char *wanted)
{
	char *text = say(facts, &answers);

	assert_string_equal(text, wanted);
	free(text);
}

static void test_swap(void **state)
{
	expect((struct describe_facts){.mountpoint = "[SWAP]"},
	       (struct answers){
		       .description = "{" DESCRIPTION ", \"device\": \"/dev/ublkb0\", \"started_s\": 1799913600}",
		       .statistics = "{" STATISTICS ", \"mem_limit\": 536870912, \"mem_cap\": 300000000}",
	       },
	       "* swap0 - /dev/ublkb0\n"
	       "  Swap of 4G, served by process 77 (ublk, version 1.2.3) for 1 d.\n"
	       "  It holds 1G of data, 25 % of its size, in 256M of memory: 4.00 to 1, with lz4.\n"
	       "  Of that, 10 % is same-filled and takes next to nothing.\n"
	       "  Of that, under 1 % does not compress and is stored as it is.\n"
	       "  Of its memory limit of 512M 50 % is taken; the most so far was 256M.\n"
	       "  Its control groups leave 286.1M to it.\n");
}

static void test_disk(void **state)
{
	expect((struct describe_facts){.mountpoint = "/mnt"},
	       (struct answers){.description = "{" DESCRIPTION "}", .statistics = "{}"},
	       "* swap0\n"
	       "  A disk of 4G, mounted on /mnt, served by process 77 (ublk, version 1.2.3).\n"
	       "  It holds nothing; what comes is compressed with lz4.\n"
	       "  It has no memory limit; the most so far was 0B.\n");
}

static void test_trouble(void **state)
{
	expect((struct describe_facts){.server_problem = "nobody listens", .daemon_problem = "it has ended"},
	       (struct answers){.statistics = "{\"failed_writes\": 1, \"failed_reads\": 2, \"reserve_misses\": 3}"},
	       "* swap0\n"
	       "  Its server does not answer: nobody listens.\n"
	       "  1 write has failed, since memory or the limit was used up.\n"
	       "  2 reads have failed: what is stored is damaged; see zsblkctl check.\n"
	       "  3 times the reserve was empty, and a request had to wait for memory.\n"
	       "  Nobody replaces its server: it has ended.\n");
}

static void test_ages(void **state)
{
	expect((struct describe_facts){0},
	       (struct answers){
		       .description = "{" DESCRIPTION ", \"ages_since_s\": 3600}",
		       .ages = "[{\"from_s\": 0, \"bytes\": 1048576}, {\"from_s\": 10, \"bytes\": 0}, {\"from_s\": 60, \"bytes\": 1048576},"
			       " {\"from_s\": 3600, \"bytes\": 6291456}]",
	       },
	       "* swap0\n"
	       "  A disk of 4G, served by process 77 (ublk, version 1.2.3).\n"
	       "  Time since its data was last used, known for the last 1 h:\n"
	       "    under 10 s           1M       12 %  ####\n"
	       "    1 min to 1 h         1M       12 %  ####\n"
	       "    over 1 h             6M       75 %  #######################\n");
}

static void test_jobs(void **state)
{
	expect((struct describe_facts){0},
	       (struct answers){
		       .jobs = "[{\"id\": 3, \"kind\": \"compact\", \"state\": \"running\", \"done\": 1, \"total\": 3},"
			       " {\"id\": 2, \"kind\": \"check\", \"state\": \"done\", \"text\": \"all is well\"}]",
	       },
	       "* swap0\n"
	       "  Job 3, compact, is at 33 %.\n"
	       "  The last check, job 2: done: all is well\n");
}

static void test_cold(void **state)
{
	expect((struct describe_facts){0}, (struct answers){.cold = "{\"on\": false}"},
	       "* swap0\n"
	       "  Data that nobody uses stays as it is; zsblkctl cold NAME yes has it packed.\n");
	expect((struct describe_facts){0},
	       (struct answers){
		       .cold = "{\"on\": true, \"cold_after_s\": 900, \"cold_algorithm\": \"zstd:9\", \"frozen_after_s\": 14400,"
			       " \"frozen_algorithm\": \"lzma:1\", \"rate\": 1048576, \"budget\": 1073741824, \"packed_24h\": 536870912,"
			       " \"text\": \"waiting\", \"cold_blocks\": 131072, \"frozen_blocks\": 256, \"bytes_saved\": 104857600,"
			       " \"storms\": 1}",
	       },
	       "* swap0\n"
	       "  Data that nobody uses is packed after 15 min with zstd:9, and after 4 h with lzma:1; now: waiting.\n"
	       "  At most 1M of data is packed in a second.\n"
	       "  In 24 hours it is at most 1G, of which 512M was packed.\n"
	       "  The system tells nothing of memory pressure, so that does not count.\n"
	       "  So far 512M was packed and 1M packed more tightly, which saved 100M.\n"
	       "  1 time so much was read from groups at once that packing had to wait.\n");
}

/* Whether the policy is on or not, and also if the server does not tell of a policy. */
static void test_groups(void **state)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct json_object *statistics =
		parse("{\"group_blocks\": 512, \"group_bytes\": 524288, \"cold_reads\": 8, \"cold_decodes\": 4}");

	describe_cold(out, "", NULL, statistics);
	fclose(out);
	assert_string_equal(text, "2M of its data is in groups of neighbours, in 512K: 4.00 to 1.\n"
				  "8 blocks were read from groups so far; 0.50 groups were decoded for each.\n");
	json_object_put(statistics);
	free(text);
}

static void test_history(void **state)
{
	setenv("TZ", "UTC", 1);
	expect((struct describe_facts){0},
	       (struct answers){
		       .daemon =
			       "{\"device\": \"/dev/nbd0\", \"state\": \"being replaced\", \"sentence\": \"wait\", \"fallback\": \"no module\","
			       " \"replacements\": 1, \"outage_max_ms\": 450, \"history\":"
			       " [{\"when_s\": 1799999999, \"event\": \"died\", \"why\": \"was killed\", \"outage_ms\": 450}]}",
	       },
	       "* swap0 - /dev/nbd0\n"
	       "  It is being replaced. zsblkd says: wait\n"
	       "  It is served over nbd, since ublk cannot be used: no module\n"
	       "  Its server was replaced 1 time, out of service for 450 ms at most:\n"
	       "    2027-01-15 07:59:59: it was killed; out of service for 450 ms\n");
}

/* An older or newer server: members that are missing, or of another type. */
static void test_strange(void **state)
{
	expect((struct describe_facts){0},
	       (struct answers){.description = "{\"size\": \"large\", \"pid\": null}",
				.statistics = "{\"orig_data_size\": {}}",
				.ages = "[1, null]",
				.jobs = "[]",
				.daemon = "{\"history\": 5}"},
	       "* swap0\n"
	       "  A disk of 0B, served by process 0 (, version ).\n"
	       "  It holds nothing; what comes is compressed with .\n"
	       "  It has no memory limit; the most so far was 0B.\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_swap), cmocka_unit_test(test_disk),   cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_ages), cmocka_unit_test(test_jobs),   cmocka_unit_test(test_history),
		cmocka_unit_test(test_cold), cmocka_unit_test(test_groups), cmocka_unit_test(test_strange),
	};

	/* Whatever the tests are run on. */
	setenv("NO_COLOR", "1", 1);
	return cmocka_run_group_tests_name("describe", tests, NULL, NULL);
}

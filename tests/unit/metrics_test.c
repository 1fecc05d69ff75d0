/* SPDX-License-Identifier: BSD-3-Clause */
/* The text format of metrics: names of devices that need escaping, servers that tell less, and histograms to the last digit. */
#include "lib/test.h"

#include "ctl/metrics.h"

static char text[65536];

static void print(const struct metrics_device *devices, size_t n)
{
	FILE *out = fmemopen(text, sizeof text, "w");

	must(out);
	metrics_print(out, devices, n);
	fclose(out);
}

static void expect(const char *part)
{
	if (!strstr(text, part))
		fprintf(stderr, "%s\nmissing: %s\n", text, part);
	assert_non_null(strstr(text, part));
}

static unsigned occurrences(const char *part)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, part)); at++)
		n++;
	return n;
}

static void test_nothing_known(void **state)
{
	struct metrics_device device = {.name = "a"};

	print(&device, 1);
	expect("# TYPE zsblk_up gauge\nzsblk_up{name=\"a\"} 0\n");
	assert_int_equal(occurrences("# TYPE"), 1);
	print(NULL, 0);
	assert_null(strstr(text, "{"));
}

static void test_escapes(void **state)
{
	struct metrics_device device = {.name = "/run/\"x\\y\"\n.sock"};

	print(&device, 1);
	expect("{name=\"/run/\\\"x\\\\y\\\"\\n.sock\"}");
}

/* Members that are missing or of another type have no line; those of all devices stand together. */
static void test_members(void **state)
{
	struct metrics_device devices[2] = {
		{
			.name = "a",
			.description = json_tokener_parse("{\"size\": 4096, \"algorithm\": \"lz4\", \"level\": -5}"),
			.statistics = json_tokener_parse("{\"reads\": 18446744073709551615, \"writes\": 2}"),
			.status = json_tokener_parse("{\"outage_max_ms\": 1050, \"replacements\": 3}"),
			.cold = json_tokener_parse("{\"on\": true, \"cold_blocks\": 5, \"frozen_blocks\": 6}"),
		},
		{.name = "b",
		 .statistics = json_tokener_parse("{\"reads\": 7}"),
		 .cold = json_tokener_parse("{\"on\": false}")},
	};

	print(devices, 2);
	expect("zsblk_requests_total{name=\"a\",operation=\"read\"} 18446744073709551615\n"
	       "zsblk_requests_total{name=\"a\",operation=\"write\"} 2\n"
	       "zsblk_requests_total{name=\"b\",operation=\"read\"} 7\n");
	assert_int_equal(occurrences("# TYPE zsblk_requests_total counter"), 1);
	expect("zsblk_cold_policy_enabled{name=\"a\"} 1\nzsblk_cold_policy_enabled{name=\"b\"} 0\n");
	expect("zsblk_cold_packed_blocks_total{name=\"a\",age=\"cold\"} 5\n"
	       "zsblk_cold_packed_blocks_total{name=\"a\",age=\"frozen\"} 6\n");
	expect("zsblk_outage_max_seconds{name=\"a\"} 1.05\n");
	assert_null(strstr(text, "outage_median"));
	expect("algorithm=\"lz4\",version=\"\",level=\"-5\"} 1\n");
	for (unsigned i = 0; i < 2; i++) {
		json_object_put(devices[i].description);
		json_object_put(devices[i].statistics);
		json_object_put(devices[i].status);
		json_object_put(devices[i].cold);
	}
}

static void test_histogram(void **state)
{
	struct metrics_device device = {
		.name = "a",
		.latencies = json_tokener_parse(
			"[{\"what\": \"read\", \"count\": 6, \"sum_ns\": 1000000007, \"max_ns\": 9, \"sampled\": 16, \"buckets\": ["
			"{\"upper_ns\": 8, \"count\": 1}, {\"upper_ns\": 256, \"count\": 1}, {\"upper_ns\": 288, \"count\": 1},"
			"{\"upper_ns\": 1073741824, \"count\": 1}, {\"upper_ns\": 68719476736, \"count\": 1},"
			"{\"upper_ns\": 9223372036854775807, \"count\": 1}]}]"),
	};

	print(&device, 1);
	expect("# TYPE zsblk_request_duration_seconds histogram\n");
	expect("_bucket{name=\"a\",operation=\"read\",le=\"0.000000256\"} 2\n");
	expect("_bucket{name=\"a\",operation=\"read\",le=\"0.000000384\"} 3\n");
	expect("le=\"0.805306368\"} 3\n");
	expect("le=\"1.073741824\"} 4\n");
	expect("le=\"68.719476736\"} 5\n");
	expect("le=\"+Inf\"} 6\n");
	expect("_sum{name=\"a\",operation=\"read\"} 1.000000007\n");
	expect("_count{name=\"a\",operation=\"read\"} 6\n");
	expect("zsblk_request_duration_sampling{name=\"a\",operation=\"read\"} 16\n");
	assert_null(strstr(text, "zsblk_codec"));
	json_object_put(device.latencies);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures between two looks at a device: rates, percentiles of what was gained, servers that were replaced, and answers of any form. */
#include "lib/test.h"

#include "ctl/top/figures.h"

static void fill(struct sample *sample, const char *method, const char *text)
{
	struct json_object *reply = json_tokener_parse(text);

	assert_non_null(reply);
	sample_fill(sample, method, reply);
	json_object_put(reply);
}

/* One look at `ms`, with so many reads and writes so far. */
static struct sample look(int64_t ms, unsigned reads, unsigned writes)
{
	struct sample sample = {.taken_ms = ms};
	char text[200];

	fill(&sample, "GetDescription",
	     "{\"pid\": 77, \"started_s\": 1000, \"size\": 4096000, \"device\": \"/dev/ublkb0\"}");
	snprintf(
		text, sizeof text,
		"{\"statistics\": {\"reads\": %u, \"writes\": %u, \"read_bytes\": %u, \"write_bytes\": %u, \"orig_data_size\": 8192, "
		"\"mem_used_total\": 4096}}",
		reads, writes, reads * 4096, writes * 8192);
	fill(&sample, "GetStatistics", text);
	return sample;
}

static void test_rates(void **state)
{
	struct sample before = look(1000, 100, 10), now = look(3000, 300, 20);
	struct figures figures;

	figures_make(&figures, &before, &now);
	assert_true(figures.has_rates);
	assert_true(figures.seconds == 2 && figures.reads == 100 && figures.writes == 5);
	assert_true(figures.read_bytes == 100 * 4096 && figures.write_bytes == 5 * 8192);
	assert_true(figures.ratio == 2);
	figures_make(&figures, NULL, &now);
	assert_false(figures.has_rates);
	assert_true(figures.ratio == 2 && figures.reads == 0);
}

/* A server that took over counts from 0; what it did is no difference to the one before. */
static void test_replaced(void **state)
{
	struct sample before = look(1000, 100, 10), now = look(2000, 300, 20);
	struct figures figures;

	now.pid = 78;
	figures_make(&figures, &before, &now);
	assert_false(figures.has_rates);
	now.pid = 77;
	now.started_s = 2000;
	figures_make(&figures, &before, &now);
	assert_false(figures.has_rates);
	now = look(2000, 99, 20);
	figures_make(&figures, &before, &now);
	assert_false(figures.has_rates);
	assert_true(figures.reads == 0);
	/* Not even a clock that stands still divides by 0. */
	now = look(1000, 100, 10);
	figures_make(&figures, &before, &now);
	assert_false(figures.has_rates);
}

/* Buckets come in any order, and those of a device that was idle are not there at all. */
static void test_latencies(void **state)
{
	struct sample before = look(1000, 100, 10), now = look(2000, 300, 20);
	const struct figures_latency *read;
	struct figures figures;

	fill(&before, "GetLatencies",
	     "{\"latencies\": [{\"what\": \"read\", \"count\": 100, \"sum_ns\": 100000, \"max_ns\": 900000, \"sampled\": 1, \"buckets\": "
	     "[{\"upper_ns\": 1000, \"count\": 90}, {\"upper_ns\": 1000000, \"count\": 10}]}]}");
	fill(&now, "GetLatencies",
	     "{\"latencies\": [{\"what\": \"read\", \"count\": 300, \"sum_ns\": 500000, \"max_ns\": 900000, \"sampled\": 2, \"buckets\": "
	     "[{\"upper_ns\": 1000000, \"count\": 11}, {\"upper_ns\": 2000, \"count\": 100}, {\"upper_ns\": 1000, \"count\": 189}]},"
	     " {\"what\": \"nap\", \"count\": 1, \"buckets\": []}]}");
	figures_make(&figures, &before, &now);
	read = &figures.work[SAMPLE_READ];
	/* 99 up to 1 us, 100 up to 2 us, one up to 0.9 ms. */
	assert_true(read->rate == 400);
	assert_int_equal(read->mean_ns, 2000);
	assert_int_equal(read->p50_ns, 2000);
	assert_int_equal(read->p90_ns, 2000);
	assert_int_equal(read->p99_ns, 2000);
	assert_int_equal(read->p999_ns, 900000);
	assert_int_equal(read->max_ns, 900000);
	assert_int_equal(figures.work[SAMPLE_WRITE].p99_ns, 0);
	/* Nothing since then. */
	sample_free(&before);
	before = look(1500, 300, 20);
	fill(&before, "GetLatencies",
	     "{\"latencies\": [{\"what\": \"read\", \"count\": 300, \"buckets\": [{\"upper_ns\": 1000, \"count\": 189}, {\"upper_ns\": 2000, "
	     "\"count\": 100}, {\"upper_ns\": 1000000, \"count\": 11}]}]}");
	figures_make(&figures, &before, &now);
	assert_true(figures.work[SAMPLE_READ].rate == 0);
	assert_int_equal(figures.work[SAMPLE_READ].p50_ns, 0);
	sample_free(&before);
	sample_free(&now);
}

/* Classes come by the page. */
static void test_classes(void **state)
{
	struct sample before = look(1000, 0, 0), now = look(3000, 0, 0);

	fill(&before, "GetClasses",
	     "{\"classes\": [{\"index\": 3, \"size\": 64, \"objects\": 10}, {\"index\": 4, \"size\": 72, \"objects\": 5}]}");
	fill(&now, "GetClasses", "{\"classes\": [{\"index\": 3, \"size\": 64, \"objects\": 4}], \"next\": 4}");
	fill(&now, "GetClasses",
	     "{\"classes\": [{\"index\": 4, \"size\": 72, \"objects\": 7}, {\"index\": 5, \"size\": 80, \"objects\": 7}]}");
	assert_int_equal(now.n_classes, 3);
	assert_true(figures_class_change(&before, &now, &now.classes[0]) == -3);
	assert_true(figures_class_change(&before, &now, &now.classes[1]) == 1);
	assert_true(figures_class_change(&before, &now, &now.classes[2]) == 0);
	assert_true(figures_class_change(NULL, &now, &now.classes[0]) == 0);
	sample_free(&before);
	sample_free(&now);
}

/* What is not of the form that it should have is left out. */
static void test_strange_answers(void **state)
{
	static const char *const methods[] = {
		"GetDescription", "GetStatistics", "GetLatencies", "GetMemory", "GetClasses", "GetAges", "?"};
	static const char *const answers[] = {
		"{}",
		"[]",
		"7",
		"{\"statistics\": 7, \"memory\": [], \"classes\": {}, \"ages\": \"x\", \"latencies\": 1}",
		("{\"statistics\": {\"reads\": \"many\"}, \"memory\": {\"a\": null, \"b\": \"x\"}, \"classes\": [null, 7], \"ages\": [[]], "
		 "\"latencies\": [null, {\"what\": 3}, {\"what\": \"read\", \"buckets\": [1, null, {}]}]}"),
	};
	struct sample sample = {.taken_ms = 1};
	struct figures figures;

	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		for (size_t method = 0; method < sizeof methods / sizeof methods[0]; method++)
			fill(&sample, methods[method], answers[i]);
	figures_make(&figures, &sample, &sample);
	assert_int_equal(sample.reads, 0);
	sample_free(&sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),           cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_latencies),       cmocka_unit_test(test_classes),
		cmocka_unit_test(test_strange_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

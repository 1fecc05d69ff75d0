/* SPDX-License-Identifier: BSD-3-Clause */
/* Jobs: one of a kind at a time, how far they are, how they end; the share of the processor; errands. Through the socket: tests/plugin. */
#include "lib/device.h"
#include "lib/test.h"

#include "host/jobs.h"

#include <stdatomic.h>
#include <time.h>

#define BLOCKS 4096u

static struct zsblk *dev;
static struct jobs *jobs;
static _Atomic unsigned changes;

static void changed(void *opaque)
{
	atomic_fetch_add(&changes, 1);
}

static int begin(void **state)
{
	uint8_t block[BLOCK_BYTES];

	dev = device_new(BLOCKS);
	for (unsigned i = 0; i < BLOCKS; i++) {
		memset(block, 0, sizeof block);
		for (unsigned at = 0; at < sizeof block; at += 32)
			memcpy(block + at, &i, sizeof i);
		must(zsblk_write(dev, block, sizeof block, (uint64_t)i * BLOCK_BYTES) == 0);
	}
	atomic_store(&changes, 0);
	return jobs_start(&jobs, dev, 100, changed, NULL);
}

static int end(void **state)
{
	jobs_stop(jobs);
	zsblk_close(dev);
	return 0;
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static struct jobs_report wait_for_end(uint64_t id)
{
	struct jobs_report report;

	do {
		pause_ms(2);
		assert_int_equal(jobs_find(jobs, id, &report), 0);
	} while (report.state == JOBS_RUNNING);
	return report;
}

static void test_check(void **state)
{
	struct jobs_report report;
	uint64_t id;

	jobs_last(jobs, JOBS_CHECK, &report);
	assert_int_equal(report.id, 0);
	assert_int_equal(jobs_begin(jobs, JOBS_CHECK, NULL, &id), 0);
	report = wait_for_end(id);
	assert_int_equal(report.state, JOBS_DONE);
	assert_int_equal(report.done, BLOCKS);
	assert_int_equal(report.total, BLOCKS);
	assert_non_null(strstr(report.text.text, "4096 of 4096 blocks"));
	assert_int_equal(atomic_load(&changes), 1);
	assert_int_equal(jobs_cancel(jobs, id), -ENOENT);
}

static void test_compact(void **state)
{
	struct jobs_report report;
	uint64_t id, used;

	for (unsigned i = 0; i < BLOCKS; i += 2)
		zsblk_discard(dev, BLOCK_BYTES, (uint64_t)i * BLOCK_BYTES);
	used = device_stats(dev).mem_used_total;
	assert_int_equal(jobs_begin(jobs, JOBS_COMPACT, NULL, &id), 0);
	report = wait_for_end(id);
	assert_int_equal(report.state, JOBS_DONE);
	assert_true(report.pages_freed > 10);
	assert_int_equal(report.done, report.total);
	assert_true(device_stats(dev).mem_used_total <= used - report.bytes_saved);
	device_ok(dev);
}

static void test_recompress(void **state)
{
	const struct zsblk_recompress what = {
		.type = ZSBLK_RECOMPRESS_ALL, .algorithm = "zstd", .level = 3, .has_level = true};
	struct zsblk_stats before, after;
	struct jobs_report report;
	uint64_t id;

	before = device_stats(dev);
	assert_int_equal(jobs_begin(jobs, JOBS_RECOMPRESS, &what, &id), 0);
	report = wait_for_end(id);
	if (report.state != JOBS_DONE)
		fail_msg("%s", report.text.text);
	after = device_stats(dev);
	assert_int_equal(report.done, BLOCKS);
	assert_int_equal(report.bytes_saved, before.compr_data_size - after.compr_data_size);
	assert_non_null(strstr(report.text.text, "were compressed again"));
	device_ok(dev);
	/* One that is at work when the device is closed. */
	jobs_set_cpu(jobs, 1);
	assert_int_equal(jobs_begin(jobs, JOBS_RECOMPRESS, &what, &id), 0);
	pause_ms(20);
}

static void test_cannot_begin(void **state)
{
	const struct zsblk_recompress what = {.type = ZSBLK_RECOMPRESS_ALL, .algorithm = "none"};
	struct jobs_report report;
	uint64_t id;

	assert_int_equal(jobs_begin(jobs, JOBS_RECOMPRESS, &what, &id), 0);
	report = wait_for_end(id);
	assert_int_equal(report.state, JOBS_FAILED);
	assert_non_null(strstr(report.text.text, "none"));
}

static void test_one_of_a_kind(void **state)
{
	struct jobs_report report;
	uint64_t id, other, compaction;

	jobs_set_cpu(jobs, 1);
	assert_int_equal(jobs_cpu(jobs), 1);
	assert_int_equal(jobs_begin(jobs, JOBS_CHECK, NULL, &id), 0);
	assert_int_equal(jobs_begin(jobs, JOBS_CHECK, NULL, &other), -EBUSY);
	assert_int_equal(other, id);
	/* Another kind is no reason to wait. */
	assert_int_equal(jobs_begin(jobs, JOBS_COMPACT, NULL, &compaction), 0);
	assert_int_not_equal(compaction, id);
	assert_int_equal(jobs_cancel(jobs, id), 0);
	jobs_set_cpu(jobs, 100);
	report = wait_for_end(id);
	assert_int_equal(report.state, JOBS_CANCELLED);
	assert_true(report.done < BLOCKS);
	wait_for_end(compaction);
	assert_int_equal(jobs_begin(jobs, JOBS_CHECK, NULL, &other), 0);
	assert_int_equal(wait_for_end(other).state, JOBS_DONE);
	/* Only the last one of a kind is remembered. */
	assert_int_equal(jobs_find(jobs, id, &report), -ENOENT);
	assert_int_equal(jobs_find(jobs, 0, &report), -ENOENT);
}

/* The thread's own time, as a share of the time that goes by. */
static void test_share(void **state)
{
	struct jobs_report report;
	uint64_t id;

	jobs_set_cpu(jobs, 1);
	assert_int_equal(jobs_begin(jobs, JOBS_CHECK, NULL, &id), 0);
	pause_ms(100);
	jobs_last(jobs, JOBS_CHECK, &report);
	/* At full speed all of them take a few milliseconds. At 1 % of that there are some left, however slow the machine. */
	assert_int_equal(report.state, JOBS_RUNNING);
	assert_true(report.done < BLOCKS);
}

static int double_it(struct zsblk *device, void *memory, struct zsblk_why *why)
{
	uint64_t *number = memory;

	assert_ptr_equal(device, dev);
	snprintf(why->text, sizeof why->text, "it was %" PRIu64, *number);
	*number *= 2;
	return *number > 100 ? -ERANGE : 0;
}

static int collect(uint64_t ticket, uint64_t *number, struct zsblk_why *why)
{
	int r;

	do {
		pause_ms(1);
		r = jobs_collect(jobs, ticket, number, sizeof *number, why);
	} while (r == -EINPROGRESS);
	return r;
}

static void test_errands(void **state)
{
	struct zsblk_why why = {""};
	uint64_t number = 21, ticket, id;

	/* Beside a job that pauses for long. */
	jobs_set_cpu(jobs, 1);
	assert_int_equal(jobs_begin(jobs, JOBS_CHECK, NULL, &id), 0);
	ticket = jobs_send(jobs, double_it, &number, sizeof number);
	assert_true(ticket);
	assert_int_equal(jobs_send(jobs, double_it, &number, sizeof number), 0);
	assert_int_equal(collect(ticket, &number, &why), 0);
	assert_int_equal(number, 42);
	assert_string_equal(why.text, "it was 21");
	/* It is over, once it was collected. */
	assert_int_equal(jobs_collect(jobs, ticket, &number, sizeof number, &why), -ENOENT);
	number = 51;
	ticket = jobs_send(jobs, double_it, &number, sizeof number);
	assert_true(ticket);
	assert_int_equal(collect(ticket, &number, &why), -ERANGE);
	assert_int_equal(number, 102);
}

/* Whoever has gone is not waited for. */
static void test_abandoned(void **state)
{
	uint64_t number = 1, ticket = jobs_send(jobs, double_it, &number, sizeof number), next = 0;
	struct zsblk_why why;

	assert_true(ticket);
	for (unsigned i = 0; i < 2000 && !next; i++) {
		pause_ms(10);
		next = jobs_send(jobs, double_it, &number, sizeof number);
	}
	assert_true(next);
	assert_int_equal(collect(next, &number, &why), 0);
	assert_int_equal(jobs_collect(jobs, ticket, &number, sizeof number, &why), -ENOENT);
}

static void test_names(void **state)
{
	assert_string_equal(jobs_kind_name(JOBS_COMPACT), "compact");
	assert_string_equal(jobs_kind_name(JOBS_CHECK), "check");
	assert_string_equal(jobs_kind_name(JOBS_RECOMPRESS), "recompress");
	assert_string_equal(jobs_state_name(JOBS_CANCELLED), "cancelled");
	jobs_stop(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(check), TEST(compact), TEST(recompress), TEST(cannot_begin), TEST(one_of_a_kind),
		TEST(share), TEST(errands), TEST(abandoned),  TEST(names),
	};

	return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}

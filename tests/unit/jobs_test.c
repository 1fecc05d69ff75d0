/* SPDX-License-Identifier: BSD-3-Clause */
/* Jobs: one of a kind at a time, how far they are, how they end; the share of the processor; errands. Through the socket: tests/plugin. */
#include "lib/device.h"
#include "lib/test.h"

#include "host/jobs.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define BLOCKS 4096u

static struct zsblk *dev;
static struct jobs *jobs;
static _Atomic unsigned changes;
static atomic_bool held; /* an errand keeps the thread: see hold() */

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
	must(jobs_start(&jobs, dev, 100) == 0);
	jobs_tell(jobs, changed, NULL);
	return 0;
}

static int end(void **state)
{
	atomic_store(&held, false);
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

/* Whoever looks at a job while it begins sees none of it half done: ThreadSanitizer would tell. */
static void test_seen_beginning(void **state)
{
	for (unsigned kind = 0; kind < JOBS_COLD; kind++) {
		const struct jobs_what what = {0};
		struct jobs_report report;
		uint64_t id;

		assert_int_equal(jobs_begin(jobs, (enum jobs_kind)kind, &what, &id), 0);
		do {
			sched_yield();
			jobs_last(jobs, (enum jobs_kind)kind, &report);
			assert_true(report.id == id);
		} while (report.state == JOBS_RUNNING);
		assert_int_equal(report.state, JOBS_DONE);
	}
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
	const struct jobs_what what = {
		.recompress = {.type = ZSBLK_RECOMPRESS_ALL, .algorithm = "zstd", .level = 3, .has_level = true}};
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
	const struct jobs_what what = {.recompress = {.type = ZSBLK_RECOMPRESS_ALL, .algorithm = "none"}};
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

static uint64_t begin_reworking(enum jobs_kind kind, enum jobs_kind does)
{
	const struct jobs_what what = {.does = does, .recompress = {.type = ZSBLK_RECOMPRESS_ALL, .algorithm = "zstd"}};
	uint64_t id;

	assert_int_equal(jobs_begin(jobs, kind, &what, &id), 0);
	return id;
}

/* What makes new objects of old ones is not in each other's way, and the policy's is in nobody's. */
static void test_gives_way(void **state)
{
	struct jobs_report report;
	uint64_t policys, ours, other;

	jobs_set_cpu(jobs, 1);
	policys = begin_reworking(JOBS_COLD, JOBS_RECOMPRESS);
	pause_ms(20);
	assert_int_equal(jobs_begin(jobs, JOBS_COLD, NULL, &other), -EBUSY);
	ours = begin_reworking(JOBS_RECOMPRESS, JOBS_RECOMPRESS);
	assert_int_equal(jobs_begin(jobs, JOBS_GROUP, NULL, &other), -EBUSY);
	assert_int_equal(other, ours);
	jobs_set_cpu(jobs, 100);
	report = wait_for_end(policys);
	assert_int_equal(report.state, JOBS_CANCELLED);
	assert_true(report.gave_way);
	assert_int_equal(report.kind, JOBS_COLD);
	report = wait_for_end(ours);
	if (report.state != JOBS_DONE)
		fail_msg("%s", report.text.text);
	/* The policy does not push others away; and it may do other things. */
	jobs_set_cpu(jobs, 1);
	ours = begin_reworking(JOBS_GROUP, JOBS_GROUP);
	assert_int_equal(jobs_begin(jobs, JOBS_COLD, NULL, &other), -EBUSY);
	assert_int_equal(other, ours);
	jobs_set_cpu(jobs, 100);
	wait_for_end(ours);
	policys = begin_reworking(JOBS_COLD, JOBS_COMPACT);
	report = wait_for_end(policys);
	assert_int_equal(report.state, JOBS_DONE);
	assert_false(report.gave_way);
	assert_non_null(strstr(report.text.text, "pages were freed"));
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * The thread's own time, as a share of the time that goes by. At full speed all blocks take a few milliseconds. At 1 % of that there are some
 * left after 100, however slow the machine; but one that is busy may let much more time go by before this looks.
 */
static void test_share(void **state)
{
	/* What takes longer to decompress than what the others look at. */
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	for (unsigned tries = 0; tries < 20; tries++) {
		struct jobs_report report;
		uint64_t id, begun = now_ms();

		jobs_set_cpu(jobs, 1);
		assert_int_equal(jobs_begin(jobs, JOBS_CHECK, NULL, &id), 0);
		pause_ms(100);
		jobs_last(jobs, JOBS_CHECK, &report);
		if (now_ms() - begun < 150) {
			assert_int_equal(report.state, JOBS_RUNNING);
			assert_true(report.done < BLOCKS);
			return;
		}
		jobs_set_cpu(jobs, 100);
		wait_for_end(id);
	}
	print_message("# the machine is too busy for this\n");
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
	ticket = jobs_send(jobs, JOBS_CHANGE, double_it, &number, sizeof number);
	assert_true(ticket);
	assert_int_equal(collect(ticket, &number, &why), 0);
	assert_int_equal(number, 42);
	assert_string_equal(why.text, "it was 21");
	/* It is over, once it was collected. */
	assert_int_equal(jobs_collect(jobs, ticket, &number, sizeof number, &why), -ENOENT);
	number = 51;
	ticket = jobs_send(jobs, JOBS_CHANGE, double_it, &number, sizeof number);
	assert_true(ticket);
	assert_int_equal(collect(ticket, &number, &why), -ERANGE);
	assert_int_equal(number, 102);
}

/* ------------------------------------------------------------------ several errands */

static char done[20]; /* by letters, in the order in which they were done */
static uint64_t begun_ns[20];

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int note(struct zsblk *device, void *memory, struct zsblk_why *why)
{
	size_t n = strlen(done);

	assert_true(n < sizeof done - 1);
	begun_ns[n] = now_ns(CLOCK_MONOTONIC);
	done[n] = *(char *)memory;
	return 0;
}

/* Keeps the thread until it is let go. */
static int hold(struct zsblk *device, void *memory, struct zsblk_why *why)
{
	while (atomic_load(&held))
		pause_ms(1);
	return note(device, memory, why);
}

static uint64_t send(enum jobs_errand_kind kind, jobs_errand_fn *run, char letter)
{
	return jobs_send(jobs, kind, run, &letter, sizeof letter);
}

static void take(uint64_t ticket)
{
	struct zsblk_why why;
	char letter;
	int r;

	do {
		pause_ms(1);
		r = jobs_collect(jobs, ticket, &letter, sizeof letter, &why);
	} while (r == -EINPROGRESS);
	assert_int_equal(r, 0);
}

static uint64_t hold_thread(enum jobs_errand_kind kind)
{
	memset(done, 0, sizeof done);
	atomic_store(&held, true);
	return send(kind, hold, 'h');
}

/* Whoever may only look does not hold up changes, however many wait. */
static void test_changes_first(void **state)
{
	uint64_t tickets[6], first = hold_thread(JOBS_CHANGE);

	for (unsigned i = 0; i < 6; i++)
		tickets[i] = send(i % 2 ? JOBS_CHANGE : JOBS_LOOK, note, (char)('a' + i));
	atomic_store(&held, false);
	take(first);
	for (unsigned i = 0; i < 6; i++)
		take(tickets[i]);
	assert_string_equal(done, "hbdface");
}

/* Nobody waits for those who have gone: their looks are not begun any more, and their changes are made. */
static void test_dropped(void **state)
{
	uint64_t first = hold_thread(JOBS_CHANGE), look, change, last, number = 1;
	struct zsblk_why why;
	unsigned n = 0;

	look = send(JOBS_LOOK, note, 'l');
	change = send(JOBS_CHANGE, note, 'c');
	jobs_drop(jobs, look);
	jobs_drop(jobs, change);
	jobs_drop(jobs, first);
	/* As many as there is place for; one is at work, and one will be. */
	while ((last = send(JOBS_LOOK, note, 'x'))) {
		jobs_drop(jobs, last);
		assert_true(n++ < 1000);
		if (n == 100)
			break;
	}
	assert_int_equal(n, 100);
	last = send(JOBS_LOOK, note, 'z');
	atomic_store(&held, false);
	take(last);
	assert_string_equal(done, "hcz");
	assert_int_equal(jobs_collect(jobs, change, &number, sizeof number, &why), -ENOENT);
	assert_int_equal(jobs_collect(jobs, look, &number, sizeof number, &why), -ENOENT);
	jobs_drop(jobs, last);
}

/* There is place for so many, and again when they are over. */
static void test_many(void **state)
{
	uint64_t first = hold_thread(JOBS_CHANGE), tickets[20], ticket;
	unsigned n = 0;

	while ((ticket = send(JOBS_LOOK, note, 'x')) && n < 20)
		tickets[n++] = ticket;
	assert_true(n >= 8 && n < 20);
	atomic_store(&held, false);
	take(first);
	for (unsigned i = 0; i < n; i++)
		take(tickets[i]);
	ticket = send(JOBS_LOOK, note, 'y');
	assert_true(ticket);
	take(ticket);
}

static int burn(struct zsblk *device, void *memory, struct zsblk_why *why)
{
	uint64_t began = now_ns(CLOCK_THREAD_CPUTIME_ID);

	while (now_ns(CLOCK_THREAD_CPUTIME_ID) - began < 10000000)
		;
	return note(device, memory, why);
}

/* Looks have their share of a processor, and no more: 1 % here, so 10 ms are followed by a pause of 990. */
static void test_looks_have_a_share(void **state)
{
	uint64_t one, other, change;

	memset(done, 0, sizeof done);
	jobs_set_cpu(jobs, 1);
	one = send(JOBS_LOOK, burn, '1');
	other = send(JOBS_LOOK, note, '2');
	take(one);
	change = send(JOBS_CHANGE, note, 'c');
	take(change);
	take(other);
	assert_int_equal(strlen(done), 3);
	assert_true(begun_ns[strchr(done, '2') - done] - begun_ns[0] >= 990000000);
}

static void test_names(void **state)
{
	assert_string_equal(jobs_kind_name(JOBS_COMPACT), "compact");
	assert_string_equal(jobs_kind_name(JOBS_CHECK), "check");
	assert_string_equal(jobs_kind_name(JOBS_RECOMPRESS), "recompress");
	assert_string_equal(jobs_kind_name(JOBS_GROUP), "group");
	assert_string_equal(jobs_kind_name(JOBS_COLD), "cold");
	assert_string_equal(jobs_state_name(JOBS_CANCELLED), "cancelled");
	jobs_stop(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(seen_beginning),     TEST(check),        TEST(compact),
		TEST(recompress),         TEST(cannot_begin), TEST(one_of_a_kind),
		TEST(gives_way),          TEST(share),        TEST(errands),
		TEST(changes_first),      TEST(dropped),      TEST(many),
		TEST(looks_have_a_share), TEST(names),
	};

	return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Traces: what is recorded, in which order, what is lost, and the end of one while requests run. */
#include "lib/device.h"
#include "lib/test.h"

#include "engine/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define BLOCKS  256u
#define ROOM    16u
#define THREADS 4u

static struct zsblk *dev;
static struct zsblk_trace *trace;
static struct zsblk_why why;
static uint8_t data[4 * BLOCK_BYTES];

static int set_up(void **state)
{
	dev = device_new(BLOCKS);
	return 0;
}

static int tear_down(void **state)
{
	zsblk_trace_end(trace);
	trace = NULL;
	device_ok(dev);
	zsblk_close(dev);
	return 0;
}

static void begin(unsigned room)
{
	must(zsblk_trace_begin(dev, room, &trace, &why) == 0);
}

static void expect_event(const struct zsblk_event *event, enum zsblk_event_op op, uint64_t offset, uint64_t len)
{
	assert_int_equal(event->op, op);
	assert_int_equal(event->offset, offset);
	assert_int_equal(event->len, len);
}

static void test_events(void **state)
{
	struct zsblk_event events[8];
	uint64_t lost = 1, before = latency_now();

	begin(ROOM);
	must(zsblk_write(dev, data, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES) == 0);
	must(zsblk_read(dev, data, 100, 50) == 0);
	must(zsblk_discard(dev, BLOCKS * BLOCK_BYTES, 0) == 0);
	must(zsblk_write_zeroes(dev, 10, BLOCK_BYTES - 5) == 0);
	/* What is refused is no event. */
	must(zsblk_read(dev, data, 1, BLOCKS * BLOCK_BYTES) == -EINVAL);
	zsblk_trace_stop(trace);
	must(zsblk_read(dev, data, 1, 0) == 0);
	assert_int_equal(zsblk_trace_take(trace, events, 8, &lost), 4);
	assert_int_equal(lost, 0);
	expect_event(&events[0], ZSBLK_EVENT_WRITE, 3 * BLOCK_BYTES, 2 * BLOCK_BYTES);
	expect_event(&events[1], ZSBLK_EVENT_READ, 50, 100);
	expect_event(&events[2], ZSBLK_EVENT_DISCARD, 0, BLOCKS * BLOCK_BYTES);
	expect_event(&events[3], ZSBLK_EVENT_ZEROES, BLOCK_BYTES - 5, 10);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(before <= events[i].time_ns && events[i].time_ns <= latency_now());
		before = events[i].time_ns;
	}
}

/* The newest events stay for the next call; a few at a time are taken in their order. */
static void test_order(void **state)
{
	const struct timespec moment = {.tv_nsec = 2000000};
	struct zsblk_event event;
	uint64_t lost;

	begin(ROOM);
	for (unsigned i = 0; i < 3; i++)
		must(zsblk_read(dev, data, 1, i) == 0);
	nanosleep(&moment, NULL);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(zsblk_trace_take(trace, &event, 1, &lost), 1);
		assert_int_equal(event.offset, i);
	}
	assert_int_equal(zsblk_trace_take(trace, &event, 1, &lost), 0);
}

static void test_lost(void **state)
{
	struct zsblk_event events[64];
	uint64_t lost;

	begin(ROOM);
	/* One thread, so one context. */
	for (unsigned i = 0; i < 3 * ROOM; i++)
		must(zsblk_read(dev, data, 1, i) == 0);
	zsblk_trace_stop(trace);
	assert_int_equal(zsblk_trace_take(trace, events, 64, &lost), ROOM);
	assert_int_equal(lost, 2 * ROOM);
	assert_int_equal(events[ROOM - 1].offset, ROOM - 1);
}

static void test_refusals(void **state)
{
	struct zsblk_trace *other = NULL;

	assert_int_equal(zsblk_trace_begin(dev, 24, &other, &why), -EINVAL);
	assert_int_equal(zsblk_trace_begin(dev, 8, &other, &why), -EINVAL);
	assert_int_equal(zsblk_trace_begin(dev, 1u << 21, &other, &why), -EINVAL);
	begin(ROOM);
	assert_int_equal(zsblk_trace_begin(dev, ROOM, &other, &why), -EBUSY);
	zsblk_trace_end(trace);
	begin(ROOM);
	assert_null(other);
}

static _Atomic bool done;

static void *make_requests(void *opaque)
{
	uint8_t mine[BLOCK_BYTES] = {1};
	uint64_t *count = opaque;

	for (; !atomic_load(&done); ++*count)
		must(zsblk_read(dev, mine, BLOCK_BYTES, *count % BLOCKS * BLOCK_BYTES) == 0);
	return NULL;
}

/* Traces begin and end while requests run. Each time is not earlier than the one before it, and all of the room is used. */
static void test_beside_requests(void **state)
{
	struct zsblk_event events[64];
	pthread_t threads[THREADS];
	uint64_t counts[THREADS] = {0}, lost, taken = 0;

	atomic_store(&done, false);
	for (unsigned i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i], NULL, make_requests, &counts[i]) == 0);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t last = 0;
		unsigned n;

		begin(1024);
		do {
			n = zsblk_trace_take(trace, events, 64, &lost);
			taken += n;
		} while (taken < 100 * (round + 1));
		zsblk_trace_stop(trace);
		while ((n = zsblk_trace_take(trace, events, 64, &lost)) > 0)
			for (unsigned i = 0; i < n; i++) {
				assert_true(events[i].time_ns >= last);
				assert_int_equal(events[i].len, BLOCK_BYTES);
				last = events[i].time_ns;
			}
		zsblk_trace_end(trace);
		trace = NULL;
	}
	atomic_store(&done, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_beside_requests, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("recorder", tests, NULL, NULL);
}

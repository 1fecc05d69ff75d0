/* SPDX-License-Identifier: BSD-3-Clause */
/* When a server hangs, and in which order blocks are asked for. That real servers are found to hang: tests/daemon, tests/vm. */
#include "lib/test.h"

#include "daemon/transport/watch.h"

/* Each block has its turn, whatever the size. */
static void test_stride(void **state)
{
	for (uint64_t blocks = 1; blocks <= 3000; blocks++) {
		uint64_t stride = watch_stride(blocks), block = stride % blocks, visited = 1;

		for (; block != 0; visited++)
			block = (block + stride) % blocks;
		assert_int_equal(visited, blocks);
	}
}

/* The next probe is far away from the one before. */
static void test_far(void **state)
{
	for (uint64_t blocks = 1000; blocks <= 1ull << 40; blocks = blocks * 3 + 1)
		assert_in_range(watch_stride(blocks), blocks / 2, blocks / 4 * 3);
}

#define SECOND UINT64_C(1000000)
#define START  (100 * SECOND)

static struct watch watch;
static char why[80];

static int set_up(void **state)
{
	/* Answers within 3 s, and something completed within 9. */
	watch_init(&watch, 3000, 9000, START);
	why[0] = '\0';
	return 0;
}

static enum watch_verdict look_at(uint64_t now, uint64_t in_flight, uint64_t completed)
{
	const struct watch_device device = {true, in_flight, completed};

	return watch_look(&watch, now, &device, false, why, sizeof why);
}

/* Looks in time, from one moment to another, at a device that stays as it is. The last verdict. */
static enum watch_verdict looks(uint64_t from, uint64_t to, uint64_t in_flight, uint64_t completed)
{
	enum watch_verdict verdict = WATCH_WAIT;

	for (uint64_t now = from; now <= to && verdict != WATCH_HUNG; now += watch_interval(&watch))
		verdict = look_at(now, in_flight, completed);
	return verdict;
}

static void test_answers(void **state)
{
	assert_int_equal(watch_interval(&watch), SECOND / 2);
	assert_int_equal(look_at(START + SECOND / 2, 0, 0), WATCH_ASK);
	watch_asked(&watch, START + SECOND / 2);
	assert_int_equal(look_at(START + SECOND, 0, 0), WATCH_WAIT);
	watch_answered(&watch, START + SECOND);
	assert_int_equal(watch.longest, SECOND / 2);
	/* What was not asked for. */
	watch_answered(&watch, START + 90 * SECOND);
	assert_int_equal(watch.longest, SECOND / 2);
	assert_int_equal(look_at(START + 3 * SECOND / 2, 0, 0), WATCH_ASK);
}

static void test_no_answer(void **state)
{
	const struct watch_device idle = {true, 0, 0};

	watch_asked(&watch, START);
	assert_int_equal(looks(START + SECOND / 2, START + 3 * SECOND, 0, 0), WATCH_WAIT);
	/* There is one: it is we who are late. */
	assert_int_equal(watch_look(&watch, START + 7 * SECOND / 2, &idle, true, why, sizeof why), WATCH_WAIT);
	assert_int_equal(look_at(START + 4 * SECOND, 0, 0), WATCH_HUNG);
	assert_string_equal(why, "did not answer for 4.0 seconds");
}

/* It answers us, and completes nothing that others want. */
static void test_stuck(void **state)
{
	const struct watch_device unknown = {0};

	assert_int_equal(looks(START + SECOND / 2, START + 9 * SECOND, 1, 0), WATCH_ASK);
	/* Something was completed, though there is always something in flight; then the device cannot be read for a while. */
	assert_int_equal(looks(START + 19 * SECOND / 2, START + 18 * SECOND, 1, 7), WATCH_ASK);
	for (uint64_t now = START + 37 * SECOND / 2; now < START + 30 * SECOND; now += SECOND / 2)
		assert_int_equal(watch_look(&watch, now, &unknown, false, why, sizeof why), WATCH_ASK);
	assert_int_equal(look_at(START + 30 * SECOND, 1, 7), WATCH_HUNG);
	assert_string_equal(why, "completed none of the device's requests for 20.5 seconds");
}

/* Nothing is in flight: nothing is missing. */
static void test_idle(void **state)
{
	assert_int_equal(looks(START + SECOND / 2, START + 100 * SECOND, 0, 7), WATCH_ASK);
}

/* The machine stood still: that time does not count, for neither. */
static void test_standstill(void **state)
{
	watch_asked(&watch, START);
	assert_int_equal(look_at(START + SECOND / 2, 1, 0), WATCH_WAIT);
	assert_int_equal(look_at(START + 500 * SECOND, 1, 0), WATCH_WAIT);
	assert_int_equal(looks(START + 1001 * SECOND / 2, START + 502 * SECOND, 1, 0), WATCH_WAIT);
	assert_int_equal(looks(START + 1005 * SECOND / 2, START + 504 * SECOND, 1, 0), WATCH_HUNG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stride),
		cmocka_unit_test(test_far),
		cmocka_unit_test_setup(test_answers, set_up),
		cmocka_unit_test_setup(test_no_answer, set_up),
		cmocka_unit_test_setup(test_stuck, set_up),
		cmocka_unit_test_setup(test_idle, set_up),
		cmocka_unit_test_setup(test_standstill, set_up),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}

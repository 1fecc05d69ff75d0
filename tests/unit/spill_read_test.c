/* SPDX-License-Identifier: BSD-3-Clause */
/* Many reads at once: more than there are slots, of objects that go away meanwhile, and cancelled. */
#include "lib/spill_file.h"

#include <stdatomic.h>

#define OBJECTS 400u

struct request {
	struct spill_read read;
	uint8_t bytes[9008];
	uint32_t version;
	_Atomic unsigned ended;
	int error;
	size_t got;
};

static struct request requests[OBJECTS];
static _Atomic unsigned over;

/* As the others, with few slots, and full of objects. */
static int set_up_objects(void **state)
{
	if (set_up(state))
		return -1;
	params.depth = 3;
	if (owner_open(&owner, &params, &why) || owner_put(&owner, 0, OBJECTS))
		return -1;
	memset(requests, 0, sizeof requests);
	over = 0;
	return 0;
}

static void note_end(struct spill_read *read, int error, size_t bytes)
{
	struct request *request = read->opaque;

	request->error = error;
	request->got = bytes;
	must(atomic_fetch_add(&request->ended, 1) == 0);
	atomic_fetch_add(&over, 1);
}

static void begin_all(void)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct request *request = &requests[i];
		const struct owner_word *word = &owner.table->words[i];

		request->version = word->version;
		request->read = (struct spill_read){
			.place = word->place,
			.bytes = owner_size(&owner, i, word->version),
			.number = i,
			.buffer = request->bytes,
			.done = note_end,
			.opaque = request,
		};
		assert_int_equal(spill_get(owner.store, &request->read), 0);
	}
}

static void wait_for_all(void)
{
	const struct timespec moment = {.tv_nsec = 1000000};

	while (over < OBJECTS)
		nanosleep(&moment, NULL);
}

static void expect_right(uint32_t number)
{
	static uint8_t wanted[9008];
	const struct request *request = &requests[number];

	owner_fill(wanted, request->got, number, request->version);
	assert_int_equal(request->got, owner_size(&owner, number, request->version));
	assert_memory_equal(request->bytes, wanted, request->got);
}

static void test_more_than_slots(void **state)
{
	begin_all();
	wait_for_all();
	for (uint32_t i = 0; i < OBJECTS; i++) {
		assert_int_equal(requests[i].error, 0);
		expect_right(i);
	}
}

/* What was live when its read began can be read, however soon its bucket is needed again. */
static void test_dropped_meanwhile(void **state)
{
	begin_all();
	for (uint32_t i = 0; i < OBJECTS; i++)
		owner_drop(&owner, i);
	assert_int_equal(owner_put(&owner, 1000, 1500), 0);
	assert_int_equal(owner_clean(&owner), 0);
	wait_for_all();
	for (uint32_t i = 0; i < OBJECTS; i++) {
		assert_int_equal(requests[i].error, 0);
		expect_right(i);
	}
	assert_int_equal(owner_get_all(&owner), 0);
}

static void test_cancelled(void **state)
{
	begin_all();
	spill_cancel(owner.store);
	wait_for_all();
	for (uint32_t i = 0; i < OBJECTS; i++) {
		if (requests[i].error == 0)
			expect_right(i);
		else
			assert_int_equal(requests[i].error, -ECANCELED);
	}
	assert_int_equal(requests[OBJECTS - 1].error, -ECANCELED);
}

/* Another number, or fewer bytes than the object has: it is not what was asked for, and the buffer is left alone. */
static void test_not_what_was_asked(void **state)
{
	struct owner_word *word = &owner.table->words[9];
	uint8_t bytes[9000] = {0};
	struct spill_read read = {
		.place = word->place, .bytes = owner_size(&owner, 9, word->version), .number = 10, .buffer = bytes};
	size_t got;

	assert_int_equal(spill_get_now(owner.store, &read, &got), -EBADMSG);
	read.number = 9;
	read.bytes = read.bytes / 2;
	if (read.bytes)
		assert_int_not_equal(spill_get_now(owner.store, &read, &got), 0);
	for (size_t i = 0; i < sizeof bytes; i++)
		assert_int_equal(bytes[i], 0);
}

#define read_test(name) cmocka_unit_test_setup_teardown(name, set_up_objects, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		read_test(test_more_than_slots),
		read_test(test_dropped_meanwhile),
		read_test(test_cancelled),
		read_test(test_not_what_was_asked),
	};

	return cmocka_run_group_tests_name("spill_read", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What was changed in use, and what the next server goes on with: also after a kill, beside its parameters, and when it cannot. */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/engine.h"
#include "segment/super_record.h"

#include <dlfcn.h>
#include <errno.h>
#include <lz4hc.h>
#include <pthread.h>
#include <signal.h>

#define BLOCKS 600u
#define MIB    (UINT64_C(1) << 20)

static struct zsblk *dev;
static struct zsblk_params params;

static int set_up(void **state)
{
	params = device_params(BLOCKS);
	params.memory = test_shm_new()->memory;
	dev = device_open(&params);
	return 0;
}

static int tear_down(void **state)
{
	zsblk_close(dev);
	return 0;
}

static void next_server(void)
{
	zsblk_close(dev);
	dev = device_open(&params);
}

static void change_all(void)
{
	must(zsblk_set_algorithm(dev, "zstd", true, 7, NULL) == 0);
	zsblk_set_mem_limit(dev, 8 * MIB);
	must(zsblk_set_reserve(dev, 2 * MIB, NULL) == 0);
}

static void expect(const char *algorithm, int level, uint64_t mem_limit, uint64_t reserve)
{
	assert_string_equal(zsblk_algorithm_name(dev), algorithm);
	assert_int_equal(zsblk_level(dev), level);
	assert_int_equal(device_stats(dev).mem_limit, mem_limit);
	assert_int_equal(zsblk_reserve(dev), reserve);
}

static void test_goes_on(void **state)
{
	assert_string_equal(zsblk_adopted(dev), "");
	next_server();
	assert_string_equal(zsblk_adopted(dev), "");
	change_all();
	/* This one was started with what it says. */
	assert_string_equal(zsblk_adopted(dev), "");
	device_put(dev, 0, BLOCK_TEXT, 1);
	for (unsigned i = 0; i < 3; i++) {
		next_server();
		expect("zstd", 7, 8 * MIB, 2 * MIB);
		assert_string_equal(zsblk_adopted(dev), "mem-limit=8388608 reserve=2097152 algorithm=zstd level=7");
		assert_true(device_has(dev, 0, BLOCK_TEXT, 1));
	}
	zsblk_set_mem_limit(dev, 0);
	next_server();
	expect("zstd", 7, 0, 2 * MIB);
	assert_string_equal(zsblk_adopted(dev), "mem-limit=0 reserve=2097152 algorithm=zstd level=7");
	device_ok(dev);
}

/* What was not changed is the parameters' to say. */
static void test_one_by_one(void **state)
{
	zsblk_set_mem_limit(dev, 8 * MIB);
	params.algorithm = "lz4hc";
	params.reserve = MIB;
	next_server();
	expect("lz4hc", 9, 8 * MIB, MIB);
	assert_string_equal(zsblk_adopted(dev), "mem-limit=8388608");
	must(zsblk_set_algorithm(dev, NULL, true, 2, NULL) == 0);
	next_server();
	expect("lz4hc", 2, 8 * MIB, MIB);
	params.reserve = 2 * MIB;
	next_server();
	expect("lz4hc", 2, 8 * MIB, 2 * MIB);
}

/* Somebody has decided anew. */
static void test_parameters_that_were_changed_count(void **state)
{
	change_all();
	params.mem_limit = 16 * MIB;
	next_server();
	expect("zstd", 7, 16 * MIB, 2 * MIB);
	assert_string_equal(zsblk_adopted(dev), "reserve=2097152 algorithm=zstd level=7");
	params.level = 3;
	params.has_level = true;
	next_server();
	expect("lz4", 3, 16 * MIB, 2 * MIB);
	params.reserve = 4 * MIB;
	next_server();
	expect("lz4", 3, 16 * MIB, 4 * MIB);
	assert_string_equal(zsblk_adopted(dev), "");
	/* What was dropped does not come back. */
	params = (struct zsblk_params){.size = params.size, .memory = params.memory, .contexts = params.contexts};
	next_server();
	expect("lz4", 1, 0, 0);
}

/* Whoever only opens the device has decided nothing yet. */
static void test_not_dropped_before_the_start(void **state)
{
	struct zsblk_params other = params;

	change_all();
	zsblk_close(dev);
	other.mem_limit = 16 * MIB;
	must(zsblk_open(&other, &dev, NULL) == 0);
	assert_int_equal(device_stats(dev).mem_limit, 16 * MIB);
	zsblk_set_mem_limit(dev, 4 * MIB);
	next_server();
	expect("zstd", 7, 8 * MIB, 2 * MIB);
}

/* A reserve that nobody asked for is another one on another day. */
static void test_reserve_by_default(void **state)
{
	params.reserve = MIB;
	params.reserve_by_default = true;
	next_server();
	must(zsblk_set_reserve(dev, 2 * MIB, NULL) == 0);
	params.reserve = MIB / 2;
	next_server();
	assert_int_equal(zsblk_reserve(dev), 2 * MIB);
	params.reserve_by_default = false;
	next_server();
	assert_int_equal(zsblk_reserve(dev), MIB / 2);
}

static void test_killed(void **state)
{
	int status;
	pid_t pid;

	zsblk_close(dev);
	pid = fork();
	if (pid == 0) {
		dev = device_open(&params);
		device_put(dev, 3, BLOCK_TEXT, 3);
		change_all();
		raise(SIGKILL);
	}
	must(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	dev = device_open(&params);
	expect("zstd", 7, 8 * MIB, 2 * MIB);
	assert_true(device_has(dev, 3, BLOCK_TEXT, 3));
}

/* A change that failed is none. */
static void test_failures_are_not_recorded(void **state)
{
	must(zsblk_set_algorithm(dev, "zstd", true, 99, NULL) == -EINVAL);
	must(zsblk_set_reserve(dev, UINT64_C(1) << 60, NULL) == -ENOMEM);
	assert_false(dev->layout.features.compatible & SUPER_HAS_SETTINGS);
	next_server();
	expect("lz4", 1, 0, 0);
	assert_string_equal(zsblk_adopted(dev), "");
}

static void write_record(const void *bytes, size_t n)
{
	super_record_write(super_settings(&dev->seg, &dev->layout), SUPER_SETTINGS_COPY, bytes, n);
}

/* Of another version, or damaged: what this version does not have it cannot go on with. */
static void test_what_cannot_be(void **state)
{
	struct {
		uint32_t changed, reserved;
		struct live_values now, given;
	} record;

	change_all();
	must(super_record_read(super_settings(&dev->seg, &dev->layout), SUPER_SETTINGS_COPY, &record, sizeof record));
	assert_int_equal(record.changed, 7);
	strcpy(record.now.algorithm, "lzo");
	write_record(&record, sizeof record);
	next_server();
	expect("lz4", 1, 8 * MIB, 2 * MIB);
	must(zsblk_set_algorithm(dev, "zstd", true, 7, NULL) == 0);
	record.changed = 0xffffffff;
	memset(record.now.algorithm, 'x', sizeof record.now.algorithm);
	write_record(&record, sizeof record);
	next_server();
	expect("lz4", 1, 8 * MIB, 2 * MIB);
	/* Not a whole record. */
	change_all();
	memset(super_settings(&dev->seg, &dev->layout), 0x5a, 2 * SUPER_SETTINGS_COPY);
	next_server();
	expect("lz4", 1, 0, 0);
	assert_string_equal(zsblk_adopted(dev), "");
	change_all();
	next_server();
	expect("zstd", 7, 8 * MIB, 2 * MIB);
}

/* ------------------------------------------------------------------ the memo */

static void expect_memo(const char *wanted)
{
	char memo[ZSBLK_MEMO_MAX];

	zsblk_memo(dev, memo);
	assert_string_equal(memo, wanted);
}

static void test_memo(void **state)
{
	char longest[ZSBLK_MEMO_MAX + 1];

	expect_memo("");
	must(zsblk_set_memo(dev, "cold=yes") == 0);
	expect_memo("cold=yes");
	/* Beside the settings, which come and go. */
	change_all();
	next_server();
	expect_memo("cold=yes");
	assert_string_equal(zsblk_adopted(dev), "mem-limit=8388608 reserve=2097152 algorithm=zstd level=7");
	params.mem_limit = 16 * MIB;
	next_server();
	next_server();
	expect_memo("cold=yes");
	memset(longest, 'x', sizeof longest);
	longest[ZSBLK_MEMO_MAX] = '\0';
	assert_int_equal(zsblk_set_memo(dev, longest), -E2BIG);
	expect_memo("cold=yes");
	longest[ZSBLK_MEMO_MAX - 1] = '\0';
	must(zsblk_set_memo(dev, longest) == 0);
	next_server();
	expect_memo(longest);
	must(zsblk_set_memo(dev, "") == 0);
	next_server();
	expect_memo("");
}

/* Without an end it is no text. One of a version that does not know it is empty. */
static void test_memo_that_cannot_be(void **state)
{
	uint8_t record[88 + ZSBLK_MEMO_MAX];

	must(zsblk_set_memo(dev, "x") == 0);
	must(super_record_read(super_settings(&dev->seg, &dev->layout), SUPER_SETTINGS_COPY, record, sizeof record));
	memset(record + 88, 'x', ZSBLK_MEMO_MAX);
	write_record(record, sizeof record);
	next_server();
	expect_memo("");
	must(zsblk_set_memo(dev, "y") == 0);
	write_record(record, 88);
	next_server();
	expect_memo("");
}

static void test_memo_of_a_killed_server(void **state)
{
	int status;
	pid_t pid;

	zsblk_close(dev);
	pid = fork();
	if (pid == 0) {
		dev = device_open(&params);
		must(zsblk_set_memo(dev, "killed") == 0);
		raise(SIGKILL);
	}
	must(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	dev = device_open(&params);
	expect_memo("killed");
}

static bool old_library;

/* In place of the library's: a version that cannot set up its state in the memory it was given. */
LZ4_streamHC_t *LZ4_initStreamHC(void *mem, size_t bytes)
{
	LZ4_streamHC_t *(*real)(void *, size_t) =
		(LZ4_streamHC_t * (*)(void *, size_t)) dlsym(RTLD_NEXT, "LZ4_initStreamHC");

	return old_library ? NULL : real(mem, bytes);
}

/* A server does not fail because of what another one was told. */
static void test_algorithm_that_cannot_be_had(void **state)
{
	change_all();
	must(zsblk_set_algorithm(dev, "lz4hc", true, 4, NULL) == 0);
	old_library = true;
	next_server();
	old_library = false;
	expect("lz4", 1, 8 * MIB, 2 * MIB);
	assert_string_equal(zsblk_adopted(dev), "mem-limit=8388608 reserve=2097152");
	device_put(dev, 0, BLOCK_TEXT, 1);
	next_server();
	expect("lz4", 1, 8 * MIB, 2 * MIB);
}

/* Nor because of a reserve for which there is no memory now: also if nothing was ever written. */
static void test_reserve_that_cannot_be_had(void **state)
{
	const struct live_values values = {.reserve = UINT64_C(1) << 50};

	live_note(dev, LIVE_RESERVE, &values);
	next_server();
	assert_int_equal(zsblk_reserve(dev), values.reserve);
	device_put(dev, 0, BLOCK_TEXT, 1);
	next_server();
	assert_true(device_has(dev, 0, BLOCK_TEXT, 1));
}

/* Memory that ends with the process needs none, and takes no page for it. */
static void test_anonymous(void **state)
{
	uint64_t pages;

	zsblk_close(dev);
	params.memory = "anon";
	dev = device_open(&params);
	change_all();
	must(segment_count_resident(&dev->seg, dev->layout.room_offset, SUPER_ROOM_BYTES, &pages) == 0);
	assert_int_equal(pages, 0);
	expect("zstd", 7, 8 * MIB, 2 * MIB);
	must(zsblk_set_memo(dev, "here") == 0);
	expect_memo("here");
}

/* ------------------------------------------------------------------ several at once */

static void *change_limit(void *opaque)
{
	for (unsigned i = 0; i < test_amount(4000); i++)
		zsblk_set_mem_limit(dev, (4 + (uintptr_t)opaque + i % 4) * MIB);
	return NULL;
}

static void *change_algorithm(void *opaque)
{
	for (unsigned i = 0; i < test_amount(80); i++)
		must(zsblk_set_algorithm(dev, i % 2 ? "zstd" : "lz4", true, 1 + (int)(i % 5), NULL) == 0);
	return NULL;
}

/* What is in force in the end is what the next server has. */
static void test_several_at_once(void **state)
{
	pthread_t threads[3];
	uint64_t limit;
	int level;

	pthread_create(&threads[0], NULL, change_limit, NULL);
	pthread_create(&threads[1], NULL, change_limit, (void *)1);
	pthread_create(&threads[2], NULL, change_algorithm, NULL);
	for (unsigned i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	limit = device_stats(dev).mem_limit;
	level = zsblk_level(dev);
	next_server();
	assert_int_equal(device_stats(dev).mem_limit, limit);
	assert_int_equal(zsblk_level(dev), level);
}

int main(void)
{
#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(test_goes_on),
		WITH_DEVICE(test_one_by_one),
		WITH_DEVICE(test_parameters_that_were_changed_count),
		WITH_DEVICE(test_not_dropped_before_the_start),
		WITH_DEVICE(test_reserve_by_default),
		WITH_DEVICE(test_killed),
		WITH_DEVICE(test_failures_are_not_recorded),
		WITH_DEVICE(test_what_cannot_be),
		WITH_DEVICE(test_memo),
		WITH_DEVICE(test_memo_that_cannot_be),
		WITH_DEVICE(test_memo_of_a_killed_server),
		WITH_DEVICE(test_algorithm_that_cannot_be_had),
		WITH_DEVICE(test_reserve_that_cannot_be_had),
		WITH_DEVICE(test_anonymous),
		WITH_DEVICE(test_several_at_once),
	};

	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a device: opened, found again, refused; and no segment changed that was refused. */
#include "lib/device.h"
#include "lib/refusal.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "engine/word.h"
#include "segment/format.h"

#include <dlfcn.h>
#include <lz4.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define BLOCKS      600u
#define AT_VERSION  8
#define AT_CODECS   offsetof(struct super, basics.codecs)
#define AT_FEATURES offsetof(struct super, state.incompatible)
#define AT_PLACES   offsetof(struct super, places)
#define AT_CHECKSUM offsetof(struct super, checksum)

/* A segment with a device in it whose blocks are `i % BLOCK_KINDS`, tagged with their number. */
static struct zsblk_params make_device(const struct test_shm *shm)
{
	struct zsblk_params params = device_params(BLOCKS);
	struct zsblk *dev;

	params.memory = shm->memory;
	dev = device_open(&params);
	for (unsigned i = 0; i < BLOCKS; i++)
		device_put(dev, i, i % BLOCK_KINDS, i);
	zsblk_close(dev);
	return params;
}

static void is_intact(const struct zsblk_params *params)
{
	struct zsblk *dev = device_open(params);

	for (unsigned i = 0; i < BLOCKS; i++)
		assert_true(device_has(dev, i, i % BLOCK_KINDS, i));
	device_ok(dev);
	zsblk_close(dev);
}

/* ------------------------------------------------------------------ life */

static void test_figures_of_a_device(void **state)
{
	struct zsblk_params params = device_params(10);
	struct zsblk *dev;

	params.algorithm = "zstd";
	params.level = -3;
	params.has_level = true;
	params.contexts = 3;
	dev = device_open(&params);
	assert_int_equal(zsblk_size(dev), 10 * 4096);
	assert_int_equal(zsblk_contexts(dev), 3);
	assert_string_equal(zsblk_algorithm_name(dev), "zstd");
	assert_int_equal(zsblk_level(dev), -3);
	zsblk_close(dev);
	zsblk_close(NULL);
}

static void test_opened_and_never_started(void **state)
{
	struct zsblk_params params = device_params(10);
	struct zsblk *dev;

	params.memory = test_shm_new()->memory;
	assert_int_equal(zsblk_open(&params, &dev, NULL), 0);
	zsblk_close(dev);
	assert_int_equal(zsblk_open(&params, &dev, NULL), 0);
	zsblk_close(dev);
}

static void test_found_again(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);
	char by_id[40];

	is_intact(&params);
	is_intact(&params);
	snprintf(by_id, sizeof by_id, "shm:id=%d", test_shm_id(shm));
	params.memory = by_id;
	is_intact(&params);
	assert_int_equal(zsblk_remove(by_id, NULL), 0);
	assert_int_equal(test_shm_id(shm), -1);
}

/* Objects say which codec made them: each opening may write with another. */
static void test_mixed_algorithms(void **state)
{
	static const char *const names[] = {"lz4", "zstd", "lz4hc"};
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct zsblk *dev;

		params.algorithm = names[i];
		dev = device_open(&params);
		for (unsigned n = (unsigned)i; n < BLOCKS; n += 3)
			device_put(dev, n, n % BLOCK_KINDS, n);
		zsblk_close(dev);
	}
	is_intact(&params);
}

static void test_reserve(void **state)
{
	struct zsblk_params params = device_params(BLOCKS);
	struct zsblk *dev;

	params.reserve = 1 << 20;
	dev = device_open(&params);
	assert_int_equal(device_stats(dev).reserved_bytes, 1 << 20);
	for (unsigned i = 0; i < 100; i++)
		device_put(dev, i, BLOCK_NOISE, i);
	assert_int_equal(device_stats(dev).reserve_misses, 0);
	device_ok(dev);
	zsblk_close(dev);
}

static void try_remove(void *opaque)
{
	_exit(zsblk_remove(opaque, NULL) == -EBUSY ? 42 : 1);
}

static void test_remove(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);
	struct zsblk_why why = {""};
	struct zsblk *dev = device_open(&params);

	assert_int_equal(WEXITSTATUS(test_in_child(try_remove, (void *)(uintptr_t)shm->memory)), 42);
	assert_int_equal(zsblk_remove(shm->memory, &why), -EBUSY);
	assert_non_null(strstr(why.text, "in use"));
	zsblk_close(dev);
	assert_int_equal(zsblk_remove(shm->memory, &why), 0);
	assert_int_equal(zsblk_remove(shm->memory, &why), -ENOENT);
	assert_int_equal(zsblk_remove("anon", &why), -EINVAL);
	assert_int_equal(zsblk_remove(NULL, &why), -EINVAL);
	assert_int_equal(zsblk_remove("shm:id=2147483647", NULL), -ENOENT);
}

static void test_inspect(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);
	struct zsblk_segment found;
	struct zsblk_why why = {""};
	struct zsblk *dev;

	assert_int_equal(zsblk_inspect(shm->memory, &found, &why), 0);
	assert_int_equal(found.size, params.size);
	assert_int_equal(found.id, test_shm_id(shm));
	assert_int_equal(found.holder, 0);
	dev = device_open(&params);
	assert_int_equal(zsblk_inspect(shm->memory, &found, NULL), 0);
	assert_int_equal(found.holder, getpid());
	device_ok(dev);
	zsblk_close(dev);
	is_intact(&params);
	assert_int_equal(zsblk_remove(shm->memory, NULL), 0);
	assert_int_equal(zsblk_inspect(shm->memory, &found, &why), -ENOENT);
	assert_non_null(strstr(why.text, "does not exist"));
	assert_int_equal(zsblk_inspect("anon", &found, &why), -EINVAL);
}

/* ------------------------------------------------------------------ refusals */

static void test_another_size(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm), other = params;

	other.size += 4096;
	expect_refusal(shm, &other, -EINVAL, "size=2457600");
	other.size = 4096;
	expect_refusal(shm, &other, -EINVAL, "size=4096");
	other = params;
	other.chain = 3;
	expect_refusal(shm, &other, -EINVAL, "chain=3");
	is_intact(&params);
}

static void flip(const struct test_shm *shm, size_t at)
{
	uint8_t *mem = test_shm_map(shm, NULL);

	mem[at] ^= 0x10;
	shmdt(mem);
}

static void test_damaged_superblock(void **state)
{
	static const struct {
		size_t at;
		const char *words;
	} cases[] = {
		{0, "not made by zsblk"},     {LOW_BYTE(AT_VERSION, 4), "version 18"},
		{AT_VERSION + 4, "checksum"}, {16, "checksum"},
		{AT_CODECS + 17, "checksum"}, {AT_CHECKSUM, "checksum"},
		{AT_PLACES, "checksum"},      {AT_FEATURES, "complements"},
	};
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		flip(shm, cases[i].at);
		expect_refusal(shm, &params, -EINVAL, cases[i].words);
		flip(shm, cases[i].at);
	}
	is_intact(&params);
}

/* Superblocks that are whole, but made by a zsblk that differs from this one. */
static void test_other_layouts(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);
	struct super_layout right, wrong[10];
	struct segment seg = {0};
	static const char *const words[] = {
		"codec 1",  "codec 5", "blocks of 512",  "geometry",      "geometry",
		"geometry", "pool",    "describes more", "read-only 0x2", "incompatible 0x80000000"};
	char why[200];

	seg.base = test_shm_map(shm, &seg.bytes);
	assert_int_equal(super_read(&seg, &right, why, sizeof why), 0);
	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		wrong[i] = right;
	strcpy(wrong[0].codecs[1], "lzo");
	wrong[2].block_size = 512;
	wrong[3].class_step = 16;
	wrong[4].max_objects = 2048;
	wrong[5].chain = 100;
	wrong[6].kind = 2;
	wrong[7].pool_pages *= 2;
	wrong[8].features.read_only = 2;
	wrong[9].features.incompatible = 1u << 31;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		super_format(&seg, &wrong[i]);
		/* Where it does not belong. */
		if (i == 1)
			strcpy(super_of(&seg)->basics.codecs[5], "deflate");
		super_seal(&seg);
		expect_refusal(shm, &params, -EINVAL, words[i]);
	}
	super_format(&seg, &right);
	shmdt(seg.base);
	is_intact(&params);
}

/* A process marked words of a device, and was killed: nobody is to take its marks for its own. */
static void test_marks_are_cleared(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);
	struct super_layout layout;
	struct segment seg = {0};
	struct table table;
	struct zsblk_why why;
	struct zsblk *dev;
	unsigned marked = 0;

	seg.base = test_shm_map(shm, &seg.bytes);
	assert_int_equal(super_read(&seg, &layout, why.text, sizeof why.text), 0);
	table = super_table(&seg, &layout);
	for (unsigned block = 0; block < BLOCKS; block++)
		if (block % BLOCK_KINDS > BLOCK_SAME32) {
			table.words[block] = word_mark(table.words[block]);
			marked++;
		}
	assert_true(marked > BLOCKS / 3);
	/* A segment that is refused stays as it was. */
	table.words[BLOCKS - 1] ^= UINT64_C(1) << 62;
	assert_int_equal(zsblk_open(&params, &dev, &why), -EINVAL);
	assert_non_null(strstr(why.text, "block 599"));
	assert_true(word_is_marked(table.words[BLOCK_NOISE]));
	table.words[BLOCKS - 1] ^= UINT64_C(1) << 62;
	is_intact(&params);
	for (unsigned block = 0; block < BLOCKS; block++)
		assert_false(block % BLOCK_KINDS > BLOCK_SAME32 && word_is_marked(table.words[block]));
	shmdt(seg.base);
}

static void test_a_plain_pool(void **state)
{
	const struct test_shm *shm = test_shm_new();
	const struct zs_params pool_params = {.memory = shm->memory, .max_pages = 4096, .max_objects = 1000};
	struct zsblk_params params = device_params(BLOCKS);
	struct zs_pool *pool;

	assert_int_equal(zs_create_pool("plain", &pool_params, &pool), 0);
	zs_malloc(pool, 100);
	zs_destroy_pool(pool, NULL, NULL);
	params.memory = shm->memory;
	expect_refusal(shm, &params, -EINVAL, "zsmalloc pool");
}

static void test_foreign_segments(void **state)
{
	static const size_t at[] = {0, 8, 300, 4095, 4096, 100000};
	struct zsblk_params params = device_params(16);
	struct zsblk_why why = {""};

	for (size_t i = 0; i < COUNT_OF(at); i++) {
		const struct test_shm *shm = test_shm_new();
		uint8_t *mem;

		assert_true(shmget(shm->key, 100 << 20, IPC_CREAT | SHM_NORESERVE | 0600) >= 0);
		mem = test_shm_map(shm, NULL);
		strcpy((char *)mem + at[i], "somebody else's data");
		params.memory = shm->memory;
		assert_int_equal(zsblk_open(&params, &(struct zsblk *){NULL}, &why), -EINVAL);
		assert_non_null(strstr(why.text, "not made by zsblk"));
		assert_int_equal(zsblk_remove(shm->memory, &why), -EINVAL);
		assert_string_equal((char *)mem + at[i], "somebody else's data");
		for (size_t n = 0; n < 8192; n++)
			assert_true(mem[n] == 0 || (n >= at[i] && n < at[i] + 21));
		assert_false(test_shm_is_locked(shm));
		shmdt(mem);
		test_shm_remove(shm);
	}
}

static void test_segments_that_do_not_fit(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(BLOCKS);

	uint8_t *mem;

	assert_true(shmget(shm->key, 4096, IPC_CREAT | 0600) >= 0);
	params.memory = shm->memory;
	/* Nobody has claimed it, so it is not ours, however empty it is. */
	expect_refusal(shm, &params, -EINVAL, "not made by zsblk");
	assert_int_equal(zsblk_remove(shm->memory, NULL), -EINVAL);
	mem = test_shm_map(shm, NULL);
	memset(mem + offsetof(struct super, state.claim), 0x11, 8);
	shmdt(mem);
	expect_refusal(shm, &params, -EINVAL, "too few");
	params.memory = "shm:id=2147483647";
	assert_int_equal(zsblk_open(&params, &(struct zsblk *){NULL}, NULL), -EINVAL);
}

struct holder {
	const struct zsblk_params *params;
	int ready[2], go[2];
};

static void hold_and_wait(void *opaque)
{
	struct holder *holder = opaque;
	struct zsblk *dev = device_open(holder->params);
	char byte = 1;

	must(dev && write(holder->ready[1], &byte, 1) == 1);
	must(read(holder->go[0], &byte, 1) == 1);
	raise(SIGKILL);
}

/* In use by a live process; free as soon as that one is killed. */
static void test_in_use(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);
	struct holder holder = {.params = &params};
	struct zsblk_why why = {""};
	char text[40], byte = 1;
	int status;
	pid_t pid;

	assert_int_equal(pipe(holder.ready) | pipe(holder.go), 0);
	pid = fork();
	if (pid == 0) {
		hold_and_wait(&holder);
		_exit(1);
	}
	assert_int_equal(read(holder.ready[0], &byte, 1), 1);
	assert_int_equal(zsblk_open(&params, &(struct zsblk *){NULL}, &why), -EBUSY);
	snprintf(text, sizeof text, "process %d", pid);
	assert_non_null(strstr(why.text, text));
	assert_int_equal(zsblk_remove(shm->memory, &why), -EBUSY);
	assert_int_equal(write(holder.go[1], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	is_intact(&params);
}

static void test_twice_in_one_process(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);
	struct zsblk *dev = device_open(&params), *second;
	struct zsblk_why why = {""};

	assert_int_equal(zsblk_open(&params, &second, &why), -EBUSY);
	assert_non_null(strstr(why.text, "in use"));
	/* The failed attempt did not give up the claim of the first. */
	assert_int_equal(zsblk_open(&params, &second, &why), -EBUSY);
	device_put(dev, 0, BLOCK_ZERO, 0);
	zsblk_close(dev);
	is_intact(&params);
}

#define RACERS 6u

struct race {
	struct zsblk_params params;
	atomic_uint ready, done;
	_Atomic int result[RACERS];
};

static void run_race(struct race *race, unsigned racer)
{
	struct zsblk *dev;
	int r;

	atomic_fetch_add(&race->ready, 1);
	while (atomic_load(&race->ready) < RACERS)
		;
	r = zsblk_open(&race->params, &dev, NULL);
	race->result[racer] = r ? r : zsblk_start(dev, NULL);
	if (r == 0)
		device_put(dev, racer, BLOCK_TEXT, racer);
	atomic_fetch_add(&race->done, 1);
	/* Whoever has it holds it until everybody has tried. */
	while (atomic_load(&race->done) < RACERS)
		usleep(1000);
	if (r == 0)
		zsblk_close(dev);
}

/* Many open the same segment at once, and nobody made it before: one has it, the others are refused. */
static void test_race_to_create(void **state)
{
	struct race *race = mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(race, MAP_FAILED);
	for (unsigned round = 0; round < test_amount(20); round++) {
		unsigned winners = 0;
		pid_t pids[RACERS];
		struct zsblk *dev;
		int status;

		race->params = device_params(BLOCKS);
		race->params.memory = test_shm_new()->memory;
		race->ready = race->done = 0;
		for (unsigned i = 0; i < RACERS; i++) {
			pids[i] = fork();
			if (pids[i] == 0) {
				run_race(race, i);
				_exit(0);
			}
		}
		for (unsigned i = 0; i < RACERS; i++) {
			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_int_equal(status, 0);
			winners += race->result[i] == 0;
			if (race->result[i])
				assert_int_equal(race->result[i], -EBUSY);
		}
		assert_int_equal(winners, 1);
		dev = device_open(&race->params);
		for (unsigned i = 0; i < RACERS; i++)
			assert_true(device_has(dev, i, race->result[i] ? BLOCK_ZERO : BLOCK_TEXT, i));
		device_ok(dev);
		zsblk_close(dev);
	}
	munmap(race, sizeof *race);
}

static void start_in_child(void *opaque)
{
	struct zsblk *dev = opaque;

	must(zsblk_start(dev, NULL) == 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		must(device_has(dev, i, i % BLOCK_KINDS, i));
	device_put(dev, 7, BLOCK_TEXT, 1234);
	zsblk_close(dev);
}

/* Opened, forked, and the child goes on: as a server that becomes a daemon. */
static void test_fork_between_open_and_start(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = make_device(shm);
	struct zsblk *dev;

	assert_int_equal(zsblk_open(&params, &dev, NULL), 0);
	assert_int_equal(test_in_child(start_in_child, dev), 0);
	zsblk_close(dev);
	dev = device_open(&params);
	assert_true(device_has(dev, 7, BLOCK_TEXT, 1234));
	zsblk_close(dev);
}

static bool old_library;

/* In place of the library's: a version that cannot set up its state in the memory it was given. */
LZ4_stream_t *LZ4_initStream(void *mem, size_t bytes)
{
	LZ4_stream_t *(*real)(void *, size_t) = (LZ4_stream_t * (*)(void *, size_t)) dlsym(RTLD_NEXT, "LZ4_initStream");

	return old_library ? NULL : real(mem, bytes);
}

static void test_codec_that_cannot_be_set_up(void **state)
{
	struct zsblk_params params = device_params(BLOCKS);
	struct zsblk_why why = {""};
	struct zsblk *dev;

	old_library = true;
	assert_int_equal(zsblk_open(&params, &dev, &why), -EINVAL);
	old_library = false;
	assert_non_null(strstr(why.text, "algorithm=lz4 level=1 cannot be set up"));
	assert_null(strstr(why.text, "memory"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codec_that_cannot_be_set_up),
		cmocka_unit_test(test_figures_of_a_device),
		cmocka_unit_test(test_opened_and_never_started),
		cmocka_unit_test(test_found_again),
		cmocka_unit_test(test_mixed_algorithms),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_inspect),
		cmocka_unit_test(test_another_size),
		cmocka_unit_test(test_damaged_superblock),
		cmocka_unit_test(test_other_layouts),
		cmocka_unit_test(test_a_plain_pool),
		cmocka_unit_test(test_marks_are_cleared),
		cmocka_unit_test(test_foreign_segments),
		cmocka_unit_test(test_segments_that_do_not_fit),
		cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_twice_in_one_process),
		cmocka_unit_test(test_race_to_create),
		cmocka_unit_test(test_fork_between_open_and_start),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}

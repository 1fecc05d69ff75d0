/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools in shared memory: let go of and found again, by this process and by others. */
#include "lib/objects.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "segment/super.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>

#define OBJECTS 3000u

static struct object objects[OBJECTS];

static struct zs_params params_for(const struct test_shm *shm)
{
	return (struct zs_params){.memory = shm->memory, .max_pages = 8192, .max_objects = 10000, .chain = 8};
}

static struct zs_pool *attach(const struct test_shm *shm)
{
	const struct zs_params params = params_for(shm);
	struct zs_pool *pool;

	assert_int_equal(zs_create_pool("shared", &params, &pool), 0);
	return pool;
}

static void fill(struct zs_pool *pool, uint64_t *random)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (objects[i].handle && random_below(random, 2))
			object_drop(pool, &objects[i]);
		if (!objects[i].handle && random_below(random, 4))
			assert_true(object_make(pool, &objects[i], object_size(random), random_next(random)));
	}
}

static unsigned all_intact(struct zs_pool *pool)
{
	unsigned n = 0;

	for (unsigned i = 0; i < OBJECTS; i++) {
		if (!objects[i].handle)
			continue;
		assert_true(object_intact(pool, &objects[i]));
		n++;
	}
	return n;
}

static void test_found_again(void **state)
{
	const struct test_shm *shm = test_shm_new();
	uint64_t random = test_seed("pool_shm");

	memset(objects, 0, sizeof objects);
	for (unsigned round = 0; round < 6; round++) {
		struct zs_pool *pool = attach(shm);
		struct zs_pool_stats stats;
		unsigned n = all_intact(pool);

		pool_ok(pool);
		zs_pool_stats(pool, &stats);
		assert_int_equal(stats.objects, n);
		fill(pool, &random);
		if (round % 2)
			zs_compact(pool);
		pool_ok(pool);
		n = all_intact(pool);
		assert_int_equal(zs_destroy_pool(pool, NULL, NULL), n);
	}
}

static void test_keeps_its_name(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zs_params params = params_for(shm);
	struct zs_pool *pool;

	zs_destroy_pool(attach(shm), NULL, NULL);
	assert_int_equal(zs_create_pool("another name", &params, &pool), 0);
	assert_string_equal(zs_pool_name(pool), "shared");
	zs_destroy_pool(pool, NULL, NULL);
}

/* Mapped when the process ended, moving when it was killed: nothing holds them any more. */
static void test_holds_end_with_the_process(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zs_pool *pool = attach(shm);
	struct object object;

	assert_true(object_make(pool, &object, 500, 1));
	zs_map_object(pool, object.handle, ZS_MM_RW);
	zs_destroy_pool(pool, NULL, NULL);
	pool = attach(shm);
	assert_true(object_intact(pool, &object));
	object_drop(pool, &object);
	pool_ok(pool);
	zs_destroy_pool(pool, NULL, NULL);
}

/* ------------------------------------------------------------------ an object that is being moved */

static uint64_t *moving_cell; /* as if another thread moved it, which does not get the CPU as long as we spin */
static unsigned spins;

/* In place of the C library's: the mover goes on while its waiter sleeps. */
int nanosleep(const struct timespec *time, struct timespec *rest)
{
	if (moving_cell)
		__atomic_fetch_and(moving_cell, ~UINT64_C(2), __ATOMIC_RELEASE);
	return (int)syscall(SYS_nanosleep, time, rest);
}

int sched_yield(void)
{
	if (moving_cell && ++spins == 1000000)
		__atomic_fetch_and(moving_cell, ~UINT64_C(2), __ATOMIC_RELEASE);
	return 0;
}

static void test_waits_without_spinning(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zs_pool *pool = attach(shm);
	struct segment seg = {.kind = SEGMENT_SHM, .shmid = test_shm_id(shm)};
	struct super_layout layout;
	struct object object;
	char why[200];

	seg.base = test_shm_map(shm, &seg.bytes);
	assert_int_equal(super_read(&seg, &layout, why, sizeof why), 0);
	assert_true(object_make(pool, &object, 500, 1));
	for (unsigned round = 0; round < 2; round++) {
		moving_cell = &super_table(&seg, &layout).words[object.handle - 1];
		assert_int_equal(*moving_cell & 3, 1);
		*moving_cell |= 2;
		spins = 0;
		if (round == 0)
			assert_true(object_intact(pool, &object));
		else
			object_drop(pool, &object);
		moving_cell = NULL;
		assert_in_range(spins, 0, 100);
	}
	zs_destroy_pool(pool, NULL, NULL);
	segment_close(&seg);
}

/* What is refused stays as it was: opening stores nothing before all is verified. */
static void test_damaged_is_left_alone(void **state)
{
	const struct test_shm *shm = test_shm_new();
	const struct zs_params params = params_for(shm);
	struct zs_pool *pool = attach(shm);
	struct segment seg = {.kind = SEGMENT_SHM, .shmid = test_shm_id(shm)};
	struct super_layout layout;
	struct object one = {0}, other = {0};
	uint64_t *held, *damaged, was;
	char why[200];

	assert_true(object_make(pool, &one, 500, 1) && object_make(pool, &other, 500, 2));
	zs_destroy_pool(pool, NULL, NULL);
	seg.base = test_shm_map(shm, &seg.bytes);
	assert_int_equal(super_read(&seg, &layout, why, sizeof why), 0);
	held = &super_table(&seg, &layout).words[one.handle - 1];
	damaged = &super_table(&seg, &layout).words[other.handle - 1];
	/* Its process died while it had this one mapped; the other one lies nowhere. */
	*held |= 8;
	was = *damaged;
	*damaged ^= UINT64_C(0xfffff) << 8;
	assert_int_equal(zs_create_pool("shared", &params, &pool), -EINVAL);
	assert_int_equal(*held & 8, 8);
	*damaged = was;
	pool = attach(shm);
	assert_int_equal(*held & 8, 0);
	assert_true(object_intact(pool, &one) && object_intact(pool, &other));
	zs_destroy_pool(pool, NULL, NULL);
	segment_close(&seg);
}

static void test_other_params_are_refused(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zs_params params[] = {params_for(shm), params_for(shm), params_for(shm)};
	struct zs_pool *pool = attach(shm);
	struct object object;

	assert_true(object_make(pool, &object, 500, 1));
	zs_destroy_pool(pool, NULL, NULL);
	params[0].chain = 9;
	params[1].max_objects++;
	params[2].max_pages += 64;
	for (size_t i = 0; i < COUNT_OF(params); i++) {
		assert_int_equal(zs_create_pool("shared", &params[i], &pool), -EINVAL);
		assert_null(pool);
	}
	pool = attach(shm);
	assert_true(object_intact(pool, &object));
	zs_destroy_pool(pool, NULL, NULL);
}

static void test_twice_in_one_process(void **state)
{
	const struct test_shm *shm = test_shm_new();
	const struct zs_params params = params_for(shm);
	struct zs_pool *pool = attach(shm), *second;

	assert_int_equal(zs_create_pool("second", &params, &second), -EBUSY);
	assert_null(second);
	zs_free(pool, zs_malloc(pool, 10));
	zs_destroy_pool(pool, NULL, NULL);
	zs_destroy_pool(attach(shm), NULL, NULL);
}

static void try_to_attach(void *opaque)
{
	const struct zs_params params = params_for(opaque);
	struct zs_pool *pool;

	_exit(zs_create_pool("child", &params, &pool) == -EBUSY ? 42 : 1);
}

static void test_used_by_another_process(void **state)
{
	const struct test_shm *shm = test_shm_new();
	/* Static, so that it is no leak of the child. */
	static struct zs_pool *pool;
	int status;

	pool = attach(shm);
	status = test_in_child(try_to_attach, (void *)(uintptr_t)shm);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	zs_destroy_pool(pool, NULL, NULL);
}

static void leave_objects(void *opaque)
{
	struct zs_pool *pool;
	const struct zs_params params = params_for(opaque);
	struct object object;

	must(zs_create_pool("shared", &params, &pool) == 0);
	for (unsigned i = 0; i < 100; i++)
		must(object_make(pool, &object, 1 + i * 40, i));
	zs_map_object(pool, object.handle, ZS_MM_WO);
	kill(getpid(), SIGKILL);
}

static void test_after_a_kill(void **state)
{
	const struct test_shm *shm = test_shm_new();
	int status = test_in_child(leave_objects, (void *)(uintptr_t)shm);
	struct zs_pool_stats stats;
	struct zs_pool *pool;

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	pool = attach(shm);
	pool_ok(pool);
	zs_pool_stats(pool, &stats);
	assert_int_equal(stats.objects, 100);
	zs_destroy_pool(pool, NULL, NULL);
}

/* Every bit of some cells: refused, or a pool that is sound. */
static void test_damaged_cells(void **state)
{
	const struct test_shm *shm = test_shm_new();
	const struct zs_params params = params_for(shm);
	struct super_layout layout;
	struct segment seg = {0};
	struct zs_pool *pool;
	uint64_t random = 3;
	unsigned refused = 0;
	char why[200];

	memset(objects, 0, sizeof objects);
	pool = attach(shm);
	fill(pool, &random);
	zs_destroy_pool(pool, NULL, NULL);
	seg.base = test_shm_map(shm, &seg.bytes);
	assert_int_equal(super_read(&seg, &layout, why, sizeof why), 0);
	for (unsigned bit = 0; bit < 64 * 4; bit += RUNNING_UNDER_SANITIZER ? 5 : 1) {
		uint64_t *cell = &super_table(&seg, &layout).words[bit / 64], saved = *cell;
		int r;

		*cell ^= UINT64_C(1) << bit % 64;
		r = zs_create_pool("shared", &params, &pool);
		if (r) {
			assert_int_equal(r, -EINVAL);
			refused++;
		} else {
			pool_ok(pool);
			zs_destroy_pool(pool, NULL, NULL);
		}
		*cell = saved;
	}
	assert_true(refused > 20);
	shmdt(seg.base);
	pool = attach(shm);
	pool_ok(pool);
	zs_destroy_pool(pool, NULL, NULL);
}

static void test_too_small_a_segment(void **state)
{
	const struct test_shm *shm = test_shm_new();
	const struct zs_params params = params_for(shm);
	struct zs_pool *pool;

	assert_true(shmget(shm->key, 3 * 4096, IPC_CREAT | 0600) >= 0);
	assert_int_equal(zs_create_pool("small", &params, &pool), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_again),
		cmocka_unit_test(test_keeps_its_name),
		cmocka_unit_test(test_holds_end_with_the_process),
		cmocka_unit_test(test_waits_without_spinning),
		cmocka_unit_test(test_damaged_is_left_alone),
		cmocka_unit_test(test_other_params_are_refused),
		cmocka_unit_test(test_twice_in_one_process),
		cmocka_unit_test(test_used_by_another_process),
		cmocka_unit_test(test_after_a_kill),
		cmocka_unit_test(test_damaged_cells),
		cmocka_unit_test(test_too_small_a_segment),
	};

	return cmocka_run_group_tests_name("pool_shm", tests, NULL, NULL);
}

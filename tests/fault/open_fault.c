/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a device or a pool when the system's own calls fail: every n-th mmap, one after the
 * other. Whatever fails, there is an error and nothing is left behind; as soon as it works again,
 * so does opening.
 */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "zsmalloc.h"

#include <pthread.h>
#include <sys/mman.h>

/* ------------------------------------------------------------------ failing calls */

static unsigned fail_at, calls; /* 0: none fails */

static bool fails(void)
{
	return fail_at && ++calls == fail_at;
}

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (fails()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(addr, len, prot, flags, fd, offset);
}

#ifdef __GLIBC__
/* What mmap() is called where offsets have 64 bits. */
void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	if (fails()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap64(addr, len, prot, flags, fd, offset);
}
#endif

void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size)
{
	if (fails()) {
		errno = ENOMEM;
		return NULL;
	}
	return __real_aligned_alloc(align, size);
}

void *__real_shmat(int id, const void *addr, int flags);
void *__wrap_shmat(int id, const void *addr, int flags);
void *__wrap_shmat(int id, const void *addr, int flags)
{
	if (fails()) {
		errno = ENOMEM;
		return (void *)-1;
	}
	return __real_shmat(id, addr, flags);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	return fails() ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}

/* A sandbox that has no mincore. */
static bool without_mincore;

int __real_mincore(void *addr, size_t len, unsigned char *vec);
int __wrap_mincore(void *addr, size_t len, unsigned char *vec);
int __wrap_mincore(void *addr, size_t len, unsigned char *vec)
{
	if (without_mincore) {
		errno = EPERM;
		return -1;
	}
	return __real_mincore(addr, len, vec);
}

/* Memory that cannot be populated. */
static bool without_memory;

int __real_madvise(void *addr, size_t len, int advice);
int __wrap_madvise(void *addr, size_t len, int advice);
int __wrap_madvise(void *addr, size_t len, int advice)
{
	if (without_memory && advice == 23) { /* MADV_POPULATE_WRITE */
		errno = ENOMEM;
		return -1;
	}
	return __real_madvise(addr, len, advice);
}

/* ------------------------------------------------------------------ tests */

static unsigned mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	int c;

	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* Each of the calls in turn, until opening and starting needs fewer than that. */
static void open_with_failures(const struct zsblk_params *params)
{
	unsigned failed = 0, before;

	zsblk_close(device_open(params));
	before = mappings();
	for (unsigned at = 1;; at++) {
		struct zsblk_why why = {""};
		struct zsblk *dev = NULL;
		int r;

		assert_true(at < 100);
		fail_at = at;
		calls = 0;
		r = zsblk_open(params, &dev, &why);
		if (r)
			assert_null(dev);
		else
			r = zsblk_start(dev, &why);
		fail_at = 0;
		zsblk_close(dev);
		if (!r && calls < at)
			break;
		if (!r)
			continue; /* a probe that may fail */
		failed++;
		assert_true(r == -ENOMEM || r == -EAGAIN);
		assert_true(strlen(why.text) > 5);
	}
	assert_true(failed >= 3);
	assert_in_range(mappings(), 1, before + 4);
}

static void test_device(void **state)
{
	struct zsblk_params params = device_params(1000);

	open_with_failures(&params);
	params.algorithm = "zstd";
	open_with_failures(&params);
}

static void test_shared_device(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(1000);
	struct zsblk *dev;

	params.memory = shm->memory;
	dev = device_open(&params);
	for (unsigned i = 0; i < 1000; i++)
		device_put(dev, i, i % BLOCK_KINDS, i);
	zsblk_close(dev);
	open_with_failures(&params);
	dev = device_open(&params);
	for (unsigned i = 0; i < 1000; i++)
		assert_true(device_has(dev, i, i % BLOCK_KINDS, i));
	device_ok(dev);
	zsblk_close(dev);
}

static void make_groups(struct zsblk *dev, struct zsblk_grouping *job)
{
	struct zsblk_group_figures figures;
	bool more = true;

	while (more)
		must(zsblk_group_step(job, &figures, &more) == 0);
	zsblk_group_end(job);
	must(device_stats(dev).groups > 10);
}

/* Each call of the beginning fails in turn: nothing is kept of it, and the device goes on. Then the segment is opened with failures. */
static void test_groups(void **state)
{
	const struct zsblk_group_what any = {.algorithm = "zstd"};
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(1000);
	struct zsblk_grouping *job;
	struct zsblk_why why;
	struct zsblk *dev;
	unsigned at = 0, failed = 0;
	int r;

	params.memory = shm->memory;
	dev = device_open(&params);
	for (unsigned i = 0; i < 1000; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	do {
		fail_at = ++at;
		calls = 0;
		r = zsblk_group_begin(dev, &any, &job, &why);
		fail_at = 0;
		assert_true(r == 0 || (r == -ENOMEM && !job && strlen(why.text) > 5));
		zsblk_group_end(job);
		failed += r != 0;
	} while (calls >= at);
	assert_true(failed >= 2);
	must(zsblk_group_begin(dev, &any, &job, &why) == 0);
	make_groups(dev, job);
	zsblk_close(dev);
	open_with_failures(&params);
	dev = device_open(&params);
	for (unsigned i = 0; i < 1000; i++)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
	device_ok(dev);
	zsblk_close(dev);
}

/* No memory that can be populated: no groups, and what there is stays. */
static void test_groups_without_memory(void **state)
{
	const struct zsblk_group_what any = {.algorithm = "zstd"};
	struct zsblk *dev = device_new(1000);
	struct zsblk_grouping *job;
	struct zsblk_why why;

	for (unsigned i = 0; i < 1000; i++)
		device_put(dev, i, BLOCK_TEXT, i);
	without_memory = true;
	assert_int_equal(zsblk_group_begin(dev, &any, &job, &why), -ENOMEM);
	without_memory = false;
	assert_int_equal(zsblk_group_begin(dev, &any, &job, &why), 0);
	make_groups(dev, job);
	for (unsigned i = 0; i < 1000; i++)
		assert_true(device_has(dev, i, BLOCK_TEXT, i));
	device_ok(dev);
	zsblk_close(dev);
}

/* A segment that was made in vain does not stay. */
static void test_nothing_is_left(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(1000);
	struct zsblk *dev;
	int r;

	params.memory = shm->memory;
	for (unsigned at = 1; at < 100; at++) {
		fail_at = at;
		calls = 0;
		r = zsblk_open(&params, &dev, NULL);
		fail_at = 0;
		if (!r) {
			zsblk_close(dev);
			assert_int_equal(zsblk_remove(params.memory, NULL), 0);
		}
		if (test_shm_id(shm) >= 0)
			fail_msg("after the %u. call failed, the segment stays", at);
		if (!r && calls < at)
			break;
	}
}

/* What only the second server of a segment needs is asked of the first, while nothing is stored yet. */
static void test_without_mincore(void **state)
{
	const struct test_shm *shm = test_shm_new();
	struct zsblk_params params = device_params(1000);
	struct zsblk_why why = {""};
	struct zsblk *dev;

	params.memory = shm->memory;
	without_mincore = true;
	assert_int_equal(zsblk_open(&params, &dev, &why), -EPERM);
	without_mincore = false;
	assert_non_null(strstr(why.text, "mincore"));
	assert_true(test_shm_id(shm) < 0);
	zsblk_close(device_open(&params));
}

/* No memory for the table of a larger device: it stays as large as it was. */
static void test_growing(void **state)
{
	struct zsblk_params params = device_params(1000);
	struct zsblk_why why = {""};
	struct zsblk *dev;
	uint8_t byte = 1;

	params.max_size = 2 * params.size;
	params.reserve = 1 << 20;
	dev = device_open(&params);
	device_put(dev, 999, BLOCK_TEXT, 1);
	without_memory = true;
	assert_int_equal(zsblk_resize(dev, params.max_size, &why), -ENOMEM);
	assert_non_null(strstr(why.text, "no memory to spare for the table"));
	assert_int_equal(zsblk_size(dev), params.size);
	assert_int_equal(zsblk_write(dev, &byte, 1, params.size), -EINVAL);
	without_memory = false;
	device_ok(dev);
	assert_int_equal(zsblk_resize(dev, params.max_size, &why), 0);
	assert_int_equal(zsblk_write(dev, &byte, 1, params.size), 0);
	assert_true(device_has(dev, 999, BLOCK_TEXT, 1));
	device_ok(dev);
	zsblk_close(dev);
}

static void test_pool(void **state)
{
	const struct test_shm *shm = test_shm_new();
	const struct zs_params params[] = {
		{.max_pages = 1000, .max_objects = 1000},
		{.max_pages = 1000, .max_objects = 1000, .memory = shm->memory},
	};

	for (size_t i = 0; i < COUNT_OF(params); i++) {
		for (unsigned at = 1; at < 100; at++) {
			struct zs_pool *pool;
			int r;

			fail_at = at;
			calls = 0;
			r = zs_create_pool("failing", &params[i], &pool);
			fail_at = 0;
			if (!r) {
				zs_free(pool, zs_malloc(pool, 100));
				zs_destroy_pool(pool, NULL, NULL);
				if (calls < at)
					break;
			} else {
				assert_int_equal(r, -ENOMEM);
				assert_null(pool);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device),          cmocka_unit_test(test_shared_device),
		cmocka_unit_test(test_groups),          cmocka_unit_test(test_groups_without_memory),
		cmocka_unit_test(test_nothing_is_left), cmocka_unit_test(test_without_mincore),
		cmocka_unit_test(test_growing),         cmocka_unit_test(test_pool),
	};

	return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}

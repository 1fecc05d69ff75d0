/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests, with a file in place of the driver: their data lies in it where the driver has it. */
#include "lib/device.h"
#include "lib/test.h"

#include "ublk/request.h"

#include <sys/mman.h>
#include <unistd.h>

#define BLOCKS 256u
#define QUEUE  3
#define TAG    5

static struct zsblk *device;
static struct request_place place;
static uint8_t buffer[REQUEST_BUFFER_BYTES];
static uint8_t data[BLOCKS * BLOCK_BYTES];
static int read_fails;

int __real_zsblk_read(struct zsblk *dev, void *buf, size_t len, uint64_t offset);
int __wrap_zsblk_read(struct zsblk *dev, void *buf, size_t len, uint64_t offset);
int __wrap_zsblk_read(struct zsblk *dev, void *buf, size_t len, uint64_t offset)
{
	return read_fails ? read_fails : __real_zsblk_read(dev, buf, len, offset);
}

static int set_up(void **state)
{
	struct zsblk_params params = device_params(BLOCKS);

	params.mem_limit = 512 * 1024;
	device = device_open(&params);
	place = (struct request_place){.device = device, .fd = memfd_create("requests", MFD_CLOEXEC), .buffer = buffer};
	read_fails = 0;
	for (unsigned block = 0; block < BLOCKS; block++)
		block_make(data + block * BLOCK_BYTES, BLOCK_TEXT, block + 1);
	return place.fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	zsblk_close(device);
	return close(place.fd);
}

static int serve(uint32_t op, unsigned block, unsigned blocks)
{
	struct uapi_descriptor request = {.op_flags = op, .sectors = blocks * 8, .first_sector = block * 8};

	return request_serve(&place, QUEUE, TAG, &request);
}

static void put(const void *bytes, size_t n)
{
	assert_int_equal(pwrite(place.fd, bytes, n, (off_t)uapi_data_offset(QUEUE, TAG)), n);
}

static void has(const void *bytes, size_t n)
{
	static uint8_t got[sizeof data];

	assert_int_equal(pread(place.fd, got, n, (off_t)uapi_data_offset(QUEUE, TAG)), n);
	assert_memory_equal(got, bytes, n);
}

/* One block, and more than the thread's buffer holds. */
static void test_write_and_read(void **state)
{
	static const unsigned lengths[] = {1, 3, REQUEST_BUFFER_BYTES / BLOCK_BYTES,
					   REQUEST_BUFFER_BYTES / BLOCK_BYTES + 1, BLOCKS};

	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		unsigned n = lengths[i], first = BLOCKS - n;

		put(data, n * BLOCK_BYTES);
		assert_int_equal(serve(UAPI_OP_WRITE | UAPI_REQUEST_IS_SWAP, first, n), n * BLOCK_BYTES);
		assert_true(device_has(device, first, BLOCK_TEXT, 1));
		assert_true(device_has(device, first + n - 1, BLOCK_TEXT, n));
		assert_int_equal(ftruncate(place.fd, 0), 0);
		assert_int_equal(serve(UAPI_OP_READ, first, n), n * BLOCK_BYTES);
		has(data, n * BLOCK_BYTES);
		assert_int_equal(serve(UAPI_OP_DISCARD, 0, BLOCKS), 0);
	}
}

static void test_other_requests(void **state)
{
	struct zsblk_stats stats;

	device_put(device, 1, BLOCK_TEXT, 1);
	device_put(device, 2, BLOCK_TEXT, 2);
	assert_int_equal(serve(UAPI_OP_FLUSH, 0, 0), 0);
	assert_int_equal(serve(UAPI_OP_DISCARD, 1, 1), 0);
	assert_true(device_has(device, 1, BLOCK_ZERO, 0));
	assert_true(device_has(device, 2, BLOCK_TEXT, 2));
	assert_int_equal(serve(UAPI_OP_WRITE_ZEROES, 0, BLOCKS), 0);
	assert_true(device_has(device, 2, BLOCK_ZERO, 0));
	stats = device_stats(device);
	assert_int_equal(stats.discards, 1);
	assert_int_equal(stats.zeroes, 1);
	assert_int_equal(serve(4, 0, 1), -EOPNOTSUPP);
	assert_int_equal(serve(255, 0, 1), -EOPNOTSUPP);
}

static void test_outside(void **state)
{
	struct uapi_descriptor large = {.op_flags = UAPI_OP_WRITE, .sectors = UINT32_MAX};

	put(data, 2 * BLOCK_BYTES);
	assert_int_equal(serve(UAPI_OP_WRITE, BLOCKS - 1, 2), -EINVAL);
	assert_int_equal(serve(UAPI_OP_READ, BLOCKS, 1), -EINVAL);
	assert_int_equal(serve(UAPI_OP_DISCARD, BLOCKS, 1), -EINVAL);
	/* Beyond what the driver has room for, data would be that of another tag. */
	assert_int_equal(request_serve(&place, QUEUE, TAG, &large), -EINVAL);
	large.op_flags = UAPI_OP_READ;
	assert_int_equal(request_serve(&place, QUEUE, TAG, &large), -EINVAL);
}

/* A read that fails must not look like one of no bytes: the kernel would take what was in its pages before. */
static void test_failures(void **state)
{
	int fd = place.fd;

	device_put(device, 0, BLOCK_TEXT, 1);
	read_fails = -EIO;
	assert_int_equal(serve(UAPI_OP_READ, 0, 1), -EIO);
	read_fails = 0;
	/* The kernel gives less than was asked for, or nothing. */
	assert_int_equal(ftruncate(place.fd, 0), 0);
	assert_int_equal(serve(UAPI_OP_WRITE, 0, 1), -EIO);
	place.fd = -1;
	assert_int_equal(serve(UAPI_OP_WRITE, 0, 1), -EBADF);
	assert_int_equal(serve(UAPI_OP_READ, 0, 1), -EBADF);
	place.fd = fd;
	assert_true(device_has(device, 0, BLOCK_TEXT, 1));
}

static void test_full(void **state)
{
	for (unsigned block = 0; block < BLOCKS; block++)
		block_make(data + block * BLOCK_BYTES, BLOCK_NOISE, block + 1);
	put(data, sizeof data);
	assert_int_equal(serve(UAPI_OP_WRITE, 0, BLOCKS), -ENOSPC);
	assert_true(device_has(device, 0, BLOCK_NOISE, 1));
	assert_int_equal(serve(UAPI_OP_DISCARD, 0, BLOCKS), 0);
	assert_int_equal(serve(UAPI_OP_WRITE, 0, 2), 2 * BLOCK_BYTES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(write_and_read), TEST(other_requests), TEST(outside), TEST(failures), TEST(full),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}

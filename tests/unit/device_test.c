/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device is called, and that one that does not exist is nobody's. The rest takes a kernel: tests/vm. */
#include "lib/test.h"

#include "daemon/device.h"

#include <errno.h>

static void test_names(void **state)
{
	struct device device;

	assert_int_equal(device_index("/dev/nbd0"), 0);
	assert_int_equal(device_index("/dev/nbd15"), 15);
	assert_int_equal(device_index("/dev/nbd"), DEVICE_NONE);
	assert_int_equal(device_index("/dev/nbd0p1"), DEVICE_NONE);
	assert_int_equal(device_index("/dev/nbd-1"), DEVICE_NONE);
	assert_int_equal(device_index("/dev/sda"), DEVICE_NONE);
	assert_int_equal(device_index("nbd0"), DEVICE_NONE);
	assert_int_equal(device_index(""), DEVICE_NONE);
	device_init(&device, 7);
	assert_string_equal(device.path, "/dev/nbd7");
	device_close(&device);
	assert_int_equal(device.index, DEVICE_NONE);
}

static void test_absent(void **state)
{
	uint64_t in_flight, completed;
	struct wrong wrong = {""};
	struct device device;

	device_init(&device, 9999);
	assert_false(device_is_attached(9999));
	assert_false(device_is_backed_by(9999, ""));
	assert_int_equal(device_find("zsblk:there-is-none"), DEVICE_NONE);
	assert_int_equal(device_progress(&device, &in_flight, &completed), -ENOENT);
	assert_int_equal(device_user(&device), USER_NOBODY);
	assert_false(device_is_swap(&device));
	assert_false(device_is_mounted(&device));
	assert_int_equal(device_swapped_kib(&device), 0);
	assert_int_equal(device_tune(&device, 500, &wrong), -ENOENT);
	assert_non_null(strstr(wrong.text, "/dev/nbd9999: queue/io_timeout cannot be set to 500"));
	device_close(&device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What our devices look like to the driver, and how they are told from others. */
#include "lib/test.h"

#include "ublk/target.h"

#include <errno.h>

#define SIZE (UINT64_C(1) << 30)

static struct uapi_info info;
static struct uapi_params params;
static struct zsblk_why why;

static int start_anew(void **state)
{
	target_info(&info, 3, 2, 64, 17);
	target_params(&params, SIZE);
	why.text[0] = '\0';
	return 0;
}

static void refused(int r, int error, const char *text)
{
	assert_int_equal(r, error);
	if (!strstr(why.text, text))
		fail_msg("'%s' is not in '%s'", text, why.text);
}

static void test_ours(void **state)
{
	assert_int_equal(target_is_ours(&info, &why), 0);
	assert_int_equal(target_fits(&info, &params, 17, SIZE, &why), 0);
	assert_int_equal(info.queues, 2);
	assert_int_equal(info.depth, 64);
	assert_true(info.flags & UAPI_F_USER_RECOVERY && info.flags & UAPI_F_USER_RECOVERY_REISSUE);
	assert_string_equal(why.text, "");
}

/* Nothing but a device with our mark, however alike it is. */
static void test_others(void **state)
{
	info.target = 0;
	refused(target_is_ours(&info, &why), -EPERM, "/dev/ublkb3 is not a device of zsblk");
	start_anew(state);
	info.target ^= UINT64_C(1) << 32;
	refused(target_is_ours(&info, &why), -EPERM, "another program");
	start_anew(state);
	info.flags &= ~UAPI_F_USER_COPY;
	refused(target_is_ours(&info, &why), -EPERM, "another program");
	/* An ordinary user's, who has copied all the rest. */
	start_anew(state);
	info.flags |= UAPI_F_UNPRIVILEGED;
	refused(target_is_ours(&info, &why), -EPERM, "another program");
}

static void test_of_another_segment(void **state)
{
	refused(target_fits(&info, &params, 18, SIZE, &why), -EINVAL,
		"is the device of segment 17, and not of segment 18");
	info.device = 0;
	refused(target_fits(&info, &params, 0, SIZE, &why), -EINVAL, "shm:id=17");
	refused(target_fits(&info, &params, 17, SIZE / 2, &why), -EINVAL, "size=536870912");
	/* The driver was not told yet that the segment has become larger. */
	assert_int_equal(target_fits(&info, &params, 17, SIZE * 2, &why), 0);
	refused(target_fits(&info, &params, TARGET_NO_SEGMENT, SIZE, &why), -EINVAL, "memory=anon");
}

/* Its data ends with the server, and so does the device. */
static void test_without_segment(void **state)
{
	target_info(&info, UAPI_ANY_NUMBER, 1, 8, TARGET_NO_SEGMENT);
	assert_int_equal(target_is_ours(&info, &why), 0);
	assert_int_equal(info.flags & (UAPI_F_USER_RECOVERY | UAPI_F_USER_RECOVERY_REISSUE), 0);
	refused(target_fits(&info, &params, 17, SIZE, &why), -EINVAL, "cannot be taken over");
	refused(target_fits(&info, &params, TARGET_NO_SEGMENT, SIZE, &why), -EINVAL, "cannot be taken over");
}

/* Linux before 6.11 cuts lengths of 4 GiB and more off, and no driver takes a request that is larger than its buffers. */
static void test_limits(void **state)
{
	assert_int_equal(params.sectors, SIZE / 512);
	assert_int_equal(params.logical_block_shift, 12);
	assert_true((uint64_t)params.max_discard_sectors * 512 < UINT64_C(1) << 32);
	assert_true((uint64_t)params.max_write_zeroes_sectors * 512 < UINT64_C(1) << 32);
	assert_int_equal((uint64_t)params.max_discard_sectors * 512 % ZSBLK_BLOCK_SIZE, 0);
	assert_int_equal(params.discard_granularity, ZSBLK_BLOCK_SIZE);
	assert_int_equal(params.max_discard_segments, 1);
	assert_true((uint64_t)params.max_sectors * 512 <= info.max_request_bytes);
	assert_int_equal(params.attributes, 0);
	target_params(&params, ZSBLK_MAX_SIZE);
	assert_int_equal(params.sectors, ZSBLK_MAX_SIZE / 512);
}

#define TEST(name) cmocka_unit_test_setup(test_##name, start_anew)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ours), TEST(others), TEST(of_another_segment), TEST(without_segment), TEST(limits),
	};

	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}

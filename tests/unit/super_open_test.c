/* SPDX-License-Identifier: BSD-3-Clause */
/* One way to open a segment, in three modes: what each makes, claims, stores in and refuses. */
#include "lib/shm.h"
#include "lib/test.h"

#include "segment/claim.h"
#include "segment/super_open.h"

#include <errno.h>

static struct super_layout wanted = {
	.kind = SUPER_DEVICE,
	.block_size = 4096,
	.blocks = 1000,
	.max_blocks = 1000,
	.table_words = 1000,
	.pool_pages = 640,
};

static const struct test_shm *shm;
static char why[320];
static struct segment seg;

static int match_size(const struct super_request *request, const struct super_layout *found)
{
	if (found->blocks == request->wanted->blocks)
		return 0;
	return super_refuse(request->why, request->why_size, -EINVAL, "of another size");
}

static struct super_request in_mode(enum super_mode mode)
{
	return (struct super_request){
		.memory = shm->memory,
		.mode = mode,
		.why = why,
		.why_size = sizeof why,
		.wanted = &wanted,
		.match = match_size,
	};
}

static int open_in_mode(enum super_mode mode)
{
	struct super_request request = in_mode(mode);
	struct super_layout layout;

	why[0] = '\0';
	return super_open(&seg, &request, &layout);
}

static void close_it(void)
{
	claim_drop(&seg);
	segment_close(&seg);
}

static int set_up(void **state)
{
	super_arrange(&wanted);
	shm = test_shm_new();
	return 0;
}

static int tear_down(void **state)
{
	test_shm_remove(shm);
	return 0;
}

static void test_missing(void **state)
{
	assert_int_equal(open_in_mode(SUPER_LOOK), -ENOENT);
	assert_non_null(strstr(why, "does not exist"));
	assert_int_equal(open_in_mode(SUPER_ATTACH), -ENOENT);
	assert_int_equal(test_shm_id(shm), -1);
	assert_int_equal(open_in_mode(SUPER_CREATE), 0);
	assert_true(seg.fresh && super_is_ours(&seg));
	assert_int_equal(claim_holder(&seg), getpid());
	close_it();
}

static void test_ours(void **state)
{
	assert_int_equal(open_in_mode(SUPER_CREATE), 0);
	close_it();
	assert_int_equal(open_in_mode(SUPER_LOOK), 0);
	assert_int_equal(claim_holder(&seg), 0);
	close_it();
	assert_int_equal(open_in_mode(SUPER_ATTACH), 0);
	assert_int_equal(claim_holder(&seg), getpid());
	close_it();
	assert_int_equal(open_in_mode(SUPER_CREATE), 0);
	assert_false(seg.fresh);
	close_it();
	assert_int_not_equal(test_shm_id(shm), -1);
}

/* Who is refused neither disturbs the one who uses it, nor takes the claim away. */
static void test_in_use(void **state)
{
	struct segment user;

	assert_int_equal(open_in_mode(SUPER_CREATE), 0);
	user = seg;
	claim_drop(&seg);
	assert_int_equal(claim_take(&user, false, &(int){0}), 0);
	assert_int_equal(open_in_mode(SUPER_ATTACH), -EBUSY);
	assert_int_equal(open_in_mode(SUPER_CREATE), -EBUSY);
	assert_non_null(strstr(why, "in use by process"));
	assert_int_equal(claim_holder(&user), getpid());
	assert_int_equal(open_in_mode(SUPER_LOOK), 0);
	segment_close(&seg);
	claim_drop(&user);
	segment_close(&user);
}

static void test_foreign(void **state)
{
	uint8_t *mem;

	assert_true(shmget(shm->key, 1 << 20, IPC_CREAT | 0600) >= 0);
	mem = test_shm_map(shm, NULL);
	strcpy((char *)mem, "somebody else's");
	assert_int_equal(open_in_mode(SUPER_LOOK), 0);
	segment_close(&seg);
	assert_int_equal(open_in_mode(SUPER_ATTACH), -EINVAL);
	assert_non_null(strstr(why, "not made by zsblk"));
	assert_int_equal(open_in_mode(SUPER_CREATE), -EINVAL);
	assert_string_equal((char *)mem, "somebody else's");
	shmdt(mem);
}

/* Its maker died when it had claimed it. */
static void test_blank(void **state)
{
	uint8_t *mem;

	assert_true(shmget(shm->key, super_segment_bytes(&wanted), IPC_CREAT | 0600) >= 0);
	mem = test_shm_map(shm, NULL);
	memset(mem + 224, 0x11, 8);
	assert_int_equal(open_in_mode(SUPER_ATTACH), 0);
	assert_false(super_is_ours(&seg));
	close_it();
	memset(mem + 224, 0x11, 8);
	assert_int_equal(open_in_mode(SUPER_CREATE), 0);
	assert_true(super_is_ours(&seg));
	close_it();
	shmdt(mem);
}

/* What did not exist before does not exist after something went wrong; what did exist stays. */
static void test_undo(void **state)
{
	struct super_layout other = wanted;
	struct super_request request = in_mode(SUPER_CREATE);
	struct super_layout layout;

	assert_int_equal(open_in_mode(SUPER_CREATE), 0);
	super_open_undo(&seg);
	assert_int_equal(test_shm_id(shm), -1);
	assert_int_equal(open_in_mode(SUPER_CREATE), 0);
	close_it();
	other.blocks = 999;
	request.wanted = &other;
	assert_int_equal(super_open(&seg, &request, &layout), -EINVAL);
	assert_string_equal(why, "of another size");
	assert_null(seg.base);
	assert_int_not_equal(test_shm_id(shm), -1);
}

/* Features that are not known: it may be looked at, or not even that; it is not used, and it can be removed. */
static void test_features(void **state)
{
	struct super_layout other = wanted;

	assert_int_equal(open_in_mode(SUPER_CREATE), 0);
	other.features.read_only = 4;
	super_format(&seg, &other);
	close_it();
	assert_int_equal(open_in_mode(SUPER_CREATE), -EINVAL);
	assert_non_null(strstr(why, "read-only 0x4"));
	assert_int_equal(open_in_mode(SUPER_ATTACH), 0);
	assert_int_equal(super_read(&seg, &other, why, sizeof why), 0);
	close_it();
}

static void test_not_shared(void **state)
{
	struct super_request request = in_mode(SUPER_LOOK);
	struct super_layout layout;

	request.memory = "anon";
	assert_int_equal(super_open(&seg, &request, NULL), -EINVAL);
	assert_non_null(strstr(why, "no shared segment"));
	request.mode = SUPER_CREATE;
	assert_int_equal(super_open(&seg, &request, &layout), 0);
	assert_true(seg.fresh);
	super_open_undo(&seg);
}

int main(void)
{
#define WITH_SHM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_SHM(test_missing), WITH_SHM(test_ours), WITH_SHM(test_in_use),     WITH_SHM(test_foreign),
		WITH_SHM(test_blank),   WITH_SHM(test_undo), WITH_SHM(test_not_shared), WITH_SHM(test_features),
	};

	return cmocka_run_group_tests_name("super_open", tests, NULL, NULL);
}

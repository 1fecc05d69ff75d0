/* SPDX-License-Identifier: BSD-3-Clause */
/* The superblock: what is taken for ours, what for blank, what is refused, and who may use it. */
#include "lib/emulator.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "process/process.h"
#include "segment/super.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

static const struct super_layout layout = {
	.kind = SUPER_DEVICE,
	.block_size = 4096,
	.table_words = 1000,
	.pool_pages = 640,
	.class_step = 8,
	.class_min = 16,
	.chain = 32,
	.max_objects = 1024,
	.name = "test",
	.codecs = {"", "lz4", "lz4hc"},
};

/* Where things lie: magic 8, version 4, bytes 4, layout, checksum 8, claim 8. */
enum {
	AT_VERSION = 8,
	AT_LAYOUT = 16,
	AT_CHECKSUM = AT_LAYOUT + sizeof(struct super_layout),
	AT_CLAIM = AT_CHECKSUM + 8,
};

static struct segment seg;
static const struct test_shm *shm;

static void attach(void)
{
	struct segment_spec spec;
	const char *step;

	must(segment_parse(shm->memory, &spec) == 0);
	must(segment_open(&seg, &spec, super_segment_bytes(&layout), &step) == 0);
}

static int set_up(void **state)
{
	shm = test_shm_new();
	attach();
	return 0;
}

static int tear_down(void **state)
{
	super_unclaim(&seg);
	segment_close(&seg);
	test_shm_remove(shm);
	return 0;
}

static int read_super(char why[200])
{
	struct super_layout found;

	why[0] = 0;
	return super_read(&seg, &found, why, 200);
}

static void test_offsets(void **state)
{
	struct table table = super_table(&seg, &layout);
	uint64_t map = (uint64_t)((uint8_t *)table.map - seg.base);
	uint64_t words = (uint64_t)((uint8_t *)table.words - seg.base);

	assert_int_equal(table.n, layout.table_words);
	assert_true(map >= SEGMENT_PAGE);
	assert_true(words >= map + table_map_bytes(layout.table_words));
	assert_true(super_pool_offset(&layout) >= words + 8 * layout.table_words);
	assert_int_equal(map % SEGMENT_PAGE, 0);
	assert_int_equal(words % SEGMENT_PAGE, 0);
	/* What is given back to the system begins on a page of any system. */
	assert_int_equal(super_pool_offset(&layout) % SEGMENT_MAX_SYSTEM_PAGE, 0);
	assert_int_equal(super_segment_bytes(&layout), super_pool_offset(&layout) + layout.pool_pages * SEGMENT_PAGE);
}

static void test_format_and_read(void **state)
{
	struct super_layout found;
	char why[200];

	assert_true(super_is_blank(&seg));
	assert_false(super_is_ours(&seg));
	super_format(&seg, &layout);
	assert_true(super_is_ours(&seg));
	assert_int_equal(super_read(&seg, &found, why, sizeof why), 0);
	assert_memory_equal(&found, &layout, sizeof found);
	segment_close(&seg);
	attach();
	assert_false(super_is_blank(&seg));
	assert_int_equal(super_read(&seg, &found, why, sizeof why), 0);
}

/* Every bit of what the checksum covers, and of the checksum: refused with words. */
static void test_every_bit(void **state)
{
	char why[200];

	super_format(&seg, &layout);
	for (unsigned bit = 0; bit < AT_CLAIM * 8; bit++) {
		seg.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (read_super(why) != -EINVAL)
			fail_msg("bit %u of byte %u is not noticed", bit % 8, bit / 8);
		if (strlen(why) < 20)
			fail_msg("bit %u of byte %u: says \"%s\"", bit % 8, bit / 8, why);
		seg.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(read_super(why), 0);
}

static void test_messages(void **state)
{
	char why[200];

	super_format(&seg, &layout);
	seg.base[LOW_BYTE(AT_VERSION, 4)] = 77;
	assert_int_equal(read_super(why), -EINVAL);
	assert_non_null(strstr(why, "version 77"));
	seg.base[LOW_BYTE(AT_VERSION, 4)] = SUPER_VERSION;
	seg.base[AT_LAYOUT]++;
	assert_int_equal(read_super(why), -EINVAL);
	assert_non_null(strstr(why, "checksum"));
	seg.base[0] = 'Z';
	assert_int_equal(read_super(why), -EINVAL);
	assert_non_null(strstr(why, "not made by zsblk"));
}

/* A superblock that promises more than the segment has, with a checksum that is right. */
static void test_larger_than_the_segment(void **state)
{
	const struct super_layout larger[] = {
		{.table_words = 1u << 20, .pool_pages = 640},
		{.table_words = 1000, .pool_pages = 641},
		{.table_words = UINT64_MAX, .pool_pages = 1},
		{.table_words = 1, .pool_pages = UINT64_MAX},
		{.table_words = UINT64_C(1) << 61, .pool_pages = UINT64_C(1) << 52},
	};
	char why[200];

	for (size_t i = 0; i < COUNT_OF(larger); i++) {
		super_format(&seg, &larger[i]);
		assert_int_equal(read_super(why), -EINVAL);
		assert_non_null(strstr(why, "describes more"));
	}
}

/* ------------------------------------------------------------------ blank or not */

static void test_blank(void **state)
{
	segment_close(&seg);
	attach();
	assert_false(seg.fresh);
	/* Nobody claimed it: it may be another program's, made a moment ago. */
	assert_false(super_is_blank(&seg));
	/* Its maker claimed it, and died. */
	memset(seg.base + AT_CLAIM, 0x11, 8);
	assert_true(super_is_blank(&seg));
	/* Or died while writing: all but the magic. */
	super_format(&seg, &layout);
	memset(seg.base, 0, 8);
	assert_true(super_is_blank(&seg));
}

/* Other people's segments, however empty they look. */
static void test_foreign(void **state)
{
	static const unsigned at[] = {0, 7, 8, 12, 16, 100, AT_CHECKSUM, AT_CLAIM + 8, 4095, 4096, 100000};

	for (size_t i = 0; i < COUNT_OF(at); i++) {
		tear_down(NULL);
		attach();
		seg.fresh = false;
		seg.base[at[i]] = 1;
		/* At its very start there may be anything; the rest must be in memory to be seen. */
		if (super_is_blank(&seg))
			fail_msg("a byte at %u, and taken for blank", at[i]);
	}
}

/* ------------------------------------------------------------------ claims */

struct attempt {
	bool from_parent;
	int holder;
};

static void claim_in_child(void *opaque)
{
	struct attempt *attempt = opaque;
	struct segment own;
	struct segment_spec spec;
	const char *step;
	int holder = 0, r;

	if (attempt->from_parent) {
		r = super_claim(&seg, true, &holder);
	} else {
		must(segment_parse(shm->memory, &spec) == 0);
		must(segment_open(&own, &spec, 4096, &step) == 0);
		r = super_claim(&own, false, &holder);
		if (r && holder != getppid())
			_exit(3);
	}
	_exit(r == 0 ? 0 : r == -EBUSY ? 1 : 2);
}

static int child_claims(bool from_parent)
{
	struct attempt attempt = {from_parent, 0};
	int status = test_in_child(claim_in_child, &attempt);

	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_claims(void **state)
{
	int holder = -1;

	if (start_times_differ())
		skip();
	super_format(&seg, &layout);
	assert_int_equal(super_claim(&seg, false, &holder), 0);
	assert_int_equal(holder, 0);
	/* Again through the same mapping is the same claim. */
	assert_int_equal(super_claim(&seg, false, &holder), 0);
	assert_int_equal(super_claim(&seg, true, &holder), 0);
	assert_int_equal(child_claims(false), 1);
	super_unclaim(&seg);
	assert_int_equal(child_claims(false), 0);
	/* That child is dead, and its claim with it. */
	assert_int_equal(super_claim(&seg, false, &holder), 0);
}

static void test_handed_down(void **state)
{
	int holder;

	super_format(&seg, &layout);
	assert_int_equal(super_claim(&seg, false, &holder), 0);
	assert_int_equal(child_claims(true), 0);
}

static void test_second_mapping(void **state)
{
	struct segment first = seg;
	int holder = 0;

	super_format(&seg, &layout);
	assert_int_equal(super_claim(&seg, false, &holder), 0);
	first = seg;
	first.base = test_shm_map(shm, NULL);
	assert_int_equal(super_claim(&first, false, &holder), -EBUSY);
	assert_int_equal(holder, getpid());
	shmdt(first.base);
}

/* A number used again by another process is not the holder: the start time tells. */
static void test_claims_of_the_dead(void **state)
{
	const uint64_t stale[] = {
		(uint64_t)getppid() << 32 | 1,
		(uint64_t)1 << 32 | 0xdeadbeef,
		UINT64_C(0x7fffffff) << 32 | 99,
		UINT64_C(0x3fffff) << 32,
		1,
	};
	int holder;

	super_format(&seg, &layout);
	for (size_t i = 0; i < COUNT_OF(stale); i++) {
		memcpy(seg.base + AT_CLAIM, &stale[i], 8);
		assert_int_equal(super_claim(&seg, false, &holder), 0);
		super_unclaim(&seg);
	}
}

/* Every descriptor in use: nothing can be opened, not even /proc. */
static void use_up_descriptors(void)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 3;
	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void claim_without_descriptors(void *opaque)
{
	struct segment own;
	struct segment_spec spec;
	const char *step;
	int holder = 0, r;

	must(segment_parse(shm->memory, &spec) == 0);
	must(segment_open(&own, &spec, 4096, &step) == 0);
	must(super_claim(&own, false, &holder) == -EBUSY && holder == getppid());
	use_up_descriptors();
	r = super_claim(&own, false, &holder);
	_exit(r == -EBUSY && holder == getppid() && super_holder(&own) == getppid() ? 42 : 1);
}

/* That it cannot be told whether the holder lives does not make it dead: two would write to one pool. */
static void test_cannot_tell(void **state)
{
	int holder;

	if (start_times_differ())
		skip();
	super_format(&seg, &layout);
	assert_int_equal(super_claim(&seg, false, &holder), 0);
	assert_int_equal(WEXITSTATUS(test_in_child(claim_without_descriptors, NULL)), 42);
}

/*
 * A process that has the claim and has been killed, but does not come to its end: a tracer stops it on the way there.
 * 0: tracing is not possible here.
 */
static pid_t dying_holder(void)
{
	pid_t pid = fork();
	int status, holder;

	if (pid == 0) {
		must(super_claim(&seg, false, &holder) == 0);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
			raise(SIGSTOP);
		_exit(77);
	}
	must(waitpid(pid, &status, 0) == pid);
	if (!WIFSTOPPED(status))
		return 0;
	must(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXIT) == 0);
	must(kill(pid, SIGKILL) == 0);
	must(waitpid(pid, &status, 0) == pid && status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8));
	return pid;
}

/* Whoever starts a server right after it has killed the one before. */
static void test_dying(void **state)
{
	pid_t holder, next;
	int status, who;

	super_format(&seg, &layout);
	holder = dying_holder();
	if (!holder)
		skip();
	assert_true(process_is_dying(holder));
	assert_int_equal(super_holder(&seg), holder);
	next = fork();
	if (next == 0)
		_exit(-super_claim(&seg, false, &who));
	usleep(200 * 1000);
	assert_int_equal(ptrace(PTRACE_CONT, holder, NULL, NULL), 0);
	assert_int_equal(waitpid(next, &status, 0), next);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(waitpid(holder, &status, 0), holder);
}

/* It is not waited for without end. */
static void test_dying_for_ever(void **state)
{
	pid_t holder;
	int status, who = 0;

	super_format(&seg, &layout);
	holder = dying_holder();
	if (!holder)
		skip();
	assert_int_equal(super_claim(&seg, false, &who), -EBUSY);
	assert_int_equal(who, holder);
	assert_int_equal(ptrace(PTRACE_CONT, holder, NULL, NULL), 0);
	assert_int_equal(waitpid(holder, &status, 0), holder);
}

static void keep_claim_without_descriptors(void *opaque)
{
	int holder;

	must(super_claim(&seg, false, &holder) == 0);
	use_up_descriptors();
	/* It is still our own claim, and can be given up. */
	must(super_claim(&seg, false, &holder) == 0);
	must(super_holder(&seg) == getpid());
	super_unclaim(&seg);
	_exit(super_holder(&seg) == 0 ? 42 : 1);
}

static void test_own_claim_without_descriptors(void **state)
{
	super_format(&seg, &layout);
	assert_int_equal(WEXITSTATUS(test_in_child(keep_claim_without_descriptors, NULL)), 42);
}

static void keep_in_child(void *opaque)
{
	super_keep(&seg, true);
	must(super_keeper(&seg) == getpid());
	super_keep(&seg, false);
	must(super_keeper(&seg) == 0);
	super_keep(&seg, true);
	_exit(42);
}

/* Whoever only keeps it is no holder, and is forgotten when it ends. */
static void test_keeper(void **state)
{
	int holder;

	super_format(&seg, &layout);
	assert_int_equal(WEXITSTATUS(test_in_child(keep_in_child, NULL)), 42);
	assert_int_equal(super_keeper(&seg), 0);
	super_keep(&seg, true);
	assert_int_equal(super_keeper(&seg), getpid());
	assert_int_equal(super_holder(&seg), 0);
	assert_int_equal(super_claim(&seg, false, &holder), 0);
	super_keep(&seg, false);
	assert_int_equal(super_holder(&seg), getpid());
}

static void test_in_service(void **state)
{
	super_format(&seg, &layout);
	assert_false(super_was_in_service(&seg));
	super_put_in_service(&seg);
	assert_true(super_was_in_service(&seg));
	segment_close(&seg);
	attach();
	assert_true(super_was_in_service(&seg));
}

static void test_anonymous_needs_no_claim(void **state)
{
	struct segment anon = {.kind = SEGMENT_ANON};
	int holder = -1;

	assert_int_equal(super_claim(&anon, false, &holder), 0);
	super_unclaim(&anon);
}

int main(void)
{
#define WITH_SHM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_SHM(test_offsets),
		WITH_SHM(test_format_and_read),
		WITH_SHM(test_every_bit),
		WITH_SHM(test_messages),
		WITH_SHM(test_larger_than_the_segment),
		WITH_SHM(test_blank),
		WITH_SHM(test_foreign),
		WITH_SHM(test_claims),
		WITH_SHM(test_handed_down),
		WITH_SHM(test_second_mapping),
		WITH_SHM(test_claims_of_the_dead),
		WITH_SHM(test_anonymous_needs_no_claim),
		WITH_SHM(test_cannot_tell),
		WITH_SHM(test_own_claim_without_descriptors),
		WITH_SHM(test_keeper),
		WITH_SHM(test_in_service),
		WITH_SHM(test_dying),
		WITH_SHM(test_dying_for_ever),
	};

	return cmocka_run_group_tests_name("super", tests, NULL, NULL);
}

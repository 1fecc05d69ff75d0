/* SPDX-License-Identifier: BSD-3-Clause */
/* The claim: who may use a segment, and who only keeps it. */
#include "lib/emulator.h"
#include "lib/superblock.h"
#include "lib/test.h"

#include "process/process.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

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
		r = claim_take(&seg, true, &holder);
	} else {
		must(segment_parse(shm->memory, &spec) == 0);
		must(segment_open(&own, &spec, 4096, &step) == 0);
		r = claim_take(&own, false, &holder);
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
	assert_int_equal(claim_take(&seg, false, &holder), 0);
	assert_int_equal(holder, 0);
	/* Again through the same mapping is the same claim. */
	assert_int_equal(claim_take(&seg, false, &holder), 0);
	assert_int_equal(claim_take(&seg, true, &holder), 0);
	assert_int_equal(child_claims(false), 1);
	claim_drop(&seg);
	assert_int_equal(child_claims(false), 0);
	/* That child is dead, and its claim with it. */
	assert_int_equal(claim_take(&seg, false, &holder), 0);
}

static void test_handed_down(void **state)
{
	int holder;

	super_format(&seg, &layout);
	assert_int_equal(claim_take(&seg, false, &holder), 0);
	assert_int_equal(child_claims(true), 0);
}

static void test_second_mapping(void **state)
{
	struct segment first = seg;
	int holder = 0;

	super_format(&seg, &layout);
	assert_int_equal(claim_take(&seg, false, &holder), 0);
	first = seg;
	first.base = test_shm_map(shm, NULL);
	assert_int_equal(claim_take(&first, false, &holder), -EBUSY);
	assert_int_equal(holder, getpid());
	/* Who has no claim has none to give back. */
	claim_drop(&first);
	assert_int_equal(claim_holder(&seg), getpid());
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
		assert_int_equal(claim_take(&seg, false, &holder), 0);
		claim_drop(&seg);
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
	must(claim_take(&own, false, &holder) == -EBUSY && holder == getppid());
	use_up_descriptors();
	r = claim_take(&own, false, &holder);
	_exit(r == -EBUSY && holder == getppid() && claim_holder(&own) == getppid() ? 42 : 1);
}

/* That it cannot be told whether the holder lives does not make it dead: two would write to one pool. */
static void test_cannot_tell(void **state)
{
	int holder;

	if (start_times_differ())
		skip();
	super_format(&seg, &layout);
	assert_int_equal(claim_take(&seg, false, &holder), 0);
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
		must(claim_take(&seg, false, &holder) == 0);
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
		SKIP_BECAUSE("no process can be traced here");
	assert_true(process_is_dying(holder));
	assert_int_equal(claim_holder(&seg), holder);
	next = fork();
	if (next == 0)
		_exit(-claim_take(&seg, false, &who));
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
		SKIP_BECAUSE("no process can be traced here");
	assert_int_equal(claim_take(&seg, false, &who), -EBUSY);
	assert_int_equal(who, holder);
	assert_int_equal(ptrace(PTRACE_CONT, holder, NULL, NULL), 0);
	assert_int_equal(waitpid(holder, &status, 0), holder);
}

/* ------------------------------------------------------------------ forks */

static void *wait_for_the_dying(void *opaque)
{
	int who;

	atomic_store((atomic_int *)opaque, claim_take(&seg, false, &who));
	return NULL;
}

/* What a server does that was forked: claim a segment of its own. It may not hang. */
static void claim_another(void *opaque)
{
	int holder;

	alarm(5);
	must(claim_take(opaque, false, &holder) == 0);
	claim_drop(opaque);
	_exit(42);
}

static struct segment another_segment(const struct test_shm *another)
{
	struct segment other;
	struct segment_spec spec;
	const char *step;

	must(segment_parse(another->memory, &spec) == 0);
	must(segment_open(&other, &spec, super_segment_bytes(&layout), &step) == 0);
	return other;
}

/* The process forks while one of its threads waits for a holder that is dying. */
static void test_fork_beside_a_waiting_thread(void **state)
{
	const struct test_shm *another = test_shm_new();
	struct segment other = another_segment(another);
	pthread_t thread;
	atomic_int r = 1;
	int status;
	pid_t holder;

	super_format(&seg, &layout);
	holder = dying_holder();
	if (!holder)
		SKIP_BECAUSE("no process can be traced here");
	pthread_create(&thread, NULL, wait_for_the_dying, &r);
	usleep(100 * 1000);
	assert_int_equal(WEXITSTATUS(test_in_child(claim_another, &other)), 42);
	/* Nor do the other threads of this process wait. */
	assert_int_equal(claim_take(&other, false, &status), 0);
	assert_int_equal(atomic_load(&r), 1);
	assert_int_equal(ptrace(PTRACE_CONT, holder, NULL, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&r), 0);
	assert_int_equal(waitpid(holder, &status, 0), holder);
	claim_drop(&other);
	segment_close(&other);
}

static atomic_bool stop;

static void *claim_and_drop(void *opaque)
{
	int holder;

	while (!atomic_load(&stop)) {
		must(claim_take(&seg, false, &holder) == 0);
		claim_drop(&seg);
	}
	return NULL;
}

static void test_forks_at_any_moment(void **state)
{
	const struct test_shm *another = test_shm_new();
	struct segment other = another_segment(another);
	pthread_t thread;

	super_format(&seg, &layout);
	pthread_create(&thread, NULL, claim_and_drop, NULL);
	for (unsigned i = 0; i < test_amount(100); i++)
		assert_int_equal(WEXITSTATUS(test_in_child(claim_another, &other)), 42);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	segment_close(&other);
}

static void drop_in_namespace(void *opaque)
{
	must(getpid() == 1);
	claim_drop(&seg);
	_exit(42);
}

/* Process 1 of its namespace has a claim, and a child that is process 1 of another one. */
static void claim_as_process_1(void *opaque)
{
	int holder;

	must(getpid() == 1);
	must(claim_take(&seg, false, &holder) == 0);
	must(unshare(CLONE_NEWPID) == 0);
	must(test_in_child(drop_in_namespace, NULL) == 42 << 8);
	must(super_of(&seg)->state.claim == seg.claim);
	_exit(42);
}

static void claim_in_namespace(void *opaque)
{
	if (unshare(CLONE_NEWPID))
		_exit(43);
	_exit(WEXITSTATUS(test_in_child(claim_as_process_1, NULL)));
}

/* A child has none of its parent's claims, also if it has the same number. */
static void test_same_process_number(void **state)
{
	int status;

	super_format(&seg, &layout);
	status = test_in_child(claim_in_namespace, NULL);
	if (WEXITSTATUS(status) == 43)
		SKIP_BECAUSE("no namespace of processes can be made here");
	assert_int_equal(WEXITSTATUS(status), 42);
}

static void keep_claim_without_descriptors(void *opaque)
{
	int holder;

	must(claim_take(&seg, false, &holder) == 0);
	use_up_descriptors();
	/* It is still our own claim, and can be given up. */
	must(claim_take(&seg, false, &holder) == 0);
	must(claim_holder(&seg) == getpid());
	claim_drop(&seg);
	_exit(claim_holder(&seg) == 0 ? 42 : 1);
}

static void test_own_claim_without_descriptors(void **state)
{
	super_format(&seg, &layout);
	assert_int_equal(WEXITSTATUS(test_in_child(keep_claim_without_descriptors, NULL)), 42);
}

static void keep_in_child(void *opaque)
{
	claim_keep(&seg, true);
	must(claim_keeper(&seg) == getpid());
	claim_keep(&seg, false);
	must(claim_keeper(&seg) == 0);
	claim_keep(&seg, true);
	_exit(42);
}

/* Whoever only keeps it is no holder, and is forgotten when it ends. */
static void test_keeper(void **state)
{
	int holder;

	super_format(&seg, &layout);
	assert_int_equal(WEXITSTATUS(test_in_child(keep_in_child, NULL)), 42);
	assert_int_equal(claim_keeper(&seg), 0);
	claim_keep(&seg, true);
	assert_int_equal(claim_keeper(&seg), getpid());
	assert_int_equal(claim_holder(&seg), 0);
	assert_int_equal(claim_take(&seg, false, &holder), 0);
	claim_keep(&seg, false);
	assert_int_equal(claim_holder(&seg), getpid());
}

static void test_anonymous_needs_no_claim(void **state)
{
	struct segment anon = {.kind = SEGMENT_ANON};
	int holder = -1;

	assert_int_equal(claim_take(&anon, false, &holder), 0);
	claim_drop(&anon);
}

int main(void)
{
#define WITH_SHM(test) cmocka_unit_test_setup_teardown(test, superblock_set_up, superblock_tear_down)
	const struct CMUnitTest tests[] = {
		WITH_SHM(test_claims),
		WITH_SHM(test_handed_down),
		WITH_SHM(test_second_mapping),
		WITH_SHM(test_claims_of_the_dead),
		WITH_SHM(test_cannot_tell),
		WITH_SHM(test_dying),
		WITH_SHM(test_dying_for_ever),
		WITH_SHM(test_own_claim_without_descriptors),
		WITH_SHM(test_keeper),
		WITH_SHM(test_anonymous_needs_no_claim),
		WITH_SHM(test_fork_beside_a_waiting_thread),
		WITH_SHM(test_forks_at_any_moment),
		WITH_SHM(test_same_process_number),
	};

	return cmocka_run_group_tests_name("claim", tests, NULL, NULL);
}

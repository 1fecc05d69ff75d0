/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes: alive, dead, or "that cannot be told", which is not dead. */
#include "lib/test.h"

#include "process/process.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void test_alive(void **state)
{
	uint64_t start, again;

	assert_int_equal(process_start_time(getpid(), &start), 0);
	assert_int_equal(process_start_time(getpid(), &again), 0);
	assert_true(start > 0 && start == again);
	assert_true(process_may_be(getpid(), start));
	/* Another one of the same number. */
	assert_false(process_may_be(getpid(), start + 1));
}

static void test_dead(void **state)
{
	uint64_t start = 1, zombie;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	while (process_start_time(pid, &zombie) == 0)
		usleep(1000);
	/* Not reaped yet: it does nothing any more, and still has the time that its note bears. */
	assert_int_equal(process_start_time(pid, &zombie), -ESRCH);
	assert_true(zombie > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(process_start_time(pid, &start), -ESRCH);
	assert_int_equal(start, 0);
	assert_false(process_may_be(pid, zombie));
	assert_int_equal(process_start_time(0, &start), -ESRCH);
	assert_int_equal(process_start_time(-1, &start), -ESRCH);
	assert_int_equal(process_start_time(0x7ffffff0, &start), -ESRCH);
}

static void without_descriptors(void *opaque)
{
	struct rlimit limit = {3, 3};
	uint64_t start;

	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	must(process_start_time(getppid(), &start) == -EMFILE);
	must(process_may_be(getppid(), 1));
	/* The dead are dead without looking. */
	must(process_start_time(0x7ffffff0, &start) == -EMFILE || process_start_time(0x7ffffff0, &start) == -ESRCH);
	must(!process_may_be(0x7ffffff0, 1));
	_exit(42);
}

static void test_cannot_tell(void **state)
{
	if (running_under_valgrind()) {
		print_message("# valgrind has its own limit of descriptors\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(test_in_child(without_descriptors, NULL)), 42);
}

/* Fields of the kernel's, with what matters in its place. */
#define STAT(flags) " S 1 10 10 0 -1 " #flags " 100 0 0 0 1 1 0 0 20 0 2 0 1234 0 0"
#define STATUS(signals, shared, core)                                                                                  \
	"Name:\tnbdkit\nCoreDumping:\t" core "\nThreads:\t2\nSigQ:\t0/100\n"                                           \
	"SigPnd:\t" signals "\nShdPnd:\t" shared "\nSigBlk:\t0000000000000100\n"
#define NONE "0000000000000000"

static void test_dying(void **state)
{
	static const struct {
		const char *fields, *status;
		bool dying;
	} cases[] = {
		{STAT(4194560), STATUS(NONE, NONE, "0"), false},
		/* Killed, and one thread has not noticed; all have; the last one is on its way out. */
		{STAT(4194560), STATUS("0000000000000100", "0000000000000100", "0"), true},
		{STAT(4194560), STATUS(NONE, "0000000000000100", "0"), true},
		{STAT(4194564), STATUS(NONE, NONE, "0"), true},
		/* Another signal that waits (15, and 8 and 10, the neighbours of 9). */
		{STAT(4194560), STATUS(NONE, "0000000000004280", "0"), false},
		{STAT(4194560), STATUS(NONE, NONE, "1"), true},
		/* A kernel that says less, and a file that could be read in part only. */
		{STAT(4194560), "Name:\tx\nThreads:\t1\n", false},
		{" S 1", "", false},
		{"", "", false},
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (process_texts_say_dying(cases[i].fields, cases[i].status) != cases[i].dying)
			fail_msg("case %zu: should be %d", i, cases[i].dying);
	assert_false(process_is_dying(getpid()));
	assert_false(process_is_dying(0x7ffffff0));
	assert_false(process_is_dying(0));
}

/* A process that has ended, and that its parent does not collect: nobody may wait for more than that. */
static void test_ended(void **state)
{
	siginfo_t info;
	pid_t pid = fork();

	must(pid >= 0);
	if (pid == 0)
		_exit(0);
	must(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	assert_false(process_is_dying(pid));
	must(waitpid(pid, NULL, 0) == pid);
}

/* A child names itself, tells that through the pipe, and lives until the pipe is closed. */
static pid_t start_child(const char *name, int *end)
{
	int told[2], ends[2];
	char byte;
	pid_t pid;

	must(pipe(told) == 0 && pipe(ends) == 0);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		close(ends[1]);
		prctl(PR_SET_NAME, name);
		must(write(told[1], "", 1) == 1);
		must(read(ends[0], &byte, 1) == 0);
		_exit(0);
	}
	must(read(told[0], &byte, 1) == 1);
	close(told[0]);
	close(told[1]);
	close(ends[0]);
	*end = ends[1];
	return pid;
}

static void test_parent_and_name(void **state)
{
	/* What a name may hold: the fields of the stat file come after the last parenthesis. */
	static const char *const names[] = {"zsblkd", "a) S 1 (b", "zsblkd"};
	int ends[COUNT_OF(names)];
	pid_t pids[COUNT_OF(names)];

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		pids[i] = start_child(names[i], &ends[i]);
		assert_int_equal(process_parent(pids[i]), getpid());
	}
	assert_int_equal(process_parent(getpid()), getppid());
	assert_true(process_same_name(pids[0], pids[2]));
	assert_false(process_same_name(pids[0], pids[1]));
	/* The later children hold the ends of the earlier ones open. */
	for (size_t i = COUNT_OF(names); i-- > 0;) {
		close(ends[i]);
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	}
	assert_false(process_same_name(pids[0], pids[2]));
	assert_false(process_same_name(getpid(), pids[0]));
	assert_int_equal(process_parent(pids[0]), 0);
	assert_int_equal(process_parent(-1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alive),           cmocka_unit_test(test_dead),
		cmocka_unit_test(test_cannot_tell),     cmocka_unit_test(test_dying),
		cmocka_unit_test(test_parent_and_name), cmocka_unit_test(test_ended),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}

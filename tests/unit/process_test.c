/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes: alive, dead, or "that cannot be told", which is not dead. */
#include "lib/test.h"

#include "process/process.h"

#include <errno.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alive),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_cannot_tell),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}

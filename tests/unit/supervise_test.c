/* SPDX-License-Identifier: BSD-3-Clause */
/* The supervisor: which ends of its child have a successor, and what a successor is told. Each in a process of its own. */
#include "daemon/supervise.h"
#include "lib/test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the children have in common. */
static struct {
	int children;
	bool told;
	pid_t pid;
} * shared;

static int set_up(void **state)
{
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED;
}

static int tear_down(void **state)
{
	return munmap(shared, sizeof *shared);
}

/* How a supervisor ends, as waitpid() tells it. */
static int run_supervisor(supervise_fn *fn, bool managed)
{
	struct ballast *ballast = NULL;
	int status;
	pid_t pid;

	assert_int_equal(ballast_create(&ballast, 1 << 20, true), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (managed)
			setenv("NOTIFY_SOCKET", "/nowhere", 1);
		_exit(supervise(fn, NULL, ballast));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ballast_free(ballast);
	return status;
}

/* The exit status of a supervisor. */
static int supervisor(supervise_fn *fn, bool managed)
{
	int status = run_supervisor(fn, managed);

	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int killed_then_again_then_seven(void *opaque, struct ballast *ballast)
{
	switch (++shared->children) {
	case 1:
		raise(SIGKILL);
		break;
	case 2:
		return SUPERVISE_AGAIN;
	}
	return 7;
}

static void test_successors(void **state)
{
	assert_int_equal(supervisor(killed_then_again_then_seven, false), 7);
	assert_int_equal(shared->children, 3);
}

static int killed_three_times(void *opaque, struct ballast *ballast)
{
	if (++shared->children <= 3)
		raise(SIGKILL);
	return 7;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* One that dies at once again and again keeps no processor busy. */
static void test_pause(void **state)
{
	uint64_t began = now_ms();

	assert_int_equal(supervisor(killed_three_times, false), 7);
	assert_int_equal(shared->children, 4);
	assert_true(now_ms() - began >= 3 * 500);
}

static int again(void *opaque, struct ballast *ballast)
{
	/* Not for ever, whoever asks. */
	return ++shared->children > 3 ? 7 : SUPERVISE_AGAIN;
}

/* Whoever started it is told. */
static void test_first_cannot(void **state)
{
	assert_int_equal(supervisor(again, false), SUPERVISE_AGAIN);
	assert_int_equal(shared->children, 1);
}

static bool got_term(int seconds)
{
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	return sigtimedwait(&term, NULL, &(struct timespec){.tv_sec = seconds}) == SIGTERM;
}

static int killed_while_stopping(void *opaque, struct ballast *ballast)
{
	if (++shared->children == 1) {
		kill(getppid(), SIGTERM);
		if (!got_term(10))
			return 9;
		raise(SIGKILL);
	}
	shared->told = got_term(2);
	return 0;
}

static void test_stop_is_remembered(void **state)
{
	assert_int_equal(supervisor(killed_while_stopping, true), 0);
	assert_int_equal(shared->children, 2);
	assert_true(shared->told);
}

/* By hand a stop may be refused, and is not meant for ever. */
static void test_stop_by_hand(void **state)
{
	assert_int_equal(supervisor(killed_while_stopping, false), 0);
	assert_int_equal(shared->children, 2);
	assert_false(shared->told);
}

__attribute__((noreturn)) static int hangs(void *opaque, struct ballast *ballast)
{
	shared->children++;
	shared->pid = getpid();
	/* As systemd does, whose watchdog heard nothing. */
	kill(getppid(), SIGABRT);
	for (;;)
		pause();
}

/* A daemon that hangs has no successor here: it is killed, and systemd is to see the end of an abort. */
static void test_watchdog(void **state)
{
	const struct rlimit no_core = {0, 0};
	int status;

	assert_int_equal(setrlimit(RLIMIT_CORE, &no_core), 0);
	status = run_supervisor(hangs, true);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_int_equal(shared->children, 1);
	assert_true(kill(shared->pid, 0) < 0 && errno == ESRCH);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(successors),         TEST(pause),        TEST(first_cannot),
		TEST(stop_is_remembered), TEST(stop_by_hand), TEST(watchdog),
	};

	unsetenv("NOTIFY_SOCKET");
	return cmocka_run_group_tests_name("supervise", tests, NULL, NULL);
}

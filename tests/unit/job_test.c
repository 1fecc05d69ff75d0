/* SPDX-License-Identifier: BSD-3-Clause */
/* Children that work for the daemon, how they end and with whom. */
#include "lib/test.h"

#include "daemon/child/job.h"
#include "daemon/jobs/job_detach.h"
#include "daemon/jobs/job_mount.h"
#include "daemon/jobs/job_swap.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <systemd/sd-event.h>

static sd_event *loop;
static struct job *job;
static struct {
	unsigned times;
	int r;
	char text[400];
} told;

static int set_up(void **state)
{
	memset(&told, 0, sizeof told);
	return sd_event_new(&loop) < 0 || job_create(&job, loop);
}

static int tear_down(void **state)
{
	job_free(job);
	sd_event_unref(loop);
	return 0;
}

static void done(void *opaque, int r, const char *text)
{
	assert_ptr_equal(opaque, &told);
	told.times++;
	told.r = r;
	snprintf(told.text, sizeof told.text, "%s", text);
	sd_event_exit(loop, 0);
}

static void run(job_fn *fn, const void *what)
{
	assert_false(job_is_running(job));
	assert_int_equal(job_start(job, fn, what, done, &told), 0);
	assert_true(job_is_running(job));
	assert_true(sd_event_loop(loop) >= 0);
	assert_int_equal(told.times, 1);
	assert_false(job_is_running(job));
}

static int answer(const void *what, struct wrong *wrong)
{
	/* Nothing of ours is open in it but the three. */
	if (fcntl(STDERR_FILENO + 1, F_GETFD) >= 0)
		return -EBADF;
	snprintf(wrong->text, sizeof wrong->text, "it is %s", (const char *)what);
	return -ENOSPC;
}

static int say_nothing(const void *what, struct wrong *wrong)
{
	return 0;
}

static int die(const void *what, struct wrong *wrong)
{
	raise(*(const int *)what);
	pause();
	return 0;
}

__attribute__((noreturn)) static int leave(const void *what, struct wrong *wrong)
{
	_exit(0);
}

static void test_answer(void **state)
{
	run(answer, "full");
	assert_int_equal(told.r, -ENOSPC);
	assert_string_equal(told.text, "it is full");
}

static void test_nothing_to_say(void **state)
{
	run(say_nothing, NULL);
	assert_int_equal(told.r, 0);
	assert_string_equal(told.text, "");
}

/* swapoff is the OOM killer's first choice; whoever reads the message should know who it was. */
static void test_killed(void **state)
{
	run(die, &(int){SIGKILL});
	assert_int_equal(told.r, -EINTR);
	assert_string_equal(told.text, "was ended by signal 9 (Killed): as the kernel does when memory runs out");
}

static void test_too_long(void **state)
{
	run(die, &(int){SIGALRM});
	assert_int_equal(told.r, -EINTR);
	assert_non_null(strstr(told.text, "it took too long"));
}

static void test_no_report(void **state)
{
	run(leave, NULL);
	assert_int_equal(told.r, -EIO);
	assert_string_equal(told.text, "ended without a report");
}

static int wait_for_ever(const void *what, struct wrong *wrong)
{
	*(pid_t *)what = getpid();
	pause();
	return 0;
}

static void test_one_at_a_time(void **state)
{
	pid_t *child = mmap(NULL, sizeof *child, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(job_start(job, wait_for_ever, child, done, &told), 0);
	assert_int_equal(job_start(job, say_nothing, NULL, done, &told), -EBUSY);
	while (!*(volatile pid_t *)child)
		usleep(1000);
	assert_int_equal(kill(*child, SIGTERM), 0);
	assert_true(sd_event_loop(loop) >= 0);
	assert_int_equal(told.r, -EINTR);
	assert_non_null(strstr(told.text, "signal 15"));
	munmap(child, sizeof *child);
}

/* Its pid is in *opaque by the time that the parent ends. */
static void start_and_end(void *opaque)
{
	sd_event_new(&loop);
	if (job_create(&job, loop) || job_start(job, wait_for_ever, opaque, done, &told))
		_exit(1);
	while (!*(volatile pid_t *)opaque)
		usleep(1000);
	_exit(42);
}

/* What one daemon has begun does not go on under the next one. */
static void test_ends_with_the_daemon(void **state)
{
	pid_t *child = mmap(NULL, sizeof *child, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0, patience = 10000;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(WEXITSTATUS(test_in_child(start_and_end, child)), 42);
	assert_true(*child > 0);
	/* It comes to us when the daemon has ended. */
	while (waitpid(*child, &status, WNOHANG) == 0 && patience--)
		usleep(1000);
	if (patience < 0)
		kill(*child, SIGKILL);
	assert_true(patience >= 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	munmap(child, sizeof *child);
}

/* There is no such device: nothing is done, and it is said why. */
static void test_no_device(void **state)
{
	struct device device;
	struct settings settings = {.name = NULL};
	struct job_detach detach = {.settings = &settings,
				    .device = &device,
				    .backend = "zsblk:nobody",
				    .may_swapoff = true,
				    .may_umount = true};
	struct job_swap swap = {.device = &device, .backend = "zsblk:nobody", .priority = 1};
	struct job_mount mount = {.device = &device, .backend = "zsblk:nobody", .path = "/nowhere", .fs_type = "ext4"};

	device_init(&device, "/dev/nbd999999");
	run(job_detach, &detach);
	assert_int_equal(told.r, -ENODEV);
	assert_non_null(strstr(told.text, "/dev/nbd999999"));
	tear_down(NULL);
	assert_false(set_up(NULL));
	run(job_swap_on, &swap);
	assert_int_equal(told.r, -ENODEV);
	tear_down(NULL);
	assert_false(set_up(NULL));
	run(job_mount, &mount);
	assert_int_equal(told.r, -ENODEV);
	device_close(&device);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(answer),        TEST(nothing_to_say),       TEST(killed),    TEST(too_long), TEST(no_report),
		TEST(one_at_a_time), TEST(ends_with_the_daemon), TEST(no_device),
	};

	if (!has_pidfds()) {
		printf("1..0 # SKIP no pidfd_open() here\n");
		return 0;
	}
	return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The process that reads a disk: its answers, and that nobody waits for it. A file and a FIFO stand in for the disk; real ones: tests/vm. */
#include "lib/test.h"

#include "daemon/transport/ublk/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

static char top[64];
static sd_event *loop;
static struct sweep *sweep;
static int answers, steps, last;

static void answered(void *opaque, int r, bool is_last)
{
	if (!is_last) {
		steps++;
		return;
	}
	answers++;
	last = r;
}

static void wait_for_answers(int wanted)
{
	while (answers < wanted)
		must(sd_event_run(loop, UINT64_MAX) >= 0);
}

static int set_up(void **state)
{
	answers = steps = 0;
	strcpy(top, "/var/tmp/sweep.XXXXXX");
	return !mkdtemp(top) || chdir(top) < 0 || sd_event_new(&loop) < 0 || sweep_create(&sweep, loop, answered, NULL);
}

static int tear_down(void **state)
{
	char remove[100];

	sweep_free(sweep);
	sd_event_unref(loop);
	snprintf(remove, sizeof remove, "rm -rf %s", top);
	return chdir("/") || system(remove);
}

/* In the folder that the test, and so the process, is in. */
static void init(struct device *device, const char *name)
{
	device_init(device, "");
	snprintf(device->path, sizeof device->path, "./%s", name);
}

static void test_answers(void **state)
{
	struct device file;
	int fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	must(fd >= 0 && ftruncate(fd, 65536) == 0);
	close(fd);
	init(&file, "file");
	assert_false(sweep_has_process(sweep));
	assert_false(sweep_is_out(sweep));
	assert_int_equal(sweep_start(sweep, &file, 8192), 0);
	assert_true(sweep_has_process(sweep));
	assert_true(sweep_is_out(sweep));
	assert_int_equal(sweep_start(sweep, &file, 8192), -EBUSY);
	wait_for_answers(1);
	if (last == -EINVAL) {
		print_message("# no O_DIRECT here\n");
		skip();
	}
	assert_int_equal(last, 0);
	assert_false(sweep_is_out(sweep));
}

/* Each queue's answer is told: whoever waits for a queue starts to wait when the queue before has answered. */
static void test_each_queue(void **state)
{
	static const char *const made[] = {"sys", "sys/file", "sys/file/mq"};
	int fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct device file;
	char path[40];

	must(fd >= 0 && ftruncate(fd, 65536) == 0);
	close(fd);
	for (size_t i = 0; i < COUNT_OF(made); i++)
		must(mkdir(made[i], 0700) == 0);
	for (int queue = 0; queue < 3; queue++) {
		snprintf(path, sizeof path, "sys/file/mq/%d", queue);
		must(mkdir(path, 0700) == 0);
		snprintf(path, sizeof path, "sys/file/mq/%d/cpu_list", queue);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		must(fd >= 0 && write(fd, "0\n", 2) == 2);
		close(fd);
	}
	init(&file, "file");
	for (int round = 1; round <= 2; round++) {
		assert_int_equal(sweep_start(sweep, &file, 8192), 0);
		wait_for_answers(round);
		assert_int_equal(steps, 2 * round);
		assert_false(sweep_is_out(sweep));
	}
}

/* The disk has become smaller: a read behind its end would be answered without the server. */
static void test_behind_the_end(void **state)
{
	struct device file;
	int fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	must(fd >= 0);
	close(fd);
	init(&file, "file");
	assert_int_equal(sweep_start(sweep, &file, 8192), 0);
	wait_for_answers(1);
	if (last == -EINVAL) {
		print_message("# no O_DIRECT here\n");
		skip();
	}
	/* Not even the first block was read. */
	assert_int_equal(last, -ENODATA);
	must(truncate("file", 4096) == 0);
	assert_int_equal(sweep_start(sweep, &file, 8192), 0);
	wait_for_answers(2);
	assert_int_equal(last, 0);
}

static void test_absent(void **state)
{
	struct device none;

	init(&none, "none");
	assert_int_equal(sweep_start(sweep, &none, 0), 0);
	wait_for_answers(1);
	assert_int_equal(last, -ENOENT);
}

/* A FIFO that nobody writes to: the process waits for ever, and we do not. */
static void test_nobody_waits(void **state)
{
	struct device fifo;

	must(mkfifo("fifo", 0600) == 0);
	init(&fifo, "fifo");
	assert_int_equal(sweep_start(sweep, &fifo, 0), 0);
	usleep(50000);
	assert_true(sweep_is_out(sweep));
	assert_false(sweep_answer_is_there(sweep));
	assert_int_equal(sweep_start(sweep, &fifo, 0), -EBUSY);
	sd_event_run(loop, 0);
	assert_int_equal(answers, 0);
}

/* Our child that was made last. (One of the test before may have ended and not been collected.) */
static pid_t process(void)
{
	char path[64];
	pid_t pid = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1)
		;
	if (f)
		fclose(f);
	if (!pid)
		skip();
	return pid;
}

/* Somebody ends the process: that is no answer of the server, nor its fault, and another process takes its place. */
static void test_ended_by_others(void **state)
{
	struct device fifo;

	must(mkfifo("fifo", 0600) == 0);
	init(&fifo, "fifo");
	assert_int_equal(sweep_start(sweep, &fifo, 0), 0);
	usleep(50000);
	kill(process(), SIGKILL);
	wait_for_answers(1);
	assert_int_equal(last, 0);
	assert_false(sweep_has_process(sweep));
	assert_false(sweep_is_out(sweep));
}

static void test_first_cpu(void **state)
{
	assert_int_equal(sweep_first_cpu("2, 3\n"), 2);
	assert_int_equal(sweep_first_cpu("0-3\n"), 0);
	assert_int_equal(sweep_first_cpu("17\n"), 17);
	assert_int_equal(sweep_first_cpu("\n"), -1);
	assert_int_equal(sweep_first_cpu(""), -1);
	assert_int_equal(sweep_first_cpu("-4"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_cpu),
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_each_queue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_behind_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_absent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ended_by_others, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}

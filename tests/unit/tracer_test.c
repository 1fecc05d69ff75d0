/* SPDX-License-Identifier: BSD-3-Clause */
/* A trace whose file system does not answer holds nobody, and one whose requests never cease is told of and can be stopped. */
#include "lib/device.h"
#include "lib/files.h"
#include "lib/test.h"

#include "host/tracer.h"
#include "process/spare.h"

#include "zsblk_trace.h"

#include <pthread.h>
#include <stdatomic.h>

/* ------------------------------------------------------------------ a file system that hangs, and requests without end */

enum call { NONE, OPEN, WRITE, CLOSE };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enum call hangs;    /* this call, on the file of a trace */
static unsigned returned;  /* calls that hung and do so no more */
static atomic_int file_fd; /* the trace's; -1: none */
/* Requests that come as fast as they are taken. */
static struct tracer *watched;
static _Atomic uint64_t takes, told;

static void hang(enum call call)
{
	pthread_mutex_lock(&lock);
	if (hangs == call) {
		while (hangs == call)
			pthread_cond_wait(&changed, &lock);
		returned++;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
}

static void set_hangs(enum call call)
{
	pthread_mutex_lock(&lock);
	hangs = call;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* The call that hung goes on. */
static void let_go(void)
{
	pthread_mutex_lock(&lock);
	hangs = NONE;
	pthread_cond_broadcast(&changed);
	while (!returned)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	if (fd == file_fd)
		hang(WRITE);
	return __real_write(fd, data, len);
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	if (fd == file_fd) {
		hang(CLOSE);
		file_fd = -1;
	}
	return __real_close(fd);
}

static atomic_bool is_short; /* of memory */

bool __wrap_spare_memory_for(struct spare *spare, bool realtime);
bool __wrap_spare_memory_for(struct spare *spare, bool realtime)
{
	(void)spare;
	(void)realtime;
	return !is_short;
}

int __real_tracer_file_open(const char *path, int *folder, struct zsblk_why *reason);
int __wrap_tracer_file_open(const char *path, int *folder, struct zsblk_why *reason);
int __wrap_tracer_file_open(const char *path, int *folder, struct zsblk_why *reason)
{
	hang(OPEN);
	file_fd = __real_tracer_file_open(path, folder, reason);
	return file_fd;
}

unsigned __real_zsblk_trace_take(struct zsblk_trace *trace, struct zsblk_event *events, unsigned n, uint64_t *lost);
unsigned __wrap_zsblk_trace_take(struct zsblk_trace *trace, struct zsblk_event *events, unsigned n, uint64_t *lost);
unsigned __wrap_zsblk_trace_take(struct zsblk_trace *trace, struct zsblk_event *events, unsigned n, uint64_t *lost)
{
	struct tracer_report report;

	if (!watched)
		return __real_zsblk_trace_take(trace, events, n, lost);
	tracer_look(watched, &report);
	told = report.requests;
	/* 100,000 requests and more, without a pause. */
	if (++takes > 200)
		return 0;
	for (unsigned i = 0; i < n; i++)
		events[i] = (struct zsblk_event){.len = BLOCK_BYTES, .op = ZSBLK_EVENT_READ};
	*lost = 0;
	return n;
}

/* ------------------------------------------------------------------ the tests */

static struct zsblk *dev;
static struct tracer *tracer;
static struct zsblk_why why;

static int begin(void **state)
{
	if (files_make(state) < 0)
		return -1;
	/* A thread that was given up may still be on its way out of the lock. */
	pthread_mutex_lock(&lock);
	hangs = NONE;
	returned = 0;
	pthread_mutex_unlock(&lock);
	file_fd = -1;
	takes = told = 0;
	watched = NULL;
	is_short = false;
	dev = device_new(64);
	return tracer_create(&tracer, dev);
}

static int end(void **state)
{
	tracer_destroy(tracer);
	tracer = NULL;
	zsblk_close(dev);
	return files_remove(state);
}

static void expect_state(enum tracer_state state, int error)
{
	struct tracer_report report;

	tracer_look(tracer, &report);
	assert_int_equal(report.state, state);
	assert_int_equal(report.error, error);
}

static void request(void)
{
	static uint8_t data[BLOCK_BYTES];

	must(zsblk_write(dev, data, sizeof data, 0) == 0);
}

/* What was given up leaves its memory and its file alone when the file system answers; then another trace can begin. */
static void expect_next(void)
{
	const struct timespec moment = {.tv_nsec = 1000000};
	int r;

	assert_int_equal(tracer_start(tracer, files_path("next"), TRACER_MAX_DEFAULT, &why), -EBUSY);
	let_go();
	while ((r = tracer_start(tracer, files_path("next"), TRACER_MAX_DEFAULT, &why)) == -EBUSY)
		nanosleep(&moment, NULL);
	assert_int_equal(r, 0);
	expect_state(TRACER_RUNNING, 0);
	request();
	tracer_stop(tracer);
	expect_state(TRACER_ENDED, 0);
}

static void test_write_hangs(void **state)
{
	must(tracer_start(tracer, files_path("trace"), TRACER_MAX_DEFAULT, &why) == 0);
	set_hangs(WRITE);
	request();
	tracer_stop(tracer);
	expect_state(TRACER_FAILED, ETIMEDOUT);
	expect_next();
}

static void test_close_hangs(void **state)
{
	must(tracer_start(tracer, files_path("trace"), TRACER_MAX_DEFAULT, &why) == 0);
	set_hangs(CLOSE);
	tracer_stop(tracer);
	expect_state(TRACER_FAILED, ETIMEDOUT);
	expect_next();
}

static void test_open_hangs(void **state)
{
	set_hangs(OPEN);
	assert_int_equal(tracer_start(tracer, files_path("trace"), TRACER_MAX_DEFAULT, &why), -ETIMEDOUT);
	assert_non_null(strstr(why.text, "does not answer"));
	expect_state(TRACER_NONE, 0);
	expect_next();
	/* What was made too late was removed. */
	assert_int_equal(access(files_path("trace"), F_OK), -1);
}

/* A server that ends does not wait either, and the thread that is left touches nothing of it. */
static void test_destroy_while_hung(void **state)
{
	must(tracer_start(tracer, files_path("trace"), TRACER_MAX_DEFAULT, &why) == 0);
	set_hangs(WRITE);
	request();
	tracer_destroy(tracer);
	tracer = NULL;
	zsblk_close(dev);
	dev = NULL;
	let_go();
}

/* While the system has no memory to spare nothing is written, and what was asked meanwhile counts as lost. */
static void test_no_memory(void **state)
{
	struct tracer_report report;

	must(tracer_start(tracer, files_path("trace"), TRACER_MAX_DEFAULT, &why) == 0);
	is_short = true;
	/* More than there is room for, in the one ring of this thread. */
	for (unsigned i = 0; i < 10000; i++)
		request();
	tracer_stop(tracer);
	tracer_look(tracer, &report);
	assert_int_equal(report.state, TRACER_ENDED);
	assert_int_equal(report.requests, 0);
	assert_int_equal(report.lost, 10000);
}

static void test_endless(void **state)
{
	struct tracer_report report;
	const struct timespec moment = {.tv_nsec = 1000000};

	watched = tracer;
	must(tracer_start(tracer, files_path("trace"), TRACER_MAX_DEFAULT, &why) == 0);
	while (takes <= 200)
		nanosleep(&moment, NULL);
	/* Long before they ceased somebody could see them. */
	assert_true(told > 0);
	tracer_stop(tracer);
	tracer_look(tracer, &report);
	assert_int_equal(report.state, TRACER_ENDED);
	assert_int_equal(report.requests % 512, 0);
	assert_true(report.requests >= told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_write_hangs, begin, end),
		cmocka_unit_test_setup_teardown(test_close_hangs, begin, end),
		cmocka_unit_test_setup_teardown(test_open_hangs, begin, end),
		cmocka_unit_test_setup_teardown(test_destroy_while_hung, begin, end),
		cmocka_unit_test_setup_teardown(test_endless, begin, end),
		cmocka_unit_test_setup_teardown(test_no_memory, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

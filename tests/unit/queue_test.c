/* SPDX-License-Identifier: BSD-3-Clause */
/* What a queue needs before there is a device, each of which can fail. That it serves: tests/vm/scenarios/ublk. */
#include "lib/test.h"

#include "ublk/driver.h"
#include "ublk/queue.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static int thread_fails, ring_fails;
static bool map_fails;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *opaque);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *opaque);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *opaque)
{
	return thread_fails ? thread_fails : __real_pthread_create(thread, attr, run, opaque);
}

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	return ring_fails ? ring_fails : __real_io_uring_queue_init(entries, ring, flags);
}

void *__real_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	if (map_fails) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap64(address, length, protection, flags, fd, offset);
}

static struct queue_params params;
static struct queue *queue;
static struct zsblk_why why;
static _Atomic uint64_t swap_requests;
static struct gate gate;

static int set_up(void **state)
{
	params = (struct queue_params){.number = 2,
				       .depth = 64,
				       .gate = &gate,
				       .ended_fd = eventfd(0, EFD_CLOEXEC),
				       .swap_requests = &swap_requests};
	CPU_SET_S(0, sizeof params.processors, params.processors.sets);
	queue = NULL;
	gate = (struct gate){GATE_SHUT};
	thread_fails = ring_fails = 0;
	map_fails = false;
	why.text[0] = '\0';
	return params.ended_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	return close(params.ended_fd);
}

static void fails(int error, const char *text)
{
	assert_int_equal(queue_create(&queue, &params, &why), error);
	assert_null(queue);
	if (!strstr(why.text, text))
		fail_msg("'%s' is not in '%s'", text, why.text);
}

static void test_failures(void **state)
{
	thread_fails = EAGAIN;
	fails(-EAGAIN, "queue 2: its thread cannot be started");
	thread_fails = 0;
	map_fails = true;
	fails(-ENOMEM, "queue 2: no memory for its buffer");
	map_fails = false;
	ring_fails = -ENOSYS;
	fails(-ENOSYS, "this kernel has no io_uring");
	ring_fails = -ENOMEM;
	fails(-ENOMEM, "io_uring cannot be had: Cannot allocate memory");
	ring_fails = -EPERM;
	fails(-EPERM, "io_uring");
}

/* Given up before it has fetched anything. */
static void test_ended_unused(void **state)
{
	uint64_t ended = 0;
	int r = queue_create(&queue, &params, &why);

	if (r == -ENOSYS || r == -EPERM || r == -EINVAL) {
		print_message("# no io_uring of this kind here: %s\n", why.text);
		skip();
	}
	assert_int_equal(r, 0);
	queue_join(queue);
	assert_int_equal(read(params.ended_fd, &ended, sizeof ended), sizeof ended);
	assert_int_equal(ended, 1);
	queue_join(NULL);
}

/* What is not a device of the driver's refuses to be fetched from, and all queues say so. */
static void test_not_a_device(void **state)
{
	struct queue *queues[2];
	int fd = memfd_create("queue", MFD_CLOEXEC), r = queue_create(&queues[0], &params, &why);

	if (r < 0)
		skip();
	assert_int_equal(queue_create(&queues[1], &params, &why), 0);
	assert_true(queue_fetch(queues, 2, fd, &why) < 0);
	assert_non_null(strstr(why.text, "queue 2: the driver"));
	/* They can be tried again, with another device, and end when they are not needed. */
	assert_true(queue_is_refused(queues[0]) && queue_is_refused(queues[1]));
	assert_int_equal(queue_error(queues[0]), 0);
	why.text[0] = '\0';
	assert_true(queue_fetch(queues, 2, fd, &why) < 0);
	assert_non_null(strstr(why.text, "queue 2: the driver"));
	assert_true(queue_is_refused(queues[0]) && queue_is_refused(queues[1]));
	map_fails = true;
	assert_int_equal(queue_map(queues[1], &why), -ENOMEM);
	map_fails = false;
	assert_non_null(strstr(why.text, "queue 2: its descriptors cannot be mapped"));
	queue_join(queues[0]);
	queue_join(queues[1]);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(failures), TEST(ended_unused), TEST(not_a_device)};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}

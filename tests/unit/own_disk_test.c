/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The disk that this process serves, with a driver of the test's own: nobody does anything to a disk of the same number that is another's,
 * and a device that cannot be removed keeps nobody waiting. With the real driver: tests/vm/scenarios/ublk and control.
 */
#include "lib/device.h"
#include "lib/test.h"

#include "host/host.h"
#include "host/host_params.h"
#include "ublk/device.h"
#include "ublk/driver.h"
#include "ublk/own_disk.h"
#include "ublk/resize.h"
#include "ublk/service.h"
#include "ublk/target.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#define SMALL  64u
#define LARGE  128u
#define NUMBER 3u

/* ------------------------------------------------------------------ the driver */

static int dummy;
static struct uapi_info device_info;
static int info_result, delete_result;
static unsigned sizes_set;
static _Atomic unsigned deleted;
static bool size_waits, delete_waits; /* until `go_on`, after they have posted `waiting` */
static bool in_use;                   /* by somebody else */
static sem_t waiting, go_on;

static void wait_if(bool waits)
{
	if (!waits)
		return;
	sem_post(&waiting);
	sem_wait(&go_on);
}

int __wrap_driver_open(struct driver **driver, struct zsblk_why *why);
int __wrap_driver_open(struct driver **driver, struct zsblk_why *why)
{
	*driver = (struct driver *)&dummy;
	return 0;
}

void __wrap_driver_close(struct driver *driver);
void __wrap_driver_close(struct driver *driver)
{
}

bool __wrap_driver_can_set_size(const struct driver *driver);
bool __wrap_driver_can_set_size(const struct driver *driver)
{
	return true;
}

int __wrap_driver_info(struct driver *driver, uint32_t number, struct uapi_info *info, struct zsblk_why *why);
int __wrap_driver_info(struct driver *driver, uint32_t number, struct uapi_info *info, struct zsblk_why *why)
{
	assert_int_equal(number, NUMBER);
	*info = device_info;
	return info_result;
}

int __wrap_driver_set_size(struct driver *driver, uint32_t number, uint64_t bytes, struct zsblk_why *why);
int __wrap_driver_set_size(struct driver *driver, uint32_t number, uint64_t bytes, struct zsblk_why *why)
{
	wait_if(size_waits);
	assert_int_equal(deleted, 0);
	sizes_set++;
	return 0;
}

int __wrap_driver_stop(struct driver *driver, uint32_t number, unsigned limit_s, struct zsblk_why *why);
int __wrap_driver_stop(struct driver *driver, uint32_t number, unsigned limit_s, struct zsblk_why *why)
{
	return 0;
}

int __wrap_driver_delete(struct driver *driver, uint32_t number, struct zsblk_why *why);
int __wrap_driver_delete(struct driver *driver, uint32_t number, struct zsblk_why *why)
{
	wait_if(delete_waits);
	deleted++;
	strcpy(why->text, "DEL_DEV: no");
	return delete_result;
}

int __wrap_device_claim(struct driver *driver, uint32_t number, int *fd, struct zsblk_why *why);
int __wrap_device_claim(struct driver *driver, uint32_t number, int *fd, struct zsblk_why *why)
{
	if (in_use)
		return -EBUSY;
	*fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

/* The service has never made a device: that takes the kernel's driver. */
bool __real_service_serves(const struct service *service);
bool __wrap_service_serves(const struct service *service);
bool __wrap_service_serves(const struct service *service)
{
	return in_use || __real_service_serves(service);
}

/* ------------------------------------------------------------------ a device */

static struct zsblk *device;
static struct service *service;
static struct host_params host_params;
static struct host host = {.params = &host_params};
static struct zsblk_why why;

static int set_up(void **state)
{
	struct zsblk_params params = device_params(SMALL);

	params.max_size = (uint64_t)LARGE * BLOCK_BYTES;
	device = device_open(&params);
	target_info(&device_info, NUMBER, 1, 8, TARGET_NO_SEGMENT);
	device_info.server = getpid();
	device_info.state = UAPI_LIVE;
	info_result = delete_result = 0;
	sizes_set = 0;
	deleted = 0;
	size_waits = delete_waits = in_use = false;
	sem_init(&waiting, 0, 0);
	sem_init(&go_on, 0, 0);
	host_params.engine.memory = (char *)"anon";
	return service_open(&service, &(struct service_params){.host = &host, .number = NUMBER}, &why);
}

static int tear_down(void **state)
{
	service_close(service);
	zsblk_close(device);
	return 0;
}

static int grow(void)
{
	return own_disk_resize(device, (uint64_t)LARGE * BLOCK_BYTES, &why);
}

static bool has_disk(void)
{
	char text[40];

	return own_disk_name(text, sizeof text);
}

/* ------------------------------------------------------------------ tests */

static void test_no_disk(void **state)
{
	assert_false(has_disk());
	assert_int_equal(grow(), -EBUSY);
	assert_int_equal(own_disk_claim(&why), -EBUSY);
	assert_int_equal(sizes_set, 0);
}

static void test_own(void **state)
{
	char text[40];

	own_disk_is(NUMBER);
	assert_true(own_disk_name(text, sizeof text));
	assert_string_equal(text, "/dev/ublkb3");
	assert_int_equal(grow(), 0);
	assert_int_equal(sizes_set, 1);
	assert_int_equal(own_disk_claim(&why), 0);
	own_disk_unclaim();
	assert_int_equal(own_disk_stop(service, &why), 0);
	assert_false(has_disk());
	assert_int_equal(grow(), -EBUSY);
	assert_int_equal(own_disk_claim(&why), -EBUSY);
}

/* Others have removed the device, and the number is another one's. */
static void test_number_of_another(void **state)
{
	own_disk_is(NUMBER);
	device_info.target ^= (uint64_t)1 << 63;
	assert_int_equal(grow(), -EPERM);
	device_info.target ^= (uint64_t)1 << 63;
	device_info.server = getppid();
	assert_int_equal(grow(), -EPERM);
	info_result = -ENODEV;
	assert_int_equal(grow(), -ENODEV);
	assert_int_equal(sizes_set, 0);
	assert_int_equal(zsblk_size(device), SMALL * BLOCK_BYTES);
}

static void *stop_thread(void *opaque)
{
	*(int *)opaque = own_disk_stop(service, &why);
	return NULL;
}

static void *grow_thread(void *opaque)
{
	struct zsblk_why other;

	*(int *)opaque = own_disk_resize(device, (uint64_t)LARGE * BLOCK_BYTES, &other);
	return NULL;
}

static void test_resize_while_it_is_removed(void **state)
{
	pthread_t thread;
	struct zsblk_why other;
	int stopped = 1;

	own_disk_is(NUMBER);
	delete_waits = true;
	pthread_create(&thread, NULL, stop_thread, &stopped);
	sem_wait(&waiting);
	assert_int_equal(own_disk_resize(device, (uint64_t)LARGE * BLOCK_BYTES, &other), -EBUSY);
	assert_int_equal(own_disk_claim(&other), -EBUSY);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	assert_int_equal(stopped, 0);
	assert_int_equal(sizes_set, 0);
}

/* driver_set_size() fails the test if the device was removed meanwhile. */
static void test_removed_while_it_is_resized(void **state)
{
	pthread_t resizer, stopper;
	int grown = 1, stopped = 1;

	own_disk_is(NUMBER);
	size_waits = true;
	pthread_create(&resizer, NULL, grow_thread, &grown);
	sem_wait(&waiting);
	pthread_create(&stopper, NULL, stop_thread, &stopped);
	/* Long enough for a removal that does not wait; one that does may come as late as it likes. */
	usleep(50000);
	sem_post(&go_on);
	pthread_join(resizer, NULL);
	pthread_join(stopper, NULL);
	assert_int_equal(grown, 0);
	assert_int_equal(stopped, 0);
	assert_int_equal(deleted, 1);
}

/* The server has nothing more to do, and says what is left. */
static void test_not_removed(void **state)
{
	own_disk_is(NUMBER);
	delete_result = -EINTR;
	assert_int_equal(own_disk_stop(service, &why), -EINTR);
	assert_false(service_serves(service));
	assert_non_null(strstr(why.text, "DEL_DEV: no"));
	assert_non_null(strstr(why.text, "--remove"));
	assert_int_equal(deleted, 1);
	assert_false(has_disk());
	assert_int_equal(grow(), -EBUSY);
}

static void test_in_use(void **state)
{
	own_disk_is(NUMBER);
	in_use = true;
	assert_int_equal(own_disk_stop(service, &why), -EBUSY);
	assert_int_equal(deleted, 0);
	assert_true(has_disk());
	assert_int_equal(grow(), 0);
	in_use = false;
	assert_int_equal(own_disk_stop(service, &why), 0);
}

static void test_removed_by_others(void **state)
{
	own_disk_is(NUMBER);
	delete_result = -ENODEV;
	assert_int_equal(own_disk_stop(service, &why), 0);
	assert_false(has_disk());
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_disk),
		TEST(own),
		TEST(number_of_another),
		TEST(resize_while_it_is_removed),
		TEST(removed_while_it_is_resized),
		TEST(not_removed),
		TEST(in_use),
		TEST(removed_by_others),
	};

	return cmocka_run_group_tests_name("own_disk", tests, NULL, NULL);
}

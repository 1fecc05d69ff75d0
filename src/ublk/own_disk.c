/* SPDX-License-Identifier: BSD-3-Clause */
/* The disk that this process serves. See own_disk.h. */
#include "ublk/own_disk.h"

#include "ublk/device.h"
#include "ublk/driver.h"
#include "ublk/resize.h"
#include "ublk/service.h"
#include "ublk/why.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* The disk's number while there is a disk. */
#define NO_DISK (-1)
static _Atomic int64_t own_disk = NO_DISK;

/* Whoever works on the disk by its number has this, and whoever removes the disk. */
static pthread_mutex_t at_work = PTHREAD_MUTEX_INITIALIZER;

static int claimed = -1;

void own_disk_is(uint32_t number)
{
	atomic_store(&own_disk, number);
}

int own_disk_stop(struct service *service, struct zsblk_why *why)
{
	int r;

	pthread_mutex_lock(&at_work);
	r = service_stop(service, why);
	if (!service_serves(service))
		atomic_store(&own_disk, NO_DISK);
	pthread_mutex_unlock(&at_work);
	return r;
}

bool own_disk_name(char *text, size_t size)
{
	int64_t number = atomic_load(&own_disk);

	snprintf(text, size, "/dev/ublkb%" PRId64, number);
	return number != NO_DISK;
}

/* With 0 the caller has at_work, and gives it back. Nobody waits for a removal, which may wait for the kernel without an end. */
static int begin_work(uint32_t *number, struct zsblk_why *why)
{
	int64_t found;

	if (pthread_mutex_trylock(&at_work) == 0) {
		found = atomic_load(&own_disk);
		*number = (uint32_t)found;
		if (found != NO_DISK)
			return 0;
		pthread_mutex_unlock(&at_work);
	}
	/* The control socket is there before the disk. A disk that is being taken over is in use, and so is all that is stored. */
	return why_say(why, -EBUSY, "the device is just being made, taken over or removed; try again");
}

int own_disk_claim(struct zsblk_why *why)
{
	struct driver *driver;
	uint32_t number;
	int r = begin_work(&number, why);

	if (r)
		return r;
	r = driver_open(&driver, why);
	if (!r) {
		r = device_claim(driver, number, &claimed, why);
		driver_close(driver);
	}
	pthread_mutex_unlock(&at_work);
	return r;
}

void own_disk_unclaim(void)
{
	if (claimed >= 0)
		close(claimed);
	claimed = -1;
}

int own_disk_resize(struct zsblk *device, uint64_t size, struct zsblk_why *why)
{
	uint32_t number;
	int r = begin_work(&number, why);

	if (r)
		return r;
	r = resize_device(number, device, size, why);
	pthread_mutex_unlock(&at_work);
	return r;
}

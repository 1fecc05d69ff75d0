/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes a build of zsblk-ublk stop at one place of its life, which ZSBLK_STOP_AT names, with SIGSTOP: to be killed there, or to be let go on.
 * The linker puts these functions before those of the same name (--wrap).
 *
 *   added    it has made a device, and has not opened /dev/ublkcN
 *   begun    it has begun a recovery, and does not go on with one
 *   opened   it has begun a recovery, or goes on with one, and has fetched nothing
 *   fetched  the driver has all requests, and the recovery was not ended
 */
#include "ublk/driver.h"
#include "ublk/queue.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

int __real_driver_set_params(struct driver *driver, uint32_t device, struct uapi_params *params, struct zsblk_why *why);
int __wrap_driver_set_params(struct driver *driver, uint32_t device, struct uapi_params *params, struct zsblk_why *why);
int __real_driver_start_recovery(struct driver *driver, uint32_t device, struct zsblk_why *why);
int __wrap_driver_start_recovery(struct driver *driver, uint32_t device, struct zsblk_why *why);
int __real_driver_end_recovery(struct driver *driver, uint32_t device, unsigned limit_s, struct zsblk_why *why);
int __wrap_driver_end_recovery(struct driver *driver, uint32_t device, unsigned limit_s, struct zsblk_why *why);
int __real_queue_fetch(struct queue *const *queues, unsigned n, int fd, struct zsblk_why *why);
int __wrap_queue_fetch(struct queue *const *queues, unsigned n, int fd, struct zsblk_why *why);

static void stop_at(const char *place)
{
	const char *wanted = getenv("ZSBLK_STOP_AT");

	if (wanted && strcmp(wanted, place) == 0)
		raise(SIGSTOP);
}

int __wrap_driver_set_params(struct driver *driver, uint32_t device, struct uapi_params *params, struct zsblk_why *why)
{
	int r = __real_driver_set_params(driver, device, params, why);

	stop_at("added");
	return r;
}

int __wrap_driver_start_recovery(struct driver *driver, uint32_t device, struct zsblk_why *why)
{
	int r = __real_driver_start_recovery(driver, device, why);

	if (!r)
		stop_at("begun");
	return r;
}

int __wrap_queue_fetch(struct queue *const *queues, unsigned n, int fd, struct zsblk_why *why)
{
	stop_at("opened");
	return __real_queue_fetch(queues, n, fd, why);
}

int __wrap_driver_end_recovery(struct driver *driver, uint32_t device, unsigned limit_s, struct zsblk_why *why)
{
	stop_at("fetched");
	return __real_driver_end_recovery(driver, device, limit_s, why);
}

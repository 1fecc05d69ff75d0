/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a ublk device. See service.h.
 *
 *   new device      ADD_DEV  SET_PARAMS  open ublkcN  queues fetch  START_DEV         settings of the kernel's queue
 *   recovered one   START_USER_RECOVERY  open ublkcN  queues fetch  END_USER_RECOVERY
 *   removed         claim of ublkbN      STOP_DEV     queues end    close ublkcN      DEL_DEV
 *
 * S1 What can fail for want of memory (threads, rings, buffers) is done before the first command that changes the device: a server
 *    that ends half-way through a recovery leaves requests stuck in kernels before 7.1.
 *    A recovery that was begun and left is gone on with, where beginning it again would crash the kernel: recover_begun().
 * S2 There is one descriptor of ublkcN, and nobody inherits it: from Linux 6.15 on no recovery begins before the last one is closed.
 * S3 A device is deleted only by the process that added it, or when it was asked to and the device is ours and unused.
 */
#include "ublk/service.h"

#include "machine/kernels.h"
#include "ublk/device.h"
#include "ublk/driver.h"
#include "ublk/queue.h"
#include "ublk/resize.h"
#include "ublk/target.h"
#include "ublk/tune.h"
#include "ublk/why.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The kernel looks for partitions meanwhile: requests that this process answers. */
#define START_LIMIT_S 60
/* For a descriptor that is being closed: 5 seconds. */
#define BEGIN_EVERY_US 2000
#define BEGIN_TRIES    2500

struct service {
	struct service_params params;
	struct driver *driver;
	struct uapi_info info;
	int segment;
	bool added;   /* by this process, and not deleted */
	bool started; /* it serves */
	int fd;       /* of /dev/ublkcN */
	int ended_fd;
	struct gate gate;
	unsigned n_queues; /* those there are */
	struct queue **queues;
};

/* Is service->info of the device that was asked for? */
static int check_device(struct service *service, struct zsblk_why *why)
{
	const struct service_params *params = &service->params;
	struct uapi_params found;
	int r = target_is_ours(&service->info, why);

	if (!r)
		r = driver_params(service->driver, params->number, &found, why);
	if (!r)
		r = target_fits(&service->info, &found, service->segment, params->host->params->engine.size, why);
	if (r < 0)
		return r;
	if ((params->queues && params->queues != service->info.queues) ||
	    (params->depth && params->depth != service->info.depth))
		return why_say(why, -EINVAL,
			       "/dev/ublkb%" PRIu32 " has queues=%u and depth=%u, and keeps them; leave both out",
			       params->number, service->info.queues, service->info.depth);
	return 0;
}

static int find_device(struct service *service, struct zsblk_why *why)
{
	uint32_t number = service->params.number;
	int r = driver_info(service->driver, number, &service->info, why);

	if (!r)
		r = check_device(service, why);
	if (!r)
		r = device_wait_until_free(service->driver, number, &service->info, why);
	/* That may have taken a while, and another device may have the number by now. */
	if (!r)
		r = check_device(service, why);
	if (!r && service->info.state != UAPI_QUIESCED)
		return why_say(why, -ENODEV,
			       "/dev/ublkb%" PRIu32
			       " was stopped or never started, so that there is nothing to take over; remove it "
			       "with --remove %" PRIu32,
			       number, number);
	return r;
}

/* ------------------------------------------------------------------ opening */

int service_check(struct zsblk_why *why)
{
	struct driver *driver = NULL;
	int r = driver_open(&driver, why);

	driver_close(driver);
	return r;
}

static int find_segment(struct service *service, struct zsblk_why *why)
{
	const char *memory = service->params.host->params->engine.memory;
	struct zsblk_segment found;
	int r;

	service->segment = TARGET_NO_SEGMENT;
	if (strncmp(memory, "shm:", 4) != 0)
		return 0;
	r = zsblk_inspect(memory, &found, why);
	/* Before anything is asked of a device that is to be taken over. */
	if (!r && found.refused)
		r = -EINVAL;
	if (!r)
		service->segment = found.id;
	return r;
}

int service_open(struct service **result, const struct service_params *params, struct zsblk_why *why)
{
	struct service *service = calloc(1, sizeof *service);
	int r;

	if (!service)
		return why_say(why, -ENOMEM, "no memory");
	service->params = *params;
	service->fd = -1;
	service->ended_fd = eventfd(0, EFD_CLOEXEC);
	r = service->ended_fd < 0 ? why_say(why, -errno, "eventfd: %s", strerror(errno)) : 0;
	if (!r)
		r = driver_open(&service->driver, why);
	if (!r)
		r = find_segment(service, why);
	if (!r && params->recover)
		r = find_device(service, why);
	if (r < 0) {
		service_close(service);
		return r;
	}
	*result = service;
	return 0;
}

/* ------------------------------------------------------------------ queues and their descriptor */

static void close_node(struct service *service)
{
	if (service->fd >= 0)
		close(service->fd);
	service->fd = -1;
}

/* Queues that the driver has ended or refused, or that have fetched nothing. Those that wait for requests of a device that stays are left. */
static void end_queues(struct service *service)
{
	struct pollfd ended = {.fd = service->ended_fd, .events = POLLIN};
	uint64_t n;

	for (unsigned i = 0; i < service->n_queues; i++)
		queue_join(service->queues[i]);
	service->n_queues = 0;
	free(service->queues);
	service->queues = NULL;
	close_node(service);
	/* The end of these queues is no news. */
	if (poll(&ended, 1, 0) > 0)
		(void)!read(service->ended_fd, &n, sizeof n);
}

/* ------------------------------------------------------------------ starting */

static unsigned default_queues(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (processors < 1)
		return 1;
	return processors < (long)SERVICE_QUEUES_DEFAULT_MOST ? (unsigned)processors : SERVICE_QUEUES_DEFAULT_MOST;
}

static int add_device(struct service *service, struct zsblk_why *why)
{
	const struct service_params *params = &service->params;
	struct uapi_params device;
	int r;

	target_info(&service->info, params->number, (uint16_t)(params->queues ? params->queues : default_queues()),
		    (uint16_t)(params->depth ? params->depth : SERVICE_DEPTH_DEFAULT), service->segment);
	r = driver_add(service->driver, &service->info, why);
	if (r < 0)
		return r;
	service->added = true;
	target_params(&device, zsblk_size(params->host->device));
	return driver_set_params(service->driver, service->info.device, &device, why);
}

static int create_queues(struct service *service, struct zsblk_why *why)
{
	service->gate = (struct gate){GATE_SHUT};
	service->queues = calloc(service->info.queues, sizeof(struct queue *));
	if (!service->queues)
		return why_say(why, -ENOMEM, "no memory");
	for (unsigned i = 0; i < service->info.queues; i++) {
		struct queue_params params = {
			.device = service->params.host->device,
			.number = (uint16_t)i,
			.depth = service->info.depth,
			.gate = &service->gate,
			.ended_fd = service->ended_fd,
			.swap_requests = service->params.swap_requests,
		};
		int r = driver_affinity(service->driver, service->info.device, (uint16_t)i, &params.processors, why);

		if (!r)
			r = queue_create(&service->queues[i], &params, why);
		if (r < 0)
			return r;
		service->n_queues++;
	}
	return 0;
}

static int open_node(struct service *service, struct zsblk_why *why)
{
	char path[40];
	struct stat st;
	dev_t chr, disk;
	int r = device_numbers(service->driver, service->info.device, &chr, &disk, why);

	if (r < 0)
		return r;
	snprintf(path, sizeof path, "/dev/ublkc%" PRIu32, service->info.device);
	service->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (service->fd < 0)
		return why_say(why, -errno, "%s: %s", path, strerror(errno));
	if (fstat(service->fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != chr)
		return why_say(why, -ENXIO, "%s is not the device that the driver has made", path);
	return 0;
}

/*
 * The driver lets the first process map that comes after ADD_DEV or START_USER_RECOVERY, and no other. So nobody maps before the fetches: a
 * process that is killed between the two would leave a device that nobody else can take over.
 */
static int map(struct service *service, struct zsblk_why *why)
{
	int r = 0;

	for (unsigned i = 0; i < service->n_queues && !r; i++)
		r = queue_map(service->queues[i], why);
	return r;
}

static int fetch(struct service *service, struct zsblk_why *why)
{
	int r = queue_fetch(service->queues, service->n_queues, service->fd, why);

	return r ? r : map(service, why);
}

/*
 * Nobody takes the device for one that was left behind. If another process keeps the lock, the device is made without: that process may be
 * stuck in the kernel for good.
 */
static int make_device(struct service *service, struct zsblk_why *why)
{
	struct zsblk_why locked;
	int r;

	(void)driver_lock(service->driver, &locked);
	r = add_device(service, why);
	if (!r)
		r = open_node(service, why);
	driver_unlock(service->driver);
	return r;
}

static int start_new(struct service *service, struct zsblk_why *why)
{
	struct zsblk_why slow;
	int r = make_device(service, why);

	if (!r)
		r = create_queues(service, why);
	if (!r)
		r = fetch(service, why);
	if (!r)
		r = driver_start(service->driver, service->info.device, START_LIMIT_S, why);
	if (!r && tune_queue(service->info.device, service->info.depth, &slow) < 0)
		service->params.host->say(HOST_NOTICE, slow.text);
	return r;
}

/* Somebody may still have ublkcN open, from the old server. */
static int begin_recovery(struct service *service, struct zsblk_why *why)
{
	int r;

	for (unsigned tries = 0; (r = driver_start_recovery(service->driver, service->info.device, why)) == -EBUSY;
	     tries++) {
		if (tries == BEGIN_TRIES)
			return device_say_not_free(service->driver, &service->info, why);
		usleep(BEGIN_EVERY_US);
	}
	return r;
}

static int recover_anew(struct service *service, struct zsblk_why *why)
{
	int r = service->queues ? 0 : create_queues(service, why);

	if (!r)
		r = begin_recovery(service, why);
	if (!r)
		r = open_node(service, why);
	if (!r)
		r = fetch(service, why);
	if (!r)
		r = driver_end_recovery(service->driver, service->info.device, START_LIMIT_S, why);
	return r;
}

/*
 * Go on with a recovery that a server has begun that was killed before it had fetched anything. Before Linux 6.15 such a recovery cannot be
 * begun again: the driver refuses that (EINVAL), or crashes, by version. And it says nowhere that one was begun. But then it takes the fetches,
 * and before that it refuses them all, since the tags are the dead server's.
 *
 * -EAGAIN: no recovery was begun. The queues can be used again.
 */
static int recover_begun(struct service *service, struct zsblk_why *why)
{
	unsigned refused = 0;
	int r = create_queues(service, why);

	if (r < 0)
		return r;
	if (open_node(service, why) < 0) {
		close_node(service);
		return -EAGAIN;
	}
	if (queue_fetch(service->queues, service->n_queues, service->fd, why) == 0) {
		r = map(service, why);
		return r ? r : driver_end_recovery(service->driver, service->info.device, START_LIMIT_S, why);
	}
	for (unsigned i = 0; i < service->n_queues; i++)
		refused += queue_is_refused(service->queues[i]);
	if (refused < service->n_queues)
		return why_say(
			why, -EIO,
			"/dev/ublkb%" PRIu32
			" cannot be taken over: another server was killed in the middle of that, and this kernel "
			"has no way on from there",
			service->info.device);
	close_node(service);
	return -EAGAIN;
}

static int start_recovered(struct service *service, struct zsblk_why *why)
{
	struct utsname name;
	int r = -EAGAIN;

	if (uname(&name) < 0 || kernels_begin_recovery_once(name.release, name.version))
		r = recover_begun(service, why);
	return r == -EAGAIN ? recover_anew(service, why) : r;
}

int service_start(struct service *service, struct zsblk_why *why)
{
	const struct host *host = service->params.host;
	struct zsblk_why size;
	int r = service->params.recover ? start_recovered(service, why) : start_new(service, why);

	service->started = r == 0;
	if (!r && service->params.recover && resize_finish(service->driver, service->info.device, host->device, &size))
		host->say(HOST_NOTICE, size.text);
	return r;
}

/* ------------------------------------------------------------------ the end */

int service_why_ended(struct service *service, struct zsblk_why *why)
{
	struct uapi_info info;
	int r = driver_info(service->driver, service->info.device, &info, why);

	if (r == -ENODEV || (!r && info.state == UAPI_DEAD))
		return why_say(why, -ENODEV, "somebody else has removed /dev/ublkb%" PRIu32, service->info.device);
	for (unsigned i = 0; i < service->n_queues && !r; i++)
		r = queue_error(service->queues[i]);
	return why_say(why, r ? r : -EIO, "a queue of /dev/ublkb%" PRIu32 " has ended: %s", service->info.device,
		       strerror(r ? -r : EIO));
}

int service_stop(struct service *service, struct zsblk_why *why)
{
	struct zsblk_why failed;
	int claim, r = device_claim(service->driver, service->info.device, &claim, why);

	if (r < 0)
		return r;
	r = driver_stop(service->driver, service->info.device, 0, why);
	close(claim);
	if (r < 0)
		return r;
	end_queues(service);
	service->started = false;
	service->added = false;
	r = driver_delete(service->driver, service->info.device, &failed);
	/* Others may have been quicker. */
	if (r == 0 || r == -ENODEV)
		return 0;
	return why_say(why, r,
		       "/dev/ublkb%" PRIu32
		       " is gone, but its device could not be removed: %s; try zsblk-ublk --remove %" PRIu32,
		       service->info.device, failed.text, service->info.device);
}

bool service_serves(const struct service *service)
{
	return service->started;
}

void service_close(struct service *service)
{
	struct zsblk_why why;

	if (!service)
		return;
	if (service->added && !service->started) {
		/* Ends the queues that have fetched, too. Where that fails nobody can wait for them, and the end of the process ends them. */
		if (driver_stop(service->driver, service->info.device, DRIVER_PATIENCE_S, &why) == 0) {
			end_queues(service);
			driver_delete(service->driver, service->info.device, &why);
		}
	} else if (!service->params.recover || service->fd < 0) {
		end_queues(service);
	}
	driver_close(service->driver);
	if (service->ended_fd >= 0)
		close(service->ended_fd);
	free(service);
}

/* ------------------------------------------------------------------ what it is */

uint32_t service_number(const struct service *service)
{
	return service->info.device;
}

unsigned service_queues(const struct service *service)
{
	return service->info.queues;
}

unsigned service_depth(const struct service *service)
{
	return service->info.depth;
}

int service_ended_fd(const struct service *service)
{
	return service->ended_fd;
}

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
 * S2 There is one descriptor of ublkcN, and nobody inherits it: from Linux 6.15 on no recovery begins before the last one is closed.
 * S3 A device is deleted only by the process that added it, or when it was asked to and the device is ours and unused.
 */
#include "ublk/service.h"

#include "process/process.h"
#include "ublk/driver.h"
#include "ublk/queue.h"
#include "ublk/target.h"
#include "ublk/tune.h"
#include "ublk/use.h"
#include "ublk/why.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* The kernel looks for partitions meanwhile: requests that this process answers. */
#define START_LIMIT_S 60
/* Until the kernel has noticed that a server is dead. At most the 30 s of its request timer, and what the timer takes to run. */
#define DEATH_LIMIT_MS 45000
/* For a server that is alive as far as can be seen: somebody may have killed it a moment ago. */
#define ALIVE_LIMIT_MS 5000
#define POLL_MS        2
/* Programs that look at every device (udev) are gone within this time. */
#define ONLOOKER_MS 2000

struct service {
	struct service_params params;
	struct driver *driver;
	struct uapi_info info;
	int segment;
	bool added;   /* by this process, and not deleted */
	bool started; /* it serves */
	int fd;       /* of /dev/ublkcN */
	int ended_fd;
	unsigned n_queues; /* those there are */
	struct queue **queues;
};

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int node_numbers(struct driver *driver, uint32_t number, dev_t *chr, dev_t *disk, struct zsblk_why *why)
{
	struct uapi_params params;
	int r = driver_params(driver, number, &params, why);

	if (r < 0)
		return r;
	*chr = makedev(params.char_major, params.char_minor);
	*disk = makedev(params.disk_major, params.disk_minor);
	return 0;
}

/* ------------------------------------------------------------------ the one before */

/* Has the process ended? A process of that number may also be another one by now: then the driver decides. */
static bool is_gone(pid_t pid)
{
	uint64_t start;

	return pid <= 0 || process_start_time(pid, &start) == -ESRCH;
}

static int say_not_free(struct driver *driver, const struct uapi_info *info, struct zsblk_why *why)
{
	dev_t chr, disk;
	char holder[120];
	bool held = node_numbers(driver, info->device, &chr, &disk, why) == 0 &&
		    use_find_holder(chr, false, holder, sizeof holder);

	if (held && (is_gone(info->server) || !process_same_name(info->server, getpid())))
		return why_say(why, -EBUSY,
			       "the server of /dev/ublkb%" PRIu32 " is gone, but %s still has /dev/ublkc%" PRIu32
			       " open; end that first",
			       info->device, holder, info->device);
	return why_say(why, -EBUSY,
		       "/dev/ublkb%" PRIu32
		       " has a server: process %d. It removes the device when it gets SIGTERM, unless somebody uses "
		       "the device",
		       info->device, info->server);
}

/*
 * How long to wait for the kernel to be done with a server, as of now. A server that is gone is noticed in the end, unless another
 * process has ublkcN open.
 */
static uint64_t patience_ms(struct driver *driver, const struct uapi_info *info)
{
	struct zsblk_why why;
	dev_t chr, disk;
	char holder[120];

	if (!is_gone(info->server) && !process_is_dying(info->server))
		return ALIVE_LIMIT_MS;
	if (node_numbers(driver, info->device, &chr, &disk, &why) == 0 &&
	    use_find_holder(chr, false, holder, sizeof holder))
		return ALIVE_LIMIT_MS;
	return DEATH_LIMIT_MS;
}

/* Until the kernel is done with the server. *info gets what there is then. */
static int wait_until_free(struct driver *driver, uint32_t number, struct uapi_info *info, struct zsblk_why *why)
{
	uint64_t start = now_ms(), patience = ALIVE_LIMIT_MS;

	for (;;) {
		int r = driver_info(driver, number, info, why);

		if (r < 0)
			return r;
		if (info->state != UAPI_LIVE && !process_is_dying(info->server))
			return 0;
		/* To look for holders of ublkcN takes a while: only when the usual time has passed. */
		if (patience == ALIVE_LIMIT_MS && now_ms() - start > patience)
			patience = patience_ms(driver, info);
		if (now_ms() - start > patience)
			return say_not_free(driver, info, why);
		sleep_ms(POLL_MS);
	}
}

static int find_device(struct service *service, struct zsblk_why *why)
{
	const struct service_params *params = &service->params;
	struct uapi_params found;
	int r = driver_info(service->driver, params->number, &service->info, why);

	if (!r)
		r = target_is_ours(&service->info, why);
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
	r = wait_until_free(service->driver, params->number, &service->info, why);
	if (!r && service->info.state != UAPI_QUIESCED)
		return why_say(why, -ENODEV,
			       "/dev/ublkb%" PRIu32
			       " was stopped or never started, so that there is nothing to take over; remove it "
			       "with --remove %" PRIu32,
			       params->number, params->number);
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
	service->queues = calloc(service->info.queues, sizeof(struct queue *));
	if (!service->queues)
		return why_say(why, -ENOMEM, "no memory");
	for (unsigned i = 0; i < service->info.queues; i++) {
		struct queue_params params = {
			.device = service->params.host->device,
			.number = (uint16_t)i,
			.depth = service->info.depth,
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
	int r = node_numbers(service->driver, service->info.device, &chr, &disk, why);

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

static int fetch(struct service *service, struct zsblk_why *why)
{
	for (unsigned i = 0; i < service->n_queues; i++) {
		int r = queue_fetch(service->queues[i], service->fd, why);

		if (r < 0)
			return r;
	}
	return 0;
}

static int start_new(struct service *service, struct zsblk_why *why)
{
	struct zsblk_why slow;
	int r = add_device(service, why);

	if (!r)
		r = create_queues(service, why);
	if (!r)
		r = open_node(service, why);
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
	uint64_t start = now_ms();
	int r;

	while ((r = driver_start_recovery(service->driver, service->info.device, why)) == -EBUSY) {
		if (now_ms() - start > ALIVE_LIMIT_MS)
			return say_not_free(service->driver, &service->info, why);
		sleep_ms(POLL_MS);
	}
	return r;
}

static int start_recovered(struct service *service, struct zsblk_why *why)
{
	int r = create_queues(service, why);

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

int service_start(struct service *service, struct zsblk_why *why)
{
	int r = service->params.recover ? start_recovered(service, why) : start_new(service, why);

	service->started = r == 0;
	return r;
}

/* ------------------------------------------------------------------ the end */

/* Queues that the driver has ended, or that have fetched nothing. Those that wait for requests of a device that stays are left. */
static void end_queues(struct service *service)
{
	for (unsigned i = 0; i < service->n_queues; i++)
		queue_join(service->queues[i]);
	service->n_queues = 0;
	free(service->queues);
	service->queues = NULL;
	if (service->fd >= 0)
		close(service->fd);
	service->fd = -1;
}

static int claim_unused(struct driver *driver, uint32_t number, int *fd, struct zsblk_why *why)
{
	uint64_t start = now_ms();
	char path[40];
	dev_t chr, disk;
	int r = node_numbers(driver, number, &chr, &disk, why);

	if (r < 0)
		return r;
	snprintf(path, sizeof path, "/dev/ublkb%" PRIu32, number);
	while ((r = use_claim(path, disk, fd, why)) == -EBUSY && now_ms() - start < ONLOOKER_MS)
		sleep_ms(50);
	return r;
}

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
	int claim, r = claim_unused(service->driver, service->info.device, &claim, why);

	if (r < 0)
		return r;
	r = driver_stop(service->driver, service->info.device, 0, why);
	close(claim);
	if (r < 0)
		return r;
	end_queues(service);
	service->started = false;
	service->added = false;
	return driver_delete(service->driver, service->info.device, why);
}

void service_close(struct service *service)
{
	struct zsblk_why why;

	if (!service)
		return;
	if (service->added && !service->started) {
		/* Ends the queues that have fetched, too. */
		driver_stop(service->driver, service->info.device, DRIVER_PATIENCE_S, &why);
		end_queues(service);
		driver_delete(service->driver, service->info.device, &why);
	} else if (!service->params.recover || service->fd < 0) {
		end_queues(service);
	}
	driver_close(service->driver);
	if (service->ended_fd >= 0)
		close(service->ended_fd);
	free(service);
}

static int check_unopened(struct driver *driver, uint32_t number, struct zsblk_why *why)
{
	dev_t chr, disk;
	char holder[120];
	int r = node_numbers(driver, number, &chr, &disk, why);

	if (!r && use_find_holder(chr, false, holder, sizeof holder))
		r = why_say(why, -EBUSY, "/dev/ublkc%" PRIu32 " is in use by %s; end that first", number, holder);
	return r;
}

int service_remove(uint32_t number, bool served, struct zsblk_why *why)
{
	struct driver *driver = NULL;
	struct uapi_info info = {0};
	int claim = -1, r = driver_open(&driver, why);

	if (!r)
		r = driver_info(driver, number, &info, why);
	if (!r)
		r = target_is_ours(&info, why);
	if (!r && !(served && info.state == UAPI_LIVE))
		r = wait_until_free(driver, number, &info, why);
	/* A device that was not started yet may have a server all the same. */
	if (!r)
		r = info.state == UAPI_DEAD ? check_unopened(driver, number, why)
					    : claim_unused(driver, number, &claim, why);
	if (!r)
		r = driver_stop(driver, number, START_LIMIT_S, why);
	if (claim >= 0)
		close(claim);
	if (!r)
		r = driver_delete(driver, number, why);
	driver_close(driver);
	return r;
}

/* Devices that were added have a node. */
int service_each(service_each_fn *each, struct zsblk_why *why)
{
	struct driver *driver = NULL;
	DIR *dir = opendir("/sys/class/ublk-char");
	struct dirent *entry;
	int r = dir ? driver_open(&driver, why) : 0;

	while (!r && dir && (entry = readdir(dir))) {
		struct uapi_info info = {0};
		struct zsblk_why none;
		uint32_t number;

		if (sscanf(entry->d_name, "ublkc%" SCNu32, &number) != 1)
			continue;
		r = driver_info(driver, number, &info, why);
		if (r == -ENODEV)
			r = 0;
		else if (!r && target_is_ours(&info, &none) == 0)
			each(&info, target_segment(&info));
	}
	if (dir)
		closedir(dir);
	driver_close(driver);
	return r;
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

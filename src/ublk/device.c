/* SPDX-License-Identifier: BSD-3-Clause */
/* A device by its number. See device.h. */
#include "ublk/device.h"

#include "process/process.h"
#include "ublk/target.h"
#include "ublk/use.h"
#include "ublk/why.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

/* Of Linux 5.15. */
#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, uint64_t)
#endif

/* Until the kernel has noticed that a server is dead. At most the 30 s of its request timer, and what the timer takes to run. */
#define DEATH_LIMIT_MS 45000
/* For a server that is alive as far as can be seen: somebody may have killed it a moment ago. */
#define ALIVE_LIMIT_MS 5000
#define POLL_MS        2
/* Programs that look at every device (udev) are gone within this time. */
#define ONLOOKER_MS 2000
/* What was written to the page cache of a device is written out, or fails, before it is removed. */
#define STOP_LIMIT_S 60

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

int device_numbers(struct driver *driver, uint32_t number, dev_t *chr, dev_t *disk, struct zsblk_why *why)
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

int device_say_not_free(struct driver *driver, const struct uapi_info *info, struct zsblk_why *why)
{
	dev_t chr, disk;
	char holder[120];
	bool held = device_numbers(driver, info->device, &chr, &disk, why) == 0 &&
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
	if (device_numbers(driver, info->device, &chr, &disk, &why) == 0 &&
	    use_find_holder(chr, false, holder, sizeof holder))
		return ALIVE_LIMIT_MS;
	return DEATH_LIMIT_MS;
}

/* Until the kernel is done with the server. *info gets what there is then. */
int device_wait_until_free(struct driver *driver, uint32_t number, struct uapi_info *info, struct zsblk_why *why)
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
			return device_say_not_free(driver, info, why);
		sleep_ms(POLL_MS);
	}
}

/* ------------------------------------------------------------------ removing */

int device_claim(struct driver *driver, uint32_t number, int *fd, struct zsblk_why *why)
{
	uint64_t start = now_ms();
	char path[40];
	dev_t chr, disk;
	int r = device_numbers(driver, number, &chr, &disk, why);

	if (r < 0)
		return r;
	snprintf(path, sizeof path, "/dev/ublkb%" PRIu32, number);
	while ((r = use_claim(path, disk, fd, why)) == -EBUSY && now_ms() - start < ONLOOKER_MS)
		sleep_ms(50);
	return r;
}

static int check_unopened(struct driver *driver, uint32_t number, struct zsblk_why *why)
{
	dev_t chr, disk;
	char holder[120];
	int r = device_numbers(driver, number, &chr, &disk, why);

	if (!r && use_find_holder(chr, false, holder, sizeof holder))
		r = why_say(why, -EBUSY, "/dev/ublkc%" PRIu32 " is in use by %s; end that first", number, holder);
	return r;
}

/*
 * Claim the disk, and see once more whose it is: its number is not used again as long as it is claimed, and may have been until now.
 * `sequence`: as of device_remove().
 */
static int claim_for_removal(struct driver *driver, uint32_t number, uint64_t sequence, int *claim,
			     struct zsblk_why *why)
{
	struct uapi_info info = {0};
	uint64_t found = 0;
	int r = device_claim(driver, number, claim, why);

	if (!r)
		r = driver_info(driver, number, &info, why);
	if (!r)
		r = target_is_ours(&info, why);
	if (!r && sequence && ioctl(*claim, BLKGETDISKSEQ, &found) < 0)
		return why_say(why, -errno, "/dev/ublkb%" PRIu32 ": its diskseq cannot be read: %s", number,
			       strerror(errno));
	if (!r && found != sequence)
		return why_say(why, -ENODEV,
			       "/dev/ublkb%" PRIu32 " is another disk by now: its diskseq is %" PRIu64
			       ", and not %" PRIu64,
			       number, found, sequence);
	return r;
}

/*
 * A device that was not started yet may have a server all the same, which has opened it, or is about to. The lock stays until the driver is
 * closed: nobody makes a device meanwhile, nor one of this number.
 */
static int check_undisked(struct driver *driver, uint32_t number, uint64_t sequence, struct zsblk_why *why)
{
	struct uapi_info info = {0};
	int r;

	if (sequence)
		return why_say(why, -ENODEV, "ublk device %" PRIu32 " has no disk, and so none with diskseq %" PRIu64,
			       number, sequence);
	r = driver_lock(driver, why);
	if (!r)
		r = driver_info(driver, number, &info, why);
	if (!r)
		r = target_is_ours(&info, why);
	if (!r && info.state != UAPI_DEAD)
		return device_say_not_free(driver, &info, why);
	return r ? r : check_unopened(driver, number, why);
}

int device_remove(uint32_t number, bool served, uint64_t sequence, struct zsblk_why *why)
{
	struct driver *driver = NULL;
	struct uapi_info info = {0};
	int claim = -1, r = driver_open(&driver, why);

	if (!r)
		r = driver_info(driver, number, &info, why);
	if (!r)
		r = target_is_ours(&info, why);
	if (!r && !(served && info.state == UAPI_LIVE))
		r = device_wait_until_free(driver, number, &info, why);
	if (!r)
		r = info.state == UAPI_DEAD ? check_undisked(driver, number, sequence, why)
					    : claim_for_removal(driver, number, sequence, &claim, why);
	if (!r)
		r = driver_stop(driver, number, STOP_LIMIT_S, why);
	if (claim >= 0)
		close(claim);
	if (!r)
		r = driver_delete(driver, number, why);
	driver_close(driver);
	return r;
}

/* Devices that were added have a node. */
int device_each(device_each_fn *each, struct zsblk_why *why)
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

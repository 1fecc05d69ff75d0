/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a device's use, and its detaching. See job_detach.h. */
#include "daemon/jobs/job_detach.h"

#include "daemon/base/clock.h"
#include "daemon/child/command.h"
#include "daemon/jobs/job_device.h"
#include "daemon/jobs/job_mount.h"
#include "daemon/jobs/job_swap.h"
#include "daemon/kernel/sysctls.h"
#include "daemon/transport/transport.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <systemd/sd-login.h>

/* udev takes a fraction of a second to look at a device. */
#define LOCK_WAIT_MS 5000

/* ------------------------------------------------------------------ what systemd is up to */

/* Is systemd on its way to poweroff, reboot or the like? */
static bool machine_goes_down(void)
{
	const char *const arguments[] = {"systemctl", "is-system-running", NULL};
	char state[40];

	command_read(arguments, state, sizeof state, NULL);
	return strcmp(state, "stopping\n") == 0;
}

/*
 * Is our service to run again once it has stopped (systemctl restart, or start while it stops)? Of the jobs of a unit there is
 * one at a time: "231 zsblk@swap0.service restart running".
 */
static bool service_is_to_run(void)
{
	const char *arguments[] = {"systemctl", "list-jobs", "--no-legend", "--plain", NULL, NULL};
	char jobs[400], type[16] = "";
	char *unit = NULL;

	if (sd_pid_get_unit(0, &unit) < 0)
		return false;
	arguments[4] = unit;
	if (command_read(arguments, jobs, sizeof jobs, NULL) == 0)
		sscanf(jobs, "%*s %*s %15s", type);
	free(unit);
	return strcmp(type, "restart") == 0 || strcmp(type, "start") == 0;
}

/* ------------------------------------------------------------------ nobody is to use the device */

/*
 * From here to the end of the process nobody else can come to depend on it. udev looks at devices with a shared lock, and leaves
 * those alone that are locked (systemd's "Locking Block Device Access"): otherwise it would read what is
 * about to go, and errors would be logged.
 */
static int take_exclusively(const struct device *device, int *exclusive, struct wrong *wrong)
{
	int fd = *exclusive = open(device->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	uint64_t until;

	/* ENXIO: the device is not attached. A node that is missing (ENOENT) says nothing about who uses the device. */
	if (fd < 0 && errno == ENXIO)
		return 0;
	if (fd < 0) {
		wrong_say(wrong, errno == EBUSY ? "%s is in use: mounted, or part of another device%.0s" : "%s: %s",
			  device->path, strerror(errno));
		return -errno;
	}
	until = clock_after_ms(LOCK_WAIT_MS);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0 && clock_pause(until, 10))
		;
	return 0;
}

/* Take the device out of use. If that works, nobody can use it from here on. */
static int end_use(const struct job_detach *detach, const struct device *device, int *exclusive, struct wrong *wrong)
{
	int r = 0;

	switch (device_user(device)) {
	case DEVICE_USER_SWAP:
		if (!detach->may_swapoff) {
			wrong_say(wrong,
				  "%s is in use as swap, with %" PRIu64
				  " MiB swapped out to it; swapoff it first, or allow that (--stop)",
				  device->path, device_swapped_kib(device) / 1024);
			return -EBUSY;
		}
		r = job_swap_off(device, wrong);
		break;
	case DEVICE_USER_OTHER:
		if (detach->may_umount)
			r = job_mount_undo(device, wrong);
		break;
	case DEVICE_USER_NOBODY:
		break;
	}
	return r ? r : take_exclusively(device, exclusive, wrong);
}

/* ------------------------------------------------------------------ the machine goes down, and the device is in use */

/*
 * On its way down systemd tries swapoff all the same: once by a program, and in the end itself, as process 1, which the kernel
 * may not kill when memory runs out over it, so that it panics. swapoff takes a path. Without one there
 * is nothing to try, and the pages can be had until the machine is off. (It may not go off: systemctl soft-reboot. The next start shows
 * the node again.)
 */
static void hide_from_swapoff(const struct device *device)
{
	if (device_is_swap(device))
		device_hide_node(device);
}

/*
 * In the end systemd stops all processes (SIGSTOP), the server as well, while it reads whom it is to end: their command lines.
 * One that is swapped out would never come. So have them in memory; there is room again, now that services have ended.
 */
static void fetch_command_lines(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300], line[4096];

	while (dir && (entry = readdir(dir))) {
		int fd;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		while (fd >= 0 && read(fd, line, sizeof line) > 0)
			;
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
}

/* ------------------------------------------------------------------ the jobs */

static bool others_need_settings(const void *what)
{
	const struct job_detach *detach = what;

	return transport_has_others(detach->settings, detach->device);
}

static void undo_settings(const struct job_detach *detach)
{
	sysctls_undo(SYSCTLS_RECORD, others_need_settings, detach);
}

/* Hold the device. If it is not ours any more (-ENODEV), undo the kernel's settings that were made for it. */
static int hold_or_undo(const struct job_detach *detach, struct wrong *wrong)
{
	int r = job_device_hold(detach->device, detach->backend, wrong);

	if (r == -ENODEV)
		undo_settings(detach);
	return r;
}

/*
 * Take the device down. A server's program does not take down what anybody has open, and looks once more itself whether somebody uses the
 * device.
 */
static int take_down(const struct job_detach *detach, int exclusive, struct wrong *wrong)
{
	const struct transport *transport = transport_of(detach->device);

	if (transport && transport->server_attaches) {
		if (exclusive >= 0)
			close(exclusive);
		job_device_let_go();
	}
	return transport_detach(detach->settings, detach->device, wrong);
}

int job_detach_lost(const void *what, struct wrong *wrong)
{
	int r = hold_or_undo(what, wrong);

	return r ? r : -EEXIST;
}

int job_detach(const void *what, struct wrong *wrong)
{
	const struct job_detach *detach = what;
	const struct device *device = detach->device;
	int exclusive = -1, r = hold_or_undo(detach, wrong);

	if (r)
		return r;
	if (detach->managed && detach->has_data && service_is_to_run()) {
		wrong_say(wrong, "the service is to start again, and what is on %s stays", device->path);
		return -ERESTART;
	}
	r = end_use(detach, device, &exclusive, wrong);
	if (r && detach->managed && machine_goes_down()) {
		hide_from_swapoff(device);
		fetch_command_lines();
		return -ESHUTDOWN;
	}
	if (r && detach->managed && service_is_to_run())
		return -ERESTART;
	if (!r)
		r = take_down(detach, exclusive, wrong);
	if (!r)
		undo_settings(detach);
	return r;
}

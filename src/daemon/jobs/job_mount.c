/* SPDX-License-Identifier: BSD-3-Clause */
/* File systems on a device. See job_mount.h. */
#include "daemon/jobs/job_mount.h"

#include "daemon/child/command.h"
#include "daemon/jobs/job_device.h"
#include "daemon/kernel/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many bytes from the start are looked at: most of what can be on a device has its mark there. */
#define BLANK_BYTES (64u * 1024)

/* ------------------------------------------------------------------ mount */

/* mkdir -p. What exists already is no error; mount(8) tells if it is no folder. */
static int make_folders(const char *path, struct wrong *wrong)
{
	char part[4096];
	int r;

	for (const char *end = strchr(path + 1, '/');; end = strchr(end + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", end ? (int)(end - path) : (int)strlen(path), path);
		r = mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
		if (r) {
			wrong_say(
				wrong, "mount-point: %.200s cannot be made: %s%s", part, strerror(-r),
				r == -EACCES
					? "; zsblkd may not pass the folder above: open that one, or add CAP_DAC_OVERRIDE to the "
					  "service's CapabilityBoundingSet"
					: "");
			return r;
		}
		if (!end)
			return 0;
	}
}

/* Is there nothing on it, as far as anybody can tell? blkid ends with 2 when it finds nothing, or cannot find out. */
static bool is_blank(const char *device)
{
	const char *const arguments[] = {"blkid", "--probe", device, NULL};
	char found[200], start[BLANK_BYTES];
	int status = 0, fd = open(device, O_RDONLY | O_CLOEXEC);
	bool blank = fd >= 0 && pread(fd, start, sizeof start, 0) == (ssize_t)sizeof start;

	for (size_t i = 0; blank && i < sizeof start; i++)
		blank = !start[i];
	if (fd >= 0)
		close(fd);
	return blank && command_read(arguments, found, sizeof found, &status) && status == 2;
}

int job_mount(const void *what, struct wrong *wrong)
{
	const struct job_mount *mount = what;
	const char *device = mount->device->path;
	const char *const mkfs[] = {"mkfs", "-t", mount->fs_type, device, NULL};
	const char *const attach[] = {"mount", "-t", mount->fs_type, "-o", mount->options, device, mount->path, NULL};
	int r = job_device_hold(mount->device, mount->backend, wrong);

	if (!r && is_blank(device))
		r = command_run(mkfs, wrong);
	if (r)
		return r;
	/* All who use the file system are to pass the folders. */
	umask(022);
	r = make_folders(mount->path, wrong);
	return r ? r : command_run(attach, wrong);
}

/* ------------------------------------------------------------------ unmount */

static int read_mounts(const struct device *device, struct mounts *mounts)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct stat st = {0};
	int r;

	*mounts = (struct mounts){0};
	if (!f)
		return -errno;
	/* Without a node the number stays 0, which no mount has. */
	(void)!stat(device->path, &st);
	r = mounts_read(mounts, f, device->path, st.st_rdev);
	fclose(f);
	return r;
}

/* Unmount one mount point after the other. If one cannot be unmounted, the reason names those that were. */
static int unmount_each(const struct mounts *mounts, const struct device *device, struct wrong *wrong)
{
	for (unsigned i = 0; i < mounts->n; i++) {
		const char *const arguments[] = {"umount", "--", mounts->points[i], NULL};
		int r = command_run(arguments, wrong);

		if (r && i)
			wrong_add(wrong, "; %s was mounted in %u places, and is not any more in the first %u of: ",
				  device->path, mounts->n, i);
		for (unsigned j = 0; r && i && j < mounts->n; j++)
			wrong_add(wrong, "%s%s", j ? ", " : "", mounts->points[j]);
		if (r)
			return r;
	}
	return 0;
}

int job_mount_undo(const struct device *device, struct wrong *wrong)
{
	struct mounts mounts;
	char holders[200];
	int r;

	/* With a volume or a partition on it, umount(8) would only say that the device is not mounted. */
	if (device_holders(device, holders, sizeof holders)) {
		wrong_say(wrong, "%s is in use by %s; take that down first", device->path, holders);
		return -EBUSY;
	}
	r = read_mounts(device, &mounts);
	if (r) {
		wrong_say(wrong, "%s: where it is mounted cannot be read: %s", device->path, strerror(-r));
	} else if (!mounts.n) {
		wrong_say(wrong, "%s is in use, and is not mounted here; see lsblk %s", device->path, device->path);
		r = -EBUSY;
	} else if (mounts.covered < mounts.n) {
		wrong_say(wrong,
			  "%s is mounted at %s, where another file system is mounted as well; "
			  "unmount that one first",
			  device->path, mounts.points[mounts.covered]);
		r = -EBUSY;
	} else {
		r = unmount_each(&mounts, device, wrong);
	}
	mounts_free(&mounts);
	return r;
}

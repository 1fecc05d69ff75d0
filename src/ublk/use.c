/* SPDX-License-Identifier: BSD-3-Clause */
/* Who uses a device node. See use.h. */
#include "ublk/use.h"

#include "ublk/why.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ------------------------------------------------------------------ open descriptors */

static void name_process(const char *pid, char *text, size_t size)
{
	char path[300], name[64] = "?";
	FILE *f;

	snprintf(path, sizeof path, "/proc/%s/comm", pid);
	f = fopen(path, "re");
	if (f) {
		if (fgets(name, sizeof name, f))
			name[strcspn(name, "\n")] = '\0';
		fclose(f);
	}
	snprintf(text, size, "process %s (%s)", pid, name);
}

/*
 * With the type and the number that the kernel has in memory: the descriptor may be of a file whose server (NFS, FUSE) does not answer,
 * and a device node needs no question.
 */
static bool is_node(int dir, const char *name, dev_t number, bool block)
{
	struct statx st;

	return statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) == 0 &&
	       (block ? S_ISBLK(st.stx_mode) : S_ISCHR(st.stx_mode)) &&
	       makedev(st.stx_rdev_major, st.stx_rdev_minor) == number;
}

static bool process_has_open(const char *pid, dev_t number, bool block)
{
	char path[300];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		found = isdigit((unsigned char)entry->d_name[0]) && is_node(dirfd(dir), entry->d_name, number, block);
	if (dir)
		closedir(dir);
	return found;
}

bool use_find_holder(dev_t number, bool block, char *text, size_t size)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		const char *pid = entry->d_name;

		found = isdigit((unsigned char)pid[0]) && strtol(pid, NULL, 10) != getpid() &&
			process_has_open(pid, number, block);
		if (found)
			name_process(pid, text, size);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* ------------------------------------------------------------------ those that the kernel keeps out others for */

static bool is_swap(dev_t number)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[600], path[500];
	bool found = false;
	struct stat st;

	while (f && !found && fgets(line, sizeof line, f))
		found = sscanf(line, "%499s", path) == 1 && stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
			st.st_rdev == number;
	if (f)
		fclose(f);
	return found;
}

/* Where it is mounted, in the namespace of the caller. */
static bool is_mounted(dev_t number, char *where, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t capacity = 0;
	bool found = false;

	while (f && !found && getline(&line, &capacity, f) > 0) {
		unsigned major_number, minor_number;
		char point[300];

		found = sscanf(line, "%*d %*d %u:%u %*s %299s", &major_number, &minor_number, point) == 3 &&
			makedev(major_number, minor_number) == number;
		if (found)
			snprintf(where, size, "%s", point);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* A device on top of it, such as one of dm or md. */
static bool has_holder(dev_t number, char *name, size_t size)
{
	char path[100];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/holders", major(number), minor(number));
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		found = entry->d_name[0] != '.';
		if (found)
			snprintf(name, size, "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int say_user(const char *path, dev_t number, struct zsblk_why *why)
{
	char what[300];

	if (is_swap(number))
		return why_say(why, -EBUSY, "%s is in use as swap; swapoff %s first", path, path);
	if (is_mounted(number, what, sizeof what))
		return why_say(why, -EBUSY, "%s is mounted on %s; umount it first", path, what);
	if (has_holder(number, what, sizeof what))
		return why_say(why, -EBUSY, "%s is in use by /dev/%s; remove that first", path, what);
	if (use_find_holder(number, true, what, sizeof what))
		return why_say(why, -EBUSY, "%s is in use by %s; end that first", path, what);
	return why_say(why, -EBUSY, "%s is in use, it or a partition of it; end that first", path);
}

int use_claim(const char *path, dev_t number, int *result, struct zsblk_why *why)
{
	int fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	char holder[120];
	struct stat st;

	if (fd < 0 && errno == EBUSY)
		return say_user(path, number, why);
	if (fd < 0)
		return why_say(why, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != number) {
		close(fd);
		return why_say(why, -ENXIO, "%s is not the device %u:%u that the driver has", path, major(number),
			       minor(number));
	}
	/* udev does not look at a disk that is locked ("Locking Block Device Access", systemd). Whoever looks at it now has it locked. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return say_user(path, number, why);
	}
	/* Nobody can mount it any more. Those that only have it open would get I/O errors. */
	if (use_find_holder(number, true, holder, sizeof holder)) {
		close(fd);
		return why_say(why, -EBUSY, "%s is in use by %s; end that first", path, holder);
	}
	*result = fd;
	return 0;
}

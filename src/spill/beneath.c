/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lies beneath a store. See beneath.h.
 *
 * /sys/dev/block/MAJOR:MINOR leads to the folder of a block device. There,
 *   slaves/NAME/dev     are the devices that one of device mapper or md is made of
 *   loop/backing_file   is the file of a loop device
 *   partition           says that the folder above is the whole device
 * A file's st_dev is the device of its file system. Where that has a number of its own (major 0: btrfs, overlay,
 * network file systems), mountinfo tells what is mounted.
 *
 * Each step goes one level down; what is deeper than DEEPEST, or cannot be read, is unknown.
 */
#include "spill/beneath.h"

#include "process/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEEPEST 16u

static const char *sys_folder = "/sys";
static const char *mountinfo_file = "/proc/self/mountinfo";

void spill_beneath_use(const char *sys, const char *mountinfo)
{
	sys_folder = sys;
	mountinfo_file = mountinfo;
}

static enum spill_beneath beneath_device(dev_t store, dev_t device, unsigned depth);
static enum spill_beneath beneath_path(const char *path, dev_t device, unsigned depth);

/* The worse of two answers. */
static enum spill_beneath worse(enum spill_beneath one, enum spill_beneath other)
{
	if (one == SPILL_BENEATH_ON_DEVICE || other == SPILL_BENEATH_ON_DEVICE)
		return SPILL_BENEATH_ON_DEVICE;
	return one > other ? one : other;
}

/* False: there is no such file. A file that is there and cannot be read gives an empty text. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	text[0] = '\0';
	if (fd < 0)
		return errno != ENOENT && errno != ENOTDIR;
	proc_read(fd, text, size);
	close(fd);
	text[strcspn(text, "\n")] = '\0';
	return true;
}

static bool read_number(const char *path, dev_t *number)
{
	unsigned major_number, minor_number;
	char text[40];

	if (!read_text(path, text, sizeof text) || sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		return false;
	*number = makedev(major_number, minor_number);
	return true;
}

/* All devices that folder/NAME/dev or folder/NAME has: the members of one that is made of others. */
static enum spill_beneath beneath_members(const char *folder, dev_t device, unsigned depth, unsigned *members)
{
	enum spill_beneath found = SPILL_BENEATH_APART;
	DIR *dir = opendir(folder);
	struct dirent *entry;

	*members = 0;
	if (!dir)
		return errno == ENOENT ? SPILL_BENEATH_APART : SPILL_BENEATH_UNKNOWN;
	while ((entry = readdir(dir))) {
		char path[PATH_MAX];
		dev_t member;

		if (entry->d_name[0] == '.')
			continue;
		++*members;
		if ((size_t)snprintf(path, sizeof path, "%s/%s/dev", folder, entry->d_name) >= sizeof path ||
		    !read_number(path, &member))
			found = worse(found, SPILL_BENEATH_UNKNOWN);
		else
			found = worse(found, beneath_device(member, device, depth));
	}
	closedir(dir);
	return found;
}

/* A loop device names its file by its path. One that was deleted or lies behind another mount cannot be followed. */
static enum spill_beneath beneath_loop(const char *folder, dev_t device, unsigned depth, bool *is_loop)
{
	char path[PATH_MAX], file[PATH_MAX];

	*is_loop = (size_t)snprintf(path, sizeof path, "%s/loop/backing_file", folder) < sizeof path &&
		   read_text(path, file, sizeof file);
	if (!*is_loop)
		return SPILL_BENEATH_APART;
	return file[0] == '/' ? beneath_path(file, device, depth) : SPILL_BENEATH_UNKNOWN;
}

static enum spill_beneath beneath_device(dev_t store, dev_t device, unsigned depth)
{
	char folder[PATH_MAX / 2], path[PATH_MAX];
	enum spill_beneath found;
	unsigned members;
	bool is_loop;
	dev_t whole;

	if (store == device)
		return SPILL_BENEATH_ON_DEVICE;
	snprintf(folder, sizeof folder, "%s/dev/block/%u:%u", sys_folder, major(store), minor(store));
	if (depth == DEEPEST || access(folder, F_OK) < 0)
		return SPILL_BENEATH_UNKNOWN;
	snprintf(path, sizeof path, "%s/partition", folder);
	if (access(path, F_OK) == 0) {
		snprintf(path, sizeof path, "%s/../dev", folder);
		return read_number(path, &whole) ? beneath_device(whole, device, depth + 1) : SPILL_BENEATH_UNKNOWN;
	}
	found = beneath_loop(folder, device, depth + 1, &is_loop);
	snprintf(path, sizeof path, "%s/slaves", folder);
	return worse(found, beneath_members(path, device, depth + 1, &members));
}

enum spill_beneath spill_beneath_device(dev_t store, dev_t device)
{
	return beneath_device(store, device, 0);
}

/* ------------------------------------------------------------------ file systems without a device number of their own */

struct mount {
	char type[40];
	char source[PATH_MAX];
	char options[2 * PATH_MAX];
};

/* A line is: id parent major:minor root point options [optional...] - type source options. */
static bool parse_mount(char *line, dev_t wanted, struct mount *mount)
{
	unsigned major_number, minor_number;
	char *rest = strstr(line, " - ");

	if (!rest || sscanf(line, "%*d %*d %u:%u", &major_number, &minor_number) != 2 ||
	    makedev(major_number, minor_number) != wanted)
		return false;
	mount->source[0] = mount->options[0] = '\0';
	if (sscanf(rest, " - %39s %4095s %8191[^\n]", mount->type, mount->source, mount->options) < 2)
		return false;
	proc_unescape(mount->source);
	proc_unescape(mount->options);
	return true;
}

static bool find_mount(dev_t wanted, struct mount *mount)
{
	FILE *f = fopen(mountinfo_file, "re");
	size_t size = 0;
	char *line = NULL;
	bool found = false;

	if (!f)
		return false;
	while (!found && getline(&line, &size, f) > 0)
		found = parse_mount(line, wanted, mount);
	free(line);
	fclose(f);
	return found;
}

static bool is_among(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* The file system's upper folder is where an overlay writes. */
static enum spill_beneath beneath_overlay(struct mount *mount, dev_t device, unsigned depth)
{
	char *upper = strstr(mount->options, "upperdir=");

	if (!upper)
		return SPILL_BENEATH_UNKNOWN;
	upper += strlen("upperdir=");
	upper[strcspn(upper, ",")] = '\0';
	return beneath_path(upper, device, depth);
}

/* btrfs has all of its devices in sysfs; the one that is mounted is only the first. Which file system: by that one. */
static enum spill_beneath beneath_btrfs(dev_t first, dev_t device, unsigned depth)
{
	enum spill_beneath found = SPILL_BENEATH_UNKNOWN;
	char path[PATH_MAX];
	struct dirent *entry;
	unsigned members;
	DIR *dir;

	snprintf(path, sizeof path, "%s/fs/btrfs", sys_folder);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		enum spill_beneath one;

		if (entry->d_name[0] == '.' || (size_t)snprintf(path, sizeof path, "%s/fs/btrfs/%s/devices", sys_folder,
								entry->d_name) >= sizeof path)
			continue;
		if (beneath_members(path, first, DEEPEST - 1, &members) != SPILL_BENEATH_ON_DEVICE)
			continue;
		one = beneath_members(path, device, depth, &members);
		found = members ? one : SPILL_BENEATH_UNKNOWN;
	}
	if (dir)
		closedir(dir);
	return found;
}

static enum spill_beneath beneath_mount(struct mount *mount, dev_t device, unsigned depth)
{
	static const char *const memory[] = {"tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "rootfs", NULL};
	static const char *const network[] = {"nfs",      "nfs4",   "cifs", "smb3", "ceph", "9p",
					      "virtiofs", "lustre", "afs",  "gfs2", NULL};
	struct stat st;

	if (is_among(mount->type, memory))
		return SPILL_BENEATH_IN_MEMORY;
	if (is_among(mount->type, network))
		return SPILL_BENEATH_APART;
	if (strcmp(mount->type, "overlay") == 0)
		return beneath_overlay(mount, device, depth);
	if (mount->source[0] != '/' || stat(mount->source, &st) < 0 || !S_ISBLK(st.st_mode))
		return SPILL_BENEATH_UNKNOWN;
	if (strcmp(mount->type, "btrfs") == 0)
		return beneath_btrfs(st.st_rdev, device, depth);
	return beneath_device(st.st_rdev, device, depth);
}

static enum spill_beneath beneath_stat(const struct stat *st, dev_t device, unsigned depth)
{
	enum spill_beneath found = SPILL_BENEATH_UNKNOWN;
	struct mount *mount;

	if (depth == DEEPEST)
		return SPILL_BENEATH_UNKNOWN;
	if (S_ISBLK(st->st_mode))
		return beneath_device(st->st_rdev, device, depth + 1);
	if (major(st->st_dev) != 0)
		return beneath_device(st->st_dev, device, depth + 1);
	mount = malloc(sizeof *mount);
	if (mount && find_mount(st->st_dev, mount))
		found = beneath_mount(mount, device, depth + 1);
	free(mount);
	return found;
}

static enum spill_beneath beneath_path(const char *path, dev_t device, unsigned depth)
{
	struct stat st;

	return stat(path, &st) < 0 ? SPILL_BENEATH_UNKNOWN : beneath_stat(&st, device, depth);
}

enum spill_beneath spill_beneath_fd(int fd, dev_t device)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? SPILL_BENEATH_UNKNOWN : beneath_stat(&st, device, 0);
}

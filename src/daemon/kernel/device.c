/* SPDX-License-Identifier: BSD-3-Clause */
/* The block device. See device.h. */
#include "daemon/kernel/device.h"

#include "daemon/base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A unit test has a tree of its own. */
#ifndef SYS_BLOCK
#define SYS_BLOCK "/sys/block"
#endif
#ifndef DEV
#define DEV "/dev"
#endif
#define SYSFS SYS_BLOCK "/%s/%s"
#ifndef PROC_SWAPS
#define PROC_SWAPS "/proc/swaps"
#endif
#ifndef PROC_MOUNTS
#define PROC_MOUNTS "/proc/self/mounts"
#endif

/* The server's buffers grow with the largest request; those that are kept ready are for this. */
#define LARGEST_REQUEST_KIB 128

/* udev may take so long to take a link away. */
#define UDEV_WAIT_MS 3000
/* An event may be lost. */
#define UDEV_AGAIN_MS 500

void device_init(struct device *device, const char *path)
{
	*device = (struct device){.stat = -1, .inflight = -1};
	snprintf(device->path, sizeof device->path, "%s", path);
}

void device_close(struct device *device)
{
	if (device->stat >= 0)
		close(device->stat);
	if (device->inflight >= 0)
		close(device->inflight);
	device_init(device, "");
}

bool device_is_none(const struct device *device)
{
	return !device->path[0];
}

const char *device_name(const struct device *device)
{
	const char *slash = strrchr(device->path, '/');

	return slash ? slash + 1 : device->path;
}

int device_number(const char *path, const char *start)
{
	char written[DEVICE_PATH];
	size_t length = strlen(start);
	int number;

	if (strncmp(path, start, length) != 0 || sscanf(path + length, "%6d", &number) != 1 || number < 0)
		return -1;
	/* scanf() lets other spellings pass (nbd+1, nbd 1, nbd01). Only the path that the device has counts. */
	snprintf(written, sizeof written, "%s%d", start, number);
	return strcmp(written, path) == 0 ? number : -1;
}

static int open_attribute(const struct device *device, const char *name, int flags)
{
	char path[80];

	snprintf(path, sizeof path, SYSFS, device_name(device), name);
	return open(path, flags | O_CLOEXEC);
}

int device_attribute(const struct device *device, const char *name, char *text, size_t size)
{
	int fd = open_attribute(device, name, O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
	int r = got < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	text[got < 0 ? 0 : got] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return r;
}

static int write_attribute(const struct device *device, const char *name, const char *text)
{
	int fd = open_attribute(device, name, O_WRONLY);
	int r = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

bool device_is_absent(int r)
{
	return r == -ENOENT || r == -ENODEV;
}

int device_sequence(const struct device *device, uint64_t *sequence)
{
	char text[32];
	int r = device_attribute(device, "diskseq", text, sizeof text);

	*sequence = r ? 0 : strtoull(text, NULL, 10);
	return r ? r : *sequence ? 0 : -EINVAL;
}

int device_each(const char *start, int (*each)(void *opaque, const struct device *device), void *opaque)
{
	DIR *dir = opendir(SYS_BLOCK);
	struct dirent *entry;
	int r = dir ? 0 : -errno;

	while (!r && (errno = 0, entry = readdir(dir))) {
		struct device device;
		char path[DEVICE_PATH];

		if (snprintf(path, sizeof path, "/dev/%s", entry->d_name) >= (int)sizeof path ||
		    device_number(path, start) < 0)
			continue;
		device_init(&device, path);
		r = each(opaque, &device);
	}
	if (!r)
		r = -errno;
	if (dir)
		closedir(dir);
	return r;
}

int device_tune(const struct device *device, unsigned timer_ms, struct wrong *wrong)
{
	char timer[16], largest[16];
	const struct {
		const char *name, *value;
		bool needed;
	} attributes[] = {
		{"queue/io_timeout", timer, true},
		{"queue/max_sectors_kb", largest, true},
		/* For disks: an I/O scheduler, and throttling of writes, which makes reclaim wait on swap. */
		{"queue/scheduler", "none", false},
		{"queue/wbt_lat_usec", "0", false},
		{"queue/rotational", "0", false},
		{"queue/add_random", "0", false},
	};

	snprintf(timer, sizeof timer, "%u", timer_ms);
	snprintf(largest, sizeof largest, "%d", LARGEST_REQUEST_KIB);
	for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
		int r = write_attribute(device, attributes[i].name, attributes[i].value);

		if (r && attributes[i].needed) {
			wrong_say(wrong, "%s: %s cannot be set to %s: %s", device->path, attributes[i].name,
				  attributes[i].value, strerror(-r));
			return r;
		}
	}
	return 0;
}

/*
 * Our rule for udev (61-zsblk.rules) takes links from what is swap, at the next event of the device; so have one, and wait until
 * the link is gone. Where that does not help (the rule is not installed), remove it.
 */
void device_lose_links(const struct device *device)
{
	char number[32], link[80];
	uint64_t until, next_event = 0;

	if (device_attribute(device, "diskseq", number, sizeof number) < 0)
		return;
	snprintf(link, sizeof link, "/dev/disk/by-diskseq/%s", number);
	until = clock_after_ms(UDEV_WAIT_MS);
	while (access(link, F_OK) == 0 && clock_pause(until, 10)) {
		if (clock_us() < next_event)
			continue;
		write_attribute(device, "uevent", "change");
		next_event = clock_after_ms(UDEV_AGAIN_MS);
	}
	unlink(link);
}

static void node_paths(const struct device *device, char path[DEVICE_PATH_MAX], char hidden[DEVICE_PATH_MAX])
{
	snprintf(path, DEVICE_PATH_MAX, DEV "/%s", device_name(device));
	snprintf(hidden, DEVICE_PATH_MAX, DEV "/.zsblk-%s", device_name(device));
}

void device_hide_node(const struct device *device)
{
	char path[DEVICE_PATH_MAX], hidden[DEVICE_PATH_MAX];

	node_paths(device, path, hidden);
	/*
	 * Make a second link, and do not rename: /proc/swaps would list swap that is in use by the new name, and systemd
	 * would find it by that.
	 */
	(void)!link(path, hidden);
	unlink(path);
}

int device_show_node(const struct device *device)
{
	char path[DEVICE_PATH_MAX], hidden[DEVICE_PATH_MAX], text[32];
	unsigned major_number, minor_number;
	struct stat st;
	dev_t number;

	node_paths(device, path, hidden);
	if (lstat(path, &st) == 0)
		return 0;
	if (device_attribute(device, "dev", text, sizeof text) ||
	    sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		return -ENODEV;
	number = makedev(major_number, minor_number);
	if (lstat(hidden, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == number)
		return rename(hidden, path) < 0 ? -errno : 0;
	return mknod(path, S_IFBLK | 0600, number) < 0 && errno != EEXIST ? -errno : 0;
}

static uint64_t read_number(const struct device *device, const char *name)
{
	char text[32];

	return device_attribute(device, name, text, sizeof text) ? 0 : strtoull(text, NULL, 10);
}

unsigned device_timer_ms(const struct device *device)
{
	return (unsigned)read_number(device, "queue/io_timeout");
}

uint64_t device_size(const struct device *device)
{
	/* In sectors of 512 bytes, whatever the block size. */
	return read_number(device, "size") * 512;
}

/* The numbers in a file of the device, from the start; how many there were. */
static int read_numbers(const struct device *device, const char *name, int *fd, uint64_t *numbers, int most)
{
	char text[320], *at = text, *end;
	ssize_t got;
	int n = 0;

	if (*fd < 0)
		*fd = open_attribute(device, name, O_RDONLY);
	got = *fd < 0 ? -1 : pread(*fd, text, sizeof text - 1, 0);
	if (got < 0)
		return -errno;
	text[got] = '\0';
	for (; n < most; n++, at = end) {
		numbers[n] = strtoull(at, &end, 10);
		if (end == at)
			break;
	}
	return n;
}

int device_progress(struct device *device, uint64_t *in_flight, uint64_t *completed)
{
	/* inflight: reads, writes. stat: the first field of each group of four counts completed requests. */
	uint64_t now[2] = {0}, stat[17] = {0};
	int r = read_numbers(device, "inflight", &device->inflight, now, 2);

	if (r >= 0)
		r = read_numbers(device, "stat", &device->stat, stat, 17);
	*in_flight = now[0] + now[1];
	*completed = stat[0] + stat[4] + stat[11];
	return r < 0 ? r : 0;
}

/* "/dev/nbd0" or a partition, "/dev/nbd0p1", up to `length`. */
static bool is_of(const struct device *device, const char *path, size_t length)
{
	size_t own = strlen(device->path);

	return length >= own && strncmp(path, device->path, own) == 0 &&
	       (length == own ||
		(length > own + 1 && path[own] == 'p' && strspn(path + own + 1, "0123456789") >= length - own - 1));
}

static bool is_in_memory(const char *path)
{
	static const char *const starts[] = {"/dev/zram", "/dev/nbd", "/dev/ublkb"};

	for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
		if (strncmp(path, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

/*
 * What is used of the swap areas on it and its partitions, and what is free in all others that are not in memory themselves, in KiB,
 * from /proc/swaps; false if there is no swap area on it. `area`: the path of the last one; NULL is allowed.
 */
static bool read_swaps(const struct device *device, uint64_t *used, uint64_t *free_in_others, char *area)
{
	char line[256], path[128];
	FILE *f = fopen(PROC_SWAPS, "re");
	uint64_t size, in_use;
	bool found = false;
	size_t length;

	*used = *free_in_others = 0;
	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "%127s %*s %" SCNu64 " %" SCNu64, path, &size, &in_use) != 3)
			continue;
		/* The node may be gone; the swap area is not. */
		length = strcspn(path, "\\");
		if (is_of(device, path, length) && (!path[length] || strcmp(path + length, "\\040(deleted)") == 0)) {
			found = true;
			*used += in_use;
			if (area)
				snprintf(area, DEVICE_PATH_MAX, "%.*s", (int)length, path);
		} else if (!is_in_memory(path)) {
			*free_in_others += size - in_use;
		}
	}
	if (f)
		fclose(f);
	return found;
}

__attribute__((format(printf, 3, 4))) static void add_word(char *text, size_t size, const char *format, ...)
{
	size_t at = strlen(text);
	va_list args;

	va_start(args, format);
	if (at + 2 < size) {
		at += (size_t)snprintf(text + at, size - at, "%s", at ? ", " : "");
		vsnprintf(text + at, size - at, format, args);
	}
	va_end(args);
}

/* The volumes on a device or a partition, by the folder that sysfs has of it. */
static void add_holders(const char *block, char *text, size_t size)
{
	char path[PATH_MAX], name[128];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "%s/holders", block);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		FILE *f;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, SYS_BLOCK "/%s/dm/name", entry->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof name, f))
			add_word(text, size, "%s (%.*s)", entry->d_name, (int)strcspn(name, "\n"), name);
		else
			add_word(text, size, "%s", entry->d_name);
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
}

/*
 * Any user may mount a FUSE file system, say what its source is called, and choose where it is mounted. So what is mounted through
 * FUSE without a block device is not on ours, and what goes on from the line before is no line.
 */
static bool is_mount_of(const char *line, const char *path)
{
	char type[8] = "";
	size_t length = strlen(path);

	return strncmp(line, path, length) == 0 && line[length] == ' ' && sscanf(line, "%*s %*s %7s", type) == 1 &&
	       strcmp(type, "fuse") != 0 && strncmp(type, "fuse.", 5) != 0;
}

static bool is_mounted(const char *path)
{
	char line[4096];
	FILE *f = fopen(PROC_MOUNTS, "re");
	bool found = false, is_start = true;

	while (f && !found && fgets(line, sizeof line, f)) {
		found = is_start && is_mount_of(line, path);
		is_start = strchr(line, '\n');
	}
	if (f)
		fclose(f);
	return found;
}

bool device_holders(const struct device *device, char *text, size_t size)
{
	char path[PATH_MAX], own[DEVICE_PATH + 1];
	const char *name = device_name(device);
	struct dirent *entry;
	DIR *dir;

	text[0] = '\0';
	snprintf(own, sizeof own, "%sp", name);
	snprintf(path, sizeof path, SYS_BLOCK "/%s", name);
	add_holders(path, text, size);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, own, strlen(own)) != 0)
			continue;
		snprintf(path, sizeof path, SYS_BLOCK "/%s/%s", name, entry->d_name);
		add_holders(path, text, size);
		snprintf(path, sizeof path, "/dev/%s", entry->d_name);
		if (is_mounted(path))
			add_word(text, size, "%s, which is mounted", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return text[0];
}

bool device_swap_area(const struct device *device, char path[DEVICE_PATH_MAX])
{
	uint64_t used, others;

	return read_swaps(device, &used, &others, path);
}

enum device_user device_user(const struct device *device)
{
	int fd;

	if (device_is_swap(device))
		return DEVICE_USER_SWAP;
	/* Whoever depends on a block device has it exclusively. */
	fd = open(device->path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == EBUSY ? DEVICE_USER_OTHER : DEVICE_USER_NOBODY;
	close(fd);
	return DEVICE_USER_NOBODY;
}

bool device_is_swap(const struct device *device)
{
	uint64_t used, others;

	return read_swaps(device, &used, &others, NULL);
}

bool device_is_mounted(const struct device *device)
{
	return is_mounted(device->path);
}

uint64_t device_swapped_kib(const struct device *device)
{
	uint64_t used, others;

	read_swaps(device, &used, &others, NULL);
	return used;
}

uint64_t device_other_swap_kib(const struct device *device)
{
	uint64_t used, others;

	read_swaps(device, &used, &others, NULL);
	return others;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* A block device as sysfs and /proc show it: who uses it, how it is doing. Whose it is: daemon/transport/transport.h. */
#ifndef DEVICE_H
#define DEVICE_H

#include "daemon/base/wrong.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "/dev/ublkb1048575" and less. */
#define DEVICE_PATH 24

struct device {
	char path[DEVICE_PATH]; /* "/dev/nbd0"; empty: none */
	uint64_t sequence; /* device_sequence() of the one that is meant; 0: not known, or whichever has this path */
	int stat;          /* descriptors of sysfs files, so that looking allocates nothing; -1: none yet */
	int inflight;
};

/* `path`: "" stands for none. */
void device_init(struct device *device, const char *path);
void device_close(struct device *device);
bool device_is_none(const struct device *device);
/* "nbd0" */
const char *device_name(const struct device *device);

/* The number in `path` if that is `start` ("/dev/nbd") and a number as the kernel writes it; or -1. */
int device_number(const char *path, const char *start);

/* An attribute in sysfs ("queue/io_timeout"), without its newline. 0 or a negative errno, and then `text` is empty. */
int device_attribute(const struct device *device, const char *name, char *text, size_t size);
/* Is that what tells of an attribute, or of a device, that is not there? Any other error only says that it cannot be read now. */
bool device_is_absent(int r);

/*
 * The number that the kernel gives to each disk of a boot, and never twice (diskseq, since Linux 5.15). 0, or a negative errno and
 * *sequence is 0.
 */
int device_sequence(const struct device *device, uint64_t *sequence);

/*
 * Call `each` for all devices whose path begins with `start`, until it returns non-zero. 0, what that returned, or a negative errno: not
 * all devices could be found out.
 */
int device_each(const char *start, int (*each)(void *opaque, const struct device *device), void *opaque);

/*
 * Set the queue up for memory instead of a disk. `timer_ms`: how often the kernel looks at requests that are in flight, and what became
 * of the server that has them.
 */
int device_tune(const struct device *device, unsigned timer_ms, struct wrong *wrong);

/*
 * Have its link by the number of its disk gone; may take seconds. udev makes it, systemd makes a swap unit of that, and on the way
 * down it tries swapoff by it while the daemon still sees whether there is room.
 */
void device_lose_links(const struct device *device);

/*
 * Take the node of the device away, so that nobody finds the device by its path. The node stays under a hidden name in the
 * same folder.
 */
void device_hide_node(const struct device *device);
/*
 * If there is no node, bring back the one that device_hide_node() took away, with its owner and mode; or make a new one, for root
 * alone. 0, also if there was nothing to do; -ENODEV: there is no such device; or an error of rename(2) or mknod(2).
 */
int device_show_node(const struct device *device);

/* The timer that it has, in milliseconds; 0: not known. */
unsigned device_timer_ms(const struct device *device);

/* Bytes; 0: not known. */
uint64_t device_size(const struct device *device);

/* Requests in flight now, and completed so far. 0 or a negative errno. */
int device_progress(struct device *device, uint64_t *in_flight, uint64_t *completed);

enum device_user { DEVICE_USER_NOBODY, DEVICE_USER_SWAP, DEVICE_USER_OTHER };
/*
 * Who has it open for himself: swap, or others (a mount, a volume on it). Processes that read it as a file
 * do not count.
 */
enum device_user device_user(const struct device *device);

/*
 * What is made of it: volumes (LUKS, LVM, RAID) on it and on its partitions, and partitions that are mounted, in words: "dm-0
 * (vault), nbd0p1". False if there is nothing.
 */
bool device_holders(const struct device *device, char *text, size_t size);

/* Of a partition: "/dev/nbd0p15" and more. */
#define DEVICE_PATH_MAX 40
/* A swap area in use on the device or a partition of it, by its path; false if there is none. */
bool device_swap_area(const struct device *device, char path[DEVICE_PATH_MAX]);
/* Is there one? As /proc tells: without opening it. */
bool device_is_swap(const struct device *device);
/* Is it mounted, here? */
bool device_is_mounted(const struct device *device);
/* KiB swapped out to it; 0 if it is no swap area. */
uint64_t device_swapped_kib(const struct device *device);
/* KiB free in all other swap areas. */
uint64_t device_other_swap_kib(const struct device *device);

#endif

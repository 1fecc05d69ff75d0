/* SPDX-License-Identifier: BSD-3-Clause */
/* /dev/nbdN as sysfs and /proc show it: whose it is, who uses it, how it is doing. */
#ifndef DEVICE_H
#define DEVICE_H

#include "daemon/base/wrong.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_NONE (-1)
/* There may be one, and it cannot be told now. */
#define DEVICE_UNKNOWN (-2)

/* What the backend identifiers of all instances begin with; the name follows. */
#define DEVICE_BACKEND_START "zsblk:"

struct device {
	int index;
	char path[24]; /* "/dev/nbd0" */
	int stat;      /* descriptors of sysfs files, so that looking allocates nothing; -1: none yet */
	int inflight;
};

void device_init(struct device *device, int index);
void device_close(struct device *device);

/* The number in "/dev/nbdN", or DEVICE_NONE. */
int device_index(const char *path);

/* Is it attached to a server, dead or alive? */
bool device_is_attached(int index);
/* Whose server is it attached to? A number alone says nothing: others can detach a device, and attach another server to it. */
enum device_backing {
	DEVICE_BACKING_NONE,  /* to none: it is not attached */
	DEVICE_BACKING_OURS,  /* it bears the identifier that was asked for */
	DEVICE_BACKING_OTHER, /* it bears another one */
	DEVICE_BACKING_UNNAMED, /* it bears none: another program's, or a kernel that knows no identifiers (before Linux 5.14) */
	DEVICE_BACKING_UNKNOWN, /* that cannot be read just now: it may be any of these */
};
enum device_backing device_backing(int index, const char *backend);
/*
 * Open the device and see whose it is. As long as the descriptor (*held, or -1 if it cannot be opened) is open, the kernel lets
 * nobody attach another server to it, so that what was found stays true. May block: for children.
 */
enum device_backing device_hold(const struct device *device, const char *backend, int *held);
/* The attached device with that identifier, DEVICE_NONE or DEVICE_UNKNOWN. */
int device_find(const char *backend);
/* The attached device of an instance, by its name; the same. */
int device_of_instance(const char *name);
/* Is a device other than this one attached to any zsblkd, or may it be? */
bool device_has_others(int index);

/*
 * Set the queue up for memory instead of a disk. `timer_ms`: how often the kernel looks whether a request's
 * connection was replaced, and sends it again if so.
 */
int device_tune(const struct device *device, unsigned timer_ms, struct wrong *wrong);

/*
 * Have its link by the number of its disk gone; may take seconds. udev makes it, systemd makes a swap unit of that, and on the way
 * down it tries swapoff by it while the daemon still sees whether there is room.
 */
void device_lose_links(int index);

/*
 * Take the node of the device away, /dev/nbdN, so that nobody finds the device by its path. The node stays under a hidden name in the
 * same folder.
 */
void device_hide_node(int index);
/*
 * If there is no node, bring back the one that device_hide_node() took away, with its owner and mode; or make a new one, for root
 * alone. 0, also if there was nothing to do; -ENODEV: there is no such device; or an error of rename(2) or mknod(2).
 */
int device_show_node(int index);

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

/* "/dev/nbd0p15" and more. */
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

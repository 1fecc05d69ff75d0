/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose /dev/ublkbN is. See transport.h for what the functions return.
 *
 * The kernel numbers all disks of a boot (diskseq, since Linux 5.15), and no number is used twice. So a path and that number are one
 * disk, and not the next one that has the same path. Who knows the number of our disk, knows whether it is still there without asking the
 * driver, which takes an io_uring and memory. An instance notes it in its folder. Without a note the driver is asked, by a server's
 * program: the mark of a device of zsblk names the segment with its data, and the segment bears the name of the instance.
 */
#ifndef DISK_H
#define DISK_H

#include "daemon/transport/transport.h"

struct folder;

#define DISK_START "/dev/ublkb"

/* The name of the note in the folder. */
#define DISK_NOTE "disk"

/* Write down which disk it is, unless that is there; its `sequence` is known. */
int disk_note(const struct folder *folder, const struct device *device);
/* What a note says: "ublkb0 17". False if it is no such note. */
bool disk_parse_note(const char *text, struct device *device);

enum transport_backing disk_backing(const struct device *device, const char *backend);
bool disk_is_attached(const struct device *device);
int disk_find(const struct settings *settings, const char *backend, struct device *device);
bool disk_has_others(const struct settings *settings, const struct device *device);

/* transport_remove_leftovers() */
void disk_remove_leftovers(const struct settings *settings, int segment);

/*
 * What `zsblk-ublk --list` says of one device of zsblk: "3 quiesced 1234 17", its number, its state, its server and its segment (-1:
 * none). False if the line is none of that.
 */
struct disk_listed {
	unsigned number;
	char state[16];
	int server;
	int segment;
};
bool disk_parse_listed(const char *line, struct disk_listed *listed);

#endif

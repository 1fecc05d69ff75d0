/* SPDX-License-Identifier: BSD-3-Clause */
/* What a block device is used for. See mountpoint.h. */
#include "ctl/mountpoint.h"

#include <mntent.h>
#include <stdio.h>
#include <string.h>

static bool is_swap(const char *device)
{
	size_t length = strlen(device);
	FILE *swaps = fopen("/proc/swaps", "re");
	char line[1024];
	bool found = false;

	if (!swaps)
		return false;
	while (!found && fgets(line, sizeof line, swaps))
		found = strncmp(line, device, length) == 0 && (line[length] == ' ' || line[length] == '\t');
	fclose(swaps);
	return found;
}

static bool find_mount(const char *device, char *text, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	char strings[4096];
	struct mntent entry;
	bool found = false;

	if (!mounts)
		return false;
	while (!found && getmntent_r(mounts, &entry, strings, sizeof strings))
		if (strcmp(entry.mnt_fsname, device) == 0) {
			snprintf(text, size, "%s", entry.mnt_dir);
			found = true;
		}
	endmntent(mounts);
	return found;
}

bool mountpoint_find(const char *device, char *text, size_t size)
{
	if (!*device)
		return false;
	if (is_swap(device)) {
		snprintf(text, size, "[SWAP]");
		return true;
	}
	return find_mount(device, text, size);
}

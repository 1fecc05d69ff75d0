/* SPDX-License-Identifier: BSD-3-Clause */
/* What belongs to an instance beside the file that zsblkctl init writes; see zsblk.conf(5). */
#ifndef BESIDE_H
#define BESIDE_H

/* Folders of configurations, without a slash at their ends. */
struct beside_folders {
	const char *etc, *run, *lib;
};

/*
 * Print a line, a comment of zsblk.conf(5), for each file that ETC/NAME.conf hides, or that counts more. `name` is a good one. May block for
 * the disk.
 */
void beside_tell(const char *name, const struct beside_folders *folders);

#endif

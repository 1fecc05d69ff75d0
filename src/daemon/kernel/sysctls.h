/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's settings for a system that swaps to memory, behind a server that needs memory itself: made when swap is
 * switched on, and undone when it ends. sysctl(8) shows them. Which ones, and why: machine/needs.h.
 */
#ifndef SYSCTLS_H
#define SYSCTLS_H

#include <stdbool.h>

/* The record of what the settings were, for all instances. No instance can have that name. */
#define SYSCTLS_RECORD "/run/zsblk/~sysctls"

/*
 * Make the settings, and write down in `file` what they were. A setting that the file has already was made before, and is left as
 * it is. What cannot be set or written down is said, and no reason to fail. The file is locked meanwhile; may wait for the lock.
 */
void sysctls_make(const char *file);

/*
 * Undo what `file` says, except where somebody has changed a setting since, and remove the file. Nothing if there is no such file,
 * or is_needed() says so: does any other instance need the settings? It is asked while the file is locked, so that the settings
 * of an instance that begins at this moment are not undone. May wait for the lock.
 */
void sysctls_undo(const char *file, bool (*is_needed)(const void *opaque), const void *opaque);

/* The folder of the settings: "/proc/sys/vm". Tests have their own. */
void sysctls_use_folder(const char *folder);

#endif

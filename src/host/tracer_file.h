/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes the file of a trace where nobody else can have put another one. */
#ifndef TRACER_FILE_H
#define TRACER_FILE_H

#include "zsblk.h"

#include <stdbool.h>

/* Absolute, with a name at its end, and short enough? */
bool tracer_file_is_path(const char *path);
/*
 * Make the file, of mode 0600, for writing. `path`: see tracer_file_is_path(). The file's descriptor, and in *folder that of its folder, both the
 * caller's; or a negative errno with the reason: -EPERM (others may write in the folder), and those of openat(2) and fchmod(2). Waits for the
 * file system.
 */
int tracer_file_open(const char *path, int *folder, struct zsblk_why *why);

#endif

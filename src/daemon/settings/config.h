/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuration files, /etc/zsblk/NAME.conf; their language is in zsblk.conf(5). */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdint.h>

struct settings;
struct wrong;

/*
 * Read a file into settings that settings_init() has made. Where they have no name yet, the file gives
 * it. A file that says nothing of what the device is for makes it swap. `ram_bytes` is what `ram` stands
 * for in sizes; 0: not known.
 *
 * 0; -EINVAL if something is wrong with the contents or with who can write the file, otherwise what the
 * system said. The reason begins with the path, and the line where there is one. Whether the settings go
 * together is left to settings_check(), which knows the file and the lines, too. May block for the disk. Any thread, each with
 * settings of its own.
 */
int config_read(const char *path, uint64_t ram_bytes, struct settings *settings, struct wrong *wrong);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Configurations, /etc/zsblk/NAME.conf and what belongs to it; their language is in zsblk.conf(5). */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdint.h>

struct mistakes;
struct settings;
struct wrong;

/*
 * Read a configuration into settings that settings_init() has made: one file, or all that an instance has, as config_layers.h says.
 * Where the settings have no name yet, the path gives it. A configuration that says nothing of what the device is for makes it swap.
 * `ram_bytes` is what `ram` stands for in sizes; 0: not known.
 *
 * 0; -EINVAL if something is wrong with the contents or with who can write the files, otherwise what the
 * system said. The reason begins with the path, and the line where there is one. Whether the settings go
 * together is left to settings_check(), which knows the files and the lines, too. May block for the disk. Any thread, each with
 * settings of its own.
 */
int config_read(const char *path, uint64_t ram_bytes, struct settings *settings, struct wrong *wrong);

/* The same, and each mistake is told, if that is what `mistakes` asks for. */
int config_read_all(const char *path, uint64_t ram_bytes, struct settings *settings, struct mistakes *mistakes);

#endif

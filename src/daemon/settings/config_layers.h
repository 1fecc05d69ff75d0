/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which files make up a configuration. An instance has a main file, of an administrator or of a package, and drop-ins that change single
 * keys of it. The order of files and folders is systemd's; zsblk.conf(5) has it for people.
 */
#ifndef CONFIG_LAYERS_H
#define CONFIG_LAYERS_H

#include <stdbool.h>
#include <stddef.h>

struct wrong;

/* In front of all folders: tests have their own. */
#ifndef CONFIG_ROOT
#define CONFIG_ROOT ""
#endif

struct config_layers {
	char **paths; /* the main file, if there is one, and then the drop-ins: a later one wins */
	size_t n;
	bool has_main;
};

/*
 * The files for `path`. /etc/zsblk/NAME.conf stands for the whole configuration of NAME, wherever its files are; another path is one file. At
 * least one is named, which need not exist. 0; -EINVAL with the reason if a folder is open to others or the instance is masked; -ENOMEM.
 */
int config_layers_find(struct config_layers *layers, const char *path, struct wrong *wrong);
/* Harmless on a zeroed struct, and twice. */
void config_layers_free(struct config_layers *layers);

/* The path that stands for an instance: "/etc/zsblk/NAME.conf". `name` has at most 255 bytes. */
#define CONFIG_PATH_BYTES (sizeof CONFIG_ROOT + sizeof "/etc/zsblk/.conf" + 256)
void config_layers_path(const char *name, char path[CONFIG_PATH_BYTES]);

#endif

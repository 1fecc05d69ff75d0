/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which files make up a configuration. See config_layers.h.
 *
 *   main file   the first of /etc/zsblk/NAME.conf and /usr/lib/zsblk/NAME.conf
 *   drop-ins    NAME.conf.d/X.conf in /usr/lib/zsblk, /run/zsblk and /etc/zsblk, sorted by X. Of those of one name the last folder's counts,
 *               and a link to /dev/null there takes the others' away.
 */
#include "daemon/settings/config_layers.h"

#include "daemon/base/wrong.h"
#include "daemon/settings/config_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FOLDER_ETC CONFIG_ROOT "/etc/zsblk"
#define FOLDER_RUN CONFIG_ROOT "/run/zsblk"
#define FOLDER_LIB CONFIG_ROOT "/usr/lib/zsblk"
#define SUFFIX     ".conf"

void config_layers_path(const char *name, char path[CONFIG_PATH_BYTES])
{
	snprintf(path, CONFIG_PATH_BYTES, FOLDER_ETC "/%.255s" SUFFIX, name);
}

void config_layers_free(struct config_layers *layers)
{
	for (size_t i = 0; i < layers->n; i++)
		free(layers->paths[i]);
	free(layers->paths);
	*layers = (struct config_layers){0};
}

static int no_memory(struct wrong *wrong)
{
	wrong_say(wrong, "no memory");
	return -ENOMEM;
}

static const char *name_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* Is it a link to /dev/null? Such a file says: as if there were none. */
static bool is_masked(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* ------------------------------------------------------------------ the list */

static int append(struct config_layers *layers, const char *path, struct wrong *wrong)
{
	char **more = reallocarray(layers->paths, layers->n + 1, sizeof *more);

	if (!more)
		return no_memory(wrong);
	layers->paths = more;
	more[layers->n] = strdup(path);
	if (!more[layers->n])
		return no_memory(wrong);
	layers->n++;
	return 0;
}

/* A drop-in takes the place of one with its name in a folder before. */
static int put(struct config_layers *drop_ins, const char *path, struct wrong *wrong)
{
	char *copy;

	for (size_t i = 0; i < drop_ins->n; i++)
		if (strcmp(name_of(drop_ins->paths[i]), name_of(path)) == 0) {
			copy = strdup(path);
			if (!copy)
				return no_memory(wrong);
			free(drop_ins->paths[i]);
			drop_ins->paths[i] = copy;
			return 0;
		}
	return append(drop_ins, path, wrong);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(name_of(*(char *const *)a), name_of(*(char *const *)b));
}

/* ------------------------------------------------------------------ folders */

/* Whoever can write into it chooses what is read. */
static int check_folder(const char *path, int fd, struct wrong *wrong)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return wrong_say(wrong, "%s: cannot be read: %s", config_file_shown(path), strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return wrong_say(
			wrong, "%s: belongs to user %u, who could put any file there; it has to be root's or your own",
			config_file_shown(path), (unsigned)st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return wrong_say(wrong, "%s: mode %04o lets %s put files there; take that away with chmod go-w",
				 config_file_shown(path), (unsigned)st.st_mode & 07777,
				 st.st_mode & S_IWOTH ? "everybody" : "a group");
	return 0;
}

/* The folders that the files of an instance, and its folders, are in. None has to be there. */
static int check_tops(struct wrong *wrong)
{
	static const char *const tops[] = {FOLDER_ETC, FOLDER_RUN, FOLDER_LIB};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof tops / sizeof tops[0]; i++) {
		int fd = open(tops[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_PATH);

		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return wrong_say(wrong, "%s: cannot be read: %s", config_file_shown(tops[i]), strerror(errno));
		r = check_folder(tops[i], fd, wrong);
		close(fd);
	}
	return r;
}

static bool is_drop_in(const char *name)
{
	size_t length = strlen(name), suffix = strlen(SUFFIX);

	return name[0] != '.' && length > suffix && strcmp(name + length - suffix, SUFFIX) == 0;
}

static int add_names(struct config_layers *drop_ins, DIR *dir, const char *folder, struct wrong *wrong)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int r = 0;

	while (!r && (errno = 0, entry = readdir(dir)))
		if (is_drop_in(entry->d_name)) {
			snprintf(path, sizeof path, "%.3500s/%s", folder, entry->d_name);
			r = put(drop_ins, path, wrong);
		}
	if (!r && errno)
		r = wrong_say(wrong, "%s: cannot be read: %s", config_file_shown(folder), strerror(errno));
	return r;
}

static int add_folder(struct config_layers *drop_ins, const char *top, const char *name, struct wrong *wrong)
{
	char folder[CONFIG_PATH_BYTES + 10];
	DIR *dir;
	int r;

	snprintf(folder, sizeof folder, "%s/%.255s" SUFFIX ".d", top, name);
	dir = opendir(folder);
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return wrong_say(wrong, "%s: cannot be read: %s", config_file_shown(folder), strerror(errno));
	r = check_folder(folder, dirfd(dir), wrong);
	if (!r)
		r = add_names(drop_ins, dir, folder, wrong);
	closedir(dir);
	return r;
}

/* ------------------------------------------------------------------ an instance */

/* What the path stands for: an instance, or NULL. `name` lends the memory. */
static const char *instance_of(const char *path, char name[256])
{
	const char *rest = path + strlen(FOLDER_ETC "/");
	size_t length;

	if (strncmp(path, FOLDER_ETC "/", strlen(FOLDER_ETC "/")) != 0 || strchr(rest, '/'))
		return NULL;
	length = strlen(rest);
	if (length <= strlen(SUFFIX) || length > 255 || strcmp(rest + length - strlen(SUFFIX), SUFFIX) != 0)
		return NULL;
	snprintf(name, 256, "%.*s", (int)(length - strlen(SUFFIX)), rest);
	return name;
}

/* That of the administrator comes before that of a package. */
static int add_main(struct config_layers *layers, const char *name, struct wrong *wrong)
{
	static const char *const tops[] = {FOLDER_ETC, FOLDER_LIB};
	char path[CONFIG_PATH_BYTES + 10];
	struct stat st;

	for (size_t i = 0; i < sizeof tops / sizeof tops[0]; i++) {
		snprintf(path, sizeof path, "%s/%.255s" SUFFIX, tops[i], name);
		if (lstat(path, &st) < 0 && errno == ENOENT)
			continue;
		if (is_masked(path))
			return wrong_say(
				wrong,
				"%s: is a link to /dev/null, so there is no such device; remove the link to have it",
				config_file_shown(path));
		return append(layers, path, wrong);
	}
	return 0;
}

static int add_drop_ins(struct config_layers *layers, const char *name, struct wrong *wrong)
{
	static const char *const tops[] = {FOLDER_LIB, FOLDER_RUN, FOLDER_ETC};
	struct config_layers drop_ins = {0};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof tops / sizeof tops[0]; i++)
		r = add_folder(&drop_ins, tops[i], name, wrong);
	if (drop_ins.n)
		qsort(drop_ins.paths, drop_ins.n, sizeof *drop_ins.paths, by_name);
	for (size_t i = 0; !r && i < drop_ins.n; i++)
		if (!is_masked(drop_ins.paths[i]))
			r = append(layers, drop_ins.paths[i], wrong);
	config_layers_free(&drop_ins);
	return r;
}

int config_layers_find(struct config_layers *layers, const char *path, struct wrong *wrong)
{
	char buffer[256];
	const char *name = instance_of(path, buffer);
	int r = 0;

	*layers = (struct config_layers){0};
	if (name)
		r = check_tops(wrong);
	if (name && !r)
		r = add_main(layers, name, wrong);
	layers->has_main = layers->n;
	if (name && !r)
		r = add_drop_ins(layers, name, wrong);
	if (!r && !layers->n) {
		layers->has_main = true;
		r = append(layers, path, wrong);
	}
	if (r)
		config_layers_free(layers);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What belongs to an instance beside its main file. See beside.h. */
#include "ctl/init/beside.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDERS 3u

static int is_drop_in(const struct dirent *entry)
{
	const char *end = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && end && strcmp(end, ".conf") == 0;
}

/* A link to /dev/null is none. */
static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Does a folder that counts more have a drop-in of this name? */
static bool is_replaced(const char *const tops[FOLDERS], size_t top, const char *name, const char *drop_in)
{
	char path[PATH_MAX];
	struct stat st;

	while (++top < FOLDERS) {
		snprintf(path, sizeof path, "%s/%s.conf.d/%s", tops[top], name, drop_in);
		if (lstat(path, &st) == 0)
			return true;
	}
	return false;
}

static void tell_drop_ins(const char *const tops[FOLDERS], size_t top, const char *name, const char *main_file)
{
	struct dirent **entries;
	char path[PATH_MAX];
	int n;

	snprintf(path, sizeof path, "%s/%s.conf.d", tops[top], name);
	n = scandir(path, &entries, is_drop_in, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s.conf.d/%s", tops[top], name, entries[i]->d_name);
		if (is_file(path) && !is_replaced(tops, top, name, entries[i]->d_name))
			printf("# %s counts more than %s, key by key.\n", path, main_file);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

void beside_tell(const char *name, const struct beside_folders *folders)
{
	/* The last one counts most. */
	const char *const tops[FOLDERS] = {folders->lib, folders->run, folders->etc};
	char main_file[PATH_MAX], hidden[PATH_MAX];

	snprintf(main_file, sizeof main_file, "%s/%s.conf", folders->etc, name);
	snprintf(hidden, sizeof hidden, "%s/%s.conf", folders->lib, name);
	if (is_file(hidden))
		printf("# %s is not read any more once there is %s.\n", hidden, main_file);
	for (size_t i = 0; i < FOLDERS; i++)
		tell_drop_ins(tops, i, name, main_file);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Program files held open. See kept.h; the formats of /proc are those of proc(5). */
#include "daemon/kept.h"

#include "daemon/maps.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void kept_init(struct kept *kept)
{
	*kept = (struct kept){.program = -1, .plugin = -1};
}

void kept_close(struct kept *kept)
{
	if (kept->program >= 0)
		close(kept->program);
	if (kept->plugin >= 0)
		close(kept->plugin);
	kept_init(kept);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The name of the file that nbdkit makes of a plugin's name: a path stays one (nbdkit(1)), and its links are followed. */
static void file_name(const char *plugin, char *name, size_t size)
{
	char path[PATH_MAX];

	if (strpbrk(plugin, "/."))
		snprintf(name, size, "%.*s", NAME_MAX, last_part(realpath(plugin, path) ? path : plugin));
	else
		snprintf(name, size, "nbdkit-%s-plugin.so", plugin);
}

static bool are_one_file(int fd, const char *path)
{
	struct stat held, named;

	return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

/* A file by its path, if that is still the one with this number; otherwise by the mapping, which it is kept by. */
static int open_mapped(pid_t pid, const char *range, const char *path, uint64_t inode)
{
	char mapping[80];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == inode)
		return fd;
	if (fd >= 0)
		close(fd);
	snprintf(mapping, sizeof mapping, "/proc/%d/map_files/%s", (int)pid, range);
	return open(mapping, O_RDONLY | O_CLOEXEC);
}

static int open_plugin(pid_t pid, const char *plugin)
{
	char maps[40], line[MAPS_LINE_MAX], wanted[300];
	struct mapping mapping;
	int fd = -1;
	FILE *f;

	file_name(plugin, wanted, sizeof wanted);
	snprintf(maps, sizeof maps, "/proc/%d/maps", (int)pid);
	f = fopen(maps, "re");
	while (f && fd < 0 && fgets(line, sizeof line, f))
		if (maps_parse(line, &mapping) && strcmp(last_part(mapping.path), wanted) == 0)
			fd = open_mapped(pid, mapping.range, mapping.path, mapping.inode);
	if (f)
		fclose(f);
	return fd;
}

void kept_take(struct kept *kept, pid_t pid, const char *program, const char *plugin)
{
	char path[40];
	struct kept taken = {.of = pid};

	if (kept->of == pid)
		return;
	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	taken.program = open(path, O_RDONLY | O_CLOEXEC);
	taken.plugin = open_plugin(pid, plugin);
	/* A script that runs nbdkit may have its reasons. (One that was replaced meanwhile differs, too.) */
	if (taken.program >= 0 && !are_one_file(taken.program, program)) {
		close(taken.program);
		taken.program = -1;
	}
	if (taken.plugin < 0) {
		kept_close(&taken);
		return;
	}
	kept_close(kept);
	*kept = taken;
}

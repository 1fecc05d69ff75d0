/* SPDX-License-Identifier: BSD-3-Clause */
/* Program files held open. See kept.h; the formats of /proc are those of proc(5). */
#include "daemon/kept.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char deleted[] = " (deleted)";

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

/* The name of the file that nbdkit makes of a plugin's name: a path stays one (nbdkit(1)). */
static void file_name(const char *plugin, char *name, size_t size)
{
	const char *slash = strrchr(plugin, '/');

	if (strpbrk(plugin, "/."))
		snprintf(name, size, "%s", slash ? slash + 1 : plugin);
	else
		snprintf(name, size, "nbdkit-%s-plugin.so", plugin);
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
	char maps[40], line[1024], wanted[300], range[40];
	int fd = -1;
	FILE *f;

	file_name(plugin, wanted, sizeof wanted);
	snprintf(maps, sizeof maps, "/proc/%d/maps", (int)pid);
	f = fopen(maps, "re");
	while (f && fd < 0 && fgets(line, sizeof line, f)) {
		char *file = strchr(line, '/'), *end;
		uint64_t inode;

		if (!file || sscanf(line, "%39s %*s %*s %*s %" SCNu64, range, &inode) != 2)
			continue;
		file[strcspn(file, "\n")] = '\0';
		end = strstr(file, deleted);
		if (end)
			*end = '\0';
		if (strcmp(strrchr(file, '/') + 1, wanted) != 0)
			continue;
		fd = open_mapped(pid, range, file, inode);
	}
	if (f)
		fclose(f);
	return fd;
}

void kept_take(struct kept *kept, pid_t pid, const char *plugin)
{
	char program[40];
	struct kept taken = {.of = pid};

	if (kept->of == pid)
		return;
	snprintf(program, sizeof program, "/proc/%d/exe", (int)pid);
	taken.program = open(program, O_RDONLY | O_CLOEXEC);
	taken.plugin = open_plugin(pid, plugin);
	if (taken.program < 0 || taken.plugin < 0) {
		kept_close(&taken);
		return;
	}
	kept_close(kept);
	*kept = taken;
}

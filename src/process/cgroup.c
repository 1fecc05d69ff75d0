/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory limits of control groups. See cgroup.h.
 *
 *   /proc/self/cgroup      4:memory:/a/b         the group, as seen from the root of the hierarchy (v1; v2: 0::/a/b)
 *   /proc/self/mountinfo   ROOT  MOUNT-POINT     the part of the hierarchy that is mounted, and where
 *
 * The group's folder is MOUNT-POINT, followed by what comes after ROOT in its name. The groups above are the folders
 * above that one, up to the mount point. Groups further up, outside a container, cannot be seen. The root of the
 * hierarchy has no limit.
 *
 * Source: cgroups(7), proc(5), and the kernel's admin-guide on cgroup-v1 (memory.rst) and cgroup-v2.
 */
#include "process/cgroup.h"

#include "process/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEVELS       16u
#define MARGIN_PART  8u
#define MARGIN_LEAST (UINT64_C(4) << 20)
/* v1 says "no limit" with a number near 2^63. */
#define V1_NO_LIMIT (UINT64_C(1) << 62)

enum file { FILE_MAX, FILE_HIGH, FILE_USAGE, FILE_STAT, FILES };

static const char *const names[2][FILES] = {
	{"memory.limit_in_bytes", NULL, "memory.usage_in_bytes", "memory.stat"},
	{"memory.max", "memory.high", "memory.current", "memory.stat"},
};

struct level {
	int fd[FILES];
	unsigned length; /* of its name within `name` */
};

struct cgroup {
	unsigned version; /* 1 or 2 */
	unsigned n;
	struct level level[LEVELS]; /* from our own group upwards */
	char name[PATH_MAX];        /* of our own group, from the mounted root on */
};

/* ------------------------------------------------------------------ where it is */

/* Is `word` in a list of words with commas between them? */
static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	while (strncmp(list, word, length) != 0 || (list[length] != ',' && list[length] != '\0')) {
		list = strchr(list, ',');
		if (!list)
			return false;
		list++;
	}
	return true;
}

/* The group's name from lines "ID:CONTROLLERS:NAME"; v1's if it has the memory controller. */
static bool find_name(FILE *f, struct cgroup *cgroup)
{
	char line[PATH_MAX + 200];

	cgroup->version = 0;
	while (fgets(line, sizeof line, f)) {
		char *controllers = strchr(line, ':'), *name = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!name || name[1] != '/')
			continue;
		*controllers++ = *name++ = '\0';
		name[strcspn(name, "\n")] = '\0';
		if (has_word(controllers, "memory"))
			cgroup->version = 1;
		else if (controllers[0] || cgroup->version)
			continue;
		else
			cgroup->version = 2;
		snprintf(cgroup->name, sizeof cgroup->name, "%s", name);
		if (cgroup->version == 1)
			break;
	}
	return cgroup->version;
}

/* True if a line of mountinfo is the mount of our hierarchy. */
static bool is_mount(char *line, unsigned version, char **root, char **point)
{
	char *save = NULL, *field = strtok_r(line, " \n", &save), *type, *options;
	unsigned n = 0;

	*root = *point = NULL;
	for (; field && strcmp(field, "-") != 0; field = strtok_r(NULL, " \n", &save), n++) {
		*root = n == 3 ? field : *root;
		*point = n == 4 ? field : *point;
	}
	type = field ? strtok_r(NULL, " \n", &save) : NULL;
	if (!*point || !type || !strtok_r(NULL, " \n", &save))
		return false;
	options = strtok_r(NULL, " \n", &save);
	proc_unescape(*root);
	proc_unescape(*point);
	return version == 2 ? strcmp(type, "cgroup2") == 0
			    : strcmp(type, "cgroup") == 0 && options && has_word(options, "memory");
}

/* Find the mount of our hierarchy. The group's name becomes relative to its root. */
static bool find_mount(FILE *f, struct cgroup *cgroup, char *point, size_t size)
{
	char *line = NULL, *root, *at;
	size_t capacity = 0;
	bool found = false;

	while (!found && getline(&line, &capacity, f) > 0) {
		size_t length;

		if (!is_mount(line, cgroup->version, &root, &at))
			continue;
		found = true;
		snprintf(point, size, "%s", at);
		length = strcmp(root, "/") == 0 ? 0 : strlen(root);
		/* A group outside what is mounted (another namespace): only the mounted root can be seen. */
		if (strncmp(cgroup->name, root, length) != 0 || (cgroup->name[length] && cgroup->name[length] != '/') ||
		    strstr(cgroup->name, "/.."))
			cgroup->name[0] = '\0';
		else
			memmove(cgroup->name, cgroup->name + length, strlen(cgroup->name + length) + 1);
		if (strcmp(cgroup->name, "/") == 0)
			cgroup->name[0] = '\0';
	}
	free(line);
	return found;
}

/* ------------------------------------------------------------------ life */

static void close_level(struct level *level)
{
	for (enum file file = 0; file < FILES; file++)
		if (level->fd[file] >= 0)
			close(level->fd[file]);
}

/* Open the files of a group. False: it has no limit that can be read. */
static bool open_level(struct cgroup *cgroup, const char *point, unsigned length)
{
	struct level *level = &cgroup->level[cgroup->n];
	char path[2 * PATH_MAX];

	level->length = length;
	for (enum file file = 0; file < FILES; file++) {
		const char *name = names[cgroup->version - 1][file];

		snprintf(path, sizeof path, "%s%.*s/%s", point, (int)length, cgroup->name, name ? name : "");
		level->fd[file] = name ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	}
	if (level->fd[FILE_MAX] < 0 || level->fd[FILE_USAGE] < 0) {
		close_level(level);
		return false;
	}
	cgroup->n++;
	return true;
}

static void open_levels(struct cgroup *cgroup, const char *point)
{
	unsigned length = (unsigned)strlen(cgroup->name);

	for (;;) {
		if (cgroup->n < LEVELS)
			open_level(cgroup, point, length);
		if (!length)
			return;
		while (length && cgroup->name[--length] != '/')
			;
	}
}

/* The process's group, and where its hierarchy is mounted. NULL: there is none that can be seen, or no memory. */
static struct cgroup *find_group(const char *cgroup_file, const char *mountinfo_file, char *point, size_t size)
{
	struct cgroup *cgroup = calloc(1, sizeof *cgroup);
	FILE *names_file = fopen(cgroup_file, "re"), *mounts = fopen(mountinfo_file, "re");
	bool found = cgroup && names_file && mounts && find_name(names_file, cgroup) &&
		     find_mount(mounts, cgroup, point, size);

	if (names_file)
		fclose(names_file);
	if (mounts)
		fclose(mounts);
	if (found)
		return cgroup;
	free(cgroup);
	return NULL;
}

struct cgroup *cgroup_open_from(const char *cgroup_file, const char *mountinfo_file)
{
	char point[PATH_MAX];
	struct cgroup *cgroup = find_group(cgroup_file, mountinfo_file, point, sizeof point);

	if (cgroup)
		open_levels(cgroup, point);
	if (cgroup && !cgroup->n) {
		free(cgroup);
		cgroup = NULL;
	}
	return cgroup;
}

int cgroup_open_file_from(const char *cgroup_file, const char *mountinfo_file, const char *name)
{
	char point[PATH_MAX], path[2 * PATH_MAX + NAME_MAX];
	struct cgroup *cgroup = find_group(cgroup_file, mountinfo_file, point, sizeof point);
	int fd = -ENOENT;

	if (cgroup && cgroup->version == 2) {
		snprintf(path, sizeof path, "%s%s/%s", point, cgroup->name, name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	free(cgroup);
	return fd;
}

int cgroup_open_file(const char *name)
{
	return cgroup_open_file_from("/proc/self/cgroup", "/proc/self/mountinfo", name);
}

struct cgroup *cgroup_open(void)
{
	return cgroup_open_from("/proc/self/cgroup", "/proc/self/mountinfo");
}

void cgroup_close(struct cgroup *cgroup)
{
	if (!cgroup)
		return;
	for (unsigned i = 0; i < cgroup->n; i++)
		close_level(&cgroup->level[i]);
	free(cgroup);
}

/* ------------------------------------------------------------------ looking */

/* The number in a file; `otherwise` if that is "max" or cannot be read. */
static uint64_t read_number(int fd, uint64_t otherwise)
{
	char text[32];

	if (fd < 0 || proc_read(fd, text, sizeof text) <= 0 || text[0] < '0' || text[0] > '9')
		return otherwise;
	return strtoull(text, NULL, 10);
}

static uint64_t statistic(const char *text, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL)
		if (strncmp(line, name, length) == 0 && line[length] == ' ')
			return strtoull(line + length, NULL, 10);
	return 0;
}

/* Clean page cache that is not locked. */
static uint64_t droppable(const struct cgroup *cgroup, const struct level *level, char *text)
{
	/* In v1, the figures that include the groups below begin with "total_". */
	static const char *const keys[2][4] = {
		{"total_inactive_file", "total_active_file", "total_dirty", "total_writeback"},
		{"inactive_file", "active_file", "file_dirty", "file_writeback"},
	};
	const char *const *key = keys[cgroup->version - 1];
	uint64_t file, busy;

	if (!text || level->fd[FILE_STAT] < 0 || proc_read(level->fd[FILE_STAT], text, CGROUP_TEXT) <= 0)
		return 0;
	file = statistic(text, key[0]) + statistic(text, key[1]);
	busy = statistic(text, key[2]) + statistic(text, key[3]);
	return file > busy ? file - busy : 0;
}

void cgroup_look(const struct cgroup *cgroup, uint64_t want, char *text, struct cgroup_found *found)
{
	*found = (struct cgroup_found){.limit = CGROUP_NO_LIMIT, .room = CGROUP_NO_LIMIT};
	for (unsigned i = 0; cgroup && i < cgroup->n; i++) {
		const struct level *level = &cgroup->level[i];
		uint64_t max = read_number(level->fd[FILE_MAX], CGROUP_NO_LIMIT);
		uint64_t high = read_number(level->fd[FILE_HIGH], CGROUP_NO_LIMIT), usage, room;
		uint64_t limit = high < max ? high : max;

		if (limit >= V1_NO_LIMIT)
			continue;
		if (limit < found->limit) {
			found->limit = limit;
			found->level = i;
			found->file = names[cgroup->version - 1][high < max ? FILE_HIGH : FILE_MAX];
		}
		usage = read_number(level->fd[FILE_USAGE], 0);
		if (usage > limit || limit - usage < want) {
			uint64_t cache = droppable(cgroup, level, text);

			usage -= cache < usage ? cache : usage;
		}
		room = usage < limit ? limit - usage : 0;
		if (room < found->room)
			found->room = room;
	}
}

void cgroup_describe(const struct cgroup *cgroup, const struct cgroup_found *found, char *text, size_t size)
{
	unsigned length;

	text[0] = '\0';
	if (!cgroup || !found->file)
		return;
	length = cgroup->level[found->level].length;
	snprintf(text, size, "%s of control group %.*s is %" PRIu64 " MiB", found->file, length ? (int)length : 1,
		 length ? cgroup->name : "/", found->limit >> 20);
}

uint64_t cgroup_margin(uint64_t limit)
{
	uint64_t margin = limit / MARGIN_PART;

	if (limit == CGROUP_NO_LIMIT)
		return 0;
	return margin < MARGIN_LEAST ? MARGIN_LEAST : margin > CGROUP_MARGIN_MOST ? CGROUP_MARGIN_MOST : margin;
}

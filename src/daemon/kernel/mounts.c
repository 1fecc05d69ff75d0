/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mount points. See mounts.h. A line of mountinfo:
 *
 *   36 35  98:0   /root /mnt/point rw,noatime shared:1 - ext4    /dev/nbd0 rw
 *   ID ID  device root  point      options    tags ... - fs_type source    options
 */
#include "daemon/kernel/mounts.h"

#include "process/proc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* The fields of a line that matter; they point into the line, which is changed. */
struct line {
	unsigned major_number, minor_number;
	char *point, *fs_type, *source;
};

static bool parse_mount(char *text, struct line *line)
{
	char *state, *field = strtok_r(text, " \n", &state);

	*line = (struct line){0};
	for (int i = 0; field && i < 5; i++, field = strtok_r(NULL, " \n", &state)) {
		if (i == 2 && sscanf(field, "%u:%u", &line->major_number, &line->minor_number) != 2)
			return false;
		if (i == 4)
			line->point = field;
	}
	while (field && strcmp(field, "-") != 0)
		field = strtok_r(NULL, " \n", &state);
	line->fs_type = field ? strtok_r(NULL, " \n", &state) : NULL;
	if (!line->fs_type)
		return false;
	line->source = strtok_r(NULL, " \n", &state);
	if (!line->source)
		return false;
	proc_unescape(line->point);
	proc_unescape(line->source);
	return line->point[0] == '/';
}

/* With FUSE any user can give a mount any source; what is on a block device there has another type, fuseblk. */
static bool is_line_of(const struct line *line, const char *path, dev_t number)
{
	return makedev(line->major_number, line->minor_number) == number ||
	       (strcmp(line->source, path) == 0 && strcmp(line->fs_type, "fuse") != 0 &&
		strncmp(line->fs_type, "fuse.", 5) != 0);
}

static int add(struct mounts *mounts, const char *point)
{
	char **more = reallocarray(mounts->points, mounts->n + 1, sizeof *more);
	char *copy = more ? strdup(point) : NULL;

	if (more)
		mounts->points = more;
	if (!copy)
		return -ENOMEM;
	memmove(more + 1, more, mounts->n++ * sizeof *more);
	more[0] = copy;
	return 0;
}

/* Something else is mounted there: the mount before, if it was ours, is under it. */
static void cover(struct mounts *mounts, bool *is_covered, char *covered, size_t size, const char *point)
{
	for (unsigned i = 0; i < mounts->n && !*is_covered; i++)
		if (strcmp(mounts->points[i], point) == 0) {
			*is_covered = true;
			snprintf(covered, size, "%s", point);
		}
}

int mounts_read(struct mounts *mounts, FILE *mountinfo, const char *path, dev_t number)
{
	char *text = NULL, covered[4096];
	bool is_covered = false;
	size_t size = 0;
	int r = 0;

	*mounts = (struct mounts){0};
	while (!r && getline(&text, &size, mountinfo) >= 0) {
		struct line line;

		if (!parse_mount(text, &line))
			continue;
		if (is_line_of(&line, path, number))
			r = add(mounts, line.point);
		else
			cover(mounts, &is_covered, covered, sizeof covered, line.point);
	}
	free(text);
	mounts->covered = mounts->n;
	for (unsigned i = 0; i < mounts->n && is_covered; i++)
		if (strcmp(mounts->points[i], covered) == 0)
			mounts->covered = i;
	return r;
}

void mounts_free(struct mounts *mounts)
{
	for (unsigned i = 0; i < mounts->n; i++)
		free(mounts->points[i]);
	free(mounts->points);
	*mounts = (struct mounts){0};
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file of a trace. See tracer_file.h.
 *
 * The file is new and ours: O_EXCL, in a folder that was looked at by the descriptor that the file is made in.
 */
#include "host/tracer_file.h"

#include "host/refuse.h"
#include "host/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder's descriptor. */
static int open_folder(const char *path, const char *name, struct zsblk_why *why)
{
	char folder[TRACER_PATH_MAX];
	struct stat st;
	int fd;

	snprintf(folder, sizeof folder, "%.*s", name > path + 1 ? (int)(name - path - 1) : 1, path);
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return host_refuse(why, -errno, "%.300s: %s", folder, strerror(errno));
	if (fstat(fd, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & 022))
		return fd;
	close(fd);
	return host_refuse(
		why, -EPERM,
		"%.300s: others can write in this folder, or own it; name a file in one where only root and the "
		"server's user can, such as /root",
		folder);
}

int tracer_file_open(const char *path, int *result, struct zsblk_why *why)
{
	const char *name = strrchr(path, '/');
	int folder, fd, r;

	name++;
	folder = open_folder(path, name, why);
	if (folder < 0)
		return folder;
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : 0;
	/* The umask may have taken even the owner's rights. */
	if (!r && fchmod(fd, 0600) < 0) {
		r = -errno;
		unlinkat(folder, name, 0);
		close(fd);
	}
	if (!r) {
		*result = folder;
		return fd;
	}
	close(folder);
	if (r == -EEXIST)
		return host_refuse(why, r, "%.300s exists; remove it or name another file", path);
	return host_refuse(why, r, "%.300s: %s", path, strerror(-r));
}

bool tracer_file_is_path(const char *path)
{
	return path[0] == '/' && strrchr(path, '/')[1] && strlen(path) < TRACER_PATH_MAX;
}

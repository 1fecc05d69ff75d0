/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A report in a folder. See publish.h.
 *
 * 1. The folder is opened once, and all else happens below that descriptor.
 * 2. A report is written to a new file with a random name, and gets its own name by rename, which follows no link.
 * 3. What has the report's name is replaced only if it is a file of this user that begins with the mark. Between that look and the rename others can
 *    put something there only if the folder is theirs to write: what is lost then is their own.
 */
#include "bench/publish.h"

#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder's descriptor, or a negative errno. */
static int open_folder(const char *path, struct zsblk_why *why)
{
	int fd;

	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return because(why, -errno, "--report %s: the folder cannot be made: %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return because(why, -errno, "--report %s: %s: name a folder", path, strerror(errno));
	return fd;
}

/* True if nothing has the name, or a report of ours. */
static bool is_free(int folder)
{
	char head[sizeof PUBLISH_MARK - 1];
	/* Neither a link nor a pipe without a writer holds us. */
	int fd = openat(folder, PUBLISH_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	bool ours;

	if (fd < 0)
		return errno == ENOENT;
	ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	       pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head && !memcmp(head, PUBLISH_MARK, sizeof head);
	close(fd);
	return ours;
}

static int refuse(const char *folder, struct zsblk_why *why)
{
	return because(why, -EEXIST,
		       "--report %s: its " PUBLISH_NAME
		       " is not a report that you made: remove it or name another folder",
		       folder);
}

int publish_check(const char *folder, struct zsblk_why *why)
{
	int fd = open_folder(folder, why), r;

	if (fd < 0)
		return fd;
	r = is_free(fd) ? 0 : refuse(folder, why);
	if (!r && faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		r = because(why, -errno, "--report %s: %s", folder, strerror(errno));
	close(fd);
	return r;
}

/* A new file. Its name is the caller's to remove. */
static int open_new(int folder, char name[32])
{
	uint64_t number;
	int fd;

	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return -EIO;
	snprintf(name, 32, ".report-%016" PRIx64, number);
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, text, bytes);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			bytes -= (size_t)n;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int publish_report(const char *folder, const char *report, size_t bytes, struct zsblk_why *why)
{
	int dir = open_folder(folder, why), fd, r;
	char name[32];

	if (dir < 0)
		return dir;
	fd = open_new(dir, name);
	r = fd < 0 ? fd : write_all(fd, report, bytes);
	if (fd >= 0 && close(fd) < 0 && !r)
		r = -errno;
	if (r)
		because(why, r, "--report %s: %s", folder, strerror(-r));
	else if (!is_free(dir))
		r = refuse(folder, why);
	else if (renameat(dir, name, dir, PUBLISH_NAME) < 0)
		r = because(why, -errno, "--report %s: %s", folder, strerror(errno));
	if (r && fd >= 0)
		unlinkat(dir, name, 0);
	/* The name itself: without this a crash of the system could leave the older report. */
	if (!r)
		fsync(dir);
	close(dir);
	return r;
}

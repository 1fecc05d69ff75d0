/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket in the file system. See socket.h.
 *
 * Nobody can connect before listen(2), and by then the file has its group and mode. fchmod(2) on a socket that has no name yet
 * sets the mode with which bind(2) makes the file, so that the process's umask, which belongs to all threads, stays as it is.
 */
#include "varlink/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Clients that wait to be accepted; more than there will be connections. */
#define BACKLOG 32

__attribute__((format(printf, 3, 4))) static int refuse(struct varlink_why *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
	return error;
}

static int set_address(struct sockaddr_un *address, const char *path, struct varlink_why *why)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address->sun_path)
		return refuse(
			why, -ENAMETOOLONG,
			"%.120s... is too long for a socket, which can have %zu characters; give a shorter path, such as "
			"one in /run",
			path, sizeof address->sun_path - 1);
	strcpy(address->sun_path, path);
	return 0;
}

/* ------------------------------------------------------------------ who could put another socket in this one's place */

/* With what links lead to: on the way of the socket, and so many links at most. Small, since the control thread's stack is. */
#define WAY_MAX   512u
#define LINKS_MAX 8u

/* A folder on the way, or a link. */
static int check_step(const char *path, struct stat *st, struct varlink_why *why)
{
	if (lstat(path, st) < 0)
		return refuse(why, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode))
		return refuse(why, -ENOTDIR, "%s is not a folder", path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return refuse(
			why, -EPERM,
			"%s belongs to user %u, who could put another socket in this one's place; use a folder of root's "
			"or of your own, in such folders",
			path, (unsigned)st->st_uid);
	if (S_ISDIR(st->st_mode) && (st->st_mode & 022) && !(st->st_mode & S_ISVTX))
		return refuse(
			why, -EPERM,
			"%s has mode %04o, so that others could put another socket in this one's place; use a folder that "
			"only you can write to, in such folders",
			path, (unsigned)st->st_mode & 07777);
	return 0;
}

/* The first `n` bytes of `way` are a link: have what it leads to in their place. */
static int follow(char way[WAY_MAX], size_t n, struct varlink_why *why)
{
	char link[WAY_MAX], target[WAY_MAX], next[WAY_MAX];
	const char *slash;
	size_t before;
	ssize_t got;

	memcpy(link, way, n);
	link[n] = '\0';
	got = readlink(link, target, sizeof target - 1);
	if (got < 0)
		return refuse(why, -errno, "%s: %s", link, strerror(errno));
	target[got] = '\0';
	slash = strrchr(link, '/');
	before = target[0] == '/' || !slash ? 0 : (size_t)(slash - link) + 1;
	if (before + (size_t)got + strlen(way + n) >= sizeof next || (size_t)got == sizeof target - 1)
		return refuse(why, -ENAMETOOLONG, "%s leads too far; give the path without links", link);
	memcpy(next, link, before);
	memcpy(next + before, target, (size_t)got);
	strcpy(next + before + (size_t)got, way + n);
	strcpy(way, next);
	return 0;
}

/*
 * Every folder on the way counts, and what every link leads to: whoever can write to one of them can put another tree there. After a link
 * the way is looked at from its beginning.
 */
static int check_way(char way[WAY_MAX], struct varlink_why *why)
{
	char path[WAY_MAX];
	unsigned links = 0;
	struct stat st;
	size_t n = 0;
	int r = way[0] == '/' ? check_step("/", &st, why) : 0;

	while (!r && way[n]) {
		n += strspn(way + n, "/");
		n += strcspn(way + n, "/");
		memcpy(path, way, n);
		path[n] = '\0';
		r = check_step(path, &st, why);
		if (r || !S_ISLNK(st.st_mode))
			continue;
		if (++links > LINKS_MAX)
			return refuse(why, -ELOOP, "%s: too many links; give the path without them", path);
		r = follow(way, n, why);
		n = 0;
	}
	return r;
}

static int check_folder(const char *path, struct varlink_why *why)
{
	char way[WAY_MAX];
	char *slash;

	strcpy(way, path);
	slash = strrchr(way, '/');
	if (!slash || !slash[1])
		return refuse(why, -EINVAL, "%s names no file in a folder; give a path such as /run/zsblk.control",
			      path);
	slash[slash == way] = '\0';
	return check_way(way, why);
}

/* ------------------------------------------------------------------ what has its name */

/* True if somebody listens, or if that cannot be told. */
static bool has_listener(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool refused;

	if (fd < 0)
		return true;
	refused = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
		  (errno == ECONNREFUSED || errno == ENOENT);
	close(fd);
	return !refused;
}

/* 1: there is a socket that nobody uses any more. */
static int check_name(const struct sockaddr_un *address, struct varlink_why *why)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : refuse(why, -errno, "%s: %s", path, strerror(errno));
	if (st.st_uid != geteuid())
		return refuse(why, -EPERM, "%s belongs to user %u and is left alone; remove it, or give another path",
			      path, (unsigned)st.st_uid);
	if (!S_ISSOCK(st.st_mode))
		return refuse(why, -EEXIST, "%s is not a socket and is left alone; remove it, or give another path",
			      path);
	if (has_listener(address))
		return refuse(why, -EADDRINUSE, "another server listens on %s; give each server a path of its own",
			      path);
	return 1;
}

static int check(struct sockaddr_un *address, const char *path, struct varlink_why *why)
{
	int r = set_address(address, path, why);

	if (!r)
		r = check_folder(path, why);
	return r ? r : check_name(address, why);
}

int varlink_socket_check(const char *path, struct varlink_why *why)
{
	struct sockaddr_un address;
	int r = check(&address, path, why);

	return r < 0 ? r : 0;
}

/* The socket's file gets its group first: until then it is closed to all groups. */
static int open_to(const char *path, gid_t group, struct varlink_why *why)
{
	if (group == VARLINK_NO_GROUP)
		return 0;
	if (lchown(path, (uid_t)-1, group) < 0)
		return refuse(why, -errno,
			      "%s cannot be given to group %u: %s; only root, or a member of the group, can do that",
			      path, (unsigned)group, strerror(errno));
	return chmod(path, 0660) < 0 ? refuse(why, -errno, "%s: %s", path, strerror(errno)) : 0;
}

static int bind_and_listen(struct varlink_socket *made, gid_t group, struct varlink_why *why)
{
	const char *path = made->address.sun_path;
	struct stat st;
	int r;

	if (fchmod(made->fd, 0600) < 0 ||
	    bind(made->fd, (const struct sockaddr *)&made->address, sizeof made->address) < 0 || lstat(path, &st) < 0)
		return refuse(why, -errno, "%s: %s", path, strerror(errno));
	made->device = st.st_dev;
	made->inode = st.st_ino;
	r = open_to(path, group, why);
	if (!r && listen(made->fd, BACKLOG) < 0)
		r = refuse(why, -errno, "%s: %s", path, strerror(errno));
	return r;
}

int varlink_socket_listen(struct varlink_socket *made, const char *path, gid_t group, struct varlink_why *why)
{
	int r;

	*made = (struct varlink_socket){.fd = -1};
	r = check(&made->address, path, why);
	if (r < 0)
		return r;
	if (r == 1 && unlink(path) < 0 && errno != ENOENT)
		return refuse(why, -errno, "%s: %s", path, strerror(errno));
	made->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (made->fd < 0)
		return refuse(why, -errno, "no socket can be had: %s", strerror(errno));
	r = bind_and_listen(made, group, why);
	if (r < 0)
		varlink_socket_close(made);
	return r;
}

bool varlink_socket_is_there(const struct varlink_socket *made)
{
	struct stat st;

	return made->fd >= 0 && lstat(made->address.sun_path, &st) == 0 && st.st_dev == made->device &&
	       st.st_ino == made->inode;
}

void varlink_socket_close(struct varlink_socket *made)
{
	if (varlink_socket_is_there(made))
		unlink(made->address.sun_path);
	if (made->fd >= 0)
		close(made->fd);
	made->fd = -1;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Where sockets lie. See place.h. */
#include "ctl/place.h"

#include "ctl/exit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* How often a server is asked again that has too many connections waiting. */
#define AGAIN_MS 20

int64_t place_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ folders */

static bool is_ours(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static bool is_private(const struct stat *st)
{
	return !(st->st_mode & 022);
}

static int check_folder(int fd, const char *path, bool sticky_will_do, struct complaint *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return complain_note(why, EXIT_NOT_ALLOWED, "%s: %s", path, strerror(errno));
	if (!is_ours(st.st_uid))
		return complain_note(
			why, EXIT_NOT_ALLOWED,
			"%s belongs to user %u, who is neither you nor root: a socket there is not believed", path,
			(unsigned)st.st_uid);
	if (is_private(&st) || (sticky_will_do && st.st_mode & S_ISVTX))
		return EXIT_DONE;
	return complain_note(
		why, EXIT_NOT_ALLOWED,
		"%s has mode %04o, so that others can put sockets there; chmod go-w %s, once you know who made what is in it",
		path, (unsigned)st.st_mode & 07777, path);
}

static int folder_error(const char *path, int error, struct complaint *why)
{
	switch (error) {
	case ENOENT:
		return complain_note(why, EXIT_NOT_RUNNING, "%s is not there", path);
	case EACCES:
		return complain_note(why, EXIT_NOT_ALLOWED, "you may not look into %s; run zsblkctl as root", path);
	case ENOTDIR:
	case ELOOP:
		return complain_note(why, EXIT_NOT_ALLOWED, "%s is no folder; remove it, or see who made it", path);
	default:
		return complain_note(why, EXIT_FAILED, "%s: %s", path, strerror(error));
	}
}

/* The folder of all instances. It may be a link to nowhere else: who could make that one is root. */
static int open_top(int *code, struct complaint *why)
{
	int fd = open(PLACE_TOP, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == EACCES)
		/* Members of the group that may look can pass, but not read. */
		fd = open(PLACE_TOP, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		*code = folder_error(PLACE_TOP, errno, why);
		return -1;
	}
	*code = check_folder(fd, PLACE_TOP, false, why);
	if (*code == EXIT_DONE)
		return fd;
	close(fd);
	return -1;
}

static bool is_name(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

/* /run/zsblk has such folders, too: zsblk.conf(5). */
static bool is_folder_of_drop_ins(const char *name)
{
	size_t length = strlen(name), end = strlen(".conf.d");

	return length >= end && strcmp(name + length - end, ".conf.d") == 0;
}

int place_open_instance(const char *name, int *code, struct complaint *why)
{
	char path[sizeof PLACE_TOP + NAME_MAX + 1];
	int top, fd;

	if (!is_name(name)) {
		*code = complain_note(why, EXIT_WRONG_USE,
				      "'%.60s' is no name of an instance; zsblkctl list shows them", name);
		return -1;
	}
	top = open_top(code, why);
	if (top < 0) {
		if (*code == EXIT_NOT_RUNNING)
			complain_note(why, *code, "it does not run: %s is not there", PLACE_TOP);
		return -1;
	}
	snprintf(path, sizeof path, "%s/%s", PLACE_TOP, name);
	fd = openat(top, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		*code = complain_note(why, EXIT_NOT_RUNNING,
				      "it does not run: %s is not there; zsblkctl list shows what runs", path);
	else if (fd < 0)
		*code = folder_error(path, errno, why);
	close(top);
	if (fd < 0)
		return -1;
	*code = check_folder(fd, path, false, why);
	if (*code == EXIT_DONE)
		return fd;
	close(fd);
	return -1;
}

int place_open_socket(const char *path, const char **file, int *code, struct complaint *why)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX] = ".";
	int fd;

	*file = slash ? slash + 1 : path;
	if (slash)
		snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (!**file || strlen(path) >= sizeof folder) {
		*code = complain_note(why, EXIT_WRONG_USE, "'%.60s' is no path of a socket", path);
		return -1;
	}
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		*code = folder_error(folder, errno, why);
		return -1;
	}
	*code = check_folder(fd, folder, true, why);
	if (*code == EXIT_DONE)
		return fd;
	close(fd);
	return -1;
}

/* ------------------------------------------------------------------ sockets */

static int check_listener(int fd, int folder)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	struct stat st;

	if (fstat(folder, &st) < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	/* Nobody else can have made what lies in a folder of ours, whoever its server runs as. */
	return is_private(&st) || is_ours(peer.uid) ? 0 : -EPERM;
}

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

int place_connect(int folder, const char *file, int64_t until_ms)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r = 0;

	/* By way of the open folder: what has its path may be another one by now. */
	if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder, file) >=
	    sizeof address.sun_path)
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		r = -errno;
		if ((r != -EAGAIN && r != -EINTR) || place_now_ms() >= until_ms)
			break;
		sleep_ms(AGAIN_MS);
		r = 0;
	}
	if (!r)
		r = check_listener(fd, folder);
	if (!r)
		return fd;
	close(fd);
	return r;
}

/* ------------------------------------------------------------------ all instances */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Room for one name more and the NULL behind it. */
static int make_room(char ***names, size_t n, size_t *room)
{
	size_t wanted = *room ? 2 * *room : 16;
	char **more;

	if (n + 2 <= *room)
		return 0;
	more = realloc(*names, wanted * sizeof *more);
	if (!more)
		return -ENOMEM;
	*names = more;
	*room = wanted;
	return 0;
}

static char **read_names(DIR *dir)
{
	size_t n = 0, room = 0;
	char **names = NULL;
	struct dirent *entry;

	if (make_room(&names, n, &room) < 0)
		return NULL;
	names[0] = NULL;
	while ((entry = readdir(dir))) {
		if (!is_name(entry->d_name) || is_folder_of_drop_ins(entry->d_name) ||
		    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		if (make_room(&names, n, &room) < 0 || !(names[n] = strdup(entry->d_name))) {
			names[n] = NULL;
			place_free_names(names);
			return NULL;
		}
		names[++n] = NULL;
	}
	qsort(names, n, sizeof *names, by_name);
	return names;
}

char **place_names(int *code, struct complaint *why)
{
	int top = open_top(code, why), fd;
	char **names;
	DIR *dir;

	if (top < 0) {
		if (*code == EXIT_NOT_RUNNING)
			*code = EXIT_DONE;
		return NULL;
	}
	fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(top);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		*code = complain_note(
			why, EXIT_NOT_ALLOWED,
			"you may not see which instances there are; give their names, or run zsblkctl as root");
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	names = read_names(dir);
	closedir(dir);
	if (!names)
		*code = complain_note(why, EXIT_FAILED, "no memory");
	return names;
}

void place_free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The folder of an instance. See folder.h. */
#include "daemon/state/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Another daemon may remove the folder while we lock it. So often it is made again. */
#define LOCK_TRIES 100

/* Who has just got the lock writes its number within this time: 100 ms. */
#define HOLDER_LOOKS    50
#define HOLDER_EVERY_US 2000

static int refuse(struct wrong *wrong, int error, const char *path, const char *what)
{
	wrong_say(wrong, "%s%s %s", path, error == -ENOTDIR || error == -ELOOP ? "" : ":", what);
	return error;
}

/* The folder is ours, and nobody else can put anything into it. */
static int check(int fd, const char *path, struct wrong *wrong)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse(wrong, -errno, path, strerror(errno));
	if (st.st_uid != geteuid()) {
		wrong_say(wrong,
			  geteuid()
				  ? "%s belongs to user %u, and you are user %u; run zsblkd as root"
				  : "%s belongs to user %u, and zsblkd runs as user %u; remove it, or see who made it",
			  path, (unsigned)st.st_uid, (unsigned)geteuid());
		return -EPERM;
	}
	if (st.st_mode & 022) {
		wrong_say(wrong, "%s has mode %04o, so that others can write to it; it must be 0700 (chmod 700 %s)",
			  path, (unsigned)st.st_mode & 07777, path);
		return -EPERM;
	}
	return 0;
}

static int open_folder(int at, const char *name, const char *path, bool make, mode_t mode, struct wrong *wrong)
{
	int fd, r;

	if (make && mkdirat(at, name, mode) < 0 && errno != EEXIST)
		return refuse(wrong, -errno, path, strerror(errno));
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		return refuse(wrong, r, path,
			      r == -ENOTDIR || r == -ELOOP ? "is not a folder; remove it" : strerror(-r));
	}
	r = check(fd, path, wrong);
	if (!r)
		return fd;
	close(fd);
	return r;
}

int folder_open(struct folder *folder, const char *top, const char *name, bool make, struct wrong *wrong)
{
	int above;

	*folder = (struct folder){.fd = -1, .lock = -1};
	snprintf(folder->path, sizeof folder->path, "%s/%s", top, name);
	above = open_folder(AT_FDCWD, top, top, make, 0711, wrong);
	if (above < 0)
		return above;
	folder->fd = open_folder(above, name, folder->path, make, 0700, wrong);
	close(above);
	return folder->fd < 0 ? folder->fd : 0;
}

int folder_let_in(const struct folder *folder, gid_t group)
{
	int above = openat(folder->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = above < 0 ? -errno : 0;

	/* The group first: until then the mode is for nobody. */
	if (!r && (fchown(folder->fd, (uid_t)-1, group) < 0 || fchmod(folder->fd, 0710) < 0 || fchmod(above, 0711) < 0))
		r = -errno;
	if (above >= 0)
		close(above);
	return r;
}

int folder_note(const struct folder *folder, const char *name, const char *text)
{
	char new[80];

	/* A rename is one step: a daemon that dies in between leaves the old note or the new one. */
	snprintf(new, sizeof new, "%s.new", name);
	unlinkat(folder->fd, new, 0);
	if (symlinkat(text, folder->fd, new) < 0 || renameat(folder->fd, new, folder->fd, name) < 0)
		return -errno;
	return 0;
}

void folder_read_note(const struct folder *folder, const char *name, char *text, size_t size)
{
	ssize_t got = readlinkat(folder->fd, name, text, size - 1);

	text[got < 0 ? 0 : got] = '\0';
}

/* Is this still the file of that name in a folder that is still there? Or has another daemon removed it as it ended? */
static bool is_in_folder(const struct folder *folder, int fd)
{
	struct stat open_file, named;

	return fstat(fd, &open_file) == 0 && stat(folder->path, &named) == 0 && open_file.st_dev == named.st_dev &&
	       fstatat(folder->fd, "lock", &named, AT_SYMLINK_NOFOLLOW) == 0 && open_file.st_ino == named.st_ino;
}

/* The line with the number of the process that has the lock. It writes that just after it has got the lock. */
static void read_holder(int fd, char *pid, size_t size)
{
	ssize_t got = 0;

	for (int i = 0; i < HOLDER_LOOKS && got <= 0; i++) {
		if (i)
			usleep(HOLDER_EVERY_US);
		got = pread(fd, pid, size - 1, 0);
	}
	pid[got < 0 ? 0 : got] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
}

/* 0: locked; -EAGAIN: what was locked is gone. */
static int lock_file(struct folder *folder, pid_t *holder, struct wrong *wrong)
{
	char pid[16] = "";

	if (holder)
		*holder = 0;
	folder->lock = openat(folder->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (folder->lock < 0)
		return errno == ENOENT ? -EAGAIN : refuse(wrong, -errno, folder->path, strerror(errno));
	if (flock(folder->lock, LOCK_EX | LOCK_NB) < 0) {
		int error = errno;

		read_holder(folder->lock, pid, sizeof pid);
		if (holder)
			*holder = atoi(pid);
		wrong_say(wrong,
			  error == EWOULDBLOCK ? "%s is in use by zsblkd, process %s; stop that one first"
					       : "%s/lock cannot be locked%.0s",
			  folder->path, pid);
		close(folder->lock);
		folder->lock = -1;
		return error == EWOULDBLOCK ? -EBUSY : -error;
	}
	if (is_in_folder(folder, folder->lock))
		return 0;
	close(folder->lock);
	folder->lock = -1;
	return -EAGAIN;
}

int folder_lock(struct folder *folder, pid_t *holder, struct wrong *wrong)
{
	char pid[16];
	int length, r = lock_file(folder, holder, wrong);

	for (int i = 0; r == -EAGAIN && i < LOCK_TRIES; i++) {
		close(folder->fd);
		folder->fd = open_folder(AT_FDCWD, folder->path, folder->path, true, 0700, wrong);
		if (folder->fd < 0)
			return folder->fd;
		r = lock_file(folder, holder, wrong);
	}
	if (r == -EAGAIN)
		return refuse(wrong, r, folder->path, "is removed again and again; try again");
	if (r)
		return r;
	length = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	/*
	 * Emptied first, so that nothing of the file is read: its page may be swapped out to the device that has no server until this daemon
	 * has started one.
	 */
	if (ftruncate(folder->lock, 0) < 0 || pwrite(folder->lock, pid, (size_t)length, 0) < 0)
		return refuse(wrong, -errno, folder->path, strerror(errno));
	return 0;
}

void folder_close(struct folder *folder)
{
	if (folder->lock >= 0)
		close(folder->lock);
	if (folder->fd >= 0)
		close(folder->fd);
	folder->lock = folder->fd = -1;
}

/* Remove all files but `keep`. The lock goes last: from then on another daemon may make the folder its own. */
static void empty(int fd, const char *keep)
{
	DIR *dir = fdopendir(dup(fd));
	struct dirent *entry;

	if (!dir)
		return;
	rewinddir(dir);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, "lock") != 0 && (!keep || strcmp(entry->d_name, keep) != 0))
			unlinkat(fd, entry->d_name, 0);
	unlinkat(fd, "lock", 0);
	closedir(dir);
}

static bool is_same(int fd, int other)
{
	struct stat st, other_st;

	return fstat(fd, &st) == 0 && fstat(other, &other_st) == 0 && st.st_dev == other_st.st_dev &&
	       st.st_ino == other_st.st_ino;
}

/* Somebody has removed our folder, and a server has made one of that name again. True unless another daemon has that one. */
static bool is_ours_as_well(int fd)
{
	int lock = openat(fd, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	bool ours = lock < 0 ? errno == ENOENT : flock(lock, LOCK_EX | LOCK_NB) == 0;

	if (lock >= 0)
		close(lock);
	return ours;
}

void folder_remove(struct folder *folder, const char *keep)
{
	struct wrong wrong;
	int fd = open_folder(AT_FDCWD, folder->path, folder->path, false, 0, &wrong);

	empty(folder->fd, keep);
	if (fd < 0)
		return;
	if (!is_same(fd, folder->fd) && is_ours_as_well(fd))
		empty(fd, keep);
	/* Fails if anything is in it. */
	rmdir(folder->path);
	close(fd);
}

void folder_file(const struct folder *folder, const char *name, char path[FOLDER_PATH_MAX + 60])
{
	snprintf(path, FOLDER_PATH_MAX + 60, "%s/%s", folder->path, name);
}

static void server_file(pid_t pid, uint64_t start, const char *kind, char name[60])
{
	snprintf(name, 60, "%d-%" PRIu64 ".%s", (int)pid, start, kind);
}

void folder_server_contact(const struct folder *folder, pid_t pid, uint64_t start, const char *kind,
			   char path[FOLDER_PATH_MAX + 60])
{
	char name[60];

	server_file(pid, start, kind, name);
	snprintf(path, FOLDER_PATH_MAX + 60, "%s/%s", folder->path, name);
}

int folder_add_server(const struct folder *folder, pid_t pid, uint64_t start)
{
	char path[FOLDER_PATH_MAX + 60], name[60];
	int fd;

	server_file(pid, start, "server", name);
	folder_file(folder, name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* Somebody has removed the folder; the server's contact needs one, too. */
	if (fd < 0 && errno == ENOENT && mkdir(folder->path, 0700) == 0)
		fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

void folder_remove_server(const struct folder *folder, pid_t pid, uint64_t start)
{
	static const char *const contacts[] = {FOLDER_CONTACTS};
	char path[FOLDER_PATH_MAX + 60], name[60];

	/* The note goes last: by the note the contact would be found and removed, should we die here. */
	for (size_t i = 0; i < sizeof contacts / sizeof contacts[0]; i++) {
		folder_server_contact(folder, pid, start, contacts[i], path);
		unlink(path);
	}
	server_file(pid, start, "server", name);
	folder_file(folder, name, path);
	unlink(path);
}

bool folder_has_server(const struct folder *folder, pid_t pid, uint64_t start)
{
	char name[60];

	server_file(pid, start, "server", name);
	return faccessat(folder->fd, name, F_OK, 0) == 0;
}

static int address_of(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address->sun_path)
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return 0;
}

int folder_listen(const struct folder *folder, const char *name, int type)
{
	char path[FOLDER_PATH_MAX + 60];
	struct sockaddr_un address;
	mode_t mask;
	int fd, r;

	folder_file(folder, name, path);
	r = address_of(path, &address);
	if (r)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SOMAXCONN) < 0 ? -errno : fd;
	umask(mask);
	if (r < 0)
		close(fd);
	return r;
}

int folder_connect(const char *path, int type, unsigned seconds)
{
	const struct timeval patience = {.tv_sec = (time_t)seconds};
	struct sockaddr_un address;
	int fd, r = address_of(path, &address);

	if (r)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* connect(2) waits as send(2) does, while too many others wait to be accepted. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

bool folder_parse_server(const char *file, pid_t *pid, uint64_t *start)
{
	char name[60], *end;
	long number = strtol(file, &end, 10);

	if (*end != '-' || number <= 0 || number > INT_MAX)
		return false;
	*pid = (pid_t)number;
	*start = strtoull(end + 1, NULL, 10);
	/* strtol() lets other spellings pass. Only the name that we would have given counts. */
	server_file(*pid, *start, "server", name);
	return strcmp(file, name) == 0;
}

int folder_each_server(struct folder *folder, int (*each)(void *opaque, pid_t pid, uint64_t start), void *opaque)
{
	DIR *dir = fdopendir(dup(folder->fd));
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	rewinddir(dir);
	while (!r && (entry = readdir(dir))) {
		uint64_t start;
		pid_t pid;

		if (folder_parse_server(entry->d_name, &pid, &start))
			r = each(opaque, pid, start);
	}
	closedir(dir);
	return r;
}

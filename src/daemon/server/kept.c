/* SPDX-License-Identifier: BSD-3-Clause */
/* Program files held open. See kept.h; the formats of /proc are those of proc(5). */
#include "daemon/server/kept.h"

#include "daemon/kernel/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void kept_init(struct kept *kept)
{
	*kept = (struct kept){.program = -1, .module = -1};
}

void kept_close(struct kept *kept)
{
	if (kept->program >= 0)
		close(kept->program);
	if (kept->module >= 0)
		close(kept->module);
	kept_init(kept);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool are_one_file(int fd, const char *path)
{
	struct stat held, named;

	return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
	       held.st_dev == named.st_dev;
}

/*
 * Open a mapped file: by its path, if the path still leads to the file with this number; otherwise by the mapping, which
 * keeps the file.
 */
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

static int open_module(pid_t pid, const char *wanted)
{
	char maps[40], line[MAPS_LINE_MAX];
	struct mapping mapping;
	int fd = -1;
	FILE *f;

	snprintf(maps, sizeof maps, "/proc/%d/maps", (int)pid);
	f = fopen(maps, "re");
	while (f && fd < 0 && fgets(line, sizeof line, f))
		if (maps_parse(line, &mapping) && strcmp(last_part(mapping.path), wanted) == 0)
			fd = open_mapped(pid, mapping.range, mapping.path, mapping.inode);
	if (f)
		fclose(f);
	return fd;
}

/*
 * A server may have been started from the program that is held. That program counts as its own, though another one is
 * installed by now.
 */
static bool is_held(const struct stat *held, int fd)
{
	struct stat other;

	return held && fstat(fd, &other) == 0 && held->st_ino == other.st_ino && held->st_dev == other.st_dev;
}

/*
 * The program was replaced under its name since this server began. The kernel says so where it tells what the process runs: proc_pid_exe(5).
 */
static bool was_replaced(const char *exe, const char *program)
{
	static const char mark[] = " (deleted)";
	char runs[PATH_MAX], now[PATH_MAX];
	ssize_t n = readlink(exe, runs, sizeof runs);
	size_t length;

	if (n < (ssize_t)sizeof mark || n == sizeof runs || !realpath(program, now))
		return false;
	length = (size_t)n - (sizeof mark - 1);
	return memcmp(runs + length, mark, sizeof mark - 1) == 0 && strlen(now) == length &&
	       memcmp(runs, now, length) == 0;
}

int kept_find(struct kept *found, pid_t pid, uint64_t start, const char *program, const char *module,
	      const struct stat *held)
{
	char path[40];

	*found = (struct kept){.of = pid, .of_start = start, .module = -1};
	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	found->program = open(path, O_RDONLY | O_CLOEXEC);
	if (module)
		found->module = open_module(pid, module);
	/*
	 * The server's program is not the one that we run: a script runs nbdkit, and may have its reasons.
	 */
	if (found->program >= 0 && !are_one_file(found->program, program) && !is_held(held, found->program) &&
	    !was_replaced(path, program)) {
		close(found->program);
		found->program = -1;
	}
	/* What runs a program in a way of its own is kept for the module only. */
	if (module ? found->module >= 0 : found->program >= 0)
		return 0;
	kept_close(found);
	return -ENOENT;
}

/* ------------------------------------------------------------------ to another process */

/* The numbers of the descriptors mean nothing to the receiver. They only tell which files there are. */
struct parcel {
	uint32_t magic;
	uint32_t n_files;
	struct kept kept;
};

/* A gap would send along what lies on our stack. */
_Static_assert(sizeof(struct parcel) ==
		       2 * sizeof(uint32_t) + 2 * sizeof(uint64_t) + 2 * sizeof(pid_t) + 2 * sizeof(int),
	       "struct parcel has gaps");

#define PARCEL_MAGIC 0x6b657074u
#define MAX_FILES    2u

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(MAX_FILES * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

int kept_send(const struct kept *kept, int socket)
{
	struct parcel parcel = {.magic = PARCEL_MAGIC, .kept = *kept};
	int files[MAX_FILES];
	union control control = {0};
	struct iovec text = {&parcel, sizeof parcel};
	struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = control.bytes};

	if (kept->module >= 0)
		files[parcel.n_files++] = kept->module;
	if (kept->program >= 0)
		files[parcel.n_files++] = kept->program;
	if (!kept->of || !parcel.n_files)
		return -EINVAL;
	message.msg_controllen = CMSG_SPACE(parcel.n_files * sizeof(int));
	control.header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(parcel.n_files * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), files, parcel.n_files * sizeof(int));
	return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* True for a regular file that is open for reading: nothing else comes from kept_send(), and reading anything else could block. */
static bool is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

/*
 * Take the descriptors and the sender out of a message. Whatever came is ours to close. Where there is no sender, there is
 * room for more descriptors than are meant to come; too many of them are closed here, and none counts.
 */
static unsigned unpack(struct msghdr *message, int files[MAX_FILES], pid_t *sender)
{
	unsigned n = 0;
	int file;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		size_t bytes = part->cmsg_len - CMSG_LEN(0);

		if (part->cmsg_level != SOL_SOCKET)
			continue;
		if (part->cmsg_type == SCM_CREDENTIALS && bytes == sizeof(struct ucred)) {
			struct ucred who;

			memcpy(&who, CMSG_DATA(part), sizeof who);
			*sender = who.pid;
		} else if (part->cmsg_type == SCM_RIGHTS) {
			n = (unsigned)(bytes / sizeof(int));
			if (n <= MAX_FILES) {
				memcpy(files, CMSG_DATA(part), n * sizeof(int));
				continue;
			}
			for (; n > 0; n--) {
				memcpy(&file, CMSG_DATA(part) + (n - 1) * sizeof file, sizeof file);
				close(file);
			}
		}
	}
	return n;
}

int kept_receive(struct kept *kept, int socket, pid_t sender)
{
	struct parcel parcel;
	int files[MAX_FILES];
	union control control;
	struct iovec text = {&parcel, sizeof parcel};
	struct msghdr message = {.msg_iov = &text,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof control.bytes};
	ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	pid_t from = 0;
	unsigned n, has_module;
	bool right;

	if (got <= 0)
		return got == 0 ? -ENOTCONN : errno == EINTR || errno == EAGAIN ? -EAGAIN : -ENOTCONN;
	n = unpack(&message, files, &from);
	right = got == (ssize_t)sizeof parcel && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && from == sender &&
		parcel.magic == PARCEL_MAGIC && n >= 1 && n == parcel.n_files && parcel.kept.of > 0;
	has_module = right && parcel.kept.module >= 0;
	right = right && n == has_module + (parcel.kept.program >= 0);
	for (unsigned i = 0; i < n; i++)
		right = right && is_file(files[i]);
	if (!right) {
		for (unsigned i = 0; i < n; i++)
			close(files[i]);
		return -EBADMSG;
	}
	kept_close(kept);
	*kept = parcel.kept;
	kept->module = has_module ? files[0] : -1;
	kept->program = n > has_module ? files[has_module] : -1;
	return 0;
}

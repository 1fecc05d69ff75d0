/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store that is a file or a block device: a few threads read and write. See parts.h.
 *
 * Both are opened past the page cache (O_DIRECT) where that can be had: a read through the page cache would need memory
 * that is not reserved, at the moment when there is none. A thread that the kernel holds in a transfer cannot be freed
 * from it; then the others go on, and whoever waits is told when the deadline is over.
 *
 * One process uses a store: a lock on the file (flock), or the kernel's claim on a block device (O_EXCL), which mounts
 * and swap have as well.
 */
#include "process/thread.h"
#include "spill/beneath.h"
#include "spill/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define THREADS 4u

struct file {
	int fd;
	char *path;
	unsigned threads;
	bool is_ending; /* under the store's lock */
	pthread_t thread[THREADS];
};

/* ------------------------------------------------------------------ transfers */

/* Bytes that were transferred, fewer at the end of a file, or a negative errno. */
static ssize_t transfer(int fd, const struct spill_io *io)
{
	size_t done = 0;

	while (done < io->length) {
		uint8_t *at = io->buffer + done;
		off_t offset = (off_t)(io->offset + done);
		ssize_t n = io->kind == SPILL_IO_READ ? pread(fd, at, io->length - done, offset)
						      : pwrite(fd, at, io->length - done, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* Past the page cache, what follows the last whole page of a file cannot be asked for. */
		done += (size_t)n;
		if (n == 0 || done % SPILL_PAGE)
			break;
	}
	return (ssize_t)done;
}

static int discard(const struct spill_store *store, int fd, const struct spill_io *io)
{
	uint64_t range[2] = {io->offset, io->length};
	int r;

	if (store->kind == SPILL_BLOCK_DEVICE)
		r = ioctl(fd, BLKDISCARD, range);
	else
		r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)io->offset, (off_t)io->length);
	return r < 0 ? -errno : 0;
}

/* What the kernel says is the end of it: nothing happens later. */
static void carry_out(struct spill_store *store, struct spill_io *io)
{
	struct file *file = store->backend_data;
	ssize_t n;

	if (io->kind == SPILL_IO_DISCARD) {
		spill_io_end(store, io, discard(store, file->fd, io), 0, false);
		return;
	}
	n = transfer(file->fd, io);
	if (n >= 0 && io->kind == SPILL_IO_WRITE && (size_t)n < io->length)
		n = -ENOSPC;
	/* A disk may lose its power, or its cable, while the machine goes on: see docs/spill.md. */
	if (n >= 0 && io->kind == SPILL_IO_WRITE && store->kind == SPILL_BLOCK_DEVICE && fdatasync(file->fd) < 0)
		n = -errno;
	spill_io_end(store, io, n < 0 ? (int)n : 0, n < 0 ? 0 : (size_t)n, false);
}

static void *run(void *opaque)
{
	struct spill_store *store = opaque;
	const struct file *file = store->backend_data;

	pthread_mutex_lock(&store->lock);
	while (!file->is_ending) {
		struct spill_io *io = spill_queue_take(store);

		if (!io) {
			pthread_cond_wait(&store->work, &store->lock);
			continue;
		}
		pthread_mutex_unlock(&store->lock);
		carry_out(store, io);
		pthread_mutex_lock(&store->lock);
	}
	pthread_mutex_unlock(&store->lock);
	return NULL;
}

static void wake(struct spill_store *store)
{
	pthread_cond_signal(&store->work);
}

static void unstick(struct spill_store *store)
{
	(void)store;
}

/* ------------------------------------------------------------------ opening */

static int open_path(const char *path, int flags, bool *is_direct)
{
	int fd = open(path, flags | O_DIRECT, 0600);

	*is_direct = fd >= 0;
	/* Some file systems have no transfers past the page cache. */
	return fd < 0 && errno == EINVAL ? open(path, flags & ~(O_CREAT | O_EXCL), 0600) : fd;
}

/* Whoever may write to the file could damage what is in it; and we would damage what others keep there. */
static int check_owner(const struct stat *st, const char *path, struct spill_why *why)
{
	if (st->st_uid != geteuid()) {
		spill_why_set(why, "%s belongs to user %u, and the store has to belong to user %u, who runs this", path,
			      (unsigned)st->st_uid, (unsigned)geteuid());
		return -EPERM;
	}
	if (st->st_mode & 077) {
		spill_why_set(why, "%s has mode %03o, which lets others in: chmod 600", path,
			      (unsigned)(st->st_mode & 0777));
		return -EPERM;
	}
	return 0;
}

/* Bytes that a file may come to have: those that it has, and what is free beside them. */
static uint64_t file_room(int fd, const struct stat *st)
{
	struct statvfs fs;

	if (fstatvfs(fd, &fs) < 0)
		return (uint64_t)st->st_size;
	return (uint64_t)fs.f_bavail * fs.f_frsize + (uint64_t)st->st_blocks * 512;
}

static int look_at_file(struct spill_store *store, const struct spill_params *params, struct spill_why *why)
{
	struct file *file = store->backend_data;
	struct stat st;
	int r;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		spill_why_set(why, "%s is not a regular file any more", file->path);
		return -EINVAL;
	}
	r = check_owner(&st, file->path, why);
	if (r)
		return r;
	if (flock(file->fd, LOCK_EX | LOCK_NB) < 0) {
		spill_why_set(why, "%s is in use by another process, which has locked it", file->path);
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	}
	store->dirty_end = (uint64_t)st.st_size;
	store->size = file_room(file->fd, &st);
	if (store->size < (uint64_t)st.st_size)
		store->size = (uint64_t)st.st_size;
	/* Room may come to be later. */
	if (store->size < params->limit)
		store->size = params->limit;
	return 0;
}

static int look_at_device(struct spill_store *store, struct spill_why *why)
{
	struct file *file = store->backend_data;
	struct stat st;
	uint64_t bytes;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode)) {
		spill_why_set(why, "%s is not a block device any more", file->path);
		return -EINVAL;
	}
	if (ioctl(file->fd, BLKGETSIZE64, &bytes) < 0)
		return -errno;
	store->size = store->dirty_end = bytes;
	return 0;
}

static int check_beneath(struct spill_store *store, struct spill_why *why)
{
	static const char *const text[] = {
		[SPILL_BENEATH_ON_DEVICE] = "lies on the device whose blocks it is to take",
		[SPILL_BENEATH_IN_MEMORY] = "lies in memory, which the system may page out to the device",
		[SPILL_BENEATH_UNKNOWN] =
			"may lie on the device whose blocks it is to take: what is beneath it cannot be told",
	};
	struct file *file = store->backend_data;
	enum spill_beneath beneath = store->device ? spill_beneath_fd(file->fd, store->device) : SPILL_BENEATH_APART;

	if (beneath == SPILL_BENEATH_APART)
		return 0;
	spill_why_set(why, "%s %s", file->path, text[beneath]);
	return -ELOOP;
}

static int open_file(struct spill_store *store, const struct spill_params *params, bool make, struct spill_why *why)
{
	struct file *file = store->backend_data;
	int flags = O_RDWR | O_CLOEXEC | O_NOCTTY;

	if (store->kind == SPILL_BLOCK_DEVICE)
		flags |= O_EXCL;
	file->fd = open_path(file->path, flags, &store->is_direct);
	if (file->fd < 0 && errno == ENOENT && make) {
		file->fd = open_path(file->path, flags | O_CREAT | O_EXCL, &store->is_direct);
		store->was_created = file->fd >= 0;
	}
	if (file->fd < 0) {
		int r = -errno;

		spill_why_set(why, "%s cannot be opened%s: %s", file->path,
			      r == -EBUSY ? ", since it is mounted, used as swap or claimed by another process" : "",
			      strerror(-r));
		return r;
	}
	return store->kind == SPILL_FILE ? look_at_file(store, params, why) : look_at_device(store, why);
}

static int start_threads(struct spill_store *store)
{
	struct file *file = store->backend_data;
	int r = 0;

	while (file->threads < THREADS && file->threads < store->depth && !r) {
		r = thread_start_background(&file->thread[file->threads], "spill-io", run, store);
		if (!r)
			file->threads++;
	}
	return file->threads ? 0 : r;
}

static int file_open(struct spill_store *store, const struct spill_params *params, bool make, struct spill_why *why)
{
	struct file *file = calloc(1, sizeof *file);
	int r;

	if (!file)
		return -ENOMEM;
	store->backend_data = file;
	store->can_discard = true;
	file->fd = -1;
	file->path = strdup(params->location);
	if (!file->path)
		return -ENOMEM;
	r = open_file(store, params, make, why);
	if (!r)
		r = check_beneath(store, why);
	return r ? r : start_threads(store);
}

/* Only what we have created, and while it has still that name. */
static void remove_created(const struct file *file)
{
	struct stat ours, named;

	if (fstat(file->fd, &ours) == 0 && lstat(file->path, &named) == 0 && ours.st_dev == named.st_dev &&
	    ours.st_ino == named.st_ino)
		unlink(file->path);
}

static void file_close(struct spill_store *store, bool remove)
{
	struct file *file = store->backend_data;

	if (!file)
		return;
	pthread_mutex_lock(&store->lock);
	file->is_ending = true;
	pthread_cond_broadcast(&store->work);
	pthread_mutex_unlock(&store->lock);
	while (file->threads)
		pthread_join(file->thread[--file->threads], NULL);
	if (remove && store->was_created)
		remove_created(file);
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file);
	store->backend_data = NULL;
}

const struct spill_backend spill_file_backend = {
	.open = file_open,
	.wake = wake,
	.unstick = unstick,
	.close = file_close,
};

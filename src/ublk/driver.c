/* SPDX-License-Identifier: BSD-3-Clause */
/* Control commands of the ublk driver. See driver.h. */
#include "ublk/driver.h"

#include "ublk/why.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL "/dev/ublk-control"
#define LOCK    "/run/zsblk-ublk.lock"
#define NEEDED  (UAPI_F_USER_RECOVERY | UAPI_F_USER_RECOVERY_REISSUE | UAPI_F_CMD_IOCTL_ENCODE | UAPI_F_USER_COPY)

/* To make a device takes milliseconds. */
#define LOCK_LIMIT_MS 5000u
#define LOCK_POLL_MS  5u

struct driver {
	int fd;
	int lock_fd; /* -1: the lock is not taken */
	bool has_ring;
	struct io_uring ring;
	uint64_t features;
	uint64_t commands; /* so far; the number of each comes back with its answer */
};

/* ------------------------------------------------------------------ one command */

/* Of the command that was submitted last. Those that were given up (-ETIME) may be answered at any time. */
static int wait_for_answer(struct driver *driver, unsigned limit_s)
{
	struct __kernel_timespec limit = {.tv_sec = limit_s};

	for (;;) {
		struct io_uring_cqe *cqe;
		uint64_t number;
		int result, r = io_uring_wait_cqe_timeout(&driver->ring, &cqe, limit_s ? &limit : NULL);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return r;
		number = cqe->user_data;
		result = cqe->res;
		io_uring_cqe_seen(&driver->ring, cqe);
		if (number == driver->commands)
			return result;
	}
}

/* -ETIME: the kernel has not answered, and *command may be written to at any time from now on. */
static int command_run(struct driver *driver, unsigned op, const struct uapi_command *command, unsigned limit_s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&driver->ring);
	int r;

	if (!sqe)
		return -EBUSY;
	/* The ring's entries are of the large kind: the second half is part of the command. */
	memset(sqe, 0, 2 * sizeof *sqe);
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, driver->fd, NULL, 0, 0);
	sqe->cmd_op = op;
	memcpy(sqe->cmd, command, sizeof *command);
	sqe->user_data = ++driver->commands;
	r = io_uring_submit(&driver->ring);
	return r < 0 ? r : wait_for_answer(driver, limit_s);
}

static int no_answer(struct zsblk_why *why, const char *name)
{
	return why_say(why, -ETIME,
		       "the kernel has not answered %s: its ublk driver or its io_uring is broken. Use another kernel",
		       name);
}

/* The driver works on a command in a kernel thread of the ring's. */
static int no_thread(struct zsblk_why *why, int error)
{
	return why_say(why, error, "the kernel's thread for control commands cannot be started: %s", strerror(-error));
}

struct call {
	unsigned op;
	const char *name;
	uint32_t device;
	uint16_t queue;
	void *buffer;
	size_t length;
	uint64_t data;
	unsigned limit_s; /* 0: none */
};

static int call(struct driver *driver, const struct call *call, struct zsblk_why *why)
{
	struct uapi_command command = {
		.device = call->device,
		.queue = call->queue,
		.length = (uint16_t)call->length,
		.address = (uint64_t)(uintptr_t)call->buffer,
		.data = call->data,
	};
	int r = command_run(driver, call->op, &command, call->limit_s);

	if (r == -ETIME)
		return no_answer(why, call->name);
	if (r == -ECANCELED)
		return no_thread(why, r);
	if (r == -ENODEV)
		return why_say(why, r, "there is no ublk device %" PRIu32, call->device);
	if (r < 0)
		return why_say(why, r, "%s: %s", call->name, strerror(-r));
	return 0;
}

/* ------------------------------------------------------------------ the ring */

static int read_number(const char *path, long *number)
{
	FILE *f = fopen(path, "re");
	int n = f ? fscanf(f, "%ld", number) : 0;

	if (f)
		fclose(f);
	return n == 1 ? 0 : -ENOENT;
}

int driver_ring_refused(int error, struct zsblk_why *why)
{
	long disabled = 0;

	if (error == -ENOSYS)
		return why_say(why, error,
			       "this kernel has no io_uring, or a filter of system calls (seccomp) forbids it");
	if (error == -EPERM && read_number("/proc/sys/kernel/io_uring_disabled", &disabled) == 0 && disabled)
		return why_say(why, error,
			       "io_uring is switched off: kernel.io_uring_disabled is %ld. Set it to 0 (sysctl "
			       "kernel.io_uring_disabled=0), or use NBD",
			       disabled);
	return why_say(why, error, "io_uring cannot be had: %s", strerror(-error));
}

static int open_ring(struct driver *driver, struct zsblk_why *why)
{
	int r = io_uring_queue_init(4, &driver->ring, IORING_SETUP_SQE128);

	if (r < 0)
		return driver_ring_refused(r, why);
	driver->has_ring = true;
	fcntl(driver->ring.ring_fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int open_control(struct driver *driver, struct zsblk_why *why)
{
	int error;

	driver->fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	if (driver->fd >= 0)
		return 0;
	error = -errno;
	if (error == -ENOENT || error == -ENXIO || error == -ENODEV)
		return why_say(why, error,
			       "there is no " CONTROL
			       ": load the driver (modprobe ublk_drv). Linux has it since 6.0, and Debian "
			       "since its 6.12");
	if (error == -EACCES || error == -EPERM)
		return why_say(why, error, CONTROL ": %s; run this as root, with CAP_SYS_ADMIN", strerror(-error));
	return why_say(why, error, CONTROL ": %s", strerror(-error));
}

/* The quick command with which a kernel that never answers shows itself, while there is no device yet. */
static int check_features(struct driver *driver, struct zsblk_why *why)
{
	uint64_t features = 0;
	struct uapi_command command = {
		.device = UAPI_ANY_NUMBER,
		.queue = UAPI_NO_QUEUE,
		.length = sizeof features,
		.address = (uint64_t)(uintptr_t)&features,
	};
	int r = command_run(driver, UAPI_GET_FEATURES, &command, DRIVER_PATIENCE_S);

	if (r == -ETIME)
		return no_answer(why, "GET_FEATURES");
	if (r == -EPERM || r == -EACCES)
		return why_say(why, r, CONTROL ": %s; it takes CAP_SYS_ADMIN", strerror(-r));
	if (r == -EAGAIN || r == -ENOMEM || r == -ECANCELED)
		return no_thread(why, r);
	if (r < 0 || (features & NEEDED) != NEEDED)
		return why_say(why, -EOPNOTSUPP,
			       "this kernel's ublk driver is too old: it has features 0x%" PRIx64
			       " and lacks 0x%" PRIx64 ". Linux 6.5 has them all",
			       features, (uint64_t)(NEEDED & ~features));
	driver->features = features;
	return 0;
}

int driver_open(struct driver **result, struct zsblk_why *why)
{
	struct driver *driver = calloc(1, sizeof *driver);
	int r;

	if (!driver)
		return why_say(why, -ENOMEM, "no memory");
	driver->fd = driver->lock_fd = -1;
	r = open_control(driver, why);
	if (!r)
		r = open_ring(driver, why);
	if (!r)
		r = check_features(driver, why);
	if (r < 0) {
		driver_close(driver);
		return r;
	}
	*result = driver;
	return 0;
}

void driver_close(struct driver *driver)
{
	if (!driver)
		return;
	if (driver->has_ring)
		io_uring_queue_exit(&driver->ring);
	driver_unlock(driver);
	if (driver->fd >= 0)
		close(driver->fd);
	free(driver);
}

/* ------------------------------------------------------------------ the lock */

/*
 * A file of root's own. (The control device would do where it belongs to root. But where it is opened to users, who may make devices of their
 * own, any of them could have the lock for ever.)
 */
static int open_lock(struct driver *driver, struct zsblk_why *why)
{
	struct stat st;

	driver->lock_fd = open(LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (driver->lock_fd < 0)
		return why_say(why, -errno, LOCK ": %s", strerror(errno));
	if (fstat(driver->lock_fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 0077))
		return 0;
	driver_unlock(driver);
	return why_say(why, -EPERM, LOCK " is not a file that is ours alone; remove it");
}

int driver_lock(struct driver *driver, struct zsblk_why *why)
{
	int r = open_lock(driver, why);

	if (r)
		return r;
	for (unsigned waited_ms = 0; flock(driver->lock_fd, LOCK_EX | LOCK_NB) < 0; waited_ms += LOCK_POLL_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			r = why_say(why, -errno, LOCK " cannot be locked: %s", strerror(errno));
			driver_unlock(driver);
			return r;
		}
		if (waited_ms >= LOCK_LIMIT_MS) {
			driver_unlock(driver);
			return why_say(
				why, -EBUSY,
				"another process is just making or removing a device, and is not done after %u seconds; try "
				"again, or end that process (lslocks says which)",
				LOCK_LIMIT_MS / 1000);
		}
		usleep(LOCK_POLL_MS * 1000);
	}
	return 0;
}

/* Nobody else has this descriptor. */
void driver_unlock(struct driver *driver)
{
	if (driver->lock_fd >= 0)
		close(driver->lock_fd);
	driver->lock_fd = -1;
}

/* ------------------------------------------------------------------ commands */

int driver_add(struct driver *driver, struct uapi_info *info, struct zsblk_why *why)
{
	uint32_t wanted = info->device;
	int r = call(driver,
		     &(struct call){UAPI_ADD_DEV, "ADD_DEV", wanted, UAPI_NO_QUEUE, info, sizeof *info, 0,
				    DRIVER_PATIENCE_S},
		     why);

	if (r == -EEXIST)
		return why_say(why, r,
			       "/dev/ublkb%" PRIu32
			       " is there already; choose another number, or let the kernel choose one. If its "
			       "server has died, --recover %" PRIu32 " takes it over and --remove %" PRIu32
			       " removes it",
			       wanted, wanted, wanted);
	if (r == -EACCES || r == -ENOSPC)
		return why_say(
			why, r,
			"the kernel has as many ublk devices as it allows (parameter ublks_max of the module ublk_drv)");
	return r;
}

int driver_info(struct driver *driver, uint32_t device, struct uapi_info *info, struct zsblk_why *why)
{
	return call(driver,
		    &(struct call){UAPI_GET_DEV_INFO, "GET_DEV_INFO", device, UAPI_NO_QUEUE, info, sizeof *info, 0,
				   DRIVER_PATIENCE_S},
		    why);
}

int driver_set_params(struct driver *driver, uint32_t device, struct uapi_params *params, struct zsblk_why *why)
{
	params->length = UAPI_PARAMS_LENGTH;
	return call(driver,
		    &(struct call){UAPI_SET_PARAMS, "SET_PARAMS", device, UAPI_NO_QUEUE, params, UAPI_PARAMS_LENGTH, 0,
				   DRIVER_PATIENCE_S},
		    why);
}

int driver_params(struct driver *driver, uint32_t device, struct uapi_params *params, struct zsblk_why *why)
{
	*params = (struct uapi_params){.length = UAPI_PARAMS_LENGTH};
	return call(driver,
		    &(struct call){UAPI_GET_PARAMS, "GET_PARAMS", device, UAPI_NO_QUEUE, params, UAPI_PARAMS_LENGTH, 0,
				   DRIVER_PATIENCE_S},
		    why);
}

int driver_affinity(struct driver *driver, uint32_t device, uint16_t queue, struct processors *set,
		    struct zsblk_why *why)
{
	/* The command says to which queue in its data. */
	return call(driver,
		    &(struct call){UAPI_GET_QUEUE_AFFINITY, "GET_QUEUE_AFFINITY", device, UAPI_NO_QUEUE, set,
				   sizeof *set, queue, DRIVER_PATIENCE_S},
		    why);
}

int driver_start(struct driver *driver, uint32_t device, unsigned limit_s, struct zsblk_why *why)
{
	return call(driver,
		    &(struct call){UAPI_START_DEV, "START_DEV", device, UAPI_NO_QUEUE, NULL, 0, (uint64_t)getpid(),
				   limit_s},
		    why);
}

int driver_stop(struct driver *driver, uint32_t device, unsigned limit_s, struct zsblk_why *why)
{
	return call(driver, &(struct call){UAPI_STOP_DEV, "STOP_DEV", device, UAPI_NO_QUEUE, NULL, 0, 0, limit_s}, why);
}

int driver_delete(struct driver *driver, uint32_t device, struct zsblk_why *why)
{
	struct call delete = {UAPI_DEL_DEV_ASYNC, "DEL_DEV", device, UAPI_NO_QUEUE, NULL, 0, 0, DRIVER_PATIENCE_S};
	int r = call(driver, &delete, why);

	/* Before Linux 6.9 there is only the one that waits until nobody has /dev/ublkcN open. */
	if (r < 0 && r != -ENODEV && r != -ETIME) {
		delete.op = UAPI_DEL_DEV;
		r = call(driver, &delete, why);
	}
	return r;
}

int driver_start_recovery(struct driver *driver, uint32_t device, struct zsblk_why *why)
{
	return call(driver,
		    &(struct call){UAPI_START_USER_RECOVERY, "START_USER_RECOVERY", device, UAPI_NO_QUEUE, NULL, 0, 0,
				   DRIVER_PATIENCE_S},
		    why);
}

int driver_end_recovery(struct driver *driver, uint32_t device, unsigned limit_s, struct zsblk_why *why)
{
	return call(driver,
		    &(struct call){UAPI_END_USER_RECOVERY, "END_USER_RECOVERY", device, UAPI_NO_QUEUE, NULL, 0,
				   (uint64_t)getpid(), limit_s},
		    why);
}

bool driver_can_set_size(const struct driver *driver)
{
	return driver->features & UAPI_F_UPDATE_SIZE;
}

int driver_set_size(struct driver *driver, uint32_t device, uint64_t bytes, struct zsblk_why *why)
{
	return call(driver,
		    &(struct call){UAPI_UPDATE_SIZE, "UPDATE_SIZE", device, UAPI_NO_QUEUE, NULL, 0, bytes / 512,
				   DRIVER_PATIENCE_S},
		    why);
}

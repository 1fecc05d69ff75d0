/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Work that may have to wait for the device, or for memory: swapon, swapoff, making a signature, detaching. It
 * is done in a child process, so that the daemon is free to bring the server back meanwhile: it never
 * touches its own device, nor files on tmpfs, which may be swapped out to it.
 */
#ifndef JOB_H
#define JOB_H

#include "daemon/kernel/device.h"
#include "daemon/settings/settings.h"

struct sd_event;
struct job;

/* In the child: do it. 0, or a negative errno with the reason. */
typedef int job_fn(const void *what, struct wrong *wrong);
/* It is done: its result, and the text it left. In the loop. */
typedef void job_done_fn(void *opaque, int r, const char *text);

/* Make a place where one job at a time can be done. */
int job_create(struct job **job, struct sd_event *loop);
void job_free(struct job *job);

/* -EBUSY: another one is at work; others of fork and pidfd_of. `what` is the caller's until it is done. */
int job_start(struct job *job, job_fn *fn, const void *what, job_done_fn *done, void *opaque);
bool job_is_running(const struct job *job);
/*
 * Have it and the programs that it runs killed: it is done with -ECANCELED when it has ended. Called again, whatever it does there.
 * Nothing if there is none.
 */
void job_cancel(struct job *job);

/* ------------------------------------------------------------------ jobs */

struct job_swap {
	const struct device *device;
	const char *backend; /* its identifier, without which it is not ours */
	int priority;        /* -1: the kernel's choice */
	bool tune;           /* make the kernel's settings */
	bool managed;        /* by systemd: it must not have a link in /dev/disk */
};

/* mkswap, the kernel's settings, and swapon with discard. -ENODEV: it is not our device. */
job_fn job_swap_on;

/*
 * Give back the memory of what was swapped out to a device (struct job_swap) that is swap no more: discard all but the header. Not if
 * somebody uses the device, or has written something else to its first block: 0, and nothing is done. -ENODEV: it is not our device.
 */
job_fn job_forget_swap;

struct job_mount {
	const struct device *device;
	const char *backend;
	const char *path;    /* made if it does not exist */
	const char *fs_type; /* what mkfs makes */
	const char *options;
};

/* Make a file system, if nothing is on the device yet, and mount it. -ENODEV: it is not our device. */
job_fn job_mount;

struct job_detach {
	int index;
	const char *backend;
	bool may_swapoff;
	bool may_umount;
	bool managed;  /* by systemd */
	bool has_data; /* what is on it may be wanted when it is not in use */
};

/*
 * swapoff or umount, if allowed; then make sure that nobody uses the device, and detach it. -EBUSY: it is in
 * use; -ENOMEM: there is no memory for what is swapped out; -ESHUTDOWN: one of these, and the machine goes down;
 * -ERESTART: one of these, or it has data, and systemd is to start the service again. -ENODEV: it is not our device any more, and
 * nothing was done to it; the kernel's settings are undone.
 */
job_fn job_detach;

/* The same for a device (a struct job_detach) that seems not to be ours any more: -EEXIST if it is. Nothing is done to it. */
job_fn job_lost;

struct job_rehearsal {
	const struct settings *settings;
	const char *socket; /* path for a socket, which is removed again */
};

/*
 * Would a new server come up? Starts one with the parameters there are, but on memory of its own, and has it end. -EINVAL: its
 * plugin does not know this format of segments.
 */
job_fn job_rehearse;

struct job_figures {
	const char *stats; /* path of the server's statistics */
};

/* Read the server's statistics: "2048 MiB, 512.0 MiB of data in 140.1 MiB of memory (ratio 3.65) at 14:32:05", the time of day when these were the figures. */
job_fn job_read_figures;
/* What that says of a text as the server writes it; figures that are missing are 0. */
void job_describe_figures(const char *stats, struct wrong *text);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose is what is there? When a daemon starts, there may be another daemon with the lock, a device that is attached, a
 * segment with data, a server that lives. What is the instance's is taken over; what is somebody else's is left alone, and
 * the start is refused.
 *
 * This decides about people's data. So nothing is done here, and nothing is asked but through struct found_machine: the
 * daemon's is the real machine (start.c), and a test has one of its own, and goes through every combination.
 */
#ifndef FOUND_H
#define FOUND_H

#include "daemon/base/wrong.h"
#include "daemon/kernel/device.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What own_segment_find() has found. */
struct found_segment {
	bool exists;       /* false: it is to be made */
	const char *shown; /* for people */
	int id;
	uint64_t size; /* bytes of the device that is stored in it */
	pid_t holder;  /* the process that has claimed it; 0: none */
};

/* What can be asked of the machine, and the one thing that is done to it (kill_daemon). */
struct found_machine {
	/*
	 * Lock the instance's folder; `patient`: for some seconds, until the lock is free. 0; -EBUSY, with the process that
	 * has the lock (0: not known); or another error. With the reason.
	 */
	int (*lock)(void *opaque, bool patient, pid_t *holder, struct wrong *wrong);
	/* Ask the daemon that has the lock to make way. -EACCES: it does not. Anything else: it does, or it does not answer. */
	int (*ask_to_make_way)(void *opaque);
	void (*kill_daemon)(void *opaque, pid_t daemon);

	bool (*is_zsblkd)(void *opaque, pid_t pid);
	pid_t (*parent)(void *opaque, pid_t pid);
	/* Is the process there still after some seconds? One that is being killed may take as long to end. */
	bool (*outlives)(void *opaque, pid_t pid);
	/* 0, -ESRCH: there is no such process, or another error: that cannot be told. */
	int (*start_time)(void *opaque, pid_t pid, uint64_t *start);

	/* The device that is attached in the instance's name. 0; -ENODEV: there is none; another error: that cannot be told. */
	int (*device)(void *opaque, struct device *device);
	bool (*device_is_attached)(void *opaque, const struct device *device);
	uint64_t (*device_size)(void *opaque, const struct device *device); /* bytes; 0: not known now */

	/* own_segment_find(); device_size 0: no device is attached. */
	int (*segment)(void *opaque, uint64_t device_size, struct found_segment *segment, struct wrong *wrong);
	/* Does the kernel remove segments that no process has attached (kernel.shm_rmid_forced)? */
	bool (*segments_are_removed)(void *opaque);

	/* Is there a note of this server in the instance's folder; of any server? */
	bool (*has_note)(void *opaque, pid_t pid, uint64_t start);
	bool (*has_notes)(void *opaque);
};

/* What the daemon was asked for. */
struct found_wanted {
	const char *name;   /* of the instance */
	const char *device; /* its path; NULL: any */
	uint64_t size;      /* bytes; 0: not known, or none was given */
	pid_t supervisor;   /* the daemon's own */
};

/* What the start begins with. */
struct found {
	struct found_segment segment;
	bool attached;        /* the device, by an earlier daemon */
	struct device device; /* the one to use; none: the kernel's choice */
	pid_t server;         /* an earlier daemon's, that has the segment; 0: none */
	uint64_t server_start;
	uint64_t
		size_kept; /* the attached device has this size, and keeps it, though another one was wanted; 0: they agree */
	bool may_be_lost; /* segments_are_removed(), and the device is attached, so that this can only be said */
};

/*
 * Take the lock, from whoever has it. A daemon whose supervisor has died has it still, and makes way: somebody wants this instance to
 * be looked after again. A daemon that says nothing hangs; if it has no supervisor, nobody but us is there to end it. 0; -EBUSY: it has a
 * supervisor, or works and does not make way; or another error of lock(). With the reason.
 */
int found_lock(const struct found_machine *machine, void *opaque, struct wrong *wrong);

/*
 * Look at device, segment and server, with the lock held. 0, or with the reason: -EBUSY: something is in other hands;
 * -EINVAL: the segment holds a device of another size; -EPERM: segments would not last; -EAGAIN: it cannot be told now; or
 * an error of start_time() or segment(). After an error `server` tells what is to be left alone.
 */
int found_look(struct found *found, const struct found_wanted *wanted, const struct found_machine *machine,
	       void *opaque, struct wrong *wrong);

/* What is to be done about a server that was noted down. */
enum found_note {
	FOUND_SERVES,    /* it is the one that has the segment: nothing */
	FOUND_GONE,      /* it has ended: forget the note */
	FOUND_LEFT_OVER, /* it lives, and does not serve: end it */
	FOUND_UNKNOWN,   /* that cannot be told */
};
/* `alive`: 0, and `now` is the start time of the process that has the number; -ESRCH: there is none; or another error. */
enum found_note found_note(const struct found *found, pid_t pid, uint64_t start, int alive, uint64_t now);

/* Why segments would not last, for people. */
extern const char found_segments_are_removed[];

#endif

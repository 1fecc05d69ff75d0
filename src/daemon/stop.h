/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of an instance: asked for by people or by systemd, after a start that failed, or since others have detached the device. The
 * device is taken out of use and detached while the keeper goes on; then the server is ended, and the segment goes, if it may.
 */
#ifndef STOP_H
#define STOP_H

#include "daemon/instance.h"

enum stop_state {
	STOP_NOT,       /* the instance serves */
	STOP_DETACHING, /* a job takes the device out of use and detaches it */
	STOP_RETRYING,  /* that is tried (again): soon, or when the job that is in the way has ended */
	STOP_ENDING,    /* the device is detached: the server is being ended */
};

struct stop;

/* The daemon is to end, with this exit status. Either all is gone, or what is there goes on without a daemon for now. */
typedef void stop_ended_fn(void *opaque, int status);

/* 0, -ENOMEM, or an error of sd_event_add_time(3). */
int stop_create(struct stop **stop, struct instance *instance, stop_ended_fn *ended, void *opaque);
/* NULL is allowed. */
void stop_free(struct stop *stop);

/*
 * A client asks for the stop. `may_free`: swapoff or umount if the device is in use. The client is answered when the stop is done or has
 * failed.
 */
void stop_request(struct stop *stop, unsigned client, bool may_free);
/* A signal asks for it; from systemd, which has nobody to ask and means it: try until it works. */
void stop_by_signal(struct stop *stop, bool by_systemd);
/* A start has failed, after the device was attached. What is in use stays. */
void stop_after_failure(struct stop *stop);
/* Is the device ours still? If it is not, the instance ends, and its data stays. */
void stop_look_for_loss(struct stop *stop);

/* Whoever has had a job done calls this when it has ended. True if a stop has waited for that, which goes on now. */
bool stop_goes_on(struct stop *stop);

enum stop_state stop_state(const struct stop *stop);
/* Did somebody ask for it? */
bool stop_was_asked(const struct stop *stop);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stop. See stop.h.
 *
 *             asked for, or a start failed
 *    NOT ------------------------------> DETACHING ----------------> ENDING ----> the daemon's end
 *    ^ |                                 |   |   ^      detached
 *    | | a job is in the way             |   |   |
 *    | +------------> RETRYING <---------+   |   |
 *    |                   |   failed, and     |   |
 *    |                   |   systemd insists |   |
 *    |                   +-------------------|---+
 *    |            the timer, or the job in   |
 *    |            the way has ended          |
 *    +---------------------------------------+
 *                     failed
 *
 * Others have detached the device: from any state to ENDING. The machine goes down, or systemd starts the service again: the daemon
 * ends, and the server goes on.
 */
#include "daemon/stop.h"

#include "daemon/base/clock.h"
#include "daemon/base/recurring.h"
#include "daemon/base/say.h"
#include "daemon/child/job.h"
#include "daemon/jobs/job_detach.h"
#include "daemon/keeper/keeper.h"
#include "daemon/settings/settings.h"
#include "daemon/state/control.h"
#include "daemon/transport/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

/* After a swapoff for which there was no memory. Shorter in tests/daemon's build. */
#ifndef STOP_RETRY_US
#define STOP_RETRY_US (10u * 1000000u)
#endif

struct stop {
	struct instance *instance;
	stop_ended_fn *ended;
	void *opaque;
	enum stop_state state;
	sd_event_source *timer; /* RETRYING: the next try */
	unsigned client;        /* who waits for the answer */
	bool asked;
	bool insistent; /* try until it works */
	bool may_free;
	bool detached_by_others;
	bool has_failed; /* the instance: it ends with EXIT_FAILURE */
	struct recurring not_stopped;
	struct job_detach detach;
};

/* ------------------------------------------------------------------ the end */

static void server_gone(void *opaque)
{
	struct stop *stop = opaque;
	struct instance *instance = stop->instance;
	struct wrong wrong = {"stopped"};
	int r = own_segment_finish(&instance->segment, &instance->folder, instance->settings->name,
				   &(struct own_segment_end){.in_service = instance->in_service,
							     .asked = stop->asked,
							     .detached_by_others = stop->detached_by_others},
				   &wrong);

	say(r ? SAY_ERROR : SAY_NOTICE, "%s", wrong.text);
	/* The device was in somebody else's hands, and the data is still there. Whoever asked for a stop did not get one. */
	if (!r && stop->detached_by_others)
		wrong_say(&wrong, "the device was detached by somebody else; its segment stays");
	control_answer(instance->control, stop->client, !r && !stop->detached_by_others, wrong.text);
	stop->ended(stop->opaque, stop->has_failed || r ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void end(struct stop *stop)
{
	stop->state = STOP_ENDING;
	keeper_end(stop->instance->keeper, server_gone, stop);
}

/* There is nothing left to serve; the data stays for whoever starts the instance again. */
static void end_without_device(struct stop *stop)
{
	say(SAY_ERROR, "%s was detached by somebody else", keeper_device(stop->instance->keeper)->path);
	stop->has_failed = true;
	stop->detached_by_others = true;
	end(stop);
}

/* ------------------------------------------------------------------ out of use, and detached */

static void try_later(struct stop *stop)
{
	stop->state = STOP_RETRYING;
	clock_set(stop->timer, STOP_RETRY_US);
}

static void not_stopped(struct stop *stop, const char *why)
{
	recurring_say(&stop->not_stopped, SAY_ERROR, "not stopped: %s; it goes on serving", why);
	stop->state = STOP_NOT;
	stop->asked = stop->insistent;
	control_answer(stop->instance->control, stop->client, false, why);
	stop->client = CONTROL_NOBODY;
	if (!stop->insistent)
		return;
	sd_notifyf(false, "STATUS=Cannot stop yet, and goes on serving: %s", why);
	try_later(stop);
}

/* The job has ended. */
static void detached(void *opaque, int r, const char *why)
{
	struct stop *stop = opaque;
	struct keeper *keeper = stop->instance->keeper;

	if (!r) {
		end(stop);
		return;
	}
	keeper_detaching(keeper, false);
	switch (r) {
	case -ENODEV:
		say(SAY_ERROR, "%s", why);
		end_without_device(stop);
		break;
	case -ESHUTDOWN:
		/* Its name keeps systemd from ending the server: it serves to the last moment. */
		say(SAY_NOTICE, "%s; the machine goes down, with process %d serving until it is off", why,
		    (int)keeper_server(keeper));
		stop->ended(stop->opaque, EXIT_SUCCESS);
		break;
	case -ERESTART:
		/* The daemon ends as if it had been killed, and nothing else does. */
		say(SAY_NOTICE, "%s; the daemon that is started next adopts the device and process %d as they are", why,
		    (int)keeper_server(keeper));
		stop->ended(stop->opaque, EXIT_SUCCESS);
		break;
	default:
		not_stopped(stop, why);
		break;
	}
}

/* 0, -EALREADY, or an error of job_start(). */
static int try_now(struct stop *stop, bool may_free)
{
	struct instance *instance = stop->instance;
	const struct device *device = keeper_device(instance->keeper);
	int r;

	if (stop->state == STOP_DETACHING || stop->state == STOP_ENDING)
		return -EALREADY;
	if (device_is_none(device)) {
		end(stop);
		return 0;
	}
	stop->detach = (struct job_detach){.settings = instance->settings,
					   .device = device,
					   .backend = instance->backend,
					   .may_swapoff = may_free,
					   .may_umount = may_free,
					   .managed = stop->insistent,
					   .has_data = instance->settings->use != SETTINGS_USE_SWAP};
	r = job_start(instance->job, job_detach, &stop->detach, detached, stop);
	keeper_detaching(instance->keeper, !r);
	if (!r)
		stop->state = STOP_DETACHING;
	return r;
}

static bool is_stopping(const struct stop *stop)
{
	return stop->state == STOP_DETACHING || stop->state == STOP_ENDING;
}

/* Unless it is stopping: it stops now, or as soon as what is being done to the device has been given up. */
static void stop_or_wait(struct stop *stop, bool may_free)
{
	if (is_stopping(stop))
		return;
	stop->asked = true;
	stop->may_free = may_free;
	if (try_now(stop, may_free) == 0)
		return;
	/* What is in the way tells when it has ended: stop_goes_on(). */
	job_cancel(stop->instance->job);
	try_later(stop);
}

/* For people: why a request cannot be granted now. */
static const char *why_not(int r)
{
	return r == -EALREADY ? "it is stopping already"
	       : r == -EBUSY  ? "what is being done to the device (mkfs, mount, swapon) does not end"
			      : strerror(-r);
}

static int stop_timer_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct stop *stop = opaque;
	int r = stop->state == STOP_RETRYING ? try_now(stop, stop->may_free) : 0;

	if (r) {
		job_cancel(stop->instance->job);
		not_stopped(stop, why_not(r));
	}
	return 0;
}

/* ------------------------------------------------------------------ the device is somebody else's */

static void looked(void *opaque, int r, const char *why)
{
	struct stop *stop = opaque;

	if (r == -ENODEV) {
		detached(stop, r, why);
		return;
	}
	keeper_detaching(stop->instance->keeper, false);
	stop_goes_on(stop);
}

/*
 * Others may have detached the device, and attached another server to it. A device that nobody serves for the moment, or that looks
 * detached and is in use, is not given up.
 */
static bool seems_lost(const struct instance *instance)
{
	struct device *device = keeper_device(instance->keeper);
	const struct transport *transport = transport_of(device);

	switch (transport_backing(device, instance->backend)) {
	case TRANSPORT_BACKING_OTHER:
	case TRANSPORT_BACKING_UNNAMED:
		return true;
	case TRANSPORT_BACKING_NONE:
		return (keeper_is_serving(instance->keeper) || (transport && transport->server_attaches)) &&
		       !device_is_swap(device) && !device_is_mounted(device);
	case TRANSPORT_BACKING_OURS:
	case TRANSPORT_BACKING_UNKNOWN:
		break;
	}
	return false;
}

void stop_look_for_loss(struct stop *stop)
{
	struct instance *instance = stop->instance;

	if (!seems_lost(instance) || job_is_running(instance->job))
		return;
	stop->detach = (struct job_detach){.settings = instance->settings,
					   .device = keeper_device(instance->keeper),
					   .backend = instance->backend};
	/* If there is no memory for a child now, the next look tries again. */
	keeper_detaching(instance->keeper, job_start(instance->job, job_detach_lost, &stop->detach, looked, stop) == 0);
}

/* ------------------------------------------------------------------ for the daemon */

void stop_request(struct stop *stop, unsigned client, bool may_free)
{
	struct control *control = stop->instance->control;

	if (is_stopping(stop)) {
		control_answer(control, client, false, why_not(-EALREADY));
		return;
	}
	control_answer(control, stop->client, false,
		       "somebody else has asked for the stop as well, and gets the answer");
	/* First: where there is no device and no server yet, the stop is done at once. */
	stop->client = client;
	stop_or_wait(stop, may_free);
}

void stop_by_signal(struct stop *stop, bool by_systemd)
{
	stop->insistent = by_systemd;
	stop_or_wait(stop, by_systemd);
}

void stop_after_failure(struct stop *stop)
{
	stop->has_failed = true;
	if (!stop_goes_on(stop) && try_now(stop, false))
		try_later(stop);
}

bool stop_goes_on(struct stop *stop)
{
	if (stop->state != STOP_RETRYING)
		return false;
	stop_timer_event(stop->timer, 0, stop);
	return true;
}

enum stop_state stop_state(const struct stop *stop)
{
	return stop->state;
}

bool stop_was_asked(const struct stop *stop)
{
	return stop->asked;
}

int stop_create(struct stop **result, struct instance *instance, stop_ended_fn *ended, void *opaque)
{
	struct stop *stop = calloc(1, sizeof *stop);
	int r;

	if (!stop)
		return -ENOMEM;
	*stop = (struct stop){.instance = instance, .ended = ended, .opaque = opaque, .client = CONTROL_NOBODY};
	r = sd_event_add_time(instance->loop, &stop->timer, CLOCK_MONOTONIC, 0, 0, stop_timer_event, stop);
	if (r >= 0)
		r = sd_event_source_set_enabled(stop->timer, SD_EVENT_OFF);
	if (r < 0) {
		stop_free(stop);
		return r;
	}
	*result = stop;
	return 0;
}

void stop_free(struct stop *stop)
{
	if (!stop)
		return;
	sd_event_source_disable_unref(stop->timer);
	free(stop);
}

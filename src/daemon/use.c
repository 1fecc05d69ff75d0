/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device is for. See use.h. */
#include "daemon/use.h"

#include "daemon/base/say.h"
#include "daemon/child/job.h"
#include "daemon/jobs/job_mount.h"
#include "daemon/jobs/job_swap.h"
#include "daemon/keeper/keeper.h"
#include "daemon/resources/ballast.h"
#include "daemon/settings/settings.h"
#include "daemon/status.h"
#include "daemon/stop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct use {
	struct instance *instance;
	struct stop *stop;
	struct status *status;
	use_ready_fn *ready;
	void *opaque;
	bool is_ready;
	bool swap_is_off; /* by somebody else */
	struct job_swap swap;
	struct job_mount mount;
};

/* ------------------------------------------------------------------ the first time */

static void is_ready_now(struct use *use)
{
	use->is_ready = use->instance->in_service = true;
	use->ready(use->opaque);
}

/* The job has ended, or could not be started. */
static void put_to_use(void *opaque, int r, const char *why)
{
	struct use *use = opaque;

	/* The device is in service, although a stop comes before anybody is told. */
	if (!r && stop_state(use->stop) == STOP_RETRYING)
		use->is_ready = use->instance->in_service = true;
	if ((!r || r == -ECANCELED) && stop_goes_on(use->stop))
		return;
	if (!r) {
		is_ready_now(use);
		return;
	}
	say(SAY_ERROR, "%s", why);
	stop_after_failure(use->stop);
}

/*
 * 0: put_to_use() is called once the job is done, or an earlier daemon did it and the device is ready. Or an error of
 * job_start().
 */
static int start_use(struct use *use)
{
	struct instance *instance = use->instance;
	const struct settings *settings = instance->settings;
	struct device *device = keeper_device(instance->keeper);

	switch (settings->use) {
	case SETTINGS_USE_SWAP:
		/* Kept for later, should somebody switch swap off. */
		use->swap = (struct job_swap){.device = device,
					      .backend = instance->backend,
					      .priority = settings->swap_priority,
					      .tune = settings->tune,
					      .managed = getenv("NOTIFY_SOCKET") != NULL};
		if (device_is_swap(device))
			break;
		return job_start(instance->job, job_swap_on, &use->swap, put_to_use, use);
	case SETTINGS_USE_MOUNT:
		if (device_is_mounted(device))
			break;
		use->mount = (struct job_mount){.device = device,
						.backend = instance->backend,
						.path = settings->mount_point,
						.fs_type = settings->fs_type,
						.options = settings->mount_options};
		return job_start(instance->job, job_mount, &use->mount, put_to_use, use);
	case SETTINGS_USE_NOTHING:
		break;
	}
	is_ready_now(use);
	return 0;
}

void use_begin(struct use *use)
{
	int r = start_use(use);

	if (r)
		put_to_use(use, r, strerror(-r));
}

/* ------------------------------------------------------------------ swapoff by others */

static void forgotten(void *opaque, int r, const char *why)
{
	struct use *use = opaque;

	if (r && r != -ECANCELED)
		say(SAY_WARNING, "%s", why);
	stop_goes_on(use->stop);
}

/* swapoff -a, for instance. The device stays, for swap to be switched on again; its memory is given back. */
void use_look_for_swapoff(struct use *use)
{
	struct instance *instance = use->instance;
	struct device *device = keeper_device(instance->keeper);
	bool is_off = !device_is_swap(device);

	if (instance->settings->use != SETTINGS_USE_SWAP || !use->is_ready || is_off == use->swap_is_off ||
	    stop_state(use->stop) != STOP_NOT || job_is_running(instance->job))
		return;
	use->swap_is_off = is_off;
	if (is_off) {
		say(SAY_WARNING,
		    "%s is no swap any more: somebody else has switched that off; an upgrade (systemctl reload) or a "
		    "restart switches it on again",
		    device->path);
		/* If there is no memory for a child now, the data stays until it is overwritten. */
		(void)job_start(instance->job, job_swap_forget, &use->swap, forgotten, use);
	} else {
		say(SAY_NOTICE, "%s is swap again", device->path);
	}
	if (ballast_is_whole(instance->ballast))
		status_tell_figures(use->status);
}

static void swap_is_back(void *opaque, int r, const char *why)
{
	struct use *use = opaque;

	if (r && r != -ECANCELED)
		say(SAY_ERROR, "swap stays off: %s", why);
	if (!stop_goes_on(use->stop))
		use_look_for_swapoff(use);
}

void use_swap_again(struct use *use)
{
	if (use->is_ready && use->swap_is_off)
		(void)job_start(use->instance->job, job_swap_on, &use->swap, swap_is_back, use);
}

/* ------------------------------------------------------------------ for the daemon */

bool use_is_ready(const struct use *use)
{
	return use->is_ready;
}

bool use_swap_is_off(const struct use *use)
{
	return use->swap_is_off;
}

int use_create(struct use **result, struct instance *instance, struct stop *stop, struct status *status,
	       use_ready_fn *ready, void *opaque)
{
	struct use *use = calloc(1, sizeof *use);

	if (!use)
		return -ENOMEM;
	*use = (struct use){.instance = instance, .stop = stop, .status = status, .ready = ready, .opaque = opaque};
	*result = use;
	return 0;
}

void use_free(struct use *use)
{
	free(use);
}

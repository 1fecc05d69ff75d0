/* SPDX-License-Identifier: BSD-3-Clause */
/* The upgrade. See upgrade.h. */
#include "daemon/upgrade.h"

#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "daemon/child/job.h"
#include "daemon/jobs/job_rehearse.h"
#include "daemon/keeper/keeper.h"
#include "daemon/state/control.h"
#include "daemon/stop.h"
#include "daemon/use.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The upgrade waits so long for a moment in which nothing is in flight, and looks so often. */
#define QUIET_LIMIT_US 1000000u
#define QUIET_LOOK_US  2000u
/* Whoever waits for the upgrade is told when there is still no new server. */
#define SERVICE_LIMIT_US (30u * 1000000u)

struct upgrade {
	struct instance *instance;
	struct stop *stop;
	struct use *use;
	sd_event_source *timer; /* the next look for a quiet moment; once replacing, the limit */
	uint64_t quiet_limit;   /* until when to wait for it; 0: not waiting */
	bool is_replacing;
	bool cannot_restart; /* the last trial has failed */
	unsigned client;     /* who waits for the answer */
	struct job_rehearsal rehearsal;
	char rehearsal_contact[FOLDER_PATH_MAX + 60];
};

static void answer(struct upgrade *upgrade, bool ok, const char *text)
{
	if (!ok)
		say(SAY_ERROR, "no upgrade: %s", text);
	control_answer(upgrade->instance->control, upgrade->client, ok, text);
	upgrade->client = CONTROL_NOBODY;
}

/* Replace the server in a moment in which it has nothing to do, if there is one. */
static int upgrade_timer_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct upgrade *upgrade = opaque;
	struct keeper *keeper = upgrade->instance->keeper;
	uint64_t in_flight = 1, completed;
	int r;

	if (upgrade->is_replacing) {
		answer(upgrade, false, "no new server has come into service yet; it is tried on, and the log says why");
		return 0;
	}
	if (clock_us() < upgrade->quiet_limit && device_progress(keeper_device(keeper), &in_flight, &completed) == 0 &&
	    in_flight) {
		clock_set(source, QUIET_LOOK_US);
		return 0;
	}
	upgrade->quiet_limit = 0;
	r = keeper_replace(keeper, HISTORY_UPGRADED);
	upgrade->is_replacing = r == 0;
	if (r)
		answer(upgrade, false, "the server is being replaced already");
	else
		clock_set(source, SERVICE_LIMIT_US);
	return 0;
}

static void rehearsed(void *opaque, int r, const char *why)
{
	struct upgrade *upgrade = opaque;

	if (r != -ECANCELED)
		upgrade->cannot_restart = r;
	if (r)
		answer(upgrade, false, why);
	if (stop_goes_on(upgrade->stop) || r)
		return;
	upgrade->quiet_limit = clock_us() + QUIET_LIMIT_US;
	clock_set(upgrade->timer, 0);
}

void upgrade_request(struct upgrade *upgrade, unsigned client)
{
	bool is_busy = upgrade->quiet_limit || upgrade->is_replacing || stop_state(upgrade->stop) != STOP_NOT ||
		       !use_is_ready(upgrade->use);
	int r = is_busy ? -EBUSY
			: job_start(upgrade->instance->job, job_rehearse, &upgrade->rehearsal, rehearsed, upgrade);

	if (!r)
		upgrade->client = client;
	else
		control_answer(upgrade->instance->control, client, false,
			       r == -EBUSY ? "it is starting, stopping or being upgraded already" : strerror(-r));
}

bool upgrade_serves(struct upgrade *upgrade, bool is_new)
{
	bool was_replacing = upgrade->is_replacing, from_kept = keeper_server_is_from_kept(upgrade->instance->keeper);

	/* A server that was started with the present parameters has come up. */
	if (is_new && !from_kept)
		upgrade->cannot_restart = false;
	upgrade->is_replacing = false;
	if (!was_replacing)
		return false;
	sd_event_source_set_enabled(upgrade->timer, SD_EVENT_OFF);
	answer(upgrade, !from_kept,
	       from_kept
		       ? "the new server did not come into service; one from the files of the one before is there again, "
			 "and the log says why"
		       : "upgraded");
	return true;
}

/* ------------------------------------------------------------------ other parameters than the running server's */

static void tried_parameters(void *opaque, int r, const char *why)
{
	struct upgrade *upgrade = opaque;

	if (r != -ECANCELED)
		upgrade->cannot_restart = r;
	if (r && r != -ECANCELED)
		say(SAY_ERROR,
		    "with the parameters given now no server would come up: %s; process %d goes on with those it has; "
		    "correct them, and start again",
		    why, (int)keeper_server(upgrade->instance->keeper));
	if (!stop_goes_on(upgrade->stop))
		use_begin(upgrade->use);
}

int upgrade_try_parameters(struct upgrade *upgrade)
{
	return job_start(upgrade->instance->job, job_rehearse, &upgrade->rehearsal, tried_parameters, upgrade);
}

bool upgrade_cannot_restart(const struct upgrade *upgrade)
{
	return upgrade->cannot_restart;
}

int upgrade_create(struct upgrade **result, struct instance *instance, struct stop *stop, struct use *use)
{
	struct upgrade *upgrade = calloc(1, sizeof *upgrade);
	int r;

	if (!upgrade)
		return -ENOMEM;
	*upgrade = (struct upgrade){.instance = instance, .stop = stop, .use = use, .client = CONTROL_NOBODY};
	folder_file(&instance->folder, "rehearsal.sock", upgrade->rehearsal_contact);
	upgrade->rehearsal = (struct job_rehearsal){
		.transport = instance->transport,
		.settings = instance->settings,
		.memory = instance->segment.memory,
		.contact = upgrade->rehearsal_contact,
	};
	r = sd_event_add_time(instance->loop, &upgrade->timer, CLOCK_MONOTONIC, 0, 100, upgrade_timer_event, upgrade);
	if (r >= 0)
		r = sd_event_source_set_enabled(upgrade->timer, SD_EVENT_OFF);
	if (r < 0) {
		upgrade_free(upgrade);
		return r;
	}
	*result = upgrade;
	return 0;
}

void upgrade_free(struct upgrade *upgrade)
{
	if (!upgrade)
		return;
	sd_event_source_disable_unref(upgrade->timer);
	free(upgrade);
}

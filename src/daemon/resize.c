/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The resize. See resize.h.
 *
 *                        larger                          smaller
 *   1                                                    the kernel's device becomes smaller: nobody asks for what is behind
 *   2 the server         makes the segment larger        makes the segment smaller, if nothing is stored there;
 *                                                        otherwise the kernel's device is as it was again
 *   3 a new server       has connections that begin with the new size, as nbdkit wants it
 *   4                    the kernel's device is larger
 *
 * Where the server tells the kernel itself (server_attaches), it does 1 or 4 as well, in the same order, and 3 is not needed.
 */
#include "daemon/resize.h"

#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "daemon/child/job.h"
#include "daemon/jobs/job_resize.h"
#include "daemon/keeper/keeper.h"
#include "daemon/state/control.h"
#include "daemon/stop.h"
#include "daemon/use.h"
#include "zsblk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-event.h>

/* Whoever waits is told when there is still no server with the new size. */
#define SERVICE_LIMIT_US (30u * 1000000u)

struct resize {
	struct instance *instance;
	struct stop *stop;
	struct use *use;
	sd_event_source *timer; /* the limit */
	struct job_resize job;
	uint64_t had;      /* bytes */
	bool is_at_work;   /* the job is */
	bool is_replacing; /* a server is waited for */
	unsigned client;   /* who waits for the answer */
};

/* ------------------------------------------------------------------ the decision */

bool resize_may(const struct resize_facts *facts, struct wrong *wrong)
{
	if (!facts->wanted || facts->wanted % ZSBLK_BLOCK_SIZE || facts->wanted > ZSBLK_MAX_SIZE) {
		wrong_say(wrong, "size=%" PRIu64 " cannot be; use a multiple of %u, up to %" PRIu64, facts->wanted,
			  ZSBLK_BLOCK_SIZE, (uint64_t)ZSBLK_MAX_SIZE);
		return false;
	}
	if (facts->wanted >= facts->has)
		return true;
	if (facts->is_swap)
		wrong_say(
			wrong,
			"%s is swap in use and cannot become smaller: swapoff %s, resize it, mkswap %s, swapon --discard %s",
			facts->device, facts->device, facts->device, facts->device);
	else if (facts->is_mounted)
		wrong_say(
			wrong,
			"%s is mounted and cannot become smaller: unmount it, shrink its file system (resize2fs), discard what is "
			"behind it (blkdiscard --offset), and resize it then",
			facts->device);
	else if (facts->is_held)
		wrong_say(wrong, "%s is in use (LUKS, LVM, RAID) and cannot become smaller: take it out of use first",
			  facts->device);
	return !facts->is_swap && !facts->is_mounted && !facts->is_held;
}

/* ------------------------------------------------------------------ the way */

static void resize_answer(struct resize *resize, bool ok, const char *text)
{
	say(ok ? SAY_NOTICE : SAY_ERROR, "%s%s", ok ? "" : "no resize: ", text);
	control_answer(resize->instance->control, resize->client, ok, text);
	resize->client = CONTROL_NOBODY;
	sd_event_source_set_enabled(resize->timer, SD_EVENT_OFF);
}

/* Swap goes on with the part of the device that it was made for. */
static void resize_done(struct resize *resize)
{
	const struct device *device = keeper_device(resize->instance->keeper);
	char text[400];
	int n = snprintf(text, sizeof text, "%s has %" PRIu64 " bytes", device->path, resize->job.size);

	if (resize->job.size > resize->had && device_is_swap(device))
		snprintf(
			text + n, sizeof text - (size_t)n,
			"; the swap area on it has the size it was made with: swapoff %s, mkswap %s, swapon --discard %s to use all "
			"of it",
			device->path, device->path, device->path);
	else if (resize->job.size > resize->had && device_is_mounted(device))
		snprintf(text + n, sizeof text - (size_t)n, "; the file system on it is to be told (resize2fs %s)",
			 device->path);
	resize_answer(resize, true, text);
}

static int set_kernels_size(struct resize *resize, uint64_t size, struct wrong *wrong)
{
	return keeper_set_size(resize->instance->keeper, size, wrong);
}

static void resized(void *opaque, int r, const char *why)
{
	struct resize *resize = opaque;
	struct instance *instance = resize->instance;
	bool attaches = instance->transport->server_attaches,
	     has_it = own_segment_size(&instance->segment) == resize->job.size;
	struct wrong wrong = {""};

	resize->is_at_work = false;
	/* A server that has died may have done it before. */
	if (r && !has_it) {
		if (!attaches && resize->job.size < resize->had && set_kernels_size(resize, resize->had, &wrong))
			say(SAY_ERROR, "%s", wrong.text);
		resize_answer(resize, false, why[0] ? why : strerror(-r));
	} else if (attaches) {
		set_kernels_size(resize, resize->job.size, &wrong);
		resize_done(resize);
	} else {
		resize->is_replacing = true;
		clock_set(resize->timer, SERVICE_LIMIT_US);
		/* If a server is being replaced already, the next one has the size. */
		keeper_replace(instance->keeper, HISTORY_RESIZED);
	}
	stop_goes_on(resize->stop);
}

static int begin(struct resize *resize, struct wrong *wrong)
{
	struct instance *instance = resize->instance;
	bool is_smaller = resize->job.size < resize->had;
	int r = 0;

	if (is_smaller && !instance->transport->server_attaches)
		r = set_kernels_size(resize, resize->job.size, wrong);
	if (r)
		return r;
	r = job_start(instance->job, job_resize, &resize->job, resized, resize);
	if (r && is_smaller && !instance->transport->server_attaches)
		set_kernels_size(resize, resize->had, wrong);
	if (r)
		wrong_say(wrong, r == -EBUSY ? "it is starting, stopping or being upgraded" : "%s", strerror(-r));
	return r;
}

void resize_request(struct resize *resize, unsigned client, uint64_t size)
{
	struct instance *instance = resize->instance;
	const struct device *device = keeper_device(instance->keeper);
	char holders[80];
	struct wrong wrong = {"it is starting, stopping, being upgraded or resized already"};
	struct resize_facts facts = {
		.device = device->path, .has = own_segment_size(&instance->segment), .wanted = size};
	bool may = !resize->is_at_work && !resize->is_replacing && stop_state(resize->stop) == STOP_NOT &&
		   use_is_ready(resize->use) && keeper_is_serving(instance->keeper) && !job_is_running(instance->job);

	if (may) {
		facts.is_swap = device_is_swap(device);
		facts.is_mounted = device_is_mounted(device);
		facts.is_held = device_holders(device, holders, sizeof holders);
		may = resize_may(&facts, &wrong);
	}
	if (!may) {
		control_answer(instance->control, client, false, wrong.text);
		return;
	}
	resize->job =
		(struct job_resize){.control = instance->control_path, .size = size, .is_smaller = size < facts.has};
	resize->had = facts.has;
	resize->client = client;
	if (size == facts.has)
		resize_done(resize);
	else if (begin(resize, &wrong))
		resize_answer(resize, false, wrong.text);
	else
		resize->is_at_work = true;
}

void resize_serves(struct resize *resize, bool is_adopted)
{
	struct instance *instance = resize->instance;
	uint64_t segment = own_segment_size(&instance->segment), device = device_size(keeper_device(instance->keeper));

	if (resize->is_at_work)
		return;
	if (resize->is_replacing) {
		resize->is_replacing = false;
		if (device == segment)
			resize_done(resize);
		else
			resize_answer(resize, false, "the kernel did not take the new size; the log says why");
		return;
	}
	/* Its connections may be from before the size was changed. */
	if (is_adopted && !instance->transport->server_attaches && segment && device && device != segment)
		resize->is_replacing = keeper_replace(instance->keeper, HISTORY_RESIZED) == 0;
}

static int resize_timer_event(sd_event_source *source, uint64_t when, void *opaque)
{
	resize_answer(opaque, false, "no server with the new size has come into service yet; the log says why");
	return 0;
}

int resize_create(struct resize **result, struct instance *instance, struct stop *stop, struct use *use)
{
	struct resize *resize = calloc(1, sizeof *resize);
	int r;

	if (!resize)
		return -ENOMEM;
	*resize = (struct resize){.instance = instance, .stop = stop, .use = use, .client = CONTROL_NOBODY};
	r = sd_event_add_time(instance->loop, &resize->timer, CLOCK_MONOTONIC, 0, 100, resize_timer_event, resize);
	if (r >= 0)
		r = sd_event_source_set_enabled(resize->timer, SD_EVENT_OFF);
	if (r < 0) {
		resize_free(resize);
		return r;
	}
	*result = resize;
	return 0;
}

void resize_free(struct resize *resize)
{
	if (!resize)
		return;
	sd_event_source_disable_unref(resize->timer);
	free(resize);
}

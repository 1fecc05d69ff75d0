/* SPDX-License-Identifier: BSD-3-Clause */
/* How the instance is doing. See status.h. */
#include "daemon/status.h"

#include "daemon/base/say.h"
#include "daemon/child/job.h"
#include "daemon/jobs/job_figures.h"
#include "daemon/state/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#define STATUS_BYTES 800

struct status {
	struct instance *instance;
	status_look_fn *look;
	void *opaque;
	struct job *job; /* reads the figures */
	struct job_figures figures;
	unsigned clients[CONTROL_CLIENTS], n_clients; /* who wait for them */
	bool ready_is_due;                            /* to be told with the first figures */
};

/* ------------------------------------------------------------------ in words */

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t size, const char *format, ...)
{
	size_t length = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + length, size - length, format, args);
	va_end(args);
}

void status_describe(const struct status_facts *facts, char *text, size_t size)
{
	const struct history_figures *servers = &facts->servers;

	snprintf(text, size, "%s: %s%s", facts->device, facts->figures, facts->figures[0] ? ", " : "");
	if (facts->server)
		add(text, size, "server %d%s", (int)facts->server, facts->is_serving ? "" : " is being replaced");
	else
		add(text, size, "the server is being replaced");
	if (servers->replaced)
		add(text, size, ", %u replaced (%u hung), out of service for %.0f ms the last time, %.0f ms at most",
		    servers->replaced, servers->hung, (double)servers->last_outage_us / 1000,
		    (double)servers->longest_outage_us / 1000);
	if (facts->is_from_kept)
		add(text, size,
		    "; it was started from the files of the one before, since what is installed did not work");
	else if (facts->swap_is_off)
		add(text, size, "; it is no swap now: somebody else has switched that off");
	else if (facts->cannot_restart)
		add(text, size, "; no other server would come up with the present parameters");
	if (facts->fallback && facts->fallback[0])
		add(text, size, "; ublk cannot be used: %s", facts->fallback);
	if (facts->segment_is_removed)
		add(text, size, "; somebody has removed its segment: save what is stored, stop, and start again");
	if (facts->is_detaching)
		add(text, size, "; it is being stopped");
	if (facts->is_detaching && facts->is_swap)
		add(text, size, ", and waits for swapoff, which reads back what is swapped out: %.1f MiB are left",
		    (double)facts->swapped_kib / 1024);
}

static void describe(struct status *status, const char *figures, struct status_facts *facts, char *text, size_t size)
{
	struct instance *instance = status->instance;
	struct keeper *keeper = instance->keeper;
	struct device *device = keeper_device(keeper);

	*facts = (struct status_facts){
		.device = device->path,
		.fallback = instance->fallback,
		.figures = figures,
		.server = keeper_server(keeper),
		.is_serving = keeper_is_serving(keeper),
		.is_from_kept = keeper_server_is_from_kept(keeper),
		.segment_is_removed = own_segment_is_removed(&instance->segment),
	};
	history_get_figures(keeper_history(keeper), &facts->servers);
	status->look(status->opaque, facts);
	if (facts->is_detaching) {
		facts->is_swap = device_is_swap(device);
		facts->swapped_kib = device_swapped_kib(device);
	}
	status_describe(facts, text, size);
}

/* ------------------------------------------------------------------ with the figures */

static void figures_read(void *opaque, int r, const char *figures)
{
	struct status *status = opaque;
	struct status_facts facts;
	char text[STATUS_BYTES];

	describe(status, r ? "" : figures, &facts, text, sizeof text);
	while (status->n_clients)
		control_answer(status->instance->control, status->clients[--status->n_clients], true, text);
	if (status->ready_is_due) {
		status->ready_is_due = false;
		say(SAY_NOTICE, "ready: %s", text);
		sd_notifyf(false, "READY=1\nSTATUS=%s", text);
	} else if (!facts.is_stopping) {
		sd_notifyf(false, "STATUS=%s", text);
	}
}

void status_tell_figures(struct status *status)
{
	int r = job_is_running(status->job)
			? 0
			: job_start(status->job, job_figures_read, &status->figures, figures_read, status);

	if (r)
		figures_read(status, r, "");
}

void status_ask(struct status *status, unsigned client)
{
	/* More clients than the socket has: some have gone. Answer all. */
	if (status->n_clients == CONTROL_CLIENTS)
		figures_read(status, -EBUSY, "");
	status->clients[status->n_clients++] = client;
	status_tell_figures(status);
}

void status_ready(struct status *status)
{
	status->ready_is_due = true;
	status_tell_figures(status);
}

void status_tell(struct status *status)
{
	struct status_facts facts;
	char text[STATUS_BYTES];

	describe(status, "", &facts, text, sizeof text);
	sd_notifyf(false, "STATUS=%s", text);
}

int status_create(struct status **result, struct instance *instance, status_look_fn *look, void *opaque)
{
	struct status *status = calloc(1, sizeof *status);
	int r;

	if (!status)
		return -ENOMEM;
	*status = (struct status){
		.instance = instance, .look = look, .opaque = opaque, .figures = {.stats = instance->stats}};
	r = job_create(&status->job, instance->loop);
	if (r) {
		free(status);
		return r;
	}
	*result = status;
	return 0;
}

void status_free(struct status *status)
{
	if (!status)
		return;
	job_free(status->job);
	free(status);
}

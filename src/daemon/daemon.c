/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon. See daemon.h.
 *
 *   start:  rights, folder, lock  ->  what is there already (adopt)  ->  keeper  ->  swapon  ->  READY=1
 *   stop:   swapoff, detach (a job, the keeper goes on meanwhile)  ->  server  ->  segment  ->  folder
 *
 * What an earlier daemon left is found in what cannot be wrong: the segment bears our name and names the server that has
 * claimed it (own_segment.h), and the kernel knows which device has our backend identifier.
 */
#include "daemon/daemon.h"

#include "daemon/base/clock.h"
#include "daemon/base/pidfd.h"
#include "daemon/base/recurring.h"
#include "daemon/base/say.h"
#include "daemon/child/job.h"
#include "daemon/instance/control.h"
#include "daemon/instance/own_segment.h"
#include "daemon/keeper/keeper.h"
#include "daemon/resources/memlimit.h"
#include "daemon/resources/rights.h"
#include "daemon/supervise.h"
#include "process/process.h"
#include "zsblk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

/* Times that a test waits for are shorter in tests/daemon's build, which defines them. */
#ifndef STATUS_INTERVAL_US
#define STATUS_INTERVAL_US (10u * 1000000u)
#endif
/* After a swapoff for which there was no memory. */
#ifndef STOP_RETRY_US
#define STOP_RETRY_US (10u * 1000000u)
#endif
/* An upgrade waits so long for a moment in which nothing is in flight, and looks so often. */
#define QUIET_LIMIT_US 1000000u
#define QUIET_LOOK_US  2000u
/* A server that was killed is gone at once, unless it is held up in the kernel. */
#define LEFTOVER_LIMIT_MS 10000

/* A server that starts reads the whole table of its segment; many times of what that takes. */
#define START_LIMIT_MS         10000u
#define START_LIMIT_MS_PER_GIB 1000u

/* Whoever waits for an upgrade is told when there is still no new server. */
#define UPGRADE_LIMIT_US (30u * 1000000u)

/* For another daemon to be gone after it has agreed. */
#define MAKE_WAY_MS 5000

enum stopping { STOP_NOT, STOP_DETACHING, STOP_RETRYING, STOP_ENDING };

struct daemon {
	struct settings *settings;
	sd_event *loop;
	struct folder folder;
	struct own_segment segment;
	char backend[48];
	char stats[FOLDER_PATH_MAX + 60];
	bool was_attached; /* the device, by an earlier daemon, when we started */
	bool stop_asked;   /* by somebody, not by a start that failed */
	bool detached_by_others;
	pid_t holder; /* an earlier daemon's server, that has the segment; 0: none */
	uint64_t holder_start;
	bool cannot_restart; /* no server would come up with the parameters that were given */
	struct server_command *command;
	struct ballast *ballast;
	struct memlimit memlimit;
	struct keeper_spec keeper_spec;
	struct keeper *keeper;
	struct job *job;        /* whatever changes the device */
	struct job *status_job; /* reads the statistics */
	struct control *control;
	sd_event_source *status_timer;
	sd_event_source *stop_timer;
	sd_event_source *quiet_timer;
	uint64_t quiet_limit;
	bool upgrading; /* the server is replaced for it */
	unsigned upgrade_client;
	unsigned stop_client;
	unsigned status_clients[CONTROL_CLIENTS], n_status_clients;
	bool ready;
	bool ready_is_due; /* to be told, with the first figures */
	bool swap_is_off;  /* switched off by somebody else */
	bool orphaned;     /* the supervisor has died */
	bool insistent;    /* told to stop by a signal: try until it works */
	bool may_free;     /* swapoff and umount, when it is stopped */
	struct recurring not_stopped;
	enum stopping stopping;
	int exit_status;
	struct job_swap swap;
	struct job_mount mount;
	struct job_detach detach;
	struct job_rehearsal rehearsal;
	char rehearsal_socket[FOLDER_PATH_MAX + 60];
	struct job_figures figures;
};

static void exit_loop(struct daemon *daemon, int status)
{
	daemon->exit_status = status;
	sd_event_exit(daemon->loop, status);
}

/* ------------------------------------------------------------------ status */

/* What a stop waits for. */
static void describe_stop(struct daemon *daemon, char *text, size_t size)
{
	struct device *device = keeper_device(daemon->keeper);

	if (device_is_swap(device))
		snprintf(
			text, size,
			"; it is being stopped, and waits for swapoff, which reads back what is swapped out: %.1f MiB are left",
			(double)device_swapped_kib(device) / 1024);
	else
		snprintf(text, size, "; it is being stopped");
}

/* What the daemon itself knows, after what the statistics say. */
static void describe(struct daemon *daemon, const char *figures, char *status, size_t size)
{
	struct keeper_figures kept;
	int at;

	keeper_get_figures(daemon->keeper, &kept);
	at = snprintf(status, size, "%s: %s%s", keeper_device(daemon->keeper)->path, figures, figures[0] ? ", " : "");
	if (keeper_server(daemon->keeper))
		at += snprintf(status + at, size - (size_t)at, "server %d%s", (int)keeper_server(daemon->keeper),
			       keeper_is_serving(daemon->keeper) ? "" : " is being replaced");
	else
		at += snprintf(status + at, size - (size_t)at, "the server is being replaced");
	if (kept.replaced && at > 0 && (size_t)at < size)
		snprintf(status + at, size - (size_t)at,
			 ", %u replaced (%u hung), out of service for %.0f ms the last time, %.0f ms at most",
			 kept.replaced, kept.hung, (double)kept.last_outage_us / 1000,
			 (double)kept.longest_outage_us / 1000);
	at = (int)strlen(status);
	if (keeper_server_is_old(daemon->keeper))
		snprintf(status + at, size - (size_t)at,
			 "; it was started from the files of the one before, since what is installed did not work");
	else if (daemon->swap_is_off)
		snprintf(status + at, size - (size_t)at, "; it is no swap now: somebody else has switched that off");
	else if (daemon->cannot_restart)
		snprintf(status + at, size - (size_t)at, "; no other server would come up with the present parameters");
	at = (int)strlen(status);
	if (own_segment_is_removed(&daemon->segment))
		snprintf(status + at, size - (size_t)at,
			 "; somebody has removed its segment: save what is stored, stop, and start again");
	at = (int)strlen(status);
	if (daemon->stopping == STOP_DETACHING)
		describe_stop(daemon, status + at, size - (size_t)at);
}

static void figures_read(void *opaque, int r, const char *figures)
{
	struct daemon *daemon = opaque;
	char status[600];

	describe(daemon, r ? "" : figures, status, sizeof status);
	while (daemon->n_status_clients)
		control_answer(daemon->control, daemon->status_clients[--daemon->n_status_clients], true, status);
	if (daemon->ready_is_due) {
		daemon->ready_is_due = false;
		say(SAY_NOTICE, "ready: %s", status);
		sd_notifyf(false, "READY=1\nSTATUS=%s", status);
	} else if (daemon->stopping == STOP_NOT) {
		sd_notifyf(false, "STATUS=%s", status);
	}
}

/* The statistics are a file on tmpfs: a child reads them, who may have to wait for the device. */
static void read_figures(struct daemon *daemon)
{
	int r = job_is_running(daemon->status_job)
			? 0
			: job_start(daemon->status_job, job_read_figures, &daemon->figures, figures_read, daemon);

	if (r)
		figures_read(daemon, r, "");
}

static void look_for_loss(struct daemon *daemon);
static void look_for_swapoff(struct daemon *daemon);

static int status_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct daemon *daemon = opaque;
	char status[600];

	clock_set(source, STATUS_INTERVAL_US);
	if (daemon->stopping == STOP_DETACHING) {
		describe(daemon, "", status, sizeof status);
		sd_notifyf(false, "STATUS=%s", status);
	}
	if (daemon->stopping != STOP_NOT)
		return 0;
	look_for_loss(daemon);
	own_segment_is_removed(&daemon->segment);
	look_for_swapoff(daemon);
	if (!keeper_is_serving(daemon->keeper))
		return 0;
	keeper_check(daemon->keeper);
	memlimit_say(&daemon->memlimit, daemon->settings);
	/* Reading the figures forks, which takes memory. Where memory is short the fork waits, and the loop must not. */
	if (ballast_is_whole(daemon->ballast))
		read_figures(daemon);
	return 0;
}

/* Process 1 is what starts the service again when all of its processes were killed at once. */
static void say_what_is_not_promised(struct daemon *daemon)
{
	if (daemon->settings->use == USE_SWAP && getenv("NOTIFY_SOCKET") && sd_booted() > 0 &&
	    memlimit_process_1_is_swappable("/sys/fs/cgroup"))
		say(SAY_WARNING,
		    "process 1 can be swapped out to this device (init.scope has no MemorySwapMax=0, or the kernel has no memory "
		    "controller: cgroup_disable=memory): if all processes of this service are killed at once, nobody starts it again, and "
		    "the machine hangs; zsblk@.service(8), Process 1");
}

static void say_ready(struct daemon *daemon)
{
	say_what_is_not_promised(daemon);
	daemon->ready = daemon->ready_is_due = true;
	memlimit_say(&daemon->memlimit, daemon->settings);
	read_figures(daemon);
	clock_set(daemon->status_timer, STATUS_INTERVAL_US);
}

/* ------------------------------------------------------------------ stop */

static bool may_remove_segment(const struct daemon *daemon)
{
	return own_segment_may_remove(&(struct own_segment_end){
		.made = daemon->segment.made,
		.in_service = daemon->ready || daemon->was_attached,
		.asked = daemon->stop_asked,
		.detached_by_others = daemon->detached_by_others,
	});
}

/*
 * The end of the instance: its segment goes, if it may, and so does the folder. A segment that stays is found again by the
 * note in the folder. 0 or a negative errno and the reason.
 */
static int leave_nothing(struct daemon *daemon, struct wrong *wrong)
{
	bool there = daemon->segment.memory[0], remove = there && may_remove_segment(daemon);
	int r = remove ? own_segment_remove(&daemon->segment, wrong) : 0;

	if (there && (!remove || r))
		own_segment_leave(&daemon->segment, daemon->settings->name);
	folder_remove(&daemon->folder, there && daemon->segment.has_name && (!remove || r) ? OWN_SEGMENT_NOTE : NULL);
	return r;
}

static void server_gone(void *opaque)
{
	struct daemon *daemon = opaque;
	struct wrong wrong = {"stopped"};
	int r = leave_nothing(daemon, &wrong);

	say(r ? SAY_ERROR : SAY_NOTICE, "%s", wrong.text);
	/* Then it is no stop: the device was in somebody else's hands, and the data is still there. */
	if (!r && daemon->detached_by_others)
		wrong_say(&wrong, "the device was detached by somebody else; its segment stays");
	control_answer(daemon->control, daemon->stop_client, !r && !daemon->detached_by_others, wrong.text);
	exit_loop(daemon, daemon->exit_status ? daemon->exit_status : r != 0);
}

static void detached_by_others(struct daemon *daemon);

static void not_stopped(struct daemon *daemon, const char *why)
{
	recurring_say(&daemon->not_stopped, SAY_ERROR, "not stopped: %s; it goes on serving", why);
	daemon->stopping = STOP_NOT;
	daemon->stop_asked = daemon->insistent;
	control_answer(daemon->control, daemon->stop_client, false, why);
	daemon->stop_client = CONTROL_NOBODY;
	if (!daemon->insistent)
		return;
	sd_notifyf(false, "STATUS=Cannot stop yet, and goes on serving: %s", why);
	daemon->stopping = STOP_RETRYING;
	clock_set(daemon->stop_timer, STOP_RETRY_US);
}

static void detached(void *opaque, int r, const char *why)
{
	struct daemon *daemon = opaque;

	if (!r) {
		daemon->stopping = STOP_ENDING;
		keeper_end(daemon->keeper, server_gone, daemon);
		return;
	}
	keeper_detaching(daemon->keeper, false);
	if (r == -ENODEV) {
		say(SAY_ERROR, "%s", why);
		detached_by_others(daemon);
		return;
	}
	if (r == -ESHUTDOWN) {
		/* Its name keeps systemd from ending the server: it serves to the last moment. */
		say(SAY_NOTICE, "%s; the machine goes down, with process %d serving until it is off", why,
		    (int)keeper_server(daemon->keeper));
		exit_loop(daemon, EXIT_SUCCESS);
		return;
	}
	if (r == -ERESTART) {
		/* As if it was killed. */
		say(SAY_NOTICE, "%s; the daemon that is started next adopts the device and process %d as they are", why,
		    (int)keeper_server(daemon->keeper));
		exit_loop(daemon, EXIT_SUCCESS);
		return;
	}
	not_stopped(daemon, why);
}

/* nbd-client -d, for instance. There is nothing left to serve; the data stays for whoever starts the instance again. */
static void detached_by_others(struct daemon *daemon)
{
	say(SAY_ERROR, "%s was detached by somebody else", keeper_device(daemon->keeper)->path);
	daemon->exit_status = EXIT_FAILURE;
	daemon->detached_by_others = true;
	detached(daemon, 0, "");
}

/* For people: why a request cannot be granted now. */
static const char *why_not(int r)
{
	return r == -EALREADY ? "it is stopping already"
	       : r == -EBUSY  ? "what is being done to the device (mkfs, mount, swapon) does not end"
			      : strerror(-r);
}

static int stop(struct daemon *daemon, bool may_free)
{
	int index = keeper_device(daemon->keeper)->index, r;

	if (daemon->stopping == STOP_DETACHING || daemon->stopping == STOP_ENDING)
		return -EALREADY;
	if (index == DEVICE_NONE) {
		detached(daemon, 0, "");
		return 0;
	}
	daemon->detach = (struct job_detach){.index = index,
					     .backend = daemon->backend,
					     .may_swapoff = may_free,
					     .may_umount = may_free,
					     .managed = daemon->insistent,
					     .has_data = daemon->settings->use != USE_SWAP};
	r = job_start(daemon->job, job_detach, &daemon->detach, detached, daemon);
	keeper_detaching(daemon->keeper, !r);
	if (!r)
		daemon->stopping = STOP_DETACHING;
	return r;
}

/* Stop; what is being done to the device is given up for it. -EALREADY: it is stopping. */
static int request_stop(struct daemon *daemon, bool may_free)
{
	int r;

	if (daemon->stopping == STOP_DETACHING || daemon->stopping == STOP_ENDING)
		return -EALREADY;
	daemon->stop_asked = true;
	daemon->may_free = may_free;
	r = stop(daemon, may_free);
	if (!r)
		return 0;
	/* What is in the way tells when it has ended: go_on_stopping(). */
	job_cancel(daemon->job);
	daemon->stopping = STOP_RETRYING;
	clock_set(daemon->stop_timer, STOP_RETRY_US);
	return 0;
}

static int stop_again(sd_event_source *source, uint64_t when, void *opaque)
{
	struct daemon *daemon = opaque;
	int r = daemon->stopping == STOP_RETRYING ? stop(daemon, daemon->may_free) : 0;

	if (r) {
		job_cancel(daemon->job);
		not_stopped(daemon, why_not(r));
	}
	return 0;
}

/* A job has ended. Was it in the way of a stop, which goes on now? */
static bool go_on_stopping(struct daemon *daemon)
{
	if (daemon->stopping != STOP_RETRYING)
		return false;
	stop_again(daemon->stop_timer, 0, daemon);
	return true;
}

static void lost(void *opaque, int r, const char *why)
{
	struct daemon *daemon = opaque;

	if (r == -ENODEV)
		detached(daemon, r, why);
	else
		keeper_detaching(daemon->keeper, false);
	if (r != -ENODEV)
		go_on_stopping(daemon);
}

/*
 * Is the device ours still? Others may have detached it, and attached another server to it. One that nobody serves for the moment, or
 * that looks detached and is in use, is not given up.
 */
static void look_for_loss(struct daemon *daemon)
{
	struct device *device = keeper_device(daemon->keeper);
	bool is_lost = false;

	switch (device_backing(device->index, daemon->backend)) {
	case BACKING_OTHER:
	case BACKING_UNNAMED:
		is_lost = true;
		break;
	case BACKING_NONE:
		is_lost = keeper_is_serving(daemon->keeper) && !device_is_swap(device) && !device_is_mounted(device);
		break;
	case BACKING_OURS:
	case BACKING_UNKNOWN:
		break;
	}
	if (!is_lost || job_is_running(daemon->job))
		return;
	daemon->detach = (struct job_detach){.index = device->index, .backend = daemon->backend};
	/* If there is no memory for a child now, then at the next look. */
	keeper_detaching(daemon->keeper, job_start(daemon->job, job_lost, &daemon->detach, lost, daemon) == 0);
}

static int stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *opaque)
{
	struct daemon *daemon = opaque;
	/* systemd has nobody to ask, and means it. */
	bool managed = getenv("NOTIFY_SOCKET") != NULL;

	sd_notify(false, "STOPPING=1");
	daemon->insistent = managed;
	request_stop(daemon, managed);
	return 0;
}

/* ------------------------------------------------------------------ swapoff by others */

static void forgotten(void *opaque, int r, const char *why)
{
	if (r && r != -ECANCELED)
		say(SAY_WARNING, "%s", why);
	go_on_stopping(opaque);
}

/* swapoff -a, for instance. The device stays, for swap to be switched on again; its memory is given back. */
static void look_for_swapoff(struct daemon *daemon)
{
	struct device *device = keeper_device(daemon->keeper);
	bool is_off = !device_is_swap(device);

	if (daemon->settings->use != USE_SWAP || !daemon->ready || is_off == daemon->swap_is_off ||
	    daemon->stopping != STOP_NOT || job_is_running(daemon->job))
		return;
	daemon->swap_is_off = is_off;
	if (is_off) {
		say(SAY_WARNING,
		    "%s is no swap any more: somebody else has switched that off; an upgrade (systemctl reload) or a "
		    "restart switches it on again",
		    device->path);
		/* If there is no memory for a child now, the data stays until it is overwritten. */
		(void)job_start(daemon->job, job_forget_swap, &daemon->swap, forgotten, daemon);
	} else {
		say(SAY_NOTICE, "%s is swap again", device->path);
	}
	if (ballast_is_whole(daemon->ballast))
		read_figures(daemon);
}

/* Whenever the kernel's list of swap areas has changed. */
static int swaps_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	look_for_swapoff(opaque);
	return 0;
}

static void swap_is_back(void *opaque, int r, const char *why)
{
	struct daemon *daemon = opaque;

	if (r && r != -ECANCELED)
		say(SAY_ERROR, "swap stays off: %s", why);
	if (!go_on_stopping(daemon))
		look_for_swapoff(daemon);
}

/* ------------------------------------------------------------------ upgrade */

static void answer_upgrade(struct daemon *daemon, bool ok, const char *text)
{
	if (!ok)
		say(SAY_ERROR, "no upgrade: %s", text);
	control_answer(daemon->control, daemon->upgrade_client, ok, text);
	daemon->upgrade_client = CONTROL_NOBODY;
}

/* Replace the server in a moment in which it has nothing to do, if there is one. */
static int replace_when_quiet(sd_event_source *source, uint64_t when, void *opaque)
{
	struct daemon *daemon = opaque;
	uint64_t in_flight = 1, completed;
	int r;

	if (daemon->upgrading) {
		answer_upgrade(daemon, false,
			       "no new server has come into service yet; it is tried on, and the log says why");
		return 0;
	}
	if (clock_us() < daemon->quiet_limit &&
	    device_progress(keeper_device(daemon->keeper), &in_flight, &completed) == 0 && in_flight) {
		clock_set(source, QUIET_LOOK_US);
		return 0;
	}
	daemon->quiet_limit = 0;
	r = keeper_replace(daemon->keeper, "upgrade");
	daemon->upgrading = r == 0;
	if (r)
		answer_upgrade(daemon, false, "the server is being replaced already");
	else
		clock_set(source, UPGRADE_LIMIT_US);
	return 0;
}

static void rehearsed(void *opaque, int r, const char *why)
{
	struct daemon *daemon = opaque;

	if (r != -ECANCELED)
		daemon->cannot_restart = r;
	if (r)
		answer_upgrade(daemon, false, why);
	if (go_on_stopping(daemon) || r)
		return;
	daemon->quiet_limit = clock_us() + QUIET_LIMIT_US;
	clock_set(daemon->quiet_timer, 0);
}

static void upgrade(struct daemon *daemon, unsigned client)
{
	int r = daemon->quiet_limit || daemon->upgrading || daemon->stopping != STOP_NOT || !daemon->ready ? -EBUSY : 0;

	if (!r)
		r = job_start(daemon->job, job_rehearse, &daemon->rehearsal, rehearsed, daemon);
	if (!r)
		daemon->upgrade_client = client;
	else
		control_answer(daemon->control, client, false,
			       r == -EBUSY ? "it is starting, stopping or being upgraded already" : strerror(-r));
}

static int upgrade_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *opaque)
{
	upgrade(opaque, CONTROL_NOBODY);
	return 0;
}

static void requested(void *opaque, unsigned client, const char *request)
{
	struct daemon *daemon = opaque;

	if (strcmp(request, "status") == 0) {
		/* Some of them have gone. */
		if (daemon->n_status_clients == CONTROL_CLIENTS)
			figures_read(daemon, -EBUSY, "");
		daemon->status_clients[daemon->n_status_clients++] = client;
		read_figures(daemon);
	} else if (strcmp(request, "upgrade") == 0) {
		upgrade(daemon, client);
	} else if (strcmp(request, "stop") == 0 || strcmp(request, "stop-unused") == 0) {
		int r = request_stop(daemon, strcmp(request, "stop") == 0);

		if (r)
			control_answer(daemon->control, client, false, why_not(r));
		else
			daemon->stop_client = client;
	} else if (strcmp(request, "make-way") == 0) {
		bool may = daemon->orphaned && (daemon->stopping == STOP_NOT || daemon->stopping == STOP_RETRYING);

		control_answer(daemon->control, client, may, "");
		if (may) {
			say(SAY_NOTICE, "making way for another daemon");
			exit_loop(daemon, EXIT_SUCCESS);
		}
	} else {
		control_answer(daemon->control, client, false, "that request is not known");
	}
}

/* ------------------------------------------------------------------ start */

static void put_to_use(void *opaque, int r, const char *why)
{
	struct daemon *daemon = opaque;

	/* In service, although nobody is told. */
	if (!r && daemon->stopping == STOP_RETRYING)
		daemon->ready = true;
	if ((!r || r == -ECANCELED) && go_on_stopping(daemon))
		return;
	if (!r) {
		say_ready(daemon);
		return;
	}
	say(SAY_ERROR, "%s", why);
	daemon->exit_status = EXIT_FAILURE;
	if (go_on_stopping(daemon))
		return;
	if (stop(daemon, false)) {
		daemon->stopping = STOP_RETRYING;
		clock_set(daemon->stop_timer, STOP_RETRY_US);
	}
}

/* The first time: swap on it, or mount it, unless that was done by a daemon before us. */
static int start_use(struct daemon *daemon)
{
	const struct settings *settings = daemon->settings;
	struct device *device = keeper_device(daemon->keeper);

	switch (settings->use) {
	case USE_SWAP:
		/* Also for later, should somebody switch it off. */
		daemon->swap = (struct job_swap){.device = device,
						 .backend = daemon->backend,
						 .priority = settings->swap_priority,
						 .tune = settings->tune,
						 .managed = getenv("NOTIFY_SOCKET") != NULL};
		if (device_is_swap(device))
			break;
		return job_start(daemon->job, job_swap_on, &daemon->swap, put_to_use, daemon);
	case USE_MOUNT:
		if (device_is_mounted(device))
			break;
		daemon->mount = (struct job_mount){.device = device,
						   .backend = daemon->backend,
						   .path = settings->mount_point,
						   .fs_type = settings->fs_type,
						   .options = settings->mount_options};
		return job_start(daemon->job, job_mount, &daemon->mount, put_to_use, daemon);
	case USE_NOTHING:
		break;
	}
	say_ready(daemon);
	return 0;
}

static void begin_use(struct daemon *daemon)
{
	int r = start_use(daemon);

	if (r)
		put_to_use(daemon, r, strerror(-r));
}

static void tried_parameters(void *opaque, int r, const char *why)
{
	struct daemon *daemon = opaque;

	if (r != -ECANCELED)
		daemon->cannot_restart = r;
	if (r && r != -ECANCELED)
		say(SAY_ERROR,
		    "with the parameters given now no server would come up: %s; process %d goes on with those it has; "
		    "correct them, and start again",
		    why, (int)keeper_server(daemon->keeper));
	if (!go_on_stopping(daemon))
		begin_use(daemon);
}

static void serving(void *opaque)
{
	struct daemon *daemon = opaque;
	pid_t adopted = daemon->holder;
	bool was_upgrading = daemon->upgrading;

	own_segment_serves(&daemon->segment, &daemon->folder);
	/* One that was started with the present parameters has come up. */
	if (keeper_server(daemon->keeper) != adopted && !keeper_server_is_old(daemon->keeper))
		daemon->cannot_restart = false;

	if (daemon->upgrading) {
		sd_event_source_set_enabled(daemon->quiet_timer, SD_EVENT_OFF);
		answer_upgrade(
			daemon, !keeper_server_is_old(daemon->keeper),
			keeper_server_is_old(daemon->keeper)
				? "the new server did not come into service; one from the files of the one before is there again, and the log says why"
				: "upgraded");
	}
	daemon->upgrading = false;
	if (daemon->ready && daemon->swap_is_off && was_upgrading)
		(void)job_start(daemon->job, job_swap_on, &daemon->swap, swap_is_back, daemon);
	if (daemon->ready || job_is_running(daemon->job))
		return;
	/*
	 * Other parameters than the adopted server's are tried while that server still lives. A daemon that replaces a dead one
	 * does not try: it has the same parameters, and memory may be too short for more processes.
	 */
	daemon->holder = 0;
	if (adopted && supervise_is_first() && keeper_server(daemon->keeper) == adopted &&
	    !server_command_is_of(daemon->command, adopted) &&
	    job_start(daemon->job, job_rehearse, &daemon->rehearsal, tried_parameters, daemon) == 0)
		return;
	begin_use(daemon);
}

static void failed(void *opaque, const char *why)
{
	struct daemon *daemon = opaque;

	say(SAY_ERROR, "%s", why);
	daemon->exit_status = EXIT_FAILURE;
	exit_loop(daemon, EXIT_FAILURE);
}

/* Not all that fails has a text: memory can run out anywhere. */
static int refuse(int r, const struct wrong *wrong)
{
	say(SAY_ERROR, "%s", wrong->text[0] ? wrong->text : strerror(-r));
	return EXIT_FAILURE;
}

/* One that does not hold the segment: it was started, and its daemon died before it came to that. */
static int end_leftover(void *opaque, pid_t pid, uint64_t start)
{
	struct daemon *daemon = opaque;
	struct server server;
	char how[80];
	int r;

	r = pid == daemon->holder ? 0 : server_adopt(&server, &daemon->folder, pid);
	if (pid == daemon->holder && daemon->holder_start == start)
		return 0;
	if (r && r != -ESRCH)
		return r;
	if (pid == daemon->holder || r || server.start != start) {
		if (pid != daemon->holder)
			server_forget(&server);
		folder_remove_server(&daemon->folder, pid, start);
		return 0;
	}
	/* It may be waiting for memory, and can end only when it got some. */
	ballast_drop(daemon->ballast, SIZE_MAX);
	say(SAY_NOTICE, "process %d, a server that does not serve, is ended", (int)pid);
	server_kill(&server);
	pidfd_wait(server.pidfd, LEFTOVER_LIMIT_MS);
	server_reap(&server, how, sizeof how);
	return 0;
}

static int end_leftovers(struct daemon *daemon, struct wrong *wrong)
{
	int r = folder_each_server(&daemon->folder, end_leftover, daemon);

	if (r)
		wrong_say(wrong, "%s: %s", daemon->folder.path, strerror(-r));
	return r;
}

/* A second device on the same segment would be made swap, over the data of the first. */
static int cannot_tell(struct wrong *wrong)
{
	wrong_say(wrong,
		  "it cannot be told whether a device is attached in this name (/sys/block cannot be read); try again");
	return -EAGAIN;
}

/* Which device is it to be? One that has our identifier is ours; one that is attached and has not is not. */
static int choose_device(struct daemon *daemon, struct wrong *wrong)
{
	int ours = device_find(daemon->backend), wanted = DEVICE_NONE;

	if (ours == DEVICE_UNKNOWN)
		return cannot_tell(wrong);
	if (daemon->settings->device)
		wanted = device_index(daemon->settings->device);
	if (ours != DEVICE_NONE && wanted != DEVICE_NONE && ours != wanted) {
		wrong_say(
			wrong,
			"'%s' is attached as /dev/nbd%d already, and %s was asked for; use that one, or stop it first",
			daemon->settings->name, ours, daemon->settings->device);
		return -EBUSY;
	}
	if (ours == DEVICE_NONE && wanted != DEVICE_NONE && device_is_attached(wanted)) {
		wrong_say(
			wrong,
			"%s is busy: it is attached to another server; use another device, or none to have a free one chosen",
			daemon->settings->device);
		return -EBUSY;
	}
	daemon->keeper_spec.device = ours != DEVICE_NONE ? ours : wanted;
	return 0;
}

/*
 * The size cannot change while the device is attached: then it goes on with the one it has. Otherwise it is a mistake, or
 * somebody else's segment.
 */
static int agree_on_size(struct daemon *daemon, uint64_t size, struct wrong *wrong)
{
	uint64_t asked = settings_word_bytes(daemon->settings, "size");
	char text[24];

	if (!size || !asked || size == asked)
		return 0;
	if (!daemon->was_attached) {
		wrong_say(wrong,
			  "%s holds a device of %" PRIu64 " bytes, and size=%" PRIu64
			  " was asked for; ask for that size, or remove the segment (ipcrm -m %d)",
			  daemon->segment.shown, size, asked, daemon->segment.found.id);
		return -EINVAL;
	}
	say(SAY_WARNING,
	    "size=%" PRIu64 " was asked for; the device is attached with %" PRIu64
	    " bytes and stays so until it is stopped",
	    asked, size);
	snprintf(text, sizeof text, "%" PRIu64, size);
	return settings_replace_word(daemon->settings, "size", text);
}

static int is_one(void *opaque, pid_t pid, uint64_t start)
{
	return 1;
}

/*
 * Is there another zsblkd that looks after it? That has the lock, unless somebody has emptied the folder under it. (Servers whose
 * daemon has died are their supervisor's.)
 */
static pid_t other_daemon_of(pid_t server)
{
	pid_t parent = process_parent(server);

	return parent != getppid() && process_same_name(parent, getpid()) ? parent : 0;
}

/*
 * The segment's holder must be a server of ours, since a server that does not answer is killed. The folder has notes of
 * ours. Where somebody has emptied the folder, the holder is ours if the device is attached in our name.
 */
static int check_holder(struct daemon *daemon, struct wrong *wrong)
{
	pid_t other = daemon->holder ? other_daemon_of(daemon->holder) : 0;

	if (other)
		wrong_say(
			wrong,
			"%s is served by process %d, which another zsblkd looks after, process %d; end that one (SIGKILL) first",
			daemon->segment.shown, (int)daemon->holder, (int)other);
	else if (daemon->holder && !folder_has_server(&daemon->folder, daemon->holder, daemon->holder_start) &&
		 (!daemon->was_attached || folder_each_server(&daemon->folder, is_one, NULL)))
		wrong_say(
			wrong,
			"%s is in use by process %d, which is no server of '%s'; stop that one first, or use another segment",
			daemon->segment.shown, (int)daemon->holder, daemon->settings->name);
	else
		return 0;
	daemon->holder = 0;
	return -EBUSY;
}

/* Which segment is it, what is in it, and who serves it? */
static int look_at_segment(struct daemon *daemon, struct wrong *wrong)
{
	int attached = device_find(daemon->backend), r;
	struct device device;
	uint64_t size;

	if (attached == DEVICE_UNKNOWN)
		return cannot_tell(wrong);
	device_init(&device, attached);
	daemon->was_attached = attached != DEVICE_NONE;
	size = daemon->was_attached ? device_size(&device) : 0;
	device_close(&device);
	if (daemon->was_attached && !size) {
		wrong_say(wrong, "/dev/nbd%d is attached, and its size cannot be read; try again", attached);
		return -EAGAIN;
	}
	r = own_segment_find(&daemon->segment, daemon->settings, &daemon->folder, size, wrong);
	if (r || !daemon->segment.memory[0])
		return r;
	daemon->holder = daemon->segment.found.holder;
	r = daemon->holder ? process_start_time(daemon->holder, &daemon->holder_start) : 0;
	if (r == -ESRCH) {
		daemon->holder = 0;
	} else if (r) {
		wrong_say(wrong, "process %d, which has claimed %s, cannot be looked at: %s", (int)daemon->holder,
			  daemon->segment.shown, strerror(-r));
		daemon->holder = 0;
		return r;
	}
	r = check_holder(daemon, wrong);
	return r ? r : agree_on_size(daemon, daemon->segment.found.size, wrong);
}

/* If server and daemon are killed together, nobody has the segment attached, and it must stay all the same. */
static int check_segments_last(const struct daemon *daemon, struct wrong *wrong)
{
	static const char reason[] =
		"kernel.shm_rmid_forced is 1: the kernel removes shared memory that no process has attached, and "
		"what is stored would be lost if server and daemon ended at once; set it to 0 (sysctl "
		"kernel.shm_rmid_forced=0)";

	if (!zsblk_segments_are_removed())
		return 0;
	if (daemon->was_attached) {
		say(SAY_WARNING, "%s", reason);
		return 0;
	}
	wrong_say(wrong, "%s", reason);
	return -EPERM;
}

/* The files of a server that worked, which a daemon before this one kept. */
static void inherit_files(struct daemon *daemon)
{
	struct kept kept;

	supervise_inherit(&kept);
	server_command_inherit(daemon->command, &kept, supervise_keep);
}

/* A daemon that ended while the machine went down has hidden it, and the machine may have stayed up (systemctl soft-reboot). */
static void show_node(int index)
{
	int r = index == DEVICE_NONE ? 0 : device_show_node(index);

	if (r && r != -ENODEV)
		say(SAY_WARNING,
		    "/dev/nbd%d is missing, and cannot be made: %s; make it (mknod, with the numbers in "
		    "/sys/block/nbd%d/dev): without it the device cannot be stopped",
		    index, strerror(-r), index);
}

static int prepare(struct daemon *daemon, struct wrong *wrong)
{
	const struct settings *settings = daemon->settings;
	int r;

	folder_file(&daemon->folder, "stats", daemon->stats);
	r = look_at_segment(daemon, wrong);
	if (!r)
		r = check_segments_last(daemon, wrong);
	if (!r)
		r = choose_device(daemon, wrong);
	if (!r)
		show_node(daemon->keeper_spec.device);
	if (!r && !daemon->segment.memory[0])
		r = own_segment_make(&daemon->segment, settings, &daemon->folder, wrong);
	if (!r && settings_replace_word(daemon->settings, "memory", daemon->segment.memory))
		r = -ENOMEM;
	if (r)
		return r;
	r = server_command_make(&daemon->command, settings, daemon->segment.memory, daemon->stats);
	if (r)
		wrong_say(wrong, "nbdkit=%s cannot be run: %s", settings->nbdkit, strerror(-r));
	else
		inherit_files(daemon);
	return r;
}

/* The supervisor is gone. Whoever started it may start another; until then, all goes on. */
static int orphaned(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct daemon *daemon = opaque;

	say(SAY_WARNING, "the supervisor has died; this daemon goes on without");
	daemon->orphaned = true;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

/* proc(5): poll(2) on /proc/swaps tells of changes. Where that fails, the status timer looks. */
static void watch_swaps(struct daemon *daemon)
{
	int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	sd_event_source *source;

	if (fd < 0)
		return;
	if (sd_event_add_io(daemon->loop, &source, fd, EPOLLPRI, swaps_event, daemon) < 0) {
		close(fd);
		return;
	}
	sd_event_source_set_io_fd_own(source, true);
	sd_event_source_set_floating(source, true);
	sd_event_source_unref(source);
}

static int make_loop(struct daemon *daemon)
{
	sigset_t signals;
	int r = sd_event_new(&daemon->loop);

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (r >= 0)
		r = sd_event_add_signal(daemon->loop, NULL, SIGTERM, stop_signal, daemon);
	if (r >= 0)
		r = sd_event_add_signal(daemon->loop, NULL, SIGINT, stop_signal, daemon);
	if (r >= 0)
		r = sd_event_add_signal(daemon->loop, NULL, SIGHUP, upgrade_signal, daemon);
	if (r >= 0)
		r = sd_event_add_time(daemon->loop, &daemon->status_timer, CLOCK_MONOTONIC, 0, 0, status_event, daemon);
	if (r >= 0)
		r = sd_event_source_set_enabled(daemon->status_timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(daemon->loop, &daemon->stop_timer, CLOCK_MONOTONIC, 0, 0, stop_again, daemon);
	if (r >= 0)
		r = sd_event_source_set_enabled(daemon->stop_timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(daemon->loop, &daemon->quiet_timer, CLOCK_MONOTONIC, 0, 100, replace_when_quiet,
				      daemon);
	if (r >= 0)
		r = sd_event_source_set_enabled(daemon->quiet_timer, SD_EVENT_OFF);
	daemon->orphaned = supervise_parent() < 0;
	if (r >= 0 && !daemon->orphaned)
		r = sd_event_add_io(daemon->loop, NULL, supervise_parent(), EPOLLIN, orphaned, daemon);
	if (r >= 0)
		watch_swaps(daemon);
	if (r >= 0)
		r = sd_event_set_watchdog(daemon->loop, true);
	return r < 0 ? r : 0;
}

static int make_parts(struct daemon *daemon, struct wrong *wrong)
{
	const struct settings *settings = daemon->settings;
	int r = make_loop(daemon);

	if (!r)
		r = job_create(&daemon->job, daemon->loop);
	if (!r)
		r = job_create(&daemon->status_job, daemon->loop);
	if (!r)
		r = control_listen(&daemon->control, daemon->loop, &daemon->folder, requested, daemon);
	if (r) {
		wrong_say(wrong, "%s: %s", daemon->folder.path, strerror(-r));
		return r;
	}
	daemon->figures = (struct job_figures){daemon->stats};
	folder_file(&daemon->folder, "rehearsal.sock", daemon->rehearsal_socket);
	daemon->rehearsal = (struct job_rehearsal){settings, daemon->rehearsal_socket};
	daemon->keeper_spec = (struct keeper_spec){
		.loop = daemon->loop,
		.folder = &daemon->folder,
		.command = daemon->command,
		.ballast = daemon->ballast,
		.backend = daemon->backend,
		.device = daemon->keeper_spec.device,
		.connections = settings->connections,
		.request_timeout = settings->request_timeout,
		.dead_timeout = settings->dead_timeout,
		.probe_timeout = settings->probe_timeout,
		.start_timeout = START_LIMIT_MS +
				 START_LIMIT_MS_PER_GIB * (unsigned)(settings_word_bytes(settings, "size") >> 30),
		.serving = serving,
		.failed = failed,
		.opaque = daemon,
	};
	return keeper_create(&daemon->keeper, &daemon->keeper_spec, wrong);
}

/* It did not come up: leave nothing behind that was not there before. */
static void undo_start(struct daemon *daemon)
{
	struct wrong wrong = {""};
	struct server server;
	char how[80];

	if (daemon->keeper && keeper_server(daemon->keeper) &&
	    server_adopt(&server, &daemon->folder, keeper_server(daemon->keeper)) == 0) {
		server_kill(&server);
		pidfd_wait(server.pidfd, LEFTOVER_LIMIT_MS);
		server_reap(&server, how, sizeof how);
	}
	leave_nothing(daemon, &wrong);
}

static void clean_up(struct daemon *daemon)
{
	keeper_free(daemon->keeper);
	control_close(daemon->control);
	job_free(daemon->job);
	job_free(daemon->status_job);
	sd_event_source_disable_unref(daemon->status_timer);
	sd_event_source_disable_unref(daemon->stop_timer);
	sd_event_source_disable_unref(daemon->quiet_timer);
	sd_event_unref(daemon->loop);
	server_command_free(daemon->command);
	memlimit_close(&daemon->memlimit);
	own_segment_close(&daemon->segment);
	folder_close(&daemon->folder);
}

static int wait_for_lock(struct daemon *daemon, pid_t *holder, struct wrong *wrong)
{
	uint64_t until = clock_after_ms(MAKE_WAY_MS);
	int r;

	do {
		r = folder_lock(&daemon->folder, holder, wrong);
	} while (r == -EBUSY && clock_pause(until, 10));
	return r;
}

/* A server whose note is gone would keep the segment from all that come after it. */
static int may_live(void *opaque, pid_t pid, uint64_t start)
{
	return process_may_be(pid, start);
}

/*
 * The lock, from whoever has it. A daemon whose supervisor has died has it still, and makes way: somebody wants this
 * instance to be looked after again. If it says nothing, it hangs, and nobody but us is there to end it. -EBUSY: it has a supervisor.
 */
static int take_lock(struct daemon *daemon, struct wrong *wrong)
{
	struct wrong answer;
	pid_t holder;
	int r = folder_lock(&daemon->folder, &holder, wrong);

	if (r != -EBUSY ||
	    control_ask(FOLDER_TOP, daemon->settings->name, "make-way", MAKE_WAY_MS / 1000, &answer) == -EACCES)
		return r;
	r = wait_for_lock(daemon, &holder, wrong);
	if (r != -EBUSY || !process_same_name(holder, getpid()) || process_same_name(process_parent(holder), getpid()))
		return r;
	say(SAY_WARNING, "the daemon (process %d) has no supervisor, and does not answer; it is killed", (int)holder);
	kill(holder, SIGKILL);
	return wait_for_lock(daemon, &holder, wrong);
}

int daemon_run(struct settings *settings, struct ballast *ballast)
{
	struct daemon daemon = {.settings = settings,
				.ballast = ballast,
				.upgrade_client = CONTROL_NOBODY,
				.stop_client = CONTROL_NOBODY};
	struct wrong wrong = {""};
	bool locked, alone, needed;
	int r;

	memlimit_open(&daemon.memlimit);
	snprintf(daemon.backend, sizeof daemon.backend, DEVICE_BACKEND_START "%s", settings->name);
	/* Before the first server, who inherits it. Memory locks are each process's own. */
	r = rights_take(&wrong);
	if (!r)
		r = folder_open(&daemon.folder, FOLDER_TOP, settings->name, true, &wrong);
	if (r) {
		refuse(r, &wrong);
		return device_find(daemon.backend) != DEVICE_NONE ? SUPERVISE_AGAIN : EXIT_FAILURE;
	}
	r = take_lock(&daemon, &wrong);
	locked = !r;
	alone = r != -EBUSY;
	if (!r)
		r = prepare(&daemon, &wrong);
	if (!r)
		r = make_parts(&daemon, &wrong);
	if (!r)
		r = end_leftovers(&daemon, &wrong);
	/* Others may have taken a while to end. */
	if (daemon.holder && !process_may_be(daemon.holder, daemon.holder_start))
		daemon.holder = 0;
	if (!r)
		r = keeper_start(daemon.keeper, daemon.holder, &wrong);
	if (r) {
		refuse(r, &wrong);
		/* Or there is another daemon, who looks after it. */
		needed = alone && device_find(daemon.backend) != DEVICE_NONE;
		if (locked && !needed && !daemon.holder && daemon.segment.made)
			leave_nothing(&daemon, &wrong);
		else if (locked && !needed && !daemon.holder && !folder_each_server(&daemon.folder, may_live, NULL))
			folder_remove(&daemon.folder, daemon.segment.has_name ? OWN_SEGMENT_NOTE : NULL);
		clean_up(&daemon);
		return needed ? SUPERVISE_AGAIN : EXIT_FAILURE;
	}
	r = sd_event_loop(daemon.loop);
	if (r < 0)
		say(SAY_ERROR, "the event loop ended: %s", strerror(-r));
	if (daemon.exit_status && !daemon.ready && daemon.stopping != STOP_ENDING)
		undo_start(&daemon);
	clean_up(&daemon);
	if (r < 0)
		return device_find(daemon.backend) != DEVICE_NONE ? SUPERVISE_AGAIN : EXIT_FAILURE;
	return daemon.exit_status;
}

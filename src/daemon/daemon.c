/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon: its loop, and what comes into it. See daemon.h.
 *
 *   start.c     rights, folder, lock; what is there already (found.c); the segment
 *   keeper.c    a server behind the device, from now on
 *   use.c       swapon or mount, then READY=1
 *   status.c, upgrade.c, resize.c, stop.c: what is asked for
 *
 * Each part decides for itself. This file passes on what concerns several of them: that a server serves, that time has passed.
 */
#include "daemon/daemon.h"

#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "daemon/child/job.h"
#include "daemon/instance.h"
#include "daemon/keeper/keeper.h"
#include "daemon/report.h"
#include "daemon/resize.h"
#include "daemon/resources/memlimit.h"
#include "daemon/server/server_command.h"
#include "daemon/start.h"
#include "daemon/state/control.h"
#include "daemon/status.h"
#include "daemon/stop.h"
#include "daemon/supervise.h"
#include "daemon/transport/transport.h"
#include "daemon/upgrade.h"
#include "daemon/use.h"
#include "machine/needs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

/* Shorter in tests/daemon's build. */
#ifndef STATUS_INTERVAL_US
#define STATUS_INTERVAL_US (10u * 1000000u)
#endif

/* A server that starts reads the whole table of its segment. The limit is many times of what that takes. */
#define START_LIMIT_MS         10000u
#define START_LIMIT_MS_PER_GIB 1000u

struct daemon {
	struct instance instance;
	struct start start;
	struct keeper_spec keeper_spec;
	struct status *status;
	struct stop *stop;
	struct use *use;
	struct upgrade *upgrade;
	struct resize *resize;
	struct memlimit memlimit;
	sd_event_source *look_timer;
	bool is_orphan; /* the supervisor has died */
	int exit_status;
};

static void exit_loop(void *opaque, int status)
{
	struct daemon *daemon = opaque;

	daemon->exit_status = status;
	control_flush(daemon->instance.control);
	sd_event_exit(daemon->instance.loop, status);
}

/* Not all that fails has a text: memory can run out anywhere. */
static void say_failure(int r, const struct wrong *wrong)
{
	say(SAY_ERROR, "%s", wrong->text[0] ? wrong->text : strerror(-r));
}

/* ------------------------------------------------------------------ what concerns several parts */

/* For status.c. */
static void fill_in(void *opaque, struct status_facts *facts)
{
	const struct daemon *daemon = opaque;

	facts->swap_is_off = use_swap_is_off(daemon->use);
	facts->cannot_restart = upgrade_cannot_restart(daemon->upgrade);
	facts->is_stopping = stop_state(daemon->stop) != STOP_NOT;
	facts->is_detaching = stop_state(daemon->stop) == STOP_DETACHING;
}

/* Look now and then whether all is as it should be. */
static int look_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct daemon *daemon = opaque;
	struct instance *instance = &daemon->instance;

	clock_set(source, STATUS_INTERVAL_US);
	if (stop_state(daemon->stop) == STOP_DETACHING)
		status_tell(daemon->status);
	if (stop_state(daemon->stop) != STOP_NOT)
		return 0;
	stop_look_for_loss(daemon->stop);
	own_segment_is_removed(&instance->segment);
	use_look_for_swapoff(daemon->use);
	if (!keeper_is_serving(instance->keeper))
		return 0;
	keeper_check(instance->keeper);
	memlimit_say(&daemon->memlimit, instance->settings);
	/* Reading the figures forks, which takes memory. Where memory is short the fork waits, and the loop must not. */
	if (ballast_is_whole(instance->ballast))
		status_tell_figures(daemon->status);
	return 0;
}

/* Process 1 is what starts the service again when all of its processes were killed at once. */
static void say_what_is_not_promised(const struct settings *settings)
{
	if (settings->use == SETTINGS_USE_SWAP && getenv("NOTIFY_SOCKET") && sd_booted() > 0 &&
	    needs_process_1_is_swappable("/sys/fs/cgroup"))
		say(SAY_WARNING,
		    "process 1 can be swapped out to this device (init.scope has no MemorySwapMax=0, or the kernel has no memory "
		    "controller: cgroup_disable=memory): if all processes of this service are killed at once, nobody starts it again, and "
		    "the machine hangs; zsblk@.service(8), Process 1");
}

/* The device is in use, or ready for it. */
static void ready(void *opaque)
{
	struct daemon *daemon = opaque;
	const struct settings *settings = daemon->instance.settings;

	say_what_is_not_promised(settings);
	memlimit_say(&daemon->memlimit, settings);
	status_ready(daemon->status);
	clock_set(daemon->look_timer, STATUS_INTERVAL_US);
}

/* A server serves: the first one, or the next. */
static void serving(void *opaque)
{
	struct daemon *daemon = opaque;
	struct instance *instance = &daemon->instance;
	pid_t adopted = daemon->start.found.server;
	bool is_adopted = adopted && keeper_server(instance->keeper) == adopted;

	own_segment_serves(&instance->segment, &instance->folder);
	resize_serves(daemon->resize, is_adopted);
	if (upgrade_serves(daemon->upgrade, !is_adopted))
		use_swap_again(daemon->use);
	if (use_is_ready(daemon->use) || job_is_running(instance->job))
		return;
	/*
	 * Other parameters than the adopted server's are tried while that server still lives. A daemon that replaces a dead one
	 * does not try: it has the same parameters, and memory may be too short for more processes.
	 */
	daemon->start.found.server = 0;
	if (adopted && is_adopted && supervise_is_first() && !server_command_is_of(instance->command, adopted) &&
	    upgrade_try_parameters(daemon->upgrade) == 0)
		return;
	use_begin(daemon->use);
}

static uint64_t size_of_segment(void *opaque)
{
	const struct daemon *daemon = opaque;

	return own_segment_size(&daemon->instance.segment);
}

/* The first server did not come into service. */
static void not_serving(void *opaque, const char *why)
{
	say(SAY_ERROR, "%s", why);
	exit_loop(opaque, EXIT_FAILURE);
}

/* ------------------------------------------------------------------ what comes into the loop */

/*
 * Only this daemon holds the files of a server that worked, and what is installed may not work. So the other daemon has to ask again until a
 * server serves that has shown that its files work: it takes them from that server.
 */
static void make_way(struct daemon *daemon, unsigned client)
{
	enum stop_state state = stop_state(daemon->stop);
	bool may = daemon->is_orphan && (state == STOP_NOT || state == STOP_RETRYING);
	bool now =
		keeper_server_has_proved(daemon->instance.keeper) || !server_command_has_kept(daemon->instance.command);

	control_answer(daemon->instance.control, client, may,
		       !may  ? "this daemon has a supervisor, or is stopping"
		       : now ? ""
			     : CONTROL_ASK_AGAIN);
	if (!may || !now)
		return;
	say(SAY_NOTICE, "making way for another daemon");
	exit_loop(daemon, EXIT_SUCCESS);
}

static void requested(void *opaque, unsigned client, const struct control_request *request)
{
	struct daemon *daemon = opaque;

	switch (request->verb) {
	case CONTROL_STATUS:
		status_ask(daemon->status, client);
		break;
	case CONTROL_STOP:
	case CONTROL_STOP_UNUSED:
		stop_request(daemon->stop, client, request->verb == CONTROL_STOP);
		break;
	case CONTROL_UPGRADE:
		upgrade_request(daemon->upgrade, client);
		break;
	case CONTROL_RESIZE:
		resize_request(daemon->resize, client, request->size);
		break;
	case CONTROL_MAKE_WAY:
		make_way(daemon, client);
		break;
	}
}

static struct json_object *report(void *opaque)
{
	struct daemon *daemon = opaque;

	return report_status(&daemon->instance, stop_state(daemon->stop) != STOP_NOT);
}

static int stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *opaque)
{
	struct daemon *daemon = opaque;

	sd_notify(false, "STOPPING=1");
	stop_by_signal(daemon->stop, getenv("NOTIFY_SOCKET") != NULL);
	return 0;
}

static int upgrade_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *opaque)
{
	struct daemon *daemon = opaque;

	upgrade_request(daemon->upgrade, CONTROL_NOBODY);
	return 0;
}

/* Whenever the kernel's list of swap areas has changed. */
static int swaps_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct daemon *daemon = opaque;

	use_look_for_swapoff(daemon->use);
	return 0;
}

/* The supervisor is gone. Whoever started it may start another; until then, all goes on. */
static int orphaned(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct daemon *daemon = opaque;

	say(SAY_WARNING, "the supervisor has died; this daemon goes on without");
	daemon->is_orphan = true;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

/* ------------------------------------------------------------------ start and end */

/* proc(5): poll(2) on /proc/swaps tells of changes. Where that fails, look_event() looks. */
static void watch_swaps(struct daemon *daemon)
{
	int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	sd_event_source *source;

	if (fd < 0)
		return;
	if (sd_event_add_io(daemon->instance.loop, &source, fd, EPOLLPRI, swaps_event, daemon) < 0) {
		close(fd);
		return;
	}
	sd_event_source_set_io_fd_own(source, true);
	sd_event_source_set_floating(source, true);
	sd_event_source_unref(source);
}

static int watch_signals(struct daemon *daemon)
{
	sd_event *loop = daemon->instance.loop;
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_add_signal(loop, NULL, SIGTERM, stop_signal, daemon);
	if (r >= 0)
		r = sd_event_add_signal(loop, NULL, SIGINT, stop_signal, daemon);
	return r < 0 ? r : sd_event_add_signal(loop, NULL, SIGHUP, upgrade_signal, daemon);
}

static int make_loop(struct daemon *daemon)
{
	sd_event *loop;
	int r = sd_event_new(&loop), supervisor = supervise_parent();

	if (r < 0)
		return r;
	daemon->instance.loop = loop;
	r = watch_signals(daemon);
	if (r >= 0)
		r = sd_event_add_time(loop, &daemon->look_timer, CLOCK_MONOTONIC, 0, 0, look_event, daemon);
	if (r >= 0)
		r = sd_event_source_set_enabled(daemon->look_timer, SD_EVENT_OFF);
	daemon->is_orphan = supervisor < 0;
	if (r >= 0 && !daemon->is_orphan)
		r = sd_event_add_io(loop, NULL, supervisor, EPOLLIN, orphaned, daemon);
	if (r >= 0)
		watch_swaps(daemon);
	if (r >= 0)
		r = sd_event_set_watchdog(loop, true);
	return r < 0 ? r : 0;
}

static int make_keeper(struct daemon *daemon, struct wrong *wrong)
{
	struct instance *instance = &daemon->instance;
	const struct settings *settings = instance->settings;

	daemon->keeper_spec = (struct keeper_spec){
		.loop = instance->loop,
		.folder = &instance->folder,
		.command = instance->command,
		.ballast = instance->ballast,
		.kind = instance->transport,
		.transport = {.loop = instance->loop,
			      .settings = settings,
			      .folder = &instance->folder,
			      .backend = instance->backend,
			      .device = &daemon->start.found.device},
		.start_timeout = START_LIMIT_MS +
				 START_LIMIT_MS_PER_GIB * (unsigned)(settings_param_bytes(settings, "size") >> 30),
		.size = size_of_segment,
		.serving = serving,
		.failed = not_serving,
		.opaque = daemon,
	};
	return keeper_create(&instance->keeper, &daemon->keeper_spec, wrong);
}

static int make_parts(struct daemon *daemon, struct wrong *wrong)
{
	struct instance *instance = &daemon->instance;
	int r = make_loop(daemon);

	if (!r)
		r = job_create(&instance->job, instance->loop);
	if (!r)
		r = control_listen(&instance->control, &(struct control_spec){.loop = instance->loop,
									      .folder = &instance->folder,
									      .group = instance->control_group,
									      .version = ZSBLKD_VERSION,
									      .request = requested,
									      .report = report,
									      .opaque = daemon});
	if (!r)
		r = status_create(&daemon->status, instance, fill_in, daemon);
	if (!r)
		r = stop_create(&daemon->stop, instance, exit_loop, daemon);
	if (!r)
		r = use_create(&daemon->use, instance, daemon->stop, daemon->status, ready, daemon);
	if (!r)
		r = upgrade_create(&daemon->upgrade, instance, daemon->stop, daemon->use);
	if (!r)
		r = resize_create(&daemon->resize, instance, daemon->stop, daemon->use);
	if (r) {
		wrong_say(wrong, "%s: %s", instance->folder.path, strerror(-r));
		return r;
	}
	return make_keeper(daemon, wrong);
}

static void clean_up(struct daemon *daemon)
{
	struct instance *instance = &daemon->instance;

	keeper_free(instance->keeper);
	control_close(instance->control);
	job_free(instance->job);
	resize_free(daemon->resize);
	upgrade_free(daemon->upgrade);
	use_free(daemon->use);
	stop_free(daemon->stop);
	status_free(daemon->status);
	sd_event_source_disable_unref(daemon->look_timer);
	sd_event_unref(instance->loop);
	server_command_free(instance->command);
	memlimit_close(&daemon->memlimit);
	own_segment_close(&instance->segment);
	folder_close(&instance->folder);
}

static int begin_daemon(struct daemon *daemon, struct wrong *wrong)
{
	struct instance *instance = &daemon->instance;
	int r = start_instance(&daemon->start, instance, wrong);

	if (!r)
		r = make_parts(daemon, wrong);
	if (!r)
		r = start_end_leftovers(&daemon->start, instance, wrong);
	return r ? r : keeper_start(instance->keeper, daemon->start.found.server, wrong);
}

/* Until it is told to end. The exit status. */
static int run_loop(struct daemon *daemon)
{
	struct instance *instance = &daemon->instance;
	int r = sd_event_loop(instance->loop);

	if (r < 0)
		say(SAY_ERROR, "the event loop ended: %s", strerror(-r));
	if (daemon->exit_status && !use_is_ready(daemon->use) && stop_state(daemon->stop) != STOP_ENDING)
		start_undo(instance, stop_was_asked(daemon->stop));
	if (r < 0)
		return transport_find_instance(instance->settings) != -ENODEV ? SUPERVISE_AGAIN : EXIT_FAILURE;
	return daemon->exit_status;
}

int daemon_run(struct settings *settings, struct ballast *ballast)
{
	struct daemon daemon = {.instance = {.settings = settings, .ballast = ballast}};
	struct wrong wrong = {""};
	int r;

	memlimit_open(&daemon.memlimit);
	r = begin_daemon(&daemon, &wrong);
	if (r) {
		say_failure(r, &wrong);
		r = start_failed(&daemon.start, &daemon.instance);
	} else {
		r = run_loop(&daemon);
	}
	clean_up(&daemon);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The start of an instance. See start.h. */
#include "daemon/start.h"

#include "daemon/base/clock.h"
#include "daemon/base/pidfd.h"
#include "daemon/base/say.h"
#include "daemon/keeper/keeper.h"
#include "daemon/resources/ballast.h"
#include "daemon/resources/rights.h"
#include "daemon/server/server.h"
#include "daemon/server/server_command.h"
#include "daemon/settings/group.h"
#include "daemon/settings/settings.h"
#include "daemon/state/control.h"
#include "daemon/supervise.h"
#include "daemon/transport/choice.h"
#include "daemon/transport/transport.h"
#include "process/process.h"
#include "zsblk.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A server that was killed is gone at once, unless it is held up in the kernel. */
#define LEFTOVER_LIMIT_MS 10000
/* Another daemon that agrees to make way is gone within this time. */
#define MAKE_WAY_S 5
/* One that has to look after its server first is asked again for so long. No server comes up in a minute: then another daemon may have more luck. */
#define ASK_AGAIN_MS 60000

/* ------------------------------------------------------------------ the real machine, for found.c */

static int machine_lock(void *opaque, bool patient, pid_t *holder, struct wrong *wrong)
{
	struct instance *instance = opaque;
	uint64_t until = clock_after_ms(MAKE_WAY_S * 1000);
	int r;

	do {
		r = folder_lock(&instance->folder, holder, wrong);
	} while (patient && r == -EBUSY && clock_pause(until, 10));
	return r;
}

static int machine_ask_to_make_way(void *opaque)
{
	const struct instance *instance = opaque;
	uint64_t until = clock_after_ms(ASK_AGAIN_MS);
	struct wrong answer;
	int r;

	do {
		r = control_ask(FOLDER_TOP, instance->settings->name,
				&(struct control_request){.verb = CONTROL_MAKE_WAY}, MAKE_WAY_S, &answer);
	} while (!r && strcmp(answer.text, CONTROL_ASK_AGAIN) == 0 && clock_pause(until, 100));
	return r;
}

static void machine_kill_daemon(void *opaque, pid_t daemon)
{
	say(SAY_WARNING, "the daemon (process %d) has no supervisor, and does not answer; it is killed", (int)daemon);
	kill(daemon, SIGKILL);
}

static bool machine_is_zsblkd(void *opaque, pid_t pid)
{
	return process_same_name(pid, getpid());
}

static pid_t machine_parent(void *opaque, pid_t pid)
{
	return process_parent(pid);
}

static bool machine_outlives(void *opaque, pid_t pid)
{
	uint64_t until = clock_after_ms(MAKE_WAY_S * 1000), start;
	int r = process_start_time(pid, &start);

	/* What cannot be told is not gone. */
	if (r)
		return r != -ESRCH;
	while (process_may_be(pid, start))
		if (!clock_pause(until, 10))
			return true;
	return false;
}

static int machine_start_time(void *opaque, pid_t pid, uint64_t *start)
{
	return process_start_time(pid, start);
}

static int machine_device(void *opaque, struct device *device)
{
	const struct instance *instance = opaque;

	return transport_find(instance->settings, instance->backend, device);
}

static bool machine_device_is_attached(void *opaque, const struct device *device)
{
	return transport_is_attached(device);
}

static uint64_t machine_device_size(void *opaque, const struct device *device)
{
	return device_size(device);
}

static int machine_segment(void *opaque, uint64_t device_size, struct found_segment *found, struct wrong *wrong)
{
	struct instance *instance = opaque;
	struct own_segment *segment = &instance->segment;
	int r = own_segment_find(segment, instance->settings, &instance->folder, device_size, wrong);

	*found = (struct found_segment){.exists = !r && segment->memory[0], .shown = segment->shown};
	if (found->exists) {
		found->id = segment->found.id;
		found->size = segment->found.size;
		found->holder = segment->found.holder;
	}
	return r;
}

static bool machine_segments_are_removed(void *opaque)
{
	return zsblk_segments_are_removed();
}

static bool machine_has_note(void *opaque, pid_t pid, uint64_t start)
{
	const struct instance *instance = opaque;

	return folder_has_server(&instance->folder, pid, start);
}

static int stop_at_first(void *opaque, pid_t pid, uint64_t start)
{
	return 1;
}

static bool machine_has_notes(void *opaque)
{
	struct instance *instance = opaque;

	return folder_each_server(&instance->folder, stop_at_first, NULL);
}

static const struct found_machine machine = {
	.lock = machine_lock,
	.ask_to_make_way = machine_ask_to_make_way,
	.kill_daemon = machine_kill_daemon,
	.is_zsblkd = machine_is_zsblkd,
	.parent = machine_parent,
	.outlives = machine_outlives,
	.start_time = machine_start_time,
	.device = machine_device,
	.device_is_attached = machine_device_is_attached,
	.device_size = machine_device_size,
	.segment = machine_segment,
	.segments_are_removed = machine_segments_are_removed,
	.has_note = machine_has_note,
	.has_notes = machine_has_notes,
};

/* ------------------------------------------------------------------ the start */

/* The attached device keeps its size. */
static int keep_size(struct settings *settings, uint64_t size)
{
	char text[24];

	say(SAY_WARNING,
	    "size=%" PRIu64 " was asked for; the device is attached with %" PRIu64
	    " bytes and stays so until it is stopped",
	    settings_param_bytes(settings, "size"), size);
	snprintf(text, sizeof text, "%" PRIu64, size);
	return settings_replace_param(settings, "size", text);
}

static int look_around(struct start *start, struct instance *instance, struct wrong *wrong)
{
	struct settings *settings = instance->settings;
	const struct found_wanted wanted = {.name = settings->name,
					    .device = settings->device,
					    .size = settings_param_bytes(settings, "size"),
					    .supervisor = getppid()};
	struct found *found = &start->found;
	int r = found_look(found, &wanted, &machine, instance, wrong);

	instance->in_service = found->attached;
	if (!r && found->size_kept)
		r = keep_size(settings, found->size_kept);
	if (!r && found->may_be_lost)
		say(SAY_WARNING, "%s", found_segments_are_removed);
	return r;
}

/*
 * A daemon that ended while the machine went down has hidden the device's node, and the machine may have stayed up
 * (systemctl soft-reboot).
 */
static void show_node(const struct device *device)
{
	int r = device_is_none(device) ? 0 : device_show_node(device);

	if (r && r != -ENODEV)
		say(SAY_WARNING,
		    "%s is missing, and cannot be made: %s; make it (mknod, with the numbers in /sys/block/%s/dev): without it "
		    "the device cannot be stopped",
		    device->path, strerror(-r), device_name(device));
}

static int choose_transport(const struct start *start, struct instance *instance, struct wrong *wrong)
{
	struct choice choice;
	int r = choice_make(&choice, instance->settings, start->found.attached ? &start->found.device : NULL, wrong);

	if (r)
		return r;
	instance->transport = choice.transport;
	snprintf(instance->fallback, sizeof instance->fallback, "%s", choice.fallback);
	if (choice.fallback[0])
		say(SAY_NOTICE, "over %s, since ublk cannot be used: %s", choice.transport->name, choice.fallback);
	else
		say(SAY_NOTICE, "over %s%s", choice.transport->name,
		    start->found.attached ? ", as the device that is there" : "");
	/* With transport = auto they may be given, for the case that it is NBD. */
	if (choice.transport->server_attaches &&
	    (settings_given(instance->settings, "connections") || settings_given(instance->settings, "threads") ||
	     settings_given(instance->settings, "request-timeout")))
		say(SAY_NOTICE, "connections, threads and request-timeout are for NBD, and change nothing here");
	return 0;
}

/* With the files of a server that worked, which a daemon before this one kept. */
static int make_command(struct instance *instance, struct wrong *wrong)
{
	const struct settings *settings = instance->settings;
	struct kept kept;
	int r = server_command_make(&instance->command, instance->transport, settings, instance->segment.memory,
				    instance->stats, instance->control_path);

	if (r) {
		wrong_say(wrong, "%s=%s cannot be run: %s", instance->transport->server_name,
			  instance->transport->program(settings), strerror(-r));
		return r;
	}
	supervise_inherit(&kept);
	server_command_inherit(instance->command, &kept, supervise_keep);
	return 0;
}

/* Who may look. Without that the device is kept all the same, and nobody but root may. */
static void let_group_in(struct instance *instance)
{
	struct settings *settings = instance->settings;
	int r;

	instance->control_group = GROUP_NONE;
	if (!settings->control_group)
		return;
	r = group_number(settings->control_group, &instance->control_group);
	if (!r)
		r = folder_let_in(&instance->folder, instance->control_group);
	if (!r)
		return;
	say(SAY_WARNING, "control-group = %s: %s; nobody but root may look", settings->control_group, strerror(-r));
	instance->control_group = GROUP_NONE;
	free(settings->control_group);
	settings->control_group = NULL;
}

/* With the lock held: all that servers need. */
static int prepare_instance(struct start *start, struct instance *instance, struct wrong *wrong)
{
	struct own_segment *segment = &instance->segment;
	int r;

	folder_file(&instance->folder, "stats", instance->stats);
	folder_file(&instance->folder, FOLDER_CONTROL, instance->control_path);
	let_group_in(instance);
	r = look_around(start, instance, wrong);
	if (!r)
		r = choose_transport(start, instance, wrong);
	if (!r)
		show_node(&start->found.device);
	/* No device of this segment is attached: what there is has never been started. */
	if (!r && !start->found.attached && segment->memory[0] && !start->found.server)
		transport_remove_leftovers(instance->transport, instance->settings, own_segment_id(segment));
	if (!r && !segment->memory[0])
		r = own_segment_make(segment, instance->settings, &instance->folder, wrong);
	if (!r)
		r = settings_replace_param(instance->settings, "memory", segment->memory);
	return r ? r : make_command(instance, wrong);
}

int start_instance(struct start *start, struct instance *instance, struct wrong *wrong)
{
	const char *name = instance->settings->name;
	int r;

	*start = (struct start){.is_alone = true};
	device_init(&start->found.device, "");
	instance->folder = (struct folder){.fd = -1, .lock = -1};
	snprintf(instance->backend, sizeof instance->backend, TRANSPORT_BACKEND_START "%s", name);
	/* Before the first server, which inherits them. Memory locks are each process's own. */
	r = rights_take(wrong);
	if (!r)
		r = folder_open(&instance->folder, FOLDER_TOP, name, true, wrong);
	if (r)
		return r;
	r = found_lock(&machine, instance, wrong);
	start->has_lock = !r;
	start->is_alone = r != -EBUSY;
	return r ? r : prepare_instance(start, instance, wrong);
}

/* ------------------------------------------------------------------ servers that do not serve */

static void end_server(struct server *server)
{
	char how[80];

	server_kill(server);
	pidfd_wait(server->pidfd, LEFTOVER_LIMIT_MS);
	server_reap(server, how, sizeof how);
}

struct leftovers {
	const struct found *found;
	struct instance *instance;
};

/* End a server that does not hold the segment: its daemon died before the server came to that. */
static int end_leftover(void *opaque, pid_t pid, uint64_t start)
{
	const struct leftovers *all = opaque;
	struct instance *instance = all->instance;
	struct server server;
	int r = server_adopt(&server, &instance->folder, pid);

	switch (found_note(all->found, pid, start, r, server.start)) {
	case FOUND_LEFT_OVER:
		/* The server may be waiting for memory, and can end only when it has got some. */
		ballast_drop(instance->ballast, SIZE_MAX);
		say(SAY_NOTICE, "process %d, a server that does not serve, is ended", (int)pid);
		end_server(&server);
		return 0;
	case FOUND_GONE:
		folder_remove_server(&instance->folder, pid, start);
		break;
	case FOUND_SERVES:
		break;
	case FOUND_UNKNOWN:
		return r;
	}
	if (!r)
		server_forget(&server);
	return 0;
}

int start_end_leftovers(struct start *start, struct instance *instance, struct wrong *wrong)
{
	struct found *found = &start->found;
	int r = folder_each_server(&instance->folder, end_leftover, &(struct leftovers){found, instance});

	if (r)
		wrong_say(wrong, "%s: %s", instance->folder.path, strerror(-r));
	/* The others may have taken a while to end. */
	if (found->server && !process_may_be(found->server, found->server_start))
		found->server = 0;
	return r;
}

/* ------------------------------------------------------------------ a start that failed */

static int may_live(void *opaque, pid_t pid, uint64_t start)
{
	return process_may_be(pid, start);
}

static void leave_nothing(struct instance *instance, bool asked)
{
	struct wrong wrong = {""};

	own_segment_finish(&instance->segment, &instance->folder, instance->settings->name,
			   &(struct own_segment_end){.in_service = instance->in_service, .asked = asked}, &wrong);
}

int start_failed(struct start *start, struct instance *instance)
{
	/* Unless there is another daemon, which looks after the device. */
	bool needed = start->is_alone && transport_find_instance(instance->settings) != -ENODEV;

	if (start->has_lock && !needed && !start->found.server) {
		if (instance->segment.made)
			leave_nothing(instance, false);
		/* A server whose note is gone would keep the segment from all that come after it. */
		else if (!folder_each_server(&instance->folder, may_live, NULL))
			folder_remove(&instance->folder, instance->segment.has_name ? OWN_SEGMENT_NOTE : NULL);
	}
	return needed ? SUPERVISE_AGAIN : EXIT_FAILURE;
}

void start_undo(struct instance *instance, bool asked)
{
	pid_t pid = instance->keeper ? keeper_server(instance->keeper) : 0;
	struct server server;

	if (pid && server_adopt(&server, &instance->folder, pid) == 0)
		end_server(&server);
	if (!instance->in_service)
		transport_remove_leftovers(instance->transport, instance->settings, own_segment_id(&instance->segment));
	leave_nothing(instance, asked);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ublk as a transport: zsblk-ublk is the server, and the kernel's ublk driver hands the requests of /dev/ublkbN to it.
 *
 *   transport_reach()     the server makes the disk, or takes over the one
 *                         that there is (--recover), and says which one it
 *                         is: a link in the instance's folder
 *   TRANSPORT_SERVES      the disk is read by way of each queue, sweep.c
 *
 * U1 Only servers and their program speak to the driver. The daemon never has /dev/ublkcN open: from Linux 6.15 on, no server can take the
 *    disk over before the last one who has it open is gone.
 * U2 A server is started for one disk. While there is a disk, no server is started that would make another one; what has become of a disk
 *    that is gone is decided by who looks for that (stop.c).
 * U3 A server that dies leaves its requests with the driver, which gives them to the next one (UBLK_F_USER_RECOVERY_REISSUE). The next
 *    one is started after the one before has ended (K1 in keeper.c), so a request that is carried out twice is carried out twice with the
 *    same data, and nothing newer in between.
 * U4 Nothing here blocks. What may wait for the disk is done by the sweep's process, and what may wait for the driver by a program that a
 *    job runs.
 */
#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "daemon/resources/rights.h"
#include "daemon/state/folder.h"
#include "daemon/transport/transport.h"
#include "daemon/transport/ublk/disk.h"
#include "daemon/transport/ublk/sweep.h"
#include "daemon/transport/ublk/ublk_server.h"
#include "daemon/transport/watch.h"
#include "zsblk.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-event.h>

/* A server hangs if it completes none of the disk's requests for so many probe timeouts. */
#define STUCK_PROBES 3u
/* How often to look whether a new server has said that it is ready. */
#define READY_LOOK_US 2000u
/*
 * How often the kernel looks at requests in flight. Before Linux 6.15 that is how the driver learns that a server has died which had every
 * tag of a queue; it does no harm to a server that lives.
 */
#define KERNEL_TIMER_MS 500u

struct ublk_end {
	struct transport_end end; /* first: it is what others have of this */
	struct transport_spec spec;
	sd_event_source *timer; /* not serving: the next look for the contact; serving: the next look at the server */
	struct transport_server server; /* pid 0: none */
	bool serves;
	bool adopted; /* the server is an earlier daemon's: nobody knows yet whether it hangs */
	struct sweep *sweep;
	struct watch watch;
	bool has_failed; /* a read gave an error, and that was said */
	uint64_t blocks;
	uint64_t stride; /* from one block to the next */
	uint64_t block;  /* the one that is read */
};

static struct ublk_end *ublk_of(struct transport_end *end)
{
	return (struct ublk_end *)end;
}

static void ublk_let_go(struct transport_end *end)
{
	struct ublk_end *ublk = ublk_of(end);

	ublk->serves = false;
	ublk->server.pid = 0;
	ublk->watch.longest = 0;
	sd_event_source_set_enabled(ublk->timer, SD_EVENT_OFF);
}

/* The last that is told of this server. */
static void ublk_tell_end(struct ublk_end *ublk, enum transport_news news, const char *text)
{
	ublk->serves = false;
	sd_event_source_set_enabled(ublk->timer, SD_EVENT_OFF);
	ublk->spec.news(ublk->spec.opaque, news, text);
}

/* ------------------------------------------------------------------ is it well? */

static void ublk_answered(void *opaque, int r, bool is_last)
{
	struct ublk_end *ublk = opaque;
	uint64_t now = clock_us();

	/* What was asked of the server before may be answered by this one. */
	watch_answered(&ublk->watch, now);
	/* The next queue is asked by now. */
	if (!is_last)
		watch_asked(&ublk->watch, now);
	/* A server that answers with an error is alive. A new server would read the same from the segment. */
	if (r && r != -ENOENT && ublk->serves && !ublk->has_failed) {
		say(SAY_ERROR, "%s: reading block %llu for a probe: %s", ublk->end.device.path,
		    (unsigned long long)ublk->block, strerror(-r));
		ublk->has_failed = true;
	}
}

/* A question that cannot be asked now, for want of memory, is asked at the next look. */
static void ublk_ask(struct ublk_end *ublk)
{
	ublk->block = (ublk->block + ublk->stride) % ublk->blocks;
	if (!sweep_has_process(ublk->sweep) && !ublk->spec.may_fork(ublk->spec.opaque))
		return;
	if (sweep_start(ublk->sweep, &ublk->end.device, ublk->block * ZSBLK_BLOCK_SIZE) == 0)
		watch_asked(&ublk->watch, clock_us());
}

static void ublk_look(struct ublk_end *ublk)
{
	struct watch_device device = {0};
	char why[80];

	device.is_known = device_progress(&ublk->end.device, &device.in_flight, &device.completed) == 0;
	clock_set(ublk->timer, watch_interval(&ublk->watch));
	switch (watch_look(&ublk->watch, clock_us(), &device, sweep_answer_is_there(ublk->sweep), why, sizeof why)) {
	case WATCH_HUNG:
		ublk_tell_end(ublk, TRANSPORT_HUNG, why);
		break;
	case WATCH_ASK:
		ublk_ask(ublk);
		break;
	case WATCH_WAIT:
		break;
	}
}

/* ------------------------------------------------------------------ the way into service */

static void ublk_note_disk(const struct ublk_end *ublk)
{
	int r = disk_note(ublk->spec.folder, &ublk->end.device);

	if (r)
		say(SAY_WARNING, "%s: that it is ours cannot be noted in %s: %s", ublk->end.device.path,
		    ublk->spec.folder->path, strerror(-r));
}

/* The server has made the disk, or an earlier daemon's has. */
static int ublk_take_disk(struct ublk_end *ublk, struct device *device, struct wrong *wrong)
{
	bool is_new = device_is_none(&ublk->end.device) || !ublk->end.device.sequence;
	int r = device_sequence(device, &device->sequence);

	if (r) {
		wrong_say(wrong, "says that it serves %s, which cannot be looked at: %s", device->path, strerror(-r));
		return r;
	}
	if (!is_new &&
	    (strcmp(device->path, ublk->end.device.path) != 0 || device->sequence != ublk->end.device.sequence)) {
		wrong_say(wrong, "serves %s, and is to serve %s", device->path, ublk->end.device.path);
		return -EINVAL;
	}
	if (!is_new)
		return 0;
	ublk->end.device = *device;
	if (device_tune(device, KERNEL_TIMER_MS, wrong))
		say(SAY_WARNING, "%s", wrong->text);
	ublk_note_disk(ublk);
	return 0;
}

static void ublk_probe_size(struct ublk_end *ublk, uint64_t bytes)
{
	uint64_t blocks = bytes / ZSBLK_BLOCK_SIZE;

	ublk->blocks = blocks ? blocks : 1;
	ublk->stride = watch_stride(ublk->blocks);
}

static int ublk_set_size(struct transport_end *end, uint64_t size, struct wrong *wrong)
{
	ublk_probe_size(ublk_of(end), size);
	return 0;
}

static void ublk_serve(struct ublk_end *ublk)
{
	unsigned timeout = ublk->spec.settings->probe_timeout;
	uint64_t now = clock_us();

	ublk_probe_size(ublk, device_size(&ublk->end.device));
	watch_init(&ublk->watch, timeout, STUCK_PROBES * timeout, now);
	/* A sweep that the server before did not answer is this one's to answer. */
	if (sweep_is_out(ublk->sweep))
		watch_asked(&ublk->watch, now);
	ublk->serves = true;
	/* A new server has just shown that it lives. The other kind is asked at once. */
	clock_set(ublk->timer, ublk->adopted ? 0 : watch_interval(&ublk->watch));
	ublk->spec.news(ublk->spec.opaque, TRANSPORT_SERVES, NULL);
}

/* Has the server said which disk is there? */
static void ublk_look_for_contact(struct ublk_end *ublk)
{
	char name[DEVICE_PATH] = "", path[DEVICE_PATH];
	struct device device;
	struct wrong wrong = {""};
	ssize_t got = readlink(ublk->server.contact, name, sizeof name - 6);

	if (got <= 0) {
		clock_set(ublk->timer, READY_LOOK_US);
		return;
	}
	snprintf(path, sizeof path, "/dev/%.18s", name);
	device_init(&device, path);
	if (device_number(path, DISK_START) < 0)
		ublk_tell_end(ublk, TRANSPORT_FAILED, "says that it serves something that is no disk of ublk");
	else if (ublk_take_disk(ublk, &device, &wrong))
		ublk_tell_end(ublk, TRANSPORT_FAILED, wrong.text);
	else
		ublk_serve(ublk);
}

static int ublk_timer_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct ublk_end *ublk = opaque;

	if (ublk->serves)
		ublk_look(ublk);
	else if (ublk->server.pid)
		ublk_look_for_contact(ublk);
	return 0;
}

static void ublk_reach(struct transport_end *end, const struct transport_server *server, bool adopted)
{
	struct ublk_end *ublk = ublk_of(end);

	ublk->server = *server;
	ublk->adopted = adopted;
	say(SAY_DEBUG, "connecting to process %d at %s", (int)server->pid, server->contact);
	ublk_look_for_contact(ublk);
}

/* A server whose disk is gone ends by itself. */
static void ublk_check(struct transport_end *end)
{
}

/* ------------------------------------------------------------------ the kernel's end */

static void ublk_close(struct transport_end *end)
{
	struct ublk_end *ublk = ublk_of(end);

	sweep_free(ublk->sweep);
	sd_event_source_disable_unref(ublk->timer);
	device_close(&ublk->end.device);
	free(ublk);
}

static int ublk_open(struct transport_end **result, const struct transport_spec *spec, struct wrong *wrong)
{
	struct ublk_end *ublk = calloc(1, sizeof *ublk);
	int r;

	if (!ublk)
		return -ENOMEM;
	ublk->end.transport = &ublk_transport;
	ublk->end.device = *spec->device;
	ublk->spec = *spec;
	r = sweep_create(&ublk->sweep, spec->loop, ublk_answered, ublk);
	if (!r)
		r = sd_event_add_time(spec->loop, &ublk->timer, CLOCK_MONOTONIC, 0, 1000, ublk_timer_event, ublk);
	if (r >= 0)
		r = sd_event_source_set_enabled(ublk->timer, SD_EVENT_OFF);
	/* The timer comes after the sweep's events: an answer is taken before the next look. */
	if (r >= 0)
		r = sd_event_source_set_priority(ublk->timer, SD_EVENT_PRIORITY_NORMAL + 1);
	if (r < 0) {
		ublk_close(&ublk->end);
		return r;
	}
	/* It may have been found without a note: somebody has emptied the folder. */
	if (spec->device->sequence)
		ublk_note_disk(ublk);
	*result = &ublk->end;
	return 0;
}

static uint64_t ublk_longest_probe_us(const struct transport_end *end)
{
	return ((const struct ublk_end *)end)->watch.longest;
}

const struct transport ublk_transport = {
	.name = "ublk",
	.device_start = DISK_START,
	.server_name = "zsblk-ublk",
	.contact = FOLDER_CONTACT_READY,
	/* The driver itself knows when a server has ended: the next one waits for that. */
	.pause_us = 0,
	.server_attaches = true,
	.backing = disk_backing,
	.is_attached = disk_is_attached,
	.find = disk_find,
	.has_others = disk_has_others,
	.detach = ublk_server_detach,
	.remove_leftovers = disk_remove_leftovers,
	.check = ublk_check,
	.open = ublk_open,
	.close = ublk_close,
	.reach = ublk_reach,
	.set_size = ublk_set_size,
	.let_go = ublk_let_go,
	.longest_probe_us = ublk_longest_probe_us,
	.program = ublk_server_program,
	.arguments = ublk_server_arguments,
	.device_argument = ublk_server_device_argument,
	.may_be_used = ublk_server_check,
	.rehearse = ublk_server_rehearse,
};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper. See keeper.h.
 *
 *            spawn                 handshakes done, sockets
 *            or adopt              handed to the kernel
 *   DOWN ------------> CONNECTING --------------------------> SERVING
 *    ^  ^                |     |                               |    |
 *    |  |   server died  |     | too long, or refused          |    | hangs, or is to be replaced
 *    |  +----------------+     v                               |    |
 *    |                      FENCING <--------------------------+----+
 *    |      has ended         |                                |
 *    +------------------------+            server died         |
 *    +---------------------------------------------------------+
 *
 * K1 There is at most one server, and none is started before the one before it has ended (FENCING): what the old
 *    one still had to do cannot land after what the new one did.
 * K2 The kernel gets sockets of a server only once that server has claimed the segment and answered a handshake.
 * K3 With one connection the kernel sends a request again only if its connection was replaced, which K1 and K2
 *    make safe. (With more, it does so after a timeout by itself, also to the server that still has it.)
 * K4 Every step is an event. What /proc tells of a server's memory (its mappings, its command line) is read by a child, and
 *    the loop waits SERVER_ASK_MS for that child at most: a server that hangs can hold the lock that the kernel needs to answer.
 *    One thing can wait for longer. The kernel carries out a netlink request within sendmsg(2), under a lock that all generic netlink
 *    requests share, and under its lock on the device. No timeout of a socket ends that wait; what is received afterwards is there by
 *    then. The watchdog ends a daemon that waits for too long, and the next one goes on. What is allocated on the way comes from
 *    the heap that rights_take() has in memory.
 */
#include "daemon/keeper/keeper.h"

#include "daemon/base/clock.h"
#include "daemon/base/recurring.h"
#include "daemon/base/say.h"
#include "daemon/keeper/tries.h"
#include "daemon/server/connection.h"
#include "daemon/server/dial.h"
#include "daemon/server/probe.h"
#include "daemon/server/server_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-event.h>

/*
 * A server hangs if it completes none of the device's requests for so many probe timeouts. The kernel must have had the time to send the
 * requests of the server before again, so a hang takes so many periods of the kernel's timer at least: a period may have begun just
 * before that server died, and the kernel rounds it up.
 */
#define STUCK_PROBES 3u
#define STUCK_TIMERS 3u
/* How often to look whether a new server has made its socket. */
#define SOCKET_LOOK_US 2000u
/* The first server may take so long: nobody waits for the device yet. */
#define FIRST_START_LIMIT_US (120u * 1000000u)
/* While a server serves, the ballast takes so many pieces of memory back at a time, as far as there is memory, and so often. */
#define REFILL_US     50000u
#define REFILL_PIECES 16
/* A server that does not answer server_command_programs() or server_command_keep() is asked again after so long. */
#define ASK_AGAIN_US 5000000u
/* A device that somebody has open (udev, a partition tool) cannot be attached. It is tried for so long, and so often. */
#ifndef BUSY_LIMIT_US /* shorter in tests/daemon's build */
#define BUSY_LIMIT_US (10u * 1000000u)
#endif
#define BUSY_LOOK_US 100000u
/* A server whose end cannot be watched is looked at again after so long. */
#define WATCH_AGAIN_US 50000u
/* A server that was killed and has not ended is mentioned after so long, and again. */
#define FENCING_NOTICE_US 5000000u

enum keeper_state { DOWN, FENCING, CONNECTING, SERVING };

struct keeper {
	const struct keeper_spec *spec;
	enum keeper_state state;
	struct attachment attachment;
	sd_event_source *link_events;
	struct server server;
	sd_event_source *death;
	sd_event_source *refill; /* SERVING: the ballast takes memory back; then the server's files are held and kept */
	sd_event_source *timer;  /* DOWN: the next try; CONNECTING: the limit; FENCING: a notice */
	struct dial *dial;
	struct probe *probe;
	bool adopted;           /* the server is an earlier daemon's, and the kernel has a connection to it */
	bool served;            /* some server has served: what fails now is tried again */
	bool files_are_held;    /* the ballast holds this server's files */
	bool is_dialled;        /* CONNECTING: the server is ready, and the device is not */
	uint64_t busy_until;    /* CONNECTING: how long the device may stay busy; 0: it is not */
	uint64_t limit;         /* CONNECTING: when the server is given up */
	uint64_t serving_since; /* 0: this server has not come into service */
	bool never_served; /* FENCING: this server did not come into service, so the next one is started after a pause */
	bool ends_by_itself; /* FENCING: how the server ends is to be said */
	bool is_hung;        /* FENCING: the probe said so */
	struct tries tries;
	uint64_t down_at; /* when service ended; 0: it did not */
	struct keeper_figures figures;
	/* Messages that come with each try while there is no server. */
	struct recurring replaced, ended_how, refused, not_ended;
	void (*ended)(void *opaque); /* no other server is wanted; to be told when this one has ended */
	void *ended_opaque;
};

static void start_server(struct keeper *keeper);
static int timer_event(sd_event_source *source, uint64_t when, void *opaque);

static void enter(struct keeper *keeper, enum keeper_state state)
{
	keeper->state = state;
	keeper->is_dialled = false;
	sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
}

/* The server is of no more use: end the connections and the probe, and note when service ended. */
static void hang_up(struct keeper *keeper)
{
	dial_end(keeper->dial);
	keeper->dial = NULL;
	if (keeper->probe)
		say(SAY_DEBUG, "server (process %d) took %.1f ms for a probe at most", (int)keeper->server.pid,
		    (double)probe_longest_us(keeper->probe) / 1000);
	probe_stop(keeper->probe);
	keeper->probe = NULL;
	if (keeper->state == SERVING || (keeper->state == CONNECTING && keeper->adopted))
		keeper->down_at = clock_us();
	sd_event_source_set_enabled(keeper->refill, SD_EVENT_OFF);
}

/* ------------------------------------------------------------------ the end of a server */

/* Kill the server. server_ended() goes on once it has ended. */
static void fence(struct keeper *keeper, const char *why)
{
	if (why)
		recurring_say(&keeper->replaced, SAY_WARNING, "server (process %d) %s; it is replaced",
			      (int)keeper->server.pid, why);
	hang_up(keeper);
	keeper->ends_by_itself = false;
	keeper->never_served = keeper->state == CONNECTING;
	enter(keeper, FENCING);
	/* A thread of the server may be waiting for memory, and can end only when it has got some. */
	if (keeper->served)
		ballast_drop(keeper->spec->ballast, SIZE_MAX);
	server_kill(&keeper->server);
	clock_set(keeper->timer, FENCING_NOTICE_US);
}

static void start_later(struct keeper *keeper, uint64_t pause_us)
{
	enter(keeper, DOWN);
	clock_set(keeper->timer, pause_us);
}

static int hold_files(struct keeper *keeper)
{
	const char *programs;
	int r = server_command_programs(keeper->spec->command, &keeper->server, &programs);

	if (!r)
		ballast_hold_files(keeper->spec->ballast, programs);
	return r;
}

static int refill_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct keeper *keeper = opaque;
	bool more = true;
	int r;

	for (int i = 0; i < REFILL_PIECES && more; i++)
		more = ballast_refill(keeper->spec->ballast);
	if (more) {
		clock_set(source, REFILL_US);
		return 0;
	}
	/* By now the server has mapped what it needs, and there is memory for a child, which asks. */
	if (!keeper->files_are_held && hold_files(keeper)) {
		clock_set(source, ASK_AGAIN_US);
		return 0;
	}
	keeper->files_are_held = true;
	if (clock_us() < keeper->serving_since + STEADY_US) {
		clock_set(source, keeper->serving_since + STEADY_US - clock_us());
		return 0;
	}
	r = server_command_keep(keeper->spec->command, &keeper->server);
	if (r && r != -ENOENT)
		clock_set(source, ASK_AGAIN_US);
	return 0;
}

static void count_end(struct keeper *keeper, bool was_killed)
{
	uint64_t since = keeper->serving_since;

	tries_count(&keeper->tries, &(struct tries_end){.served = since,
							.served_us = since ? clock_us() - since : 0,
							.hung = keeper->is_hung,
							.killed = was_killed});
	keeper->serving_since = 0;
	keeper->is_hung = false;
}

static int server_ended(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct keeper *keeper = opaque;
	enum keeper_state state = keeper->state;
	pid_t pid = keeper->server.pid;
	char how[80];

	hang_up(keeper);
	keeper->death = sd_event_source_disable_unref(keeper->death);
	count_end(keeper, server_reap(&keeper->server, how, sizeof how));
	enter(keeper, DOWN);
	if (keeper->ended) {
		keeper->ended(keeper->ended_opaque);
		return 0;
	}
	if (state != FENCING || keeper->ends_by_itself)
		recurring_say(&keeper->ended_how, SAY_WARNING, "server (process %d) %s", (int)pid, how);
	if (!keeper->served)
		keeper->spec->failed(keeper->spec->opaque, "the server did not start; what it said is above");
	else if (state == CONNECTING || (state == FENCING && keeper->never_served))
		start_later(keeper, tries_pause_us(&keeper->tries));
	else
		start_later(keeper, ATTACHMENT_RECEIVERS_US);
	return 0;
}

static void probe_says_hung(void *opaque, const char *why)
{
	struct keeper *keeper = opaque;

	if (why)
		keeper->figures.hung++;
	keeper->is_hung = why;
	/*
	 * Without a reason the connection was closed. A process that ends closes its connections first; server_ended() says
	 * how it ended.
	 */
	fence(keeper, why);
	keeper->ends_by_itself = !why;
}

/* ------------------------------------------------------------------ the way into service */

static void count_outage(struct keeper *keeper, uint64_t outage_us)
{
	struct keeper_figures *figures = &keeper->figures;

	figures->replaced++;
	figures->last_outage_us = outage_us;
	if (outage_us > figures->longest_outage_us)
		figures->longest_outage_us = outage_us;
	say(SAY_NOTICE, "process %d serves %s again, after %.0f ms%s", (int)keeper->server.pid,
	    keeper->attachment.device.path, (double)outage_us / 1000,
	    keeper->server.from_kept ? ", from the files of the one before: what is installed did not work" : "");
}

/* The kernel has the server's connections. The one that it did not get is for the probe. */
static void serve(struct keeper *keeper)
{
	const struct keeper_spec *spec = keeper->spec;
	uint64_t outage = keeper->down_at ? clock_us() - keeper->down_at : 0;
	unsigned stuck = STUCK_PROBES * spec->probe_timeout, resent = STUCK_TIMERS * keeper->attachment.timer_ms;
	struct connection connection;
	int r;

	dial_take(keeper->dial, spec->attachment.connections, &connection);
	r = probe_start(&keeper->probe, spec->loop, &connection, spec->probe_timeout, stuck > resent ? stuck : resent,
			&keeper->attachment.device, probe_says_hung, keeper);
	keeper->served = true;
	recurring_end(&keeper->replaced);
	recurring_end(&keeper->ended_how);
	recurring_end(&keeper->refused);
	recurring_end(&keeper->not_ended);
	if (r < 0) {
		fence(keeper, "cannot be probed");
		return;
	}
	dial_end(keeper->dial);
	keeper->dial = NULL;
	enter(keeper, SERVING);
	keeper->tries.started = 0;
	keeper->serving_since = clock_us();
	if (keeper->down_at)
		count_outage(keeper, outage);
	keeper->down_at = 0;
	keeper->files_are_held = false;
	clock_set(keeper->refill, REFILL_US);
	keeper->spec->serving(keeper->spec->opaque);
}

/* The device could not be attached. True if that is since somebody has it open, and it is to be tried again soon. */
static bool may_wait_for_device(struct keeper *keeper)
{
	uint64_t now = clock_us();

	if (device_backing(keeper->attachment.device.index, keeper->spec->attachment.backend) != DEVICE_BACKING_NONE)
		return false;
	if (!keeper->busy_until) {
		say(SAY_NOTICE, "%s cannot be attached while somebody has it open; it is tried again for %u seconds",
		    keeper->attachment.device.path, BUSY_LIMIT_US / 1000000);
		keeper->busy_until = now + BUSY_LIMIT_US;
	}
	return now < keeper->busy_until;
}

static void dialled(void *opaque, int r, const char *why)
{
	struct keeper *keeper = opaque;
	struct wrong wrong = {""};

	if (!r)
		r = attachment_hand_over(&keeper->attachment, keeper->dial, keeper->server.pid, keeper->adopted,
					 &wrong);
	keeper->is_dialled = r == -EBUSY && !why && may_wait_for_device(keeper);
	if (keeper->is_dialled) {
		clock_set(keeper->timer, BUSY_LOOK_US);
		return;
	}
	keeper->busy_until = 0;
	if (!r) {
		serve(keeper);
	} else if (!keeper->served && !why) {
		keeper->spec->failed(keeper->spec->opaque, wrong.text);
	} else {
		if (!why)
			recurring_say(&keeper->refused, SAY_ERROR, "%s", wrong.text);
		/* A first server that ends has said why, and server_ended() says that it ended. */
		fence(keeper, keeper->served ? why : NULL);
	}
}

/* Connect to the server, once it has made its socket. */
static void try_to_dial(struct keeper *keeper)
{
	int r;

	r = dial_start(&keeper->dial, keeper->spec->loop, keeper->server.socket,
		       keeper->spec->attachment.connections + 1, dialled, keeper);
	/* nbdkit has a umask of its own. (Nobody else gets into the folder anyway.) The socket is there for certain only now. */
	if (!r)
		chmod(keeper->server.socket, 0600);
	/* -EAGAIN: too many others wait to be accepted. */
	if (r == -ENOENT || r == -ECONNREFUSED || r == -EAGAIN)
		clock_set(keeper->timer, SOCKET_LOOK_US);
	else if (!r)
		clock_set(keeper->timer, keeper->limit - clock_us());
	else
		fence(keeper, "cannot be connected to");
}

/* Have the end of the server told, and before what its end causes: closed connections. */
static int watch_death(struct keeper *keeper)
{
	int r = sd_event_add_io(keeper->spec->loop, &keeper->death, keeper->server.pidfd, EPOLLIN, server_ended,
				keeper);

	return r < 0 ? r : sd_event_source_set_priority(keeper->death, SD_EVENT_PRIORITY_NORMAL - 1);
}

/* Watch the server, and connect to it. A server that cannot be watched is ended again. */
static int connect_to_server(struct keeper *keeper, uint64_t limit_us)
{
	int r = watch_death(keeper);

	if (r < 0) {
		server_kill(&keeper->server);
		keeper->never_served = true;
		enter(keeper, FENCING);
		clock_set(keeper->timer, WATCH_AGAIN_US);
		return r;
	}
	say(SAY_DEBUG, "connecting to process %d at %s", (int)keeper->server.pid, keeper->server.socket);
	enter(keeper, CONNECTING);
	keeper->limit = clock_us() + limit_us;
	try_to_dial(keeper);
	return 0;
}

/* How long a server may take to come into service. */
static uint64_t start_limit_us(const struct keeper *keeper)
{
	if (!keeper->served)
		return FIRST_START_LIMIT_US;
	return tries_limit_us(&keeper->tries, keeper->spec->start_timeout, keeper->spec->attachment.dead_timeout);
}

static void start_server(struct keeper *keeper)
{
	int r;

	keeper->tries.started++;
	keeper->adopted = false;
	if (keeper->served)
		ballast_drop(keeper->spec->ballast, SIZE_MAX);
	r = server_spawn(&keeper->server, keeper->spec->command, keeper->spec->folder,
			 keeper->served && tries_take_kept(&keeper->tries));
	if (!r)
		r = connect_to_server(keeper, start_limit_us(keeper));
	if (!r)
		return;
	recurring_say(&keeper->refused, SAY_ERROR, "no server could be started: %s", strerror(-r));
	if (!keeper->served)
		keeper->spec->failed(keeper->spec->opaque, "no server could be started");
	else if (keeper->state != FENCING)
		start_later(keeper, tries_pause_us(&keeper->tries));
}

static int timer_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct keeper *keeper = opaque;

	switch (keeper->state) {
	case DOWN:
		start_server(keeper);
		break;
	case CONNECTING:
		if (keeper->is_dialled)
			dialled(keeper, 0, NULL);
		else if (clock_us() >= keeper->limit)
			fence(keeper, "did not come into service in time");
		else
			try_to_dial(keeper);
		break;
	case FENCING:
		/* The server could not be watched. Once it is, its end is told at once. */
		if (!keeper->death) {
			clock_set(keeper->timer, watch_death(keeper) < 0 ? WATCH_AGAIN_US : FENCING_NOTICE_US);
			break;
		}
		recurring_say(&keeper->not_ended, SAY_WARNING, "server (process %d) was killed and has not ended yet",
			      (int)keeper->server.pid);
		clock_set(keeper->timer, FENCING_NOTICE_US);
		break;
	case SERVING:
		keeper_check(keeper);
		if (keeper->state == SERVING && attachment_offer_again(&keeper->attachment))
			fence(keeper, "cannot be connected to the kernel again");
		break;
	}
	return 0;
}

/*
 * The kernel has given up a connection. If it was the server's before, the kernel takes the present one when that is offered again. If the
 * receiver for the old one came late with its verdict, the kernel shuts the present one down, and its server is replaced: what came over
 * it must not land after what comes over the next. An adopted server's cannot be offered again: an earlier daemon had it.
 */
static int link_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct keeper *keeper = opaque;

	if (!attachment_link_died(&keeper->attachment) || keeper->state != SERVING)
		return 0;
	if (!keeper->attachment.links.n)
		fence(keeper, "lost its connection to the kernel");
	else
		clock_set(keeper->timer, ATTACHMENT_RECEIVERS_US);
	return 0;
}

/* ------------------------------------------------------------------ for the daemon */

int keeper_create(struct keeper **result, const struct keeper_spec *spec, struct wrong *wrong)
{
	struct keeper *keeper = calloc(1, sizeof *keeper);
	int r;

	if (!keeper)
		return -ENOMEM;
	keeper->spec = spec;
	keeper->server.pidfd = -1;
	r = attachment_open(&keeper->attachment, &spec->attachment, wrong);
	if (!r)
		r = sd_event_add_io(spec->loop, &keeper->link_events, attachment_events_fd(&keeper->attachment),
				    EPOLLIN, link_event, keeper);
	if (r >= 0)
		r = sd_event_add_time(spec->loop, &keeper->timer, CLOCK_MONOTONIC, 0, 1000, timer_event, keeper);
	if (r >= 0)
		r = sd_event_add_time(spec->loop, &keeper->refill, CLOCK_MONOTONIC, 0, 1000, refill_event, keeper);
	if (r >= 0)
		r = sd_event_source_set_enabled(keeper->refill, SD_EVENT_OFF);
	if (r < 0) {
		if (!wrong->text[0])
			wrong_say(wrong, "%s", strerror(-r));
		keeper_free(keeper);
		return r;
	}
	enter(keeper, DOWN);
	*result = keeper;
	return 0;
}

int keeper_start(struct keeper *keeper, pid_t adopted, struct wrong *wrong)
{
	int index = keeper->attachment.device.index, r;
	bool attached = index != DEVICE_NONE && device_is_attached(index);

	/* Somebody may be waiting for a device that is attached: what fails is tried again. */
	keeper->served = attached;
	if (attached && !adopted)
		keeper->down_at = clock_us();
	r = adopted ? server_adopt(&keeper->server, keeper->spec->folder, adopted) : -ESRCH;
	if (r == -ESRCH) {
		start_later(keeper, attached ? ATTACHMENT_RECEIVERS_US : 0);
		return 0;
	}
	if (r) {
		wrong_say(wrong, "process %d, a server, cannot be looked at: %s", (int)adopted, strerror(-r));
		return r;
	}
	keeper->adopted = attached;
	keeper->server.from_kept = server_command_kept_runs(keeper->spec->command, &keeper->server);
	/* A server that has its socket has started. */
	r = connect_to_server(keeper, access(keeper->server.socket, F_OK) == 0 ? keeper->spec->probe_timeout * 2000ull
									       : start_limit_us(keeper));
	if (r)
		say(SAY_ERROR, "process %d, a server, cannot be watched: %s", (int)keeper->server.pid, strerror(-r));
	return 0;
}

int keeper_replace(struct keeper *keeper, const char *why)
{
	if (keeper->state != SERVING)
		return -EAGAIN;
	say(SAY_NOTICE, "%s: server (process %d) is replaced", why, (int)keeper->server.pid);
	/* If its files cannot be kept now, those that are kept already stay: they are of a server that worked before. */
	(void)server_command_keep(keeper->spec->command, &keeper->server);
	/* As far as we know, what is installed now is another version. */
	keeper->tries.failures = 0;
	fence(keeper, NULL);
	return 0;
}

void keeper_detaching(struct keeper *keeper, bool detaching)
{
	keeper->attachment.detaching = detaching;
}

void keeper_check(struct keeper *keeper)
{
	if (keeper->state == SERVING && attachment_is_cut(&keeper->attachment))
		fence(keeper, "lost its connection to the kernel");
}

void keeper_end(struct keeper *keeper, void (*ended)(void *opaque), void *opaque)
{
	keeper->ended = ended;
	keeper->ended_opaque = opaque;
	if (keeper->server.pid)
		fence(keeper, NULL);
	else
		ended(opaque);
}

void keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return;
	dial_end(keeper->dial);
	probe_stop(keeper->probe);
	sd_event_source_disable_unref(keeper->death);
	sd_event_source_disable_unref(keeper->timer);
	sd_event_source_disable_unref(keeper->refill);
	sd_event_source_disable_unref(keeper->link_events);
	attachment_close(&keeper->attachment);
	server_forget(&keeper->server);
	free(keeper);
}

struct device *keeper_device(struct keeper *keeper)
{
	return &keeper->attachment.device;
}

pid_t keeper_server(const struct keeper *keeper)
{
	return keeper->server.pid;
}

bool keeper_server_is_from_kept(const struct keeper *keeper)
{
	return keeper->server.from_kept;
}

bool keeper_is_serving(const struct keeper *keeper)
{
	return keeper->state == SERVING;
}

void keeper_get_figures(const struct keeper *keeper, struct keeper_figures *figures)
{
	*figures = keeper->figures;
}

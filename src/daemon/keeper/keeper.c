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
#include "daemon/kernel/netlink.h"
#include "daemon/server/connection.h"
#include "daemon/server/dial.h"
#include "daemon/server/probe.h"
#include "zsblk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#define MAX_CONNECTIONS 64u

/*
 * With one connection: how often the kernel looks whether the connection of a request that was sent was replaced.
 * The kernel rounds this up to about a second. With less it would look before the next server is connected.
 */
#define KERNEL_TIMER_MS 500u
/*
 * Requests that nobody completes make a hang after so many probe timeouts, and not before the kernel had the time to send
 * again what the server before had: its timer may have begun just before that died, and is rounded up.
 */
#define STUCK_PROBES 3u
#define STUCK_TIMERS 3u
/* One that ends by itself, or hangs, within this time has not worked: it may be a new version that crashes. */
#ifndef STEADY_US /* shorter in tests/daemon's build */
#define STEADY_US (10u * 1000000u)
#endif
/* How often to look whether a new server has made its socket. */
#define SOCKET_LOOK_US 2000u
/* For the first server, which nobody waits for yet. */
#define FIRST_START_LIMIT_US (120u * 1000000u)
/* For those after it the limit doubles with each that did not come up, so many times at most. */
#define START_DOUBLINGS 4u
/* Between two that did not come up. */
#define RETRY_FIRST_US   50000u
#define RETRY_LONGEST_US 5000000u
/* The ballast is taken back by so many pieces every so often, as far as there is memory. */
#define REFILL_US     50000u
#define REFILL_PIECES 16
/* A server that does not answer (server_command_programs(), server_command_keep()) is asked again after so long. */
#define ASK_AGAIN_US 5000000u
/* A device that somebody has open for a moment (udev, a partition tool) cannot be attached: so long it is tried again. */
#ifndef BUSY_LIMIT_US /* shorter in tests/daemon's build */
#define BUSY_LIMIT_US (10u * 1000000u)
#endif
#define BUSY_LOOK_US 100000u
/* To say again that one does not end. */
#define FENCING_NOTICE_US 5000000u

enum keeper_state { DOWN, FENCING, CONNECTING, SERVING };

/*
 * Copies of the sockets that the kernel has. They tell whether it has shut one down; and Linux 6.12 dereferences a null
 * pointer when the last reference to a socket goes while its receiver is still at it, so they are kept until it has had the
 * time of a whole server to get away.
 */
struct links {
	int fds[MAX_CONNECTIONS];
	unsigned n; /* 0: not ours, an earlier daemon's */
};

struct keeper {
	const struct keeper_spec *spec;
	enum keeper_state state;
	struct netlink netlink;
	sd_event_source *link_events;
	struct device device;
	struct server server;
	sd_event_source *death;
	sd_event_source *refill; /* the ballast, while SERVING */
	sd_event_source *timer;  /* DOWN: the next try; CONNECTING: the limit; FENCING: a notice */
	struct dial *dial;
	struct links links, links_before;
	struct probe *probe;
	bool adopted;         /* the server, with the connection that the kernel has to it */
	bool served;          /* there was one that did */
	bool came_to_nothing; /* FENCING, and it never served: the next one not at once */
	bool files_are_held;  /* those of this server */
	bool dies_by_itself;  /* FENCING, and not because we wanted it */
	bool is_dialled;      /* CONNECTING, and only the device is not ready */
	uint64_t busy_until;  /* until when the device may be; 0: it was not */
	bool is_hung;         /* FENCING, since the probe said so */
	bool detaching;       /* somebody is about to: it must not be attached again */
	unsigned timer_ms;    /* the kernel's, which the device has; 0: not known yet */
	unsigned tries;       /* since one did */
	unsigned failures;    /* servers since the last one that worked: for the choice of files */
	uint64_t serving_since;
	uint64_t limit;   /* CONNECTING: until when */
	uint64_t down_at; /* when service ended */
	struct keeper_figures figures;
	/* What is said with each try while there is no server. */
	struct recurring replaced, ended_how, refused, not_ended;
	void (*ended)(void *opaque);
	void *ended_opaque;
};

static void begin(struct keeper *keeper);
static int timer_event(sd_event_source *source, uint64_t when, void *opaque);

static void enter(struct keeper *keeper, enum keeper_state state)
{
	keeper->state = state;
	keeper->is_dialled = false;
	sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
}

/* The server that there is or was is of no more use: drop what we had to do with it. */
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

static void fence(struct keeper *keeper, const char *why)
{
	if (why)
		recurring_say(&keeper->replaced, SAY_WARNING, "server (process %d) %s; it is replaced",
			      (int)keeper->server.pid, why);
	hang_up(keeper);
	keeper->dies_by_itself = false;
	keeper->came_to_nothing = keeper->state == CONNECTING;
	enter(keeper, FENCING);
	/* A thread of it may be waiting for memory, and can end only when it got some. */
	if (keeper->served)
		ballast_drop(keeper->spec->ballast, SIZE_MAX);
	server_kill(&keeper->server);
	clock_set(keeper->timer, FENCING_NOTICE_US);
}

static void retry_later(struct keeper *keeper)
{
	uint64_t wait = RETRY_FIRST_US;

	enter(keeper, DOWN);
	for (unsigned i = 1; i < keeper->tries && wait < RETRY_LONGEST_US; i++)
		wait *= 2;
	clock_set(keeper->timer, wait < RETRY_LONGEST_US ? wait : RETRY_LONGEST_US);
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

/* Has it worked? Not if it did not come up, or ended by itself or hung soon after; that it was killed says nothing. */
static void count_failure(struct keeper *keeper, bool was_killed)
{
	bool came_up = keeper->serving_since;

	if (came_up && clock_us() >= keeper->serving_since + STEADY_US)
		keeper->failures = 0;
	else if (!came_up || keeper->is_hung || !was_killed)
		keeper->failures++;
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
	count_failure(keeper, server_reap(&keeper->server, how, sizeof how));
	enter(keeper, DOWN);
	if (keeper->ended) {
		keeper->ended(keeper->ended_opaque);
		return 0;
	}
	if (state != FENCING || keeper->dies_by_itself)
		recurring_say(&keeper->ended_how, SAY_WARNING, "server (process %d) %s", (int)pid, how);
	if (!keeper->served)
		keeper->spec->failed(keeper->spec->opaque, "the server did not start; what it said is above");
	else if (state == CONNECTING || (state == FENCING && keeper->came_to_nothing))
		retry_later(keeper);
	else
		begin(keeper);
	return 0;
}

static void probe_says_hung(void *opaque, const char *why)
{
	struct keeper *keeper = opaque;

	if (why)
		keeper->figures.hung++;
	keeper->is_hung = why;
	/* A process that ends closes its connections first: how it ended comes next. */
	fence(keeper, why);
	keeper->dies_by_itself = !why;
}

/* ------------------------------------------------------------------ the way into service */

static void links_close(struct links *links)
{
	for (unsigned i = 0; i < links->n; i++)
		close(links->fds[i]);
	links->n = 0;
}

static void links_keep(struct keeper *keeper, const int *sockets, unsigned n)
{
	links_close(&keeper->links_before);
	keeper->links_before = keeper->links;
	keeper->links.n = 0;
	for (unsigned i = 0; i < n; i++) {
		int fd = fcntl(sockets[i], F_DUPFD_CLOEXEC, 0);

		if (fd >= 0)
			keeper->links.fds[keeper->links.n++] = fd;
	}
}

static bool links_are_up(const struct links *links)
{
	for (unsigned i = 0; i < links->n; i++) {
		struct pollfd link = {.fd = links->fds[i]};

		if (poll(&link, 1, 0) > 0 && link.revents & (POLLHUP | POLLERR))
			return false;
	}
	return links->n;
}

/* With several connections the timer is the one of the request timeout. */
static unsigned kernel_timer_ms(const struct keeper *keeper)
{
	return keeper->spec->connections > 1 ? keeper->spec->request_timeout * 1000 : KERNEL_TIMER_MS;
}

/*
 * The daemon that attached the device may have died before it set the timer, or have had another one to set. It cannot be set
 * now: the kernel (6.12) would wait until nothing is in flight, and with it the one who brings the next server.
 */
static void look_at_timer(struct keeper *keeper)
{
	unsigned wanted = kernel_timer_ms(keeper);

	keeper->timer_ms = device_timer_ms(&keeper->device);
	if (!keeper->timer_ms)
		keeper->timer_ms = wanted;
	if (keeper->timer_ms != wanted)
		say(SAY_WARNING,
		    "%s: when a server dies, requests in flight may wait up to %.1f seconds, not %.1f (io_timeout of the "
		    "kernel's queue, which cannot be set while the device is attached); to set it, stop this instance and start "
		    "it again",
		    keeper->device.path, keeper->timer_ms / 1000.0, wanted / 1000.0);
}

/* May the kernel have the server's connections? */
static int check_server(const struct keeper *keeper, enum device_backing backing, uint64_t size, struct wrong *wrong)
{
	uint64_t has = backing == BACKING_OURS ? device_size(&keeper->device) : 0;

	if (backing == BACKING_OTHER || backing == BACKING_UNNAMED) {
		wrong_say(wrong, "%s is attached to another server now; process %d is not given to it",
			  keeper->device.path, (int)keeper->server.pid);
		return -EBUSY;
	}
	if (backing == BACKING_UNKNOWN) {
		wrong_say(wrong, "%s: it cannot be told whose it is; process %d is not given to it yet",
			  keeper->device.path, (int)keeper->server.pid);
		return -EAGAIN;
	}
	if (backing == BACKING_NONE && keeper->detaching) {
		wrong_say(wrong, "%s is being detached; process %d is not given to it", keeper->device.path,
			  (int)keeper->server.pid);
		return -ESHUTDOWN;
	}
	if (has && has != size) {
		wrong_say(wrong, "%s has %" PRIu64 " bytes, and process %d serves %" PRIu64, keeper->device.path, has,
			  (int)keeper->server.pid, size);
		return -EINVAL;
	}
	return 0;
}

/* Is the device that was just attached known as ours? If it is not, it would be attached a second time by the next daemon. */
static int check_attached(struct keeper *keeper, int index, struct wrong *wrong)
{
	enum device_backing backing = device_backing(index, keeper->spec->backend);

	if (backing == BACKING_OURS)
		return 0;
	wrong_say(wrong,
		  "/dev/nbd%d was attached, and the kernel does not say that it is ours (Linux 5.14 and later do)%s",
		  index, backing == BACKING_UNNAMED || backing == BACKING_UNKNOWN ? "; it is detached again" : "");
	/* Otherwise it is in other hands already. */
	if (backing == BACKING_UNNAMED || backing == BACKING_UNKNOWN)
		netlink_disconnect(&keeper->netlink, index);
	return -EOPNOTSUPP;
}

static int hand_over(struct keeper *keeper, struct wrong *wrong)
{
	const struct keeper_spec *spec = keeper->spec;
	int sockets[MAX_CONNECTIONS], index = keeper->device.index, r;
	enum device_backing backing = device_backing(index, spec->backend);
	bool attached = backing == BACKING_OURS;
	struct dial_server server;
	struct netlink_setup setup;

	dial_server(keeper->dial, &server);
	r = check_server(keeper, backing, server.size, wrong);
	if (r)
		return r;
	for (unsigned i = 0; i < spec->connections; i++)
		sockets[i] = dial_fd(keeper->dial, i);
	setup = (struct netlink_setup){
		.index = index,
		.size = server.size,
		.block_size = ZSBLK_BLOCK_SIZE,
		/* 0: the kernel only looks whether the connection was replaced (K3). */
		.timeout = spec->connections > 1 ? spec->request_timeout : 0,
		.dead_timeout = spec->dead_timeout,
		.flags = server.flags,
		.backend = spec->backend,
		.sockets = sockets,
		.n_sockets = spec->connections,
	};
	r = attached ? netlink_reconfigure(&keeper->netlink, &setup)
		     : netlink_connect(&keeper->netlink, &setup, &index);
	if (r) {
		wrong_say(wrong, "/dev/nbd%d cannot be %s: %s%s", index < 0 ? 0 : index,
			  attached ? "given its new connections" : "attached", strerror(-r),
			  r == -EBUSY                ? " (somebody has it open, or another server is attached to it)"
			  : attached && r == -EINVAL ? " (was it detached while it is in use, as by nbd-client -d? "
						       "Then it gives errors until nobody uses it any more)"
						     : "");
		return r;
	}
	r = attached ? 0 : check_attached(keeper, index, wrong);
	if (r)
		return r;
	/* An adopted server still has its connections, so the kernel has taken none of the new sockets. */
	links_keep(keeper, sockets, keeper->adopted ? 0 : spec->connections);
	if (!attached) {
		device_close(&keeper->device);
		device_init(&keeper->device, index);
		if (device_tune(&keeper->device, kernel_timer_ms(keeper), wrong))
			say(SAY_WARNING, "%s", wrong->text);
	}
	if (!keeper->timer_ms)
		look_at_timer(keeper);
	return 0;
}

static void serve(struct keeper *keeper)
{
	const struct keeper_spec *spec = keeper->spec;
	uint64_t outage = keeper->down_at ? clock_us() - keeper->down_at : 0;
	unsigned stuck = STUCK_PROBES * spec->probe_timeout, resent = STUCK_TIMERS * keeper->timer_ms;
	struct connection connection;
	int r;

	dial_take(keeper->dial, spec->connections, &connection);
	r = probe_start(&keeper->probe, spec->loop, &connection, spec->probe_timeout, stuck > resent ? stuck : resent,
			&keeper->device, probe_says_hung, keeper);
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
	keeper->tries = 0;
	keeper->serving_since = clock_us();
	if (keeper->down_at) {
		keeper->figures.replaced++;
		keeper->figures.last_outage_us = outage;
		if (outage > keeper->figures.longest_outage_us)
			keeper->figures.longest_outage_us = outage;
		say(SAY_NOTICE, "process %d serves %s again, after %.0f ms%s", (int)keeper->server.pid,
		    keeper->device.path, (double)outage / 1000,
		    keeper->server.of_kept ? ", from the files of the one before: what is installed did not work" : "");
	}
	keeper->down_at = 0;
	keeper->files_are_held = false;
	clock_set(keeper->refill, REFILL_US);
	keeper->spec->serving(keeper->spec->opaque);
}

/* Not attached, and cannot be attached: somebody has the device open. Is it to be tried again soon? */
static bool may_wait_for_device(struct keeper *keeper)
{
	uint64_t now = clock_us();

	if (device_backing(keeper->device.index, keeper->spec->backend) != BACKING_NONE)
		return false;
	if (!keeper->busy_until) {
		say(SAY_NOTICE, "%s cannot be attached while somebody has it open; it is tried again for %u seconds",
		    keeper->device.path, BUSY_LIMIT_US / 1000000);
		keeper->busy_until = now + BUSY_LIMIT_US;
	}
	return now < keeper->busy_until;
}

static void dialled(void *opaque, int r, const char *why)
{
	struct keeper *keeper = opaque;
	struct wrong wrong = {""};

	if (!r)
		r = hand_over(keeper, &wrong);
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
		/* A first server that ends says why, and its end is told by server_ended(). */
		fence(keeper, keeper->served ? why : NULL);
	}
}

/* Connect to the server, once it has made its socket. */
static void try_to_dial(struct keeper *keeper)
{
	int r;

	r = dial_start(&keeper->dial, keeper->spec->loop, keeper->server.socket, keeper->spec->connections + 1, dialled,
		       keeper);
	/* nbdkit has a umask of its own. (Nobody else gets into the folder anyway.) Not before: then it may not be there yet. */
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

/* Have its end told: before what that causes. */
static int watch_death(struct keeper *keeper)
{
	int r = sd_event_add_io(keeper->spec->loop, &keeper->death, keeper->server.pidfd, EPOLLIN, server_ended,
				keeper);

	return r < 0 ? r : sd_event_source_set_priority(keeper->death, SD_EVENT_PRIORITY_NORMAL - 1);
}

/* Watch a server, and connect to it. One that cannot be watched is ended again. */
static int connect_to_server(struct keeper *keeper, uint64_t limit_us)
{
	int r = watch_death(keeper);

	if (r < 0) {
		server_kill(&keeper->server);
		keeper->came_to_nothing = true;
		enter(keeper, FENCING);
		clock_set(keeper->timer, RETRY_FIRST_US);
		return r;
	}
	say(SAY_DEBUG, "connecting to process %d at %s", (int)keeper->server.pid, keeper->server.socket);
	enter(keeper, CONNECTING);
	keeper->limit = clock_us() + limit_us;
	try_to_dial(keeper);
	return 0;
}

/* How long a server may take to come into service. Not so long that requests fail before there was a second try. */
static uint64_t start_limit_us(const struct keeper *keeper)
{
	const struct keeper_spec *spec = keeper->spec;
	unsigned doublings = keeper->tries > START_DOUBLINGS ? START_DOUBLINGS : keeper->tries ? keeper->tries - 1 : 0;
	uint64_t limit = (spec->start_timeout * 1000ull) << doublings, most = spec->dead_timeout * 1000000ull / 3;

	if (!keeper->served)
		return FIRST_START_LIMIT_US;
	return limit < most ? limit : most;
}

static void begin(struct keeper *keeper)
{
	int r;

	keeper->tries++;
	keeper->adopted = false;
	if (keeper->served)
		ballast_drop(keeper->spec->ballast, SIZE_MAX);
	/* What has not worked may be a new version: by turns, one is from the files that have. */
	r = server_spawn(&keeper->server, keeper->spec->command, keeper->spec->folder,
			 keeper->served && keeper->failures % 2);
	if (!r)
		r = connect_to_server(keeper, start_limit_us(keeper));
	if (!r)
		return;
	recurring_say(&keeper->refused, SAY_ERROR, "no server could be started: %s", strerror(-r));
	if (!keeper->served)
		keeper->spec->failed(keeper->spec->opaque, "no server could be started");
	else if (keeper->state != FENCING)
		retry_later(keeper);
}

static int timer_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct keeper *keeper = opaque;

	switch (keeper->state) {
	case DOWN:
		begin(keeper);
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
		/* Once it can be watched, its end is told at once. */
		if (!keeper->death) {
			clock_set(keeper->timer, watch_death(keeper) < 0 ? RETRY_FIRST_US : FENCING_NOTICE_US);
			break;
		}
		recurring_say(&keeper->not_ended, SAY_WARNING, "server (process %d) was killed and has not ended yet",
			      (int)keeper->server.pid);
		clock_set(keeper->timer, FENCING_NOTICE_US);
		break;
	case SERVING:
		break;
	}
	return 0;
}

/*
 * The kernel has given up a connection. The one that a server before had, and only now: then it has not taken the present
 * one yet, and does when it is offered again. Or the present one: its receiver of the connection before may come late with
 * its verdict, and then it is the new connection that it shuts down. A server whose connection is gone is replaced, lest
 * what came over that connection lands after what comes over the next.
 */
static int link_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct keeper *keeper = opaque;
	struct netlink_setup setup = {
		.index = keeper->device.index,
		.backend = keeper->spec->backend,
		.sockets = keeper->links.fds,
		.n_sockets = keeper->links.n,
	};

	if (!netlink_link_died(&keeper->netlink, keeper->device.index) || keeper->state != SERVING)
		return 0;
	if (!links_are_up(&keeper->links))
		fence(keeper, "lost its connection to the kernel");
	else if (netlink_reconfigure(&keeper->netlink, &setup))
		fence(keeper, "cannot be connected to the kernel again");
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
	device_init(&keeper->device, spec->device);
	r = netlink_open(&keeper->netlink, wrong);
	if (!r)
		r = sd_event_add_io(spec->loop, &keeper->link_events, netlink_events_fd(&keeper->netlink), EPOLLIN,
				    link_event, keeper);
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
	int r;

	/* A device that is attached has waited for us: what fails is tried again. */
	if (keeper->device.index != DEVICE_NONE && device_is_attached(keeper->device.index)) {
		keeper->served = true;
		if (!adopted)
			keeper->down_at = clock_us();
	}
	if (!adopted) {
		begin(keeper);
		return 0;
	}
	r = server_adopt(&keeper->server, keeper->spec->folder, adopted);
	keeper->adopted = device_is_attached(keeper->device.index);
	keeper->server.of_kept = !r && server_command_kept_runs(keeper->spec->command, &keeper->server);
	if (r && r != -ESRCH) {
		wrong_say(wrong, "process %d, a server, cannot be looked at: %s", (int)adopted, strerror(-r));
		return r;
	}
	if (r) {
		begin(keeper);
		return 0;
	}
	/* What has its socket has started. */
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
	/* If that cannot be done now, the files that are kept stay: those of a server that worked before. */
	(void)server_command_keep(keeper->spec->command, &keeper->server);
	/* What is installed now is another one, as far as we know. */
	keeper->failures = 0;
	fence(keeper, NULL);
	return 0;
}

void keeper_detaching(struct keeper *keeper, bool detaching)
{
	keeper->detaching = detaching;
}

void keeper_check(struct keeper *keeper)
{
	if (keeper->state == SERVING && keeper->links.n && !links_are_up(&keeper->links))
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
	links_close(&keeper->links);
	links_close(&keeper->links_before);
	netlink_close(&keeper->netlink);
	device_close(&keeper->device);
	server_forget(&keeper->server);
	free(keeper);
}

struct device *keeper_device(struct keeper *keeper)
{
	return &keeper->device;
}

pid_t keeper_server(const struct keeper *keeper)
{
	return keeper->server.pid;
}

bool keeper_server_is_old(const struct keeper *keeper)
{
	return keeper->server.of_kept;
}

bool keeper_is_serving(const struct keeper *keeper)
{
	return keeper->state == SERVING;
}

void keeper_get_figures(const struct keeper *keeper, struct keeper_figures *figures)
{
	*figures = keeper->figures;
}

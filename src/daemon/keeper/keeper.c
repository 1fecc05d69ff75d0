/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper. See keeper.h.
 *
 *            spawn
 *            or adopt              the device has the server
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
 * K2 The device gets a server only once that server has claimed the segment and says that it is ready.
 * K3 A request that the server before had is sent again, to the next one, only after that one is behind the device, which K1 makes safe.
 *    How that is so: the transport's head comment.
 * K4 Every step is an event. What /proc tells of a server's memory (its mappings, its command line) is read by a child, and
 *    the loop waits SERVER_ASK_MS for that child at most: a server that hangs can hold the lock that the kernel needs to answer.
 *    What else can block is the transport's, and said in its head comment.
 */
#include "daemon/keeper/keeper.h"

#include "daemon/base/clock.h"
#include "daemon/base/recurring.h"
#include "daemon/base/say.h"
#include "daemon/keeper/tries.h"
#include "daemon/server/server_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

/* The first server may take so long: nobody waits for the device yet. */
#define FIRST_START_LIMIT_US (120u * 1000000u)
/* While a server serves, the ballast takes so many pieces of memory back at a time, as far as there is memory, and so often. */
#define REFILL_US     50000u
#define REFILL_PIECES 16
/* A server that does not answer server_command_programs() or server_command_keep() is asked again after so long. */
#define ASK_AGAIN_US 5000000u
/* A device that is gone, and without which no server is started, is looked for again after so long. */
#define DEVICE_LOOK_US 100000u
/* A server whose end cannot be watched is looked at again after so long. */
#define WATCH_AGAIN_US 50000u
/* A server that was killed and has not ended is mentioned after so long, and again. */
#define FENCING_NOTICE_US 5000000u

enum keeper_state { DOWN, FENCING, CONNECTING, SERVING };

struct keeper {
	const struct keeper_spec *spec;
	enum keeper_state state;
	struct transport_spec transport_spec;
	struct transport_end *end;
	struct server server;
	sd_event_source *death;
	sd_event_source *refill; /* SERVING: the ballast takes memory back; then the server's files are held and kept */
	sd_event_source *timer;  /* DOWN: the next try; CONNECTING: the limit; FENCING: a notice */
	char contact[FOLDER_PATH_MAX + 60]; /* the server's */
	bool adopted;                       /* the server is an earlier daemon's, and is behind the device */
	bool served;                        /* some server has served: what fails now is tried again */
	bool was_attached;                  /* the device, before this daemon; or a server was replaced */
	bool files_are_held;                /* the ballast holds this server's files */
	uint64_t serving_since;             /* 0: this server has not come into service */
	bool never_served; /* FENCING: this server did not come into service, so the next one is started after a pause */
	bool ends_by_itself; /* FENCING: how the server ends is to be said */
	bool is_hung;        /* FENCING: the probe said so */
	struct tries tries;
	uint64_t down_at;          /* when service ended; 0: it did not */
	struct history_entry loss; /* how service ended, while down_at says that it did */
	struct history history;
	/* Messages that come with each try while there is no server. */
	struct recurring replaced, ended_how, refused, not_ended;
	void (*ended)(void *opaque); /* no other server is wanted; to be told when this one has ended */
	void *ended_opaque;
};

static bool may_start_server(const struct keeper *keeper);
static void start_server(struct keeper *keeper);
static int timer_event(sd_event_source *source, uint64_t when, void *opaque);

static void enter(struct keeper *keeper, enum keeper_state state)
{
	keeper->state = state;
	sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
}

/* The server is of no more use. Note when service ended. */
static void hang_up(struct keeper *keeper)
{
	uint64_t longest = transport_longest_probe_us(keeper->end);

	if (longest)
		say(SAY_DEBUG, "server (process %d) took %.1f ms for a probe at most", (int)keeper->server.pid,
		    (double)longest / 1000);
	transport_let_go(keeper->end);
	if (keeper->state == SERVING || (keeper->state == CONNECTING && keeper->adopted)) {
		keeper->down_at = clock_us();
		keeper->loss = (struct history_entry){.event = HISTORY_DIED, .before = keeper->server.pid};
	}
	sd_event_source_set_enabled(keeper->refill, SD_EVENT_OFF);
}

/* ------------------------------------------------------------------ the end of a server */

/* Why the device is out of service. A server that is replaced before it came into service is not the reason. */
static void note_loss(struct keeper *keeper, pid_t server, enum history_event event, const char *why)
{
	if (!keeper->down_at || keeper->loss.before != server || keeper->loss.why[0] || !why)
		return;
	keeper->loss.event = event;
	snprintf(keeper->loss.why, sizeof keeper->loss.why, "%s", why);
}

/*
 * Kill the server. server_ended() goes on once it has ended. `why` goes on from "the server"; NULL: how it ends will tell, or was said.
 */
static void fence(struct keeper *keeper, enum history_event event, const char *why)
{
	if (why && event != HISTORY_UPGRADED && event != HISTORY_RESIZED)
		recurring_say(&keeper->replaced, SAY_WARNING, "server (process %d) %s; it is replaced",
			      (int)keeper->server.pid, why);
	hang_up(keeper);
	note_loss(keeper, keeper->server.pid, event, why);
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
	/* Until a server has served for long, the first one's files do: what is installed may be another version by the time it dies. */
	if (server_command_has_kept(keeper->spec->command) && clock_us() < keeper->serving_since + STEADY_US) {
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
							.killed = was_killed,
							.adopted = keeper->adopted});
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
	note_loss(keeper, pid, HISTORY_DIED, how);
	enter(keeper, DOWN);
	if (keeper->ended) {
		keeper->ended(keeper->ended_opaque);
		return 0;
	}
	/* A server whose device is taken down ends by itself. */
	if ((state != FENCING || keeper->ends_by_itself) && (!keeper->end->detaching || may_start_server(keeper)))
		recurring_say(&keeper->ended_how, SAY_WARNING, "server (process %d) %s", (int)pid, how);
	if (!keeper->served)
		keeper->spec->failed(keeper->spec->opaque, "the server did not start; what it said is above");
	else if (state == CONNECTING || (state == FENCING && keeper->never_served))
		start_later(keeper, tries_pause_us(&keeper->tries));
	else
		start_later(keeper, keeper->end->transport->pause_us);
	return 0;
}

/* ------------------------------------------------------------------ the way into service */

static void count_outage(struct keeper *keeper, uint64_t outage_us)
{
	struct history_entry *entry = &keeper->loss;
	const char *event = history_event_name(entry->event);
	char outage[24], before[16], server[16];
	const struct say_field fields[] = {{"ZSBLK_EVENT", event},
					   {"ZSBLK_OUTAGE_MS", outage},
					   {"ZSBLK_REASON", entry->why},
					   {"ZSBLK_SERVER_BEFORE", before},
					   {"ZSBLK_SERVER", server},
					   {"ZSBLK_DEVICE", keeper->end->device.path},
					   {NULL, NULL}};

	entry->when = (int64_t)time(NULL);
	entry->outage_us = outage_us;
	entry->server = keeper->server.pid;
	entry->from_kept = keeper->server.from_kept;
	history_add(&keeper->history, entry);
	snprintf(outage, sizeof outage, "%.1f", (double)outage_us / 1000);
	snprintf(before, sizeof before, "%d", (int)entry->before);
	snprintf(server, sizeof server, "%d", (int)entry->server);
	say_with_fields(SAY_NOTICE, SAY_ID_REPLACED, fields, "process %d serves %s again, after %.0f ms%s",
			(int)keeper->server.pid, keeper->end->device.path, (double)outage_us / 1000,
			entry->from_kept ? ", from the files of the one before: what is installed did not work" : "");
}

static void serve(struct keeper *keeper)
{
	uint64_t outage = keeper->down_at ? clock_us() - keeper->down_at : 0;

	keeper->served = true;
	recurring_end(&keeper->replaced);
	recurring_end(&keeper->ended_how);
	recurring_end(&keeper->refused);
	recurring_end(&keeper->not_ended);
	enter(keeper, SERVING);
	keeper->tries.started = 0;
	keeper->serving_since = clock_us();
	if (keeper->down_at)
		count_outage(keeper, outage);
	keeper->was_attached |= keeper->down_at != 0;
	keeper->down_at = 0;
	keeper->files_are_held = false;
	clock_set(keeper->refill, REFILL_US);
	keeper->spec->serving(keeper->spec->opaque);
}

/* The device cannot have the server. */
static void refused(struct keeper *keeper, const char *why)
{
	if (!keeper->served) {
		keeper->spec->failed(keeper->spec->opaque, why);
		return;
	}
	recurring_say(&keeper->refused, SAY_ERROR, "%s", why);
	fence(keeper, HISTORY_LOST, NULL);
}

static void news(void *opaque, enum transport_news news, const char *text)
{
	struct keeper *keeper = opaque;

	switch (news) {
	case TRANSPORT_SERVES:
		serve(keeper);
		break;
	case TRANSPORT_REFUSED:
		refused(keeper, text);
		break;
	case TRANSPORT_FAILED:
		/* Once the device is attached somebody may be waiting for it: what fails is tried again. */
		keeper->served |= transport_is_attached(&keeper->end->device);
		/* A first server that ends has said why, and server_ended() says that it ended. */
		fence(keeper, HISTORY_LOST, keeper->served ? text : NULL);
		break;
	case TRANSPORT_HUNG:
		keeper->is_hung = true;
		fence(keeper, HISTORY_HUNG, text);
		break;
	case TRANSPORT_ENDS:
		/* server_ended() says how it ended. */
		fence(keeper, HISTORY_DIED, NULL);
		keeper->ends_by_itself = true;
		break;
	}
}

/* Nobody waits for a device that is just being attached for the first time, so there is memory, or can be. */
static bool may_fork(void *opaque)
{
	struct keeper *keeper = opaque;

	return !keeper->was_attached || ballast_is_whole(keeper->spec->ballast);
}

/* Have the end of the server told, and before what its end causes: closed connections. */
static int watch_death(struct keeper *keeper)
{
	int r = sd_event_add_io(keeper->spec->loop, &keeper->death, keeper->server.pidfd, EPOLLIN, server_ended,
				keeper);

	return r < 0 ? r : sd_event_source_set_priority(keeper->death, SD_EVENT_PRIORITY_NORMAL - 1);
}

static void find_contact(struct keeper *keeper)
{
	const struct server *server = &keeper->server;

	folder_server_contact(server->folder, server->pid, server->start, keeper->end->transport->contact,
			      keeper->contact);
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
	enter(keeper, CONNECTING);
	clock_set(keeper->timer, limit_us);
	transport_reach(keeper->end, &(struct transport_server){keeper->server.pid, keeper->contact}, keeper->adopted);
	return 0;
}

/* How long a server may take to come into service. */
static uint64_t start_limit_us(const struct keeper *keeper)
{
	if (!keeper->served)
		return FIRST_START_LIMIT_US;
	return tries_limit_us(&keeper->tries, keeper->spec->start_timeout,
			      keeper->spec->transport.settings->dead_timeout);
}

/*
 * Would the next server have a device to serve? One that makes its device must not make another one when the device that there was is
 * gone, or is just being taken down: the daemon looks for that, and ends.
 */
static bool may_start_server(const struct keeper *keeper)
{
	return !keeper->served || !keeper->end->transport->server_attaches ||
	       transport_backing(&keeper->end->device, keeper->spec->transport.backend) == TRANSPORT_BACKING_OURS;
}

static int spawn_server(struct keeper *keeper)
{
	const struct transport *transport = keeper->end->transport;
	const struct device *device = &keeper->end->device;
	char argument[DEVICE_PATH + 16] = "";

	/* The size may have been changed by a server that is not there any more. */
	server_command_set_size(keeper->spec->command, keeper->spec->size(keeper->spec->opaque));
	if (transport->device_argument)
		transport->device_argument(device, transport_is_attached(device), argument, sizeof argument);
	return server_spawn(&keeper->server, keeper->spec->command, keeper->spec->folder, argument,
			    keeper->served && tries_take_kept(&keeper->tries));
}

static void start_server(struct keeper *keeper)
{
	int r;

	if (!may_start_server(keeper)) {
		start_later(keeper, DEVICE_LOOK_US);
		return;
	}
	keeper->tries.started++;
	keeper->adopted = false;
	if (keeper->served)
		ballast_drop(keeper->spec->ballast, SIZE_MAX);
	r = spawn_server(keeper);
	if (!r) {
		find_contact(keeper);
		r = connect_to_server(keeper, start_limit_us(keeper));
	}
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
		/* One that was behind the device before, and does not answer, hangs. */
		keeper->is_hung = keeper->adopted;
		fence(keeper, HISTORY_LOST, "did not come into service in time");
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
		break;
	}
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
	keeper->transport_spec = spec->transport;
	keeper->transport_spec.news = news;
	keeper->transport_spec.may_fork = may_fork;
	keeper->transport_spec.opaque = keeper;
	r = transport_open(&keeper->end, spec->kind, &keeper->transport_spec, wrong);
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
	bool attached = transport_is_attached(&keeper->end->device);
	int r;

	/* Somebody may be waiting for a device that is attached: what fails is tried again. */
	keeper->served = keeper->was_attached = attached;
	if (attached && !adopted) {
		keeper->down_at = clock_us();
		keeper->loss =
			(struct history_entry){.event = HISTORY_MISSING, .why = "was gone when this daemon started"};
	}
	r = adopted ? server_adopt(&keeper->server, keeper->spec->folder, adopted) : -ESRCH;
	if (r == -ESRCH) {
		start_later(keeper, attached ? keeper->end->transport->pause_us : 0);
		return 0;
	}
	if (r) {
		wrong_say(wrong, "process %d, a server, cannot be looked at: %s", (int)adopted, strerror(-r));
		return r;
	}
	keeper->adopted = attached;
	keeper->server.from_kept = server_command_kept_runs(keeper->spec->command, &keeper->server);
	find_contact(keeper);
	/* A server that has made its contact has started. */
	r = connect_to_server(keeper, faccessat(AT_FDCWD, keeper->contact, F_OK, AT_SYMLINK_NOFOLLOW) == 0
					      ? keeper->spec->transport.settings->probe_timeout * 2000ull
					      : start_limit_us(keeper));
	if (r)
		say(SAY_ERROR, "process %d, a server, cannot be watched: %s", (int)keeper->server.pid, strerror(-r));
	return 0;
}

int keeper_replace(struct keeper *keeper, enum history_event event)
{
	const char *what = event == HISTORY_RESIZED ? "resize" : "upgrade";

	if (keeper->state != SERVING)
		return -EAGAIN;
	say(SAY_NOTICE, "%s: server (process %d) is replaced", what, (int)keeper->server.pid);
	/* If its files cannot be kept now, those that are kept already stay: they are of a server that worked before. */
	(void)server_command_keep(keeper->spec->command, &keeper->server);
	/* As far as we know, what is installed now is another version. */
	keeper->tries.failures = 0;
	fence(keeper, event, event == HISTORY_RESIZED ? "was replaced: resize" : "was replaced: upgrade");
	return 0;
}

int keeper_set_size(struct keeper *keeper, uint64_t size, struct wrong *wrong)
{
	return transport_set_size(keeper->end, size, wrong);
}

void keeper_detaching(struct keeper *keeper, bool detaching)
{
	keeper->end->detaching = detaching;
}

void keeper_check(struct keeper *keeper)
{
	transport_check(keeper->end);
}

void keeper_end(struct keeper *keeper, void (*ended)(void *opaque), void *opaque)
{
	keeper->ended = ended;
	keeper->ended_opaque = opaque;
	if (keeper->server.pid)
		fence(keeper, HISTORY_DIED, NULL);
	else
		ended(opaque);
}

void keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return;
	sd_event_source_disable_unref(keeper->death);
	sd_event_source_disable_unref(keeper->timer);
	sd_event_source_disable_unref(keeper->refill);
	transport_close(keeper->end);
	server_forget(&keeper->server);
	free(keeper);
}

struct device *keeper_device(struct keeper *keeper)
{
	return &keeper->end->device;
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

bool keeper_server_has_proved(const struct keeper *keeper)
{
	return keeper->state == SERVING &&
	       (keeper->server.from_kept || server_command_kept_is_of(keeper->spec->command, &keeper->server) ||
		clock_us() >= keeper->serving_since + STEADY_US);
}

const struct history *keeper_history(const struct keeper *keeper)
{
	return &keeper->history;
}

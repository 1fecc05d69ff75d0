/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket. See control.h.
 *
 * The kernel takes memory for sockets, which may have to be swapped out first, to the device that the daemon looks after. And what lies
 * below the kernel's min watermark is for the next server. So clients wait while there is no memory to spare for ordinary processes.
 *
 * A method that is not answered at once is run again until there is an answer (VARLINK_AGAIN). Until then the request has a place here,
 * since its client may go away before. Whoever has an answer has it sent at once: the daemon may end just after that.
 */
#include "daemon/state/control.h"

#include "daemon/base/clock.h"
#include "daemon/base/say.h"
#include "process/spare.h"
#include "varlink/idl.h"
#include "varlink/server.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <systemd/sd-event.h>

/* Between two looks whether there is memory again, and whether the socket is still there. */
#define SHORT_US 250000u
#define LOOK_US  5000000u

struct place {
	unsigned number; /* 0: free */
	bool answered, ok;
	char text[CONTROL_TEXT_MAX];
};

struct control {
	struct control_spec spec;
	struct varlink_service service;
	struct varlink_server *server;
	sd_event_source *source; /* of the server; while there is no memory to spare it waits for nothing */
	sd_event_source *look;
	struct spare spare;
	int listen_error; /* the last one said */
	char path[FOLDER_PATH_MAX + 60];
	unsigned last_number;
	bool is_inside; /* a request is being made: its answer is sent when that returns */
	struct place places[CONTROL_CLIENTS];
};

/* ------------------------------------------------------------------ places */

static struct place *find_place(struct control *control, unsigned number)
{
	for (unsigned i = 0; number && i < CONTROL_CLIENTS; i++)
		if (control->places[i].number == number)
			return &control->places[i];
	return NULL;
}

/* A free place, or that of an answer which nobody has fetched for longest: its client has gone. */
static struct place *new_place(struct control *control)
{
	struct place *place = NULL;

	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct place *other = &control->places[i];

		if (!other->number) {
			place = other;
			break;
		}
		if (other->answered && (!place || other->number < place->number))
			place = other;
	}
	if (!place)
		return NULL;
	/* Neither 0 nor CONTROL_NOBODY. */
	control->last_number = control->last_number < CONTROL_NOBODY - 1 ? control->last_number + 1 : 1;
	*place = (struct place){.number = control->last_number};
	return place;
}

static bool has_memory(struct control *control)
{
	return spare_memory_for(&control->spare, false);
}

void control_answer(struct control *control, unsigned number, bool ok, const char *text)
{
	struct place *place = find_place(control, number);

	if (!place)
		return;
	place->answered = true;
	place->ok = ok;
	snprintf(place->text, sizeof place->text, "%s", text);
	if (control->is_inside)
		return;
	varlink_server_again(control->server);
	if (has_memory(control))
		varlink_server_step(control->server);
}

void control_flush(struct control *control)
{
	if (!control->is_inside)
		varlink_server_step(control->server);
}

/* ------------------------------------------------------------------ methods */

static void reply(struct control *control, struct varlink_call *call, const struct place *place, bool is_status)
{
	struct json_object *out;

	if (!place->ok) {
		varlink_refuse(call, "Refused", "%s", place->text);
		return;
	}
	/* What was asked for has been done: the answer takes no memory. */
	if (!is_status) {
		varlink_reply_text(call, "text", place->text);
		return;
	}
	out = control->spec.report(control->spec.opaque);
	if (!out) {
		varlink_refuse(call, "Failed", "no memory");
		return;
	}
	varlink_add_string(out, "sentence", place->text);
	varlink_reply(call, out);
}

/* state[0]: the number of the request. */
static enum varlink_result ask(void *opaque, struct varlink_call *call, const struct control_request *request)
{
	struct control *control = opaque;
	struct place *place;

	if (!call->state[0]) {
		place = new_place(control);
		if (!place) {
			varlink_refuse(call, "Busy", "%u other requests wait for their answers; ask again later",
				       CONTROL_CLIENTS);
			return VARLINK_DONE;
		}
		call->state[0] = place->number;
		control->is_inside = true;
		control->spec.request(control->spec.opaque, place->number, request);
		control->is_inside = false;
	}
	place = find_place(control, (unsigned)call->state[0]);
	if (place && !place->answered)
		return VARLINK_AGAIN;
	if (place)
		reply(control, call, place, request->verb == CONTROL_STATUS);
	else
		varlink_refuse(call, "Failed", "the answer was not fetched in time");
	if (place)
		place->number = 0;
	return VARLINK_DONE;
}

static enum varlink_result get_status(void *opaque, struct varlink_call *call)
{
	return ask(opaque, call, &(struct control_request){.verb = CONTROL_STATUS});
}

static enum varlink_result stop(void *opaque, struct varlink_call *call)
{
	bool unused = false;

	varlink_bool(call, "unless_used", &unused);
	return ask(opaque, call, &(struct control_request){.verb = unused ? CONTROL_STOP_UNUSED : CONTROL_STOP});
}

static enum varlink_result upgrade(void *opaque, struct varlink_call *call)
{
	return ask(opaque, call, &(struct control_request){.verb = CONTROL_UPGRADE});
}

static enum varlink_result resize(void *opaque, struct varlink_call *call)
{
	int64_t size = 0;

	varlink_int(call, "size", &size);
	return ask(opaque, call,
		   &(struct control_request){.verb = CONTROL_RESIZE, .size = size < 0 ? 0 : (uint64_t)size});
}

static enum varlink_result make_way(void *opaque, struct varlink_call *call)
{
	return ask(opaque, call, &(struct control_request){.verb = CONTROL_MAKE_WAY});
}

static const struct varlink_method methods[] = {
	{"GetStatus", VARLINK_LOOK, get_status}, {"Stop", VARLINK_CHANGE, stop},
	{"Upgrade", VARLINK_CHANGE, upgrade},    {"Resize", VARLINK_CHANGE, resize},
	{"MakeWay", VARLINK_CHANGE, make_way},   {NULL, VARLINK_NOTHING, NULL},
};

/* ------------------------------------------------------------------ life */

/* Wait for clients, or not. Unlike a source that is switched on again, this takes no memory. */
static void await_clients(struct control *control, bool wait)
{
	sd_event_source_set_io_events(control->source, wait ? EPOLLIN : 0);
}

static int server_event(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct control *control = opaque;

	if (has_memory(control)) {
		varlink_server_step(control->server);
		return 0;
	}
	await_clients(control, false);
	clock_set(control->look, SHORT_US);
	return 0;
}

/* The daemon has the lock of the folder, so what has the name is of one that is gone. A child of that may still have it open. */
static void listen_if_needed(struct control *control)
{
	struct varlink_why why;
	int r = 0;

	if (!varlink_server_is_there(control->server)) {
		unlinkat(control->spec.folder->fd, FOLDER_DAEMON, 0);
		r = varlink_server_listen(control->server, &why);
	}
	if (r && r != control->listen_error)
		say(SAY_ERROR, "no control socket: %s; the device is served all the same", why.text);
	else if (!r && control->listen_error)
		say(SAY_NOTICE, "the control socket is there now");
	control->listen_error = r;
}

static int look_event(sd_event_source *source, uint64_t when, void *opaque)
{
	struct control *control = opaque;
	bool memory = has_memory(control);

	if (memory)
		listen_if_needed(control);
	await_clients(control, memory);
	clock_set(source, memory ? LOOK_US : SHORT_US);
	return 0;
}

int control_listen(struct control **result, const struct control_spec *spec)
{
	struct control *control = calloc(1, sizeof *control);
	int r;

	if (!control)
		return -ENOMEM;
	control->spec = *spec;
	folder_file(spec->folder, FOLDER_DAEMON, control->path);
	control->service = (struct varlink_service){.product = "zsblkd",
						    .version = spec->version,
						    .idl = idl_daemon,
						    .methods = methods,
						    .opaque = control,
						    .path = control->path,
						    .group = spec->group};
	r = varlink_server_open(&control->server, &control->service);
	if (!r)
		r = sd_event_add_io(spec->loop, &control->source, varlink_server_fd(control->server), EPOLLIN,
				    server_event, control);
	if (r >= 0)
		r = sd_event_add_time(spec->loop, &control->look, CLOCK_MONOTONIC, 0, 0, look_event, control);
	if (r < 0) {
		control_close(control);
		return r;
	}
	spare_open(&control->spare, NULL);
	look_event(control->look, 0, control);
	*result = control;
	return 0;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	sd_event_source_disable_unref(control->look);
	sd_event_source_disable_unref(control->source);
	varlink_server_close(control->server);
	spare_close(&control->spare);
	free(control);
}

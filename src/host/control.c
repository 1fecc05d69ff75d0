/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread of the control socket. See control.h. It must not make anything worse while memory is short:
 *
 * 1. Its buffers are in memory from the start: control_look_prepare(), varlink_server_open(). json-c takes its memory from the heap, which protect_apply() has populated for that.
 * 2. It is an ordinary thread (thread.h), so that its work comes after that of requests.
 * 3. The kernel takes memory for sockets. An ordinary thread waits for that as everybody does. A thread that waits there keeps a
 *    server that was killed from ending, and the next server waits for that end. So clients wait while there is no memory to spare.
 */
#include "host/control.h"

#include "host/control_errand.h"
#include "host/control_methods.h"
#include "host/host.h"
#include "host/jobs.h"
#include "host/tracer.h"
#include "process/spare.h"
#include "process/thread.h"
#include "varlink/idl.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Between two looks whether there is memory again, and whether the socket is still there. */
#define SHORT_MS 250
#define LOOK_S   5

struct control {
	struct host *host;
	struct varlink_server *server;
	struct spare spare;
	int stop;         /* an eventfd */
	int changed;      /* another one: a job or an errand has ended */
	int listen_error; /* the last one said */
	pthread_t thread;
};

/* ------------------------------------------------------------------ the socket */

static void listen_if_needed(struct control *control)
{
	const struct host *host = control->host;
	struct varlink_why why;
	char text[400];
	int r = varlink_server_is_there(control->server) ? 0 : varlink_server_listen(control->server, &why);

	if (r && r != control->listen_error) {
		snprintf(text, sizeof text, "there is no control socket: %s. Requests are served all the same",
			 why.text);
		host->say(HOST_ERROR, text);
	} else if (!r && control->listen_error) {
		host->say(HOST_NOTICE, "the control socket is there now");
	}
	control->listen_error = r;
}

/* ------------------------------------------------------------------ the thread */

/* In the thread of the jobs. */
static void wake(void *opaque)
{
	const struct control *control = opaque;

	(void)!write(control->changed, &(uint64_t){1}, sizeof(uint64_t));
}

static void serve(struct control *control, bool changed)
{
	uint64_t count;

	if (changed && read(control->changed, &count, sizeof count) > 0)
		varlink_server_again(control->server);
	varlink_server_step(control->server);
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void *run(void *opaque)
{
	struct control *control = opaque;
	time_t looked = now_s();
	struct pollfd fds[] = {
		{.fd = control->stop, .events = POLLIN},
		{.fd = varlink_server_fd(control->server), .events = POLLIN},
		{.fd = control->changed, .events = POLLIN},
	};

	thread_become_ordinary();
	for (;;) {
		bool spare = spare_memory_for(&control->spare, false);
		int n = poll(fds, spare ? 3 : 1, spare ? LOOK_S * 1000 : SHORT_MS);

		if (n > 0 && fds[0].revents)
			return NULL;
		if (!spare)
			continue;
		if (now_s() - looked >= LOOK_S) {
			listen_if_needed(control);
			looked = now_s();
		}
		/* Between two steps others get the processor, and the server learns that it is to end. */
		if (n > 0 && spare_memory_for(&control->spare, false))
			serve(control, fds[2].revents);
	}
}

/* ------------------------------------------------------------------ life */

static void destroy(struct control *control)
{
	varlink_server_close(control->server);
	spare_close(&control->spare);
	jobs_tell(control->host->jobs, NULL, NULL);
	if (control->stop >= 0)
		close(control->stop);
	if (control->changed >= 0)
		close(control->changed);
	free(control);
}

int control_start(struct control **result, struct host *host)
{
	const struct varlink_service service = {
		.product = host->transport,
		.version = ZSBLK_VERSION,
		.idl = idl_device,
		.methods = control_methods,
		.opaque = host,
		.drop = control_errand_drop,
		.path = host->params->control_path,
		.group = host->params->control_group,
	};
	struct control *control = calloc(1, sizeof *control);
	int r;

	if (!control)
		return -ENOMEM;
	control->host = host;
	control->stop = eventfd(0, EFD_CLOEXEC);
	control->changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = control->stop < 0 || control->changed < 0 ? -errno : varlink_server_open(&control->server, &service);
	if (!r)
		r = tracer_create(&host->tracer, host->device);
	if (!r) {
		jobs_tell(host->jobs, wake, control);
		spare_open(&control->spare, NULL);
		control_look_prepare();
		listen_if_needed(control);
		r = thread_start_background(&control->thread, "zsblk-control", run, control);
	}
	if (r) {
		destroy(control);
		return r;
	}
	*result = control;
	return 0;
}

void control_stop(struct control *control)
{
	if (!control)
		return;
	(void)!write(control->stop, &(uint64_t){1}, sizeof(uint64_t));
	pthread_join(control->thread, NULL);
	destroy(control);
}

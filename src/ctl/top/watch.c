/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices that are looked at. See watch.h. */
#include "ctl/top/watch.h"

#include "ctl/exit.h"
#include "ctl/place.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SOON_MS 90

/* A device, and how it is reached. Only the thread uses the connection. */
struct watched {
	struct watch_device device; /* first: it is what others have of this */
	struct connection *connection;
	bool is_listed; /* there is still a folder of that name */
};

struct watch {
	pthread_t thread;
	pthread_mutex_t lock;
	int news, orders; /* eventfds: something was seen; do something at once */
	bool finds;       /* all instances, as they come and go */
	unsigned timeout_s;
	/* Under the lock. The list is changed by the thread alone, which may read it without. */
	bool ends;
	unsigned wants, interval_ms, rounds;
	struct watch_device **devices; /* the first member of a struct watched each */
	size_t n;
};

/* ------------------------------------------------------------------ which ones */

static void free_watched(struct watched *watched)
{
	if (!watched)
		return;
	connection_free(watched->connection);
	sample_free(&watched->device.now);
	sample_free(&watched->device.before);
	free(watched);
}

static struct watched *watched_at(const struct watch *watch, size_t i)
{
	return (struct watched *)watch->devices[i];
}

static int add_watched(struct watch *watch, const char *name, bool is_instance)
{
	struct watched *watched = calloc(1, sizeof *watched);
	struct watch_device **more;

	if (watched)
		watched->connection = is_instance ? connection_of_instance(name, watch->timeout_s)
						  : connection_of_socket(name, watch->timeout_s);
	if (!watched || !watched->connection) {
		free_watched(watched);
		return -ENOMEM;
	}
	snprintf(watched->device.name, sizeof watched->device.name, "%s", name);
	watched->device.away_since_ms = place_now_ms();
	watched->is_listed = true;
	pthread_mutex_lock(&watch->lock);
	more = reallocarray(watch->devices, watch->n + 1, sizeof *more);
	if (more) {
		watch->devices = more;
		more[watch->n++] = &watched->device;
	}
	pthread_mutex_unlock(&watch->lock);
	if (!more)
		free_watched(watched);
	return more ? 0 : -ENOMEM;
}

static struct watched *find_watched(const struct watch *watch, const char *name)
{
	for (size_t i = 0; i < watch->n; i++)
		if (strcmp(watch->devices[i]->name, name) == 0)
			return watched_at(watch, i);
	return NULL;
}

static void drop_unlisted(struct watch *watch)
{
	size_t kept = 0;

	pthread_mutex_lock(&watch->lock);
	for (size_t i = 0; i < watch->n; i++)
		if (watched_at(watch, i)->is_listed)
			watch->devices[kept++] = watch->devices[i];
		else
			free_watched(watched_at(watch, i));
	watch->n = kept;
	pthread_mutex_unlock(&watch->lock);
}

/* Instances that have a folder. One that is stopped has none any more. */
static void find_instances(struct watch *watch)
{
	struct complaint why;
	int code;
	char **names = place_names(&code, &why);

	/* It cannot be told now: what is there stays. */
	if (!names && code != EXIT_DONE)
		return;
	for (size_t i = 0; i < watch->n; i++)
		watched_at(watch, i)->is_listed = false;
	for (size_t i = 0; names && names[i]; i++) {
		struct watched *watched = find_watched(watch, names[i]);

		if (watched)
			watched->is_listed = true;
		else
			add_watched(watch, names[i], true);
	}
	place_free_names(names);
	drop_unlisted(watch);
}

/* ------------------------------------------------------------------ one look */

static void put_sample(struct watch_device *device, struct sample *sample)
{
	/* A look that was ordered comes soon after the last one: too soon for rates, which go on from the one before. */
	if (device->has_before && sample->taken_ms - device->now.taken_ms < SOON_MS) {
		sample_free(&device->now);
	} else {
		sample_free(&device->before);
		device->before = device->now;
		device->has_before = device->has_sample;
	}
	device->now = *sample;
	device->has_sample = device->answers = true;
	device->problem[0] = '\0';
	figures_make(&device->figures, device->has_before ? &device->before : NULL, &device->now);
}

static void put_absence(struct watch_device *device, const char *problem)
{
	if (device->answers)
		device->away_since_ms = place_now_ms();
	device->answers = false;
	/* What it does next is compared with nothing that was before. Its last figures stay, for those who look at it. */
	device->has_before = false;
	snprintf(device->problem, sizeof device->problem, "%s", problem);
}

static void look_at(struct watch *watch, struct watched *watched, unsigned wants)
{
	struct sample sample;
	int r = sample_take(&sample, watched->connection, wants);

	pthread_mutex_lock(&watch->lock);
	if (r == EXIT_DONE)
		put_sample(&watched->device, &sample);
	else
		put_absence(&watched->device, connection_problem(watched->connection));
	pthread_mutex_unlock(&watch->lock);
	if (r)
		sample_free(&sample);
	eventfd_write(watch->news, 1);
}

/* ------------------------------------------------------------------ the thread */

/* Until the next look is due, or there are orders. */
static void pause_until(struct watch *watch, int64_t due_ms)
{
	struct pollfd fd = {.fd = watch->orders, .events = POLLIN};
	int64_t now_ms = place_now_ms();
	eventfd_t count;

	if (poll(&fd, 1, due_ms > now_ms ? (int)(due_ms - now_ms) : 0) > 0)
		eventfd_read(watch->orders, &count);
}

static bool take_orders(struct watch *watch, unsigned *wants, unsigned *interval_ms)
{
	bool ends;

	pthread_mutex_lock(&watch->lock);
	ends = watch->ends;
	*wants = watch->wants;
	*interval_ms = watch->interval_ms;
	pthread_mutex_unlock(&watch->lock);
	return !ends;
}

static void *watch_all(void *opaque)
{
	struct watch *watch = opaque;
	unsigned wants, interval_ms;

	while (take_orders(watch, &wants, &interval_ms)) {
		int64_t begun_ms = place_now_ms();

		if (watch->finds)
			find_instances(watch);
		for (size_t i = 0; i < watch->n && take_orders(watch, &wants, &interval_ms); i++)
			look_at(watch, watched_at(watch, i), wants);
		pthread_mutex_lock(&watch->lock);
		watch->rounds++;
		pthread_mutex_unlock(&watch->lock);
		eventfd_write(watch->news, 1);
		pause_until(watch, begun_ms + interval_ms);
	}
	return NULL;
}

/* Signals are for whoever has the screen. */
static int start_thread(struct watch *watch)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&watch->thread, NULL, watch_all, watch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static void free_watch(struct watch *watch)
{
	for (size_t i = 0; i < watch->n; i++)
		free_watched(watched_at(watch, i));
	free(watch->devices);
	if (watch->news >= 0)
		close(watch->news);
	if (watch->orders >= 0)
		close(watch->orders);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

int watch_start(struct watch **result, const struct call *call, unsigned wants, unsigned interval_ms)
{
	struct watch *watch = calloc(1, sizeof *watch);
	int r = 0;

	*result = NULL;
	if (!watch)
		return -ENOMEM;
	pthread_mutex_init(&watch->lock, NULL);
	watch->timeout_s = call->options->timeout_s;
	watch->finds = call->is_for_all;
	watch->wants = wants;
	watch->interval_ms = interval_ms;
	watch->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	watch->orders = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watch->news < 0 || watch->orders < 0)
		r = -errno;
	for (size_t i = 0; !r && !watch->finds && i < call->n_connections; i++)
		r = add_watched(watch, connection_name(call->connections[i]),
				connection_is_instance(call->connections[i]));
	if (!r)
		r = start_thread(watch);
	if (r) {
		free_watch(watch);
		return r;
	}
	*result = watch;
	return 0;
}

void watch_end(struct watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->ends = true;
	pthread_mutex_unlock(&watch->lock);
	eventfd_write(watch->orders, 1);
	pthread_join(watch->thread, NULL);
	free_watch(watch);
}

/* ------------------------------------------------------------------ for those who look */

int watch_fd(const struct watch *watch)
{
	return watch->news;
}

void watch_seen(struct watch *watch)
{
	eventfd_t count;

	eventfd_read(watch->news, &count);
}

void watch_want(struct watch *watch, unsigned wants, unsigned interval_ms, bool now)
{
	pthread_mutex_lock(&watch->lock);
	watch->wants = wants;
	watch->interval_ms = interval_ms;
	pthread_mutex_unlock(&watch->lock);
	if (now)
		eventfd_write(watch->orders, 1);
}

const struct watch_device *const *watch_lock(struct watch *watch, size_t *n)
{
	pthread_mutex_lock(&watch->lock);
	*n = watch->n;
	return (const struct watch_device *const *)watch->devices;
}

void watch_unlock(struct watch *watch)
{
	pthread_mutex_unlock(&watch->lock);
}

unsigned watch_rounds(const struct watch *watch)
{
	return watch->rounds;
}

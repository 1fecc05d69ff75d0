/* SPDX-License-Identifier: BSD-3-Clause */
/* The watch over the segment. See watch.h. Lock: `lock` protects `stop`. */
#include "watch.h"

#include "process/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define EVERY_S 5

struct watch {
	const struct zsblk *dev;
	void (*removed)(void);
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
};

static void *keep_watch(void *opaque)
{
	struct watch *watch = opaque;
	struct timespec next;
	bool told = false;

	pthread_mutex_lock(&watch->lock);
	while (!watch->stop) {
		if (!told && zsblk_is_removed(watch->dev)) {
			told = true;
			watch->removed();
		}
		clock_gettime(CLOCK_MONOTONIC, &next);
		next.tv_sec += EVERY_S;
		/* What is removed stays so: there is nothing more to look for. */
		if (told)
			pthread_cond_wait(&watch->wake, &watch->lock);
		else
			pthread_cond_timedwait(&watch->wake, &watch->lock, &next);
	}
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

static void destroy(struct watch *watch)
{
	pthread_cond_destroy(&watch->wake);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

int watch_start(struct watch **result, const struct zsblk *dev, void (*removed)(void))
{
	struct watch *watch = calloc(1, sizeof *watch);
	pthread_condattr_t attr;
	int r;

	if (!watch)
		return -ENOMEM;
	watch->dev = dev;
	watch->removed = removed;
	pthread_mutex_init(&watch->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->wake, &attr);
	pthread_condattr_destroy(&attr);
	r = thread_start_background(&watch->thread, "zsblk-watch", keep_watch, watch);
	if (r) {
		destroy(watch);
		return r;
	}
	*result = watch;
	return 0;
}

void watch_stop(struct watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->stop = true;
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
	pthread_join(watch->thread, NULL);
	destroy(watch);
}

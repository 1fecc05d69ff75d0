/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that does something every few seconds. See ticker.h. Lock: `lock` protects `stop`; no tick runs under it. */
#include "host/ticker.h"

#include "process/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct ticker {
	bool (*tick)(void *opaque);
	void *opaque;
	unsigned seconds;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
};

/* False when the thread is to end. */
static bool wait_for_next(struct ticker *ticker)
{
	struct timespec next;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &next);
	next.tv_sec += ticker->seconds;
	pthread_mutex_lock(&ticker->lock);
	while (!ticker->stop && pthread_cond_timedwait(&ticker->wake, &ticker->lock, &next) != ETIMEDOUT)
		;
	stop = ticker->stop;
	pthread_mutex_unlock(&ticker->lock);
	return !stop;
}

static void *run(void *opaque)
{
	struct ticker *ticker = opaque;

	while (ticker->tick(ticker->opaque) && wait_for_next(ticker))
		;
	return NULL;
}

static void destroy(struct ticker *ticker)
{
	pthread_cond_destroy(&ticker->wake);
	pthread_mutex_destroy(&ticker->lock);
	free(ticker);
}

int ticker_start(struct ticker **result, const char *name, unsigned seconds, bool (*tick)(void *opaque), void *opaque)
{
	struct ticker *ticker = calloc(1, sizeof *ticker);
	pthread_condattr_t attr;
	int r;

	if (!ticker)
		return -ENOMEM;
	ticker->tick = tick;
	ticker->opaque = opaque;
	ticker->seconds = seconds;
	pthread_mutex_init(&ticker->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ticker->wake, &attr);
	pthread_condattr_destroy(&attr);
	r = thread_start_background(&ticker->thread, name, run, ticker);
	if (r) {
		destroy(ticker);
		return r;
	}
	*result = ticker;
	return 0;
}

void ticker_stop(struct ticker *ticker)
{
	if (!ticker)
		return;
	pthread_mutex_lock(&ticker->lock);
	ticker->stop = true;
	pthread_cond_signal(&ticker->wake);
	pthread_mutex_unlock(&ticker->lock);
	pthread_join(ticker->thread, NULL);
	destroy(ticker);
}

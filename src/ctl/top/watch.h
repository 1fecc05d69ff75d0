/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that are looked at again and again, by a thread of its own: a server that hangs, or is being replaced, keeps nobody waiting who looks at
 * the screen. Devices come and go meanwhile, unless they were named.
 *
 * Lock: one, over all that watch_lock() gives access to. The thread holds it only to put a look into its place, never while it asks a server.
 */
#ifndef TOP_WATCH_H
#define TOP_WATCH_H

#include "ctl/top/figures.h"
#include "ctl/top/sample.h"
#include "ctl/verbs.h"

#include <stdbool.h>
#include <stddef.h>

struct watch_device {
	char name[256]; /* of the instance, or the socket */
	bool answers;   /* the last look was answered */
	int64_t away_since_ms;
	char problem[200];           /* why the last look was not answered */
	bool has_sample, has_before; /* there was a look, and one before that */
	struct sample now, before;
	struct figures figures;
};

struct watch;

/*
 * Begin to look, every `interval_ms`, and ask for `wants` (SAMPLE_...). With names on the command line, at those; otherwise at all instances, those that come later as well.
 * 0, or a negative errno.
 */
int watch_start(struct watch **watch, const struct call *call, unsigned wants, unsigned interval_ms);
/* Waits for the look that is under way, so for an answer at most. NULL is allowed. */
void watch_end(struct watch *watch);

/* Readable once something new was seen. */
int watch_fd(const struct watch *watch);
/* Take note of that. */
void watch_seen(struct watch *watch);

/* What to ask for (SAMPLE_...), and how often, from the next look on; `now`: look at once. */
void watch_want(struct watch *watch, unsigned wants, unsigned interval_ms, bool now);

/* Until watch_unlock() nothing changes: the devices, which are *n. */
const struct watch_device *const *watch_lock(struct watch *watch, size_t *n);
void watch_unlock(struct watch *watch);
/* Rounds that are complete: all devices have been looked at so often. With the lock held. */
unsigned watch_rounds(const struct watch *watch);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that does something every few seconds. */
#ifndef TICKER_H
#define TICKER_H

#include <stdbool.h>

struct ticker;

/*
 * Start a thread that calls tick(opaque) at once, and again `seconds` after each call has returned, until `tick`
 * returns false. `name` is for ps and top, 15 characters at most. 0 or a negative errno. On success *ticker is the
 * caller's until ticker_stop(), also after `tick` has returned false.
 */
int ticker_start(struct ticker **ticker, const char *name, unsigned seconds, bool (*tick)(void *opaque), void *opaque);
/* End the thread, and wait until it has ended; a call of `tick` is not cut short. NULL is allowed. */
void ticker_stop(struct ticker *ticker);

#endif

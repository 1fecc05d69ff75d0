/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that does something every few seconds, beside the requests. */
#ifndef TICKER_H
#define TICKER_H

#include <stdbool.h>

struct ticker;

/*
 * Call tick(opaque) in a thread of its own: at once, and then `seconds` after each call has returned. It ends when `tick`
 * returns false. `name` is for ps and top, 15 characters at most. 0 or a negative errno.
 */
int ticker_start(struct ticker **ticker, const char *name, unsigned seconds, bool (*tick)(void *opaque), void *opaque);
/* End the thread, after the tick that it may be in, and wait for that. NULL is allowed. */
void ticker_stop(struct ticker *ticker);

#endif

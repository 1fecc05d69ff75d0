/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watches that nobody removes the segment under the server (ipcrm; systemd-logind's RemoveIPC=, for ordinary users).
 * The server would go on, and all that it stores would be lost when it ends.
 */
#ifndef WATCH_H
#define WATCH_H

#include "zsblk.h"

struct watch;

/*
 * Look every few seconds, in a thread; `removed` is called there, once. 0 or a negative errno. *dev must stay until
 * watch_stop(), which takes NULL.
 */
int watch_start(struct watch **watch, const struct zsblk *dev, void (*removed)(void));
void watch_stop(struct watch *watch);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who uses a device node. A device is removed only when nobody does: the check and a claim that keeps new users out are one.
 */
#ifndef USE_H
#define USE_H

#include "zsblk.h"

#include <sys/types.h>

/*
 * Claim the block device `number` at `path` for the caller, so that nobody can mount it or swap on it until *fd is closed.
 * -EBUSY: it is used, and *why says by whom as far as that can be seen; -ENXIO: what has this path is another device.
 */
int use_claim(const char *path, dev_t number, int *fd, struct zsblk_why *why);

/*
 * Somebody other than the calling process who has the device open, as "process 17 (cat)" in `text`; false if nobody is seen. Looks
 * through all of /proc. `block`: a block device, otherwise a character device.
 */
bool use_find_holder(dev_t number, bool block, char *text, size_t size);

#endif

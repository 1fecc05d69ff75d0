/* SPDX-License-Identifier: BSD-3-Clause */
/* Another size for a device that is served: of the segment, and of the kernel's disk. */
#ifndef RESIZE_H
#define RESIZE_H

#include "zsblk.h"

#include <stdint.h>

/*
 * Give device `number`, which this process serves, and its segment `size` bytes. It becomes smaller only if nobody uses it. Any thread; one at
 * a time. 0, an error of zsblk_resize(); -EOPNOTSUPP: the driver cannot do that (before Linux 6.16); -EBUSY: the device is in use, and would
 * become smaller; -EPERM: the device is another process's; or an error of the driver. On failure both have the size that they had.
 */
int resize_device(uint32_t number, struct zsblk *device, uint64_t size, struct zsblk_why *why);

struct driver;
/*
 * A device that was taken over may be smaller than its segment, if whoever had made that larger was killed before the driver was told:
 * tell it. 0, or a negative errno with the reason: it has the size it had, and works.
 */
int resize_finish(struct driver *driver, uint32_t number, const struct zsblk *device, struct zsblk_why *why);

#endif

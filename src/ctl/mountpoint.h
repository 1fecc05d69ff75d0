/* SPDX-License-Identifier: BSD-3-Clause */
/* What a block device is used for. */
#ifndef MOUNTPOINT_H
#define MOUNTPOINT_H

#include <stdbool.h>
#include <stddef.h>

/* "[SWAP]", or where the device is mounted: the first place. False if it is neither; `text` is left alone then. */
bool mountpoint_find(const char *device, char *text, size_t size);

#endif

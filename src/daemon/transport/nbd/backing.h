/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose /dev/nbdN is, as the kernel's nbd client tells in sysfs. See transport.h for what the functions return. */
#ifndef BACKING_H
#define BACKING_H

#include "daemon/transport/transport.h"

#define BACKING_START "/dev/nbd"

enum transport_backing backing_of(const struct device *device, const char *backend);
bool backing_is_attached(const struct device *device);
int backing_find(const char *backend, struct device *device);
bool backing_has_others(const struct device *device);

#endif

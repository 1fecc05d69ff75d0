/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods of org.zsblk.Device. They run in the control socket's thread; their `opaque` is the struct host. */
#ifndef CONTROL_METHODS_H
#define CONTROL_METHODS_H

#include "varlink/server.h"

extern const struct varlink_method control_methods[];

#endif
